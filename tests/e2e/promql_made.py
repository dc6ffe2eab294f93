"""What a differential test of PromQL asks and of what: series and expressions, made by chance.

Series have resets, gaps, stale markers, NaN, infinities and jitter; expressions every function, aggregation,
operator and modifier. What a tie would decide is left out.
"""

import math

from prometheus import STALE

STEP_MS, STEPS = 15_000, 240
INSTANT = ["abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "deg", "exp", "floor", "ln",
           "log10", "log2", "rad", "round", "sgn", "sin", "sinh", "sqrt", "tan", "tanh", "timestamp", "sort",
           "sort_desc", "day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month",
           "year"]
JUMPY = {"ceil", "floor", "round", "sgn", "sin", "cos", "tan", "day_of_month", "day_of_week", "day_of_year",
         "days_in_month", "hour", "minute", "month", "year", "timestamp"}
OVER_TIME = ["avg_over_time", "changes", "count_over_time", "delta", "deriv", "idelta", "increase", "irate",
             "last_over_time", "max_over_time", "min_over_time", "present_over_time", "rate", "resets",
             "stddev_over_time", "stdvar_over_time", "sum_over_time"]
AGGREGATIONS = ["sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"]
ARITHMETIC = ["+", "-", "*", "/", "^", "atan2"]
OTHERS = ["and", "or", "unless", "bool", "on", "ignoring", "group_left", "group_right", "by", "without", "offset", "@",
          "subquery", "negation", "%", "topk", "bottomk", "quantile", "count_values", "time", "pi", "scalar", "vector",
          "absent", "absent_over_time", "clamp", "clamp_min", "clamp_max", "histogram_quantile", "holt_winters",
          "label_join", "label_replace", "predict_linear", "quantile_over_time"]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">="]


WORDS = INSTANT + OVER_TIME + AGGREGATIONS + ARITHMETIC + COMPARISONS + OTHERS


# ---- series ---------------------------------------------------------------------------------------------------------

def series(chance, begin):
    """[(labels, [(t_ms, value)])]: counters, gauges, buckets, and odd ones."""
    made = []
    for job in ("api", "web"):
        for instance in ("0", "1", "2"):
            labels = {"job": job, "instance": instance}
            made.append(({"__name__": "requests_total"} | labels, counter(chance, begin)))
            made.append(({"__name__": "temperature"} | labels, gauge(chance, begin)))
            made.append(({"__name__": "errors_total"} | labels, counter(chance, begin, step=chance.uniform(0, 2))))
        for le in ("0.1", "0.5", "1", "5", "+Inf"):
            made.append(({"__name__": "latency_bucket", "job": job, "le": le}, None))
        made.append(({"__name__": "limit", "job": job}, [(begin + i * STEP_MS, 100.0 + len(made)) for i in range(STEPS)]))
    for labels, samples in made:
        if samples is None:
            continue
        for _ in range(chance.randrange(3)):  # gaps
            at = chance.randrange(len(samples))
            del samples[at:at + chance.randrange(40)]
        for _ in range(chance.randrange(3)):
            if samples:
                at = chance.randrange(len(samples))
                samples[at] = (samples[at][0], STALE)
    odd = [(begin + i * STEP_MS, chance.choice([1.0, -1.0, math.inf, -math.inf, math.nan, 0.0])) for i in range(STEPS)]
    made.append(({"__name__": "odd", "job": "api", "instance": "0"}, odd))
    fill_buckets(chance, begin, made)
    return [(labels, samples) for labels, samples in made if samples]


def jitter(chance):
    return chance.randrange(-40, 41) if chance.random() < 0.5 else 0


def counter(chance, begin, step=None):
    value, samples = chance.uniform(0, 1000), []
    for i in range(STEPS):
        value = chance.uniform(0, 5) if chance.random() < 0.01 else value + chance.expovariate(1) * (step or 10)
        samples.append((begin + i * STEP_MS + jitter(chance), value))
    return samples


def gauge(chance, begin):
    value, samples = chance.uniform(-50, 50), []
    for i in range(STEPS):
        value += chance.gauss(0, 3)
        samples.append((begin + i * STEP_MS + jitter(chance), value))
    return samples


def fill_buckets(chance, begin, made):
    for job in ("api", "web"):
        counts = [0.0] * 5
        rows = [[] for _ in counts]
        for i in range(STEPS):
            grown = sorted(chance.expovariate(0.2) for _ in counts)
            for n, more in enumerate(grown):
                counts[n] += more
                # Buckets are read one after another: more may have come in before the next.
                late = chance.expovariate(0.05) if chance.random() < 0.1 else 0
                rows[n].append((begin + i * STEP_MS, counts[n] + late))
        mine = [n for n, (labels, _) in enumerate(made)
                if labels["__name__"] == "latency_bucket" and labels["job"] == job]
        for at, row in zip(mine, rows):
            made[at] = (made[at][0], row)


