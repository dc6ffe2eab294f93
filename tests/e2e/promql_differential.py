"""PromQL against Prometheus itself, by chance: the same series, the same expressions, the same answers.

Goal: what our engine gives is what Debian's Prometheus gives, to 1e-9 of it, or both refuse. Method: series with
resets, gaps, stale markers, NaN, infinities and jitter, made from a seed that is printed; pushed into a real
Prometheus by remote write, and read by ours from a file; expressions made of every function, aggregation, operator
and modifier. What a tie would decide is left out. It prints how often each was asked and had something to say.

usage: promql_differential.py PROMQL_ASK [EXPRESSIONS [SEED]]
"""

import collections
import json
import math
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from mill import free_ports, until

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
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
                rows[n].append((begin + i * STEP_MS, counts[n]))
        mine = [n for n, (labels, _) in enumerate(made)
                if labels["__name__"] == "latency_bucket" and labels["job"] == job]
        for at, row in zip(mine, rows):
            made[at] = (made[at][0], row)


# ---- remote write ---------------------------------------------------------------------------------------------------

def varint(n):
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def write_request(rows):
    body = b""
    for labels, samples in rows:
        one = b"".join(field(1, field(1, name.encode()) + field(2, value.encode()))
                       for name, value in sorted(labels.items()))
        for t, value in samples:
            one += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(t))
        body += field(1, one)
    out = varint(len(body))  # snappy, of literals alone
    for at in range(0, len(body), 65536):
        piece = body[at:at + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return out


# ---- expressions ----------------------------------------------------------------------------------------------------

class Maker:
    def __init__(self, chance, begin, seen):
        self.chance, self.begin, self.seen = chance, begin, seen
        self.asked = set()

    def note(self, word):
        self.asked.add(word)
        return word

    def pick(self, words):
        """Of three, the one that had something to say least often so far."""
        return self.note(min(self.chance.choices(words, k=3), key=lambda word: self.seen[word]))

    def shift(self):
        said = ""
        if self.chance.random() < 0.12:
            said += f" {self.note('offset')} {self.chance.choice(['30s', '1m', '2m30s', '-1m'])}"
        if self.chance.random() < 0.1:
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

    def matrix(self, deep):
        span = self.chance.choice(["30s", "1m", "2m", "5m", "10m", "17m"])
        if deep > 0 and self.chance.random() < 0.2:
            self.note("subquery")
            span = self.chance.choice(["2m", "5m", "10m"])  # no shorter than a step: see docs/promql.md
            step = self.chance.choice(["", "15s", "30s", "1m", "47s"])
            inner = self.vector(deep - 1)
            return f"({inner})[{span}:{step}]{self.shift()}"
        return f"{self.metric()}{self.matchers()}[{span}]{self.shift()}"

    def scalar(self, deep):
        choice = self.chance.randrange(6)
        if choice == 0:
            return f"{self.note('time')}()"
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
            extra = self.chance.choice(["", "()", "(le)"])
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
            return f"{self.note('predict_linear')}({self.metric()}{self.matchers()}[5m], {self.chance.choice([60, 600, -30])})"
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
            to, how = self.chance.choice([("new", "$1-$2"), ("job", "x${1}"), ("instance", ""), ("new", "$name")])
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
            return f"{self.note('negation')and '-'}({inner})"
        if choice == 9:
            return f"{self.pick(INSTANT[-8:])}()"
        name = self.pick(INSTANT)
        # What jumps, or magnifies the last digit, is asked of what was read, not of what was calculated.
        return f"{name}({self.selector() if name in JUMPY else inner})"


# ---- asking and comparing -------------------------------------------------------------------------------------------

class Prometheus:
    def __init__(self, folder):
        (port,) = free_ports(1)
        (folder / "prometheus.yml").write_text("")
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--log.level=error"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.ready, 30, "Prometheus is ready")

    def ready(self):
        try:
            return urllib.request.urlopen(self.url + "/-/ready", timeout=2).status == 200
        except OSError:
            return False

    def push(self, rows):
        request = urllib.request.Request(self.url + "/api/v1/write", write_request(rows), {
            "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0"})
        assert urllib.request.urlopen(request, timeout=30).status in (200, 204)

    def ask(self, start, end, step, query):
        form = {"query": query, "time": start / 1000}
        if step:
            form = {"query": query, "start": start / 1000, "end": end / 1000, "step": step / 1000}
        path = "/api/v1/query_range" if step else "/api/v1/query"
        try:
            body = urllib.request.urlopen(self.url + path, urllib.parse.urlencode(form).encode(), 60).read()
        except urllib.error.HTTPError as error:
            return {"error": json.loads(error.read())["error"]}
        data = json.loads(body)["data"]
        if data["resultType"] == "scalar":
            return {"result": [[{}, [data["result"]]]]}
        if data["resultType"] == "string":
            return {"result": data["result"][1]}
        return {"result": [[one["metric"], one.get("values") or [one["value"]]] for one in data["result"]]}

    def stop(self):
        self.process.terminate()
        self.process.wait()


def table(answer):
    """{labels: [(ms, number)]}"""
    return {json.dumps(labels, sort_keys=True): [(t, float(v)) for t, v in points] for labels, points in answer["result"]}


def close(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-3)


def differ(ours, theirs):
    """Why they differ; None if they do not."""
    if "error" in ours or "error" in theirs:
        if "error" in ours and "error" in theirs:
            return None
        return f"ours: {ours.get('error', 'an answer')}; theirs: {theirs.get('error', 'an answer')}"
    if isinstance(ours["result"], str):
        return None if ours["result"] == theirs["result"] else "another text"
    mine, his = table(ours), table({"result": [[labels, [[round(float(t) * 1000), v] for t, v in points]]
                                               for labels, points in theirs["result"]]})
    if mine.keys() != his.keys():
        return f"only ours: {sorted(mine.keys() - his.keys())[:3]}; only theirs: {sorted(his.keys() - mine.keys())[:3]}"
    for labels, points in mine.items():
        if [t for t, _ in points] != [t for t, _ in his[labels]]:
            return f"{labels}: other times: {len(points)} and {len(his[labels])}"
        for (t, a), (_, b) in zip(points, his[labels]):
            if not close(a, b):
                return f"{labels} at {t}: ours {a!r}, theirs {b!r}"
    return None


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 31)
    print(f"seed {seed}, {count} expressions", flush=True)
    chance = random.Random(seed)
    begin = (int(time.time()) // 3600 - 2) * 3_600_000
    rows = series(chance, begin)
    wrong, full, seen = [], 0, collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        with open(folder / "series", "w") as file:
            for labels, samples in rows:
                file.write(json.dumps(labels) + "\n")
                for t, value in samples:
                    stale = struct.pack("<d", value) == struct.pack("<d", STALE)
                    file.write(f"{t} {'stale' if stale else repr(value)}\n")
                file.write("\n")
        theirs = Prometheus(folder)
        ours = subprocess.Popen([program, str(folder / "series")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            at = [0] * len(rows)  # in the order of time, which its head wants
            for until_ms in range(begin, begin + (STEPS + 2) * STEP_MS, 20 * STEP_MS):
                batch = []
                for n, (labels, samples) in enumerate(rows):
                    end = at[n]
                    while end < len(samples) and samples[end][0] < until_ms:
                        end += 1
                    if end > at[n]:
                        batch.append((labels, samples[at[n]:end]))
                    at[n] = end
                if batch:
                    theirs.push(batch)
            theirs.push([(labels, samples[at[n]:]) for n, (labels, samples) in enumerate(rows) if samples[at[n]:]] or rows[:0])
            for _ in range(count):
                maker = Maker(chance, begin, seen)
                raw = chance.random() < 0.05  # a range vector, which only a moment has
                query = maker.matrix(1) if raw else maker.vector(chance.randrange(1, 5))
                step = 0 if raw else chance.choice([0, 30_000, 60_000, 47_000])
                start = begin + chance.randrange(0, STEPS * STEP_MS)
                end = start + (step * chance.randrange(1, 30) if step else 0)
                ours.stdin.write(f"{start} {end} {step} {query}\n")
                ours.stdin.flush()
                mine = json.loads(ours.stdout.readline())
                his = theirs.ask(start, end, step, query)
                why = differ(mine, his)
                if why:
                    wrong.append((query, start, end, step, why))
                if his.get("result"):
                    full += 1
                    seen.update(maker.asked)
        finally:
            ours.stdin.close()
            ours.wait()
            theirs.stop()
    for query, start, end, step, why in wrong[:40]:
        print(f"{query}\n    from {start} to {end} by {step}: {why}")
    print("asked with something to say: " + ", ".join(f"{word} {n}" for word, n in sorted(seen.items())))
    rare = sorted(word for word in WORDS if seen[word] < 30) if count >= 5000 else []
    if rare:
        print(f"asked with something to say fewer than 30 times: {', '.join(rare)}")
    print(f"{count - len(wrong)} equal, {len(wrong)} different; {full} of {count} had something to say")
    return 1 if wrong or rare or full < 0.6 * count else 0


if __name__ == "__main__":
    sys.exit(main())
