"""Made by chance: series with gaps, resets and stale markers, and rules of many shapes over them."""

import math
import struct

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
STEP_MS = 15_000
FORS = ["0s", "0s", "30s", "45s", "60s", "90s", "150s", "300s"]


def is_stale(value):
    return struct.pack("<d", value) == struct.pack("<d", STALE)


def with_holes(chance, values, gap=0.04, stale=0.03):
    """None where a sample is missing; after a stale marker the series is away for a while."""
    made, away, marked = [], 0, False
    for value in values:
        if away:
            away -= 1
            made.append(STALE if marked else None)
            marked = False
        elif chance.random() < gap:
            away = chance.choice([0, 1, 2, 5, 25])
            made.append(None)
        elif chance.random() < stale:
            away, marked = chance.choice([1, 2, 4, 12]), True
            made.append(value)
        else:
            made.append(value)
    return made


def gauge(chance, steps):
    value, goal = chance.uniform(0, 10), chance.uniform(0, 10)
    for _ in range(steps):
        if chance.random() < 0.1:
            goal = chance.uniform(0, 10)
        value += (goal - value) * 0.5
        yield round(value * 4) / 4


def counter(chance, steps):
    value, rate = 0, chance.choice([0, 1, 4])
    for _ in range(steps):
        if chance.random() < 0.08:
            rate = chance.choice([0, 0, 1, 4, 9])
        value = 0 if chance.random() < 0.03 else value + 15 * rate
        yield float(value)


def switch(chance, steps):
    value = 1.0
    for _ in range(steps):
        if chance.random() < 0.12:
            value = 1.0 - value
        yield value


def series(chance, steps):
    """[(labels, [value or None, ...])], one value every STEP_MS."""
    rows = []
    for i, zone in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")):
        rows.append(({"__name__": "g", "i": i, "zone": zone}, with_holes(chance, list(gauge(chance, steps)))))
        rows.append(({"__name__": "c", "i": i, "zone": zone}, with_holes(chance, list(counter(chance, steps)))))
        rows.append(({"__name__": "up", "i": i, "job": "mill"}, with_holes(chance, list(switch(chance, steps)))))
    for zone in ("x", "y"):
        rows.append(({"__name__": "most", "zone": zone}, with_holes(chance, list(gauge(chance, steps)))))
        total = [0.0] * 4
        buckets = [[], [], [], []]
        for _ in range(steps):
            if chance.random() < 0.02:
                total = [0.0] * 4
            at = chance.choice([0, 0, 1, 2, 3])
            for n in range(at, 4):
                total[n] += 8
            for n in range(4):
                buckets[n].append(total[n])
        for le, values in zip(("0.1", "0.5", "2", "+Inf"), buckets):
            rows.append(({"__name__": "wait_bucket", "zone": zone, "le": le}, values))
    odd = [chance.choice([1.0, math.nan, math.inf, 3.0]) for _ in range(steps)]
    rows.append(({"__name__": "odd", "i": "a"}, with_holes(chance, odd)))
    return rows


def alert(chance, name, expr, **more):
    rule = {"alert": name, "expr": expr, **more}
    hold = chance.choice(FORS)
    if hold != "0s":
        rule.setdefault("for", hold)
    if chance.random() < 0.3:
        rule.setdefault("keep_firing_for", chance.choice(FORS[2:]))
    if chance.random() < 0.5:
        rule.setdefault("labels", {"severity": chance.choice(["page", "ticket"])})
    rule.setdefault("annotations", {"text": "{{ $labels.i }} is {{ $value }}"})
    return rule


def level(chance):
    return chance.choice([2, 3.5, 5, 6.5, 8])


OPS = [">", "<", ">=", "<=", "==", "!="]