# ---- expressions ----------------------------------------------------------------------------------------------------

class Maker:
    """One expression; `moment`: it is asked of a moment, not of a range."""

    def __init__(self, chance, begin, seen, moment=False):
        self.chance, self.begin, self.seen, self.moment = chance, begin, seen, moment
        self.asked = set()

    def note(self, word):
        self.asked.add(word)
        return word

    def pick(self, words):
        """Of three, the one that had something to say least often so far."""
        return self.note(min(self.chance.choices(words, k=3), key=lambda word: self.seen[word]))

    def shift(self, at=True):
        said = ""
        if self.chance.random() < 0.12:
            said += f" {self.note('offset')} {self.chance.choice(['30s', '1m', '2m30s', '-1m'])}"
        if at and self.chance.random() < 0.1:
            when = self.chance.choice(["start()", "end()", f"{(self.begin + self.chance.randrange(3_600_000)) / 1000:.3f}"])
            said += f" {self.note('@')} {when}"
        return said

    def matchers(self):
        return self.chance.choice(["", "", '{job="api"}', '{job=~"a.*|web"}', '{instance!="1"}', '{instance!~"[01]"}',
                                   '{job="web",instance="2"}', '{instance=~".+"}'])

    def metric(self):
        return self.chance.choice(["requests_total", "temperature", "errors_total", "requests_total", "temperature",
                                   "odd", "limit"])

    def selector(self):
        return self.metric() + self.matchers() + self.shift()

    def timed(self):
        """Of timestamp(): with @, Prometheus 2.42 looks no further than that, though a negative offset moves it on."""
        selector = self.selector()
        return selector if "@" not in selector or "offset -" not in selector else self.metric()

    def matrix(self, deep, raw=False, at=True):
        span = self.chance.choice(["30s", "1m", "2m", "5m", "10m", "17m"])
        if deep > 0 and self.chance.random() < 0.2:
            self.note("subquery")
            # None without a step in it where it is itself the answer: there Prometheus 2.42 shows one that is later.
            span = self.chance.choice(["2m", "5m", "10m"] if raw else ["20s", "2m", "5m", "10m"])
            step = self.chance.choice(["", "15s", "30s", "1m", "47s"])
            inner = self.vector(deep - 1)
            if span == "20s" and "@" in inner:
                span = "2m"  # without a step in it, Prometheus 2.42 still asks the same of all steps once, and may refuse
            return f"({inner})[{span}:{step}]{self.shift(at)}"
        return f"{self.metric()}{self.matchers()}[{span}]{self.shift(at)}"

    def scalar(self, deep):
        choice = self.chance.randrange(6)
        if choice == 0:
            return f"({self.note('time')}() - {self.begin // 1000})"  # short, as at timestamp()
        if choice == 1:
            return f"{self.note('pi')}()"
        if choice == 2 and deep > 0:
            return f"{self.note('scalar')}({self.vector(deep - 1)})"
        return str(self.chance.choice([0, 1, 2, -1, 0.5, 100, 1e3, -7.25, "NaN", "Inf"]))

    def labels(self):
        return self.chance.choice(["job", "instance", "job, instance", "", "le", "none"])

    def aggregation(self, deep):
        how = self.chance.choice(["", f" {self.note('by')} ({self.labels()})",
                                  f" {self.note('without')} ({self.labels()})"])
        inner = self.vector(deep - 1)
        choice = self.chance.randrange(8)
        if choice == 0:
            return f"{self.note('quantile')}{how}({self.chance.choice([0, 0.3, 0.5, 0.9, 1, 1.5, -1])}, {inner})"
        if choice == 1:
            return f"{self.pick(['topk', 'bottomk'])}{how}({self.chance.randrange(4)}, temperature{self.matchers()})"
        if choice == 2:
            return f"{self.note('count_values')}{how}(\"v\", {self.note('round')}({self.selector()}))"
        return f"{self.pick(AGGREGATIONS)}{how}({inner})"

    def binary(self, deep):
        left, right = self.vector(deep - 1), self.vector(deep - 1)
        choice = self.chance.randrange(7)
        if choice == 0:
            return f"({left}) {self.pick(['and', 'or', 'unless'])}{self.on(0.5)} ({right})"
        if choice == 1:
            op = self.pick(ARITHMETIC + COMPARISONS)
            side = self.pick(["group_left", "group_right"])
            many, one = self.metric() + self.matchers(), f"sum by (job) ({right})"
            pair = (many, one) if side == "group_left" else (one, many)
            extra = self.chance.choice(["", "()", "(le)", "(instance)"])
            return f"{pair[0]} {op} {self.note('on')} (job) {side}{extra} {pair[1]}"
        op = self.pick(ARITHMETIC + COMPARISONS)
        word = f" {self.note('bool')}" if op in COMPARISONS and self.chance.random() < 0.4 else ""
        if choice == 2 and self.chance.random() < 0.2:
            return f"{self.selector()} {self.note('%')} {self.chance.choice(['7', self.selector()])}"  # it jumps
        if choice in (2, 3):
            return f"({left}) {op}{word} {self.scalar(deep - 1)}"
        if choice == 4:
            return f"{self.scalar(deep - 1)} {op}{word} ({left})"
        if choice == 5:
            same = self.metric() + self.matchers()
            return f"{same} {op}{word}{self.on(0.3)} {self.metric()}{self.matchers()}"
        return f"({left}) {op}{word}{self.on(0.3)} ({right})"

    def on(self, likely):
        if self.chance.random() > likely:
            return ""
        return f" {self.pick(['on', 'ignoring'])} ({self.chance.choice(['job', 'instance', 'job, instance', ''])})"

    def over_time(self, deep):
        choice = self.chance.randrange(len(OVER_TIME) + 5)
        if choice == 0:
            return f"{self.note('quantile_over_time')}({self.chance.choice([0, 0.25, 0.5, 0.99, 1, 2, -1])}, {self.matrix(deep)})"
        if choice == 1:
            # With @, Prometheus 2.42 moves the window from step to step all the same.
            window = f"{self.metric()}{self.matchers()}[5m]{self.shift(at=self.moment)}"
            return f"{self.note('predict_linear')}({window}, {self.chance.choice([60, 600, -30])})"
        if choice == 2:
            return f"{self.note('holt_winters')}({self.matrix(deep)}, 0.{self.chance.randrange(1, 10)}, 0.{self.chance.randrange(1, 10)})"
        if choice == 3:
            return f"{self.note('absent_over_time')}({self.chance.choice(['none', self.metric()])}{self.matchers()}[1m])"
        return f"{self.pick(OVER_TIME)}({self.matrix(deep)})"

    def vector(self, deep):
        if deep <= 0:
            return self.selector()
        choice = self.chance.randrange(16)
        if choice < 3:
            return self.selector()
        if choice < 7:
            return self.over_time(deep - 1)
        if choice < 9:
            return self.aggregation(deep)
        if choice < 12:
            return self.binary(deep)
        return self.call(deep)

    def call(self, deep):
        inner = self.vector(deep - 1)
        choice = self.chance.randrange(28)
        if choice == 0:
            return f"{self.note('clamp')}({inner}, {self.chance.choice([-5, 0, 20])}, {self.chance.choice([10, 50, -9])})"
        if choice == 1:
            return f"{self.pick(['clamp_min', 'clamp_max'])}({inner}, {self.scalar(deep - 1)})"
        if choice == 2:
            return f"{self.note('histogram_quantile')}({self.chance.choice([0, 0.1, 0.5, 0.9, 0.99, 1, 1.1])}, " + \
                self.chance.choice(["latency_bucket", "rate(latency_bucket[5m])", "sum by (le) (rate(latency_bucket[2m]))"]) + ")"
        if choice == 3:
            to, how = self.chance.choice([("new", "$1-$2"), ("job", "x${1}"), ("instance", ""), ("new", "$name"),
                                          ("__name__", "n_$1"), ("job", "$3"), ("new", "$0$$")])
            return f"{self.note('label_replace')}({inner}, \"{to}\", \"{how}\", \"job\", \"(?P<name>.)(.*)\")"
        if choice == 4:
            return f"{self.note('label_join')}({inner}, \"{self.chance.choice(['new', 'job'])}\", \"-\", \"job\", \"instance\")"
        if choice == 5:
            return f"{self.note('absent')}({self.chance.choice(['none', self.metric()])}{self.matchers()})"
        if choice == 6:
            return f"{self.note('vector')}({self.scalar(deep - 1)})"
        if choice == 7:
            return f"{self.note('round')}({inner}, {self.chance.choice([0.1, 5, 10])})"
        if choice == 8:
            if self.chance.random() < 0.2:
                return f"+({inner})"
            return f"{self.note('negation')and '-'}({inner})"
        if choice == 9:
            return f"{self.pick(INSTANT[-8:])}()"
        name = self.pick(INSTANT)
        # What jumps, or magnifies the last digit, is asked of what was read, not of what was calculated.
        if name == "timestamp":
            # Since not long ago: of such large numbers a variance has no digits that two orders of adding share.
            return f"({name}({self.timed()}) - {self.begin // 1000})"
        return f"{name}({self.selector() if name in JUMPY else inner})"
