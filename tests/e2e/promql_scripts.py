"""The scripts of tests/collector/promql/scripts, held against Debian's Prometheus: is what they expect so?

The format is that of Prometheus' own test scripts; script_test.cc says what of it there is. Each `clear` begins with a
Prometheus of its own: what was written to one cannot be written again.

usage: promql_scripts.py [FILE ...]
"""

import json
import math
import pathlib
import re
import sys

from prometheus import STALE, Prometheus

FOLDER = pathlib.Path(__file__).parent.parent / "collector" / "promql" / "scripts"
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
SERIES = re.compile(r'([a-zA-Z_:][\w:]*)?\s*(\{(?:[^}"]|"(?:[^"\\]|\\.)*")*\})?\s*(.*)', re.S)
LABEL = re.compile(r'(\w+)\s*=\s*("(?:[^"\\]|\\.)*")')


def duration(text):
    sign = -1 if text.startswith("-") else 1
    if text.strip("-").isdigit():
        return int(text) * 1000
    return sign * sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))


def number(text):
    return STALE if text == "stale" else float(text)


def split_series(line):
    name, braces, rest = SERIES.match(line).groups()
    labels = {key: json.loads(value) for key, value in LABEL.findall(braces or "")}
    if name:
        labels["__name__"] = name
    return labels, rest.strip()


def samples(words, step):
    """[(t_ms, value)] of "5", "5x3", "5+2x3", "_", "_x3", "stale"."""
    made, t = [], 0
    for word in words.split():
        base, _, times = word.partition("x")
        count = int(times or 0)
        if base == "_":
            t += step * max(1, count)
            continue
        grows = re.fullmatch(r"(-?[^-+]+(?:e[-+]\d+)?)([-+][^-+]+(?:e[-+]\d+)?)", base) if times else None
        first, by = (number(grows[1]), number(grows[2])) if grows else (number(base), 0)
        for i in range(count + 1):
            made.append((t, first + by * i if i else first))
            t += step
    return made


def blocks(path):
    """[(number of the line, its lines)]"""
    made = []
    for n, line in enumerate(path.read_text().split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] not in " \t":
            made.append((n, []))
        made[-1][1].append(line.strip())
    return made


def parts(path):
    """What stands between two `clear`: its series, and its evaluations."""
    made = [([], [])]
    for n, lines in blocks(path):
        if lines[0] == "clear":
            made.append(([], []))
        elif lines[0].startswith("load "):
            step = duration(lines[0].split()[1])
            for line in lines[1:]:
                labels, words = split_series(line)
                made[-1][0].append((labels, samples(words, step)))
        else:
            made[-1][1].append((n, lines))
    return made


def close(a, b):
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= 1e-9 * abs(b)


def key(labels):
    return json.dumps(labels, sort_keys=True)


def wrong_moment(data, wanted, ordered):
    if data["resultType"] == "string":
        return None if [json.dumps(data["result"][1])] == wanted else f"says {data['result'][1]!r}"
    if data["resultType"] == "scalar":
        is_so = len(wanted) == 1 and close(float(data["result"][1]), number(wanted[0]))
        return None if is_so else f"says {data['result'][1]}"
    there = [(key(one["metric"]), float(one["value"][1])) for one in data["result"]]
    meant = [(key(labels), number(value)) for labels, value in map(split_series, wanted)]
    if not ordered:
        there.sort(key=lambda one: one[0])
        meant.sort(key=lambda one: one[0])
    same = len(there) == len(meant) and all(a[0] == b[0] and close(a[1], b[1]) for a, b in zip(there, meant))
    return None if same else f"says {there}"


def wrong_range(data, wanted, times):
    there = {key(one["metric"]): {round(float(t) * 1000): float(v) for t, v in one["values"]} for one in data["result"]}
    meant = {}
    for line in wanted:
        labels, values = split_series(line)
        meant[key(labels)] = {t: number(v) for t, v in zip(times, values.split()) if v != "_"}
    same = there.keys() == meant.keys() and all(
        there[one].keys() == meant[one].keys() and all(close(there[one][t], meant[one][t]) for t in meant[one])
        for one in meant)
    return None if same else f"says {there}"


def wrong(theirs, lines):
    """What Prometheus says otherwise than a block of a script; None if nothing."""
    moment = re.match(r"(eval|eval_ordered|eval_fail) instant at (\S+) (.*)", lines[0])
    if moment:
        how, at, query = moment.groups()
        status, body = theirs.asked("/api/v1/query", {"query": query, "time": duration(at) / 1000})
    else:
        how, start, end, step, query = re.match(
            r"(eval|eval_fail) range from (\S+) to (\S+) step (\S+) (.*)", lines[0]).groups()
        start, end, step = duration(start), duration(end), duration(step)
        status, body = theirs.asked("/api/v1/query_range", {
            "query": query, "start": start / 1000, "end": end / 1000, "step": step / 1000})
    if how == "eval_fail":
        if status == 200:
            return f"answers {body['data']}"
        said = [line.partition(" ")[2] for line in lines[1:] if line.startswith("expected_fail_regexp ")]
        if "parse error" in body["error"] and not any("parse error" in one for one in said):
            return f"refuses to read it: {body['error']}"
        return None if all(re.search(one, body["error"]) for one in said) else f"says {body['error']}"
    if status != 200:
        return f"refuses: {body['error']}"
    if moment:
        return wrong_moment(body["data"], lines[1:], how == "eval_ordered")
    return wrong_range(body["data"], lines[1:], range(start, end + 1, step))


def check(path):
    """[(line, query, what Prometheus says)] of what is wrong in a script, and how many evaluations it has."""
    found, count = [], 0
    for rows, evaluations in parts(path):
        theirs = Prometheus()
        try:
            if rows:
                theirs.push([row for row in rows if row[1]])
            for n, lines in evaluations:
                count += 1
                why = wrong(theirs, lines)
                if why:
                    found.append((n, lines[0], why))
        finally:
            theirs.stop()
    return found, count


def main():
    bad = 0
    for path in [pathlib.Path(one) for one in sys.argv[1:]] or sorted(FOLDER.glob("*.test")):
        found, count = check(path)
        for n, what, why in found:
            print(f"{path.name}:{n}: {what}\n    {why}")
        print(f"{path.name}: {count} evaluations, {len(found)} otherwise")
        bad += len(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