# A shape: its name, and the rules of a group. Names of what they record begin with r_.
SHAPES = {
    "threshold": lambda c: [alert(c, "Threshold", f"g {c.choice(OPS)} {level(c)}")],
    "threshold_for": lambda c: [alert(c, "ThresholdFor", f"g > {level(c)}", **{"for": c.choice(FORS[2:])})],
    "keep_firing": lambda c: [alert(c, "KeepFiring", f"g > {level(c)}", keep_firing_for=c.choice(FORS[2:]))],
    "band": lambda c: [alert(c, "Band", f"g > 3 < {level(c)}")],
    "bool": lambda c: [alert(c, "Bool", f"g > bool {level(c)} == 1")],
    "value_label": lambda c: [alert(c, "ValueLabel", f"g > {level(c)}",
                                    labels={"v": "{{ $value }}", "i": "of {{ $labels.i }}"})],
    "empty_label": lambda c: [alert(c, "EmptyLabel", f"g > {level(c)}",
                                    labels={"none": "{{ $labels.nope }}", "zone": "", "alertname": "x"})],
    "rate": lambda c: [alert(c, "Rate", f"rate(c[{c.choice(['1m', '2m', '3m'])}]) > {c.choice([0.3, 1.7, 4.3])}")],
    "increase": lambda c: [alert(c, "Increase", f"sum by (zone) (increase(c[2m])) > {c.choice([33, 157, 411])}")],
    "irate": lambda c: [alert(c, "Irate", "irate(c[2m]) == 0")],
    "absent": lambda c: [alert(c, "Absent", f'absent(g{{i="{c.choice("abcd")}"}})')],
    "absent_over_time": lambda c: [alert(c, "AbsentOver", f'absent_over_time(up{{i="{c.choice("abcd")}"}}[1m])')],
    "down": lambda c: [alert(c, "Down", "up == 0")],
    "join_on": lambda c: [alert(c, "JoinOn", "max by (zone) (g) > on (zone) most")],
    "group_left": lambda c: [alert(c, "GroupLeft", f"g > on (zone) group_left () most * {c.choice([0.5, 1, 1.5])}")],
    "and": lambda c: [alert(c, "And", f"g > {level(c)} and on (i) up == 1")],
    "unless": lambda c: [alert(c, "Unless", f"g > {level(c)} unless on (i) up == 0")],
    "or": lambda c: [alert(c, "Or", f"g > {level(c)} or c < 100")],
    "quantile": lambda c: [alert(c, "Quantile",
                                 "histogram_quantile(0.9, sum by (le, zone) (rate(wait_bucket[2m]))) > 0.7")],
    "over_time": lambda c: [alert(c, "OverTime",
                                  f"{c.choice(['max', 'min', 'last', 'count'])}_over_time(g[90s]) > {level(c)}")],
    "changes": lambda c: [alert(c, "Changes", f"changes(up[4m]) >= {c.choice([1, 2, 3])}")],
    "resets": lambda c: [alert(c, "Resets", "resets(c[5m]) > 0")],
    "offset": lambda c: [alert(c, "Offset", f"g - g offset 1m > {c.choice([0.5, 1.5, 3])}")],
    "subquery": lambda c: [alert(c, "Subquery", f"max_over_time(g[3m:30s]) - min_over_time(g[3m:30s]) > {level(c)}")],
    "count_values": lambda c: [alert(c, "CountValues", 'count_values("v", round(g)) > 1')],
    "count": lambda c: [alert(c, "Count", f"count by (job) (up == 1) < {c.choice([2, 3, 4])}")],
    "replace": lambda c: [alert(c, "Replace", f'label_replace(g, "who", "$1", "i", "([ab])") > {level(c)}')],
    "time": lambda c: [alert(c, "Time", f"vector(time() % {c.choice([180, 420])}) > {c.choice([60, 90])}")],
    "odd": lambda c: [alert(c, "Odd", "odd != 1")],
    "chain": lambda c: [{"record": "r_sum", "expr": "sum by (zone) (g)", "labels": {"l": "v", "none": ""}},
                        alert(c, "Chain", f"r_sum > {c.choice([7, 11, 15])}"),
                        {"record": "r_high", "expr": "r_sum > 9"}],
    "late": lambda c: [alert(c, "Late", f"r_late > {level(c)}"),
                       {"record": "r_late", "expr": "max by (zone) (g)"}],
    "of_alerts": lambda c: [alert(c, "First", f"g > {level(c)}"),
                            alert(c, "Second", 'count by (alertname) (ALERTS{alertname="First",alertstate="firing"}) > 1'),
                            alert(c, "Third", 'time() - ALERTS_FOR_STATE{alertname="First"} > 60'),
                            {"record": "r_alerts", "expr": 'count by (alertstate) (ALERTS{alertname="First"})'}],
    "two_of_a_name": lambda c: [alert(c, "Two", f"g > {level(c)}", labels={"n": "1"}),
                                alert(c, "Two", f"g < {level(c)}", labels={"n": "2"})],
    "query": lambda c: [alert(c, "Query", f"g > {level(c)}",
                              annotations={"up": '{{ query "count(up == 1) or vector(0)" | first | value }}'})],
}
