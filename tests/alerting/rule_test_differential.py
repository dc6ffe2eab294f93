"""Unit tests of rules, judged by promtool and by us. Goal: each file passes in both, or fails in both. Method: the cases of
tests/rules/rule_tests.cases, which say what is to come of them; and files that are made with a seed: rules of many shapes over
random series, whose expectations are what promtool says that there is, then with one thing in each changed. What is converted
from our own form is taken by `promtool check rules`; the unit tests of the shipped rules pass in both.

    rule_test_differential.py TALLYMILL [FILES [SEED]]
"""
import copy
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOBS = ["mill", "saw", "press"]
ALERTS = [
    "m > {n}", "m < {n}", "m >= {n} and on (job) k", "rate(c[{w}]) > 0.1", "increase(c[{w}]) > {n}", "avg_over_time(m[{w}]) > {n}",
    "max_over_time(m[{w}]) - min_over_time(m[{w}]) > 1", "sum by (job) (m) > {n}", "sum(m) > {n}", "count(m > {n}) > 1",
    "absent(m{{job=\"mill\"}})", "absent_over_time(k[{w}])", "m offset 1m > {n}", "m unless on (job) k", "m > on (job) k",
    "max_over_time(m[{w}:30s]) > {n}", "max_over_time(m[{w}:]) > {n}", "changes(m[{w}]) > 1", "resets(c[{w}]) > 0", "r > {n}",
    "topk(1, m) > {n}", "(m > bool {n}) == 1", "label_replace(m, \"short\", \"$1\", \"job\", \"(.).*\") > {n}",
    "ALERTS{{alertstate=\"firing\"}}", "count(ALERTS) > 1", "ALERTS_FOR_STATE > 60", "last_over_time(m[{w}]) == {n}", "vector({n})",
    "histogram_quantile(0.9, h_bucket) > 1", "time() - timestamp(m) > 30", "m * on (job) group_left () k > {n}", "m @ 60 > {n}",
    "quantile_over_time(0.5, m[{w}]) > {n}", "present_over_time(m[{w}]) and m == {n}", "clamp(m, 1, 3) > 2", "-m < -{n}", "m == m",
    "count_values(\"v\", m) > 1", "group by (job) (m)", "delta(m[{w}]) > 0", "sort_desc(m) > {n}", "m or k", "scalar(k) > bool {n}"]
TEXTS = ["{{ $value }}", "{{ $labels.job }} is at {{ $value | humanize }}", "{{ humanizeDuration $value }}", "plain", "",
         "{{ with query \"k\" }}{{ . | first | value }}{{ end }}", "{{ $externalLabels.dc }} {{ $externalURL }}",
         "{{ if gt $value 3.0 }}high{{ else }}low{{ end }}", "{{ range query \"m\" | sortByLabel \"job\" }}{{ .Labels.job }}={{ .Value }} {{ end }}",
         "{{ $labels.none }}", "{{ printf \"%.2f\" $value }}", "{{ query \"m[\" }}"]


# ---- who judges ----

def promtool_passes(files, folder):
    verdicts, said = {}, {}
    while left := [file for file in files if file not in verdicts]:
        ran = subprocess.run(["promtool", "test", "rules", *left], cwd=folder, capture_output=True, text=True, check=False)
        before, file = len(verdicts), None
        for line in ran.stdout.split("\n"):
            if line.startswith("Unit Testing:  "):
                file = line[len("Unit Testing:  "):]
                verdicts[file] = False  # also of one that it crashes on
            elif line.startswith("  SUCCESS"):
                verdicts[file] = True
        assert len(verdicts) > before, ran.stderr
        if len(left) == 1:
            said[left[0]] = ran.stderr
    return [verdicts[file] for file in files], said


def we_pass(tallymill, files, folder):
    ran = subprocess.run([tallymill, "rules", "test", "--json", *files], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode in (0, 1), (ran.returncode, ran.stderr)
    answers = json.loads(ran.stdout)["files"]
    assert [a["file"] for a in answers] == files
    assert (ran.returncode == 0) == all(a["ok"] for a in answers)
    return answers


def compare(tallymill, folder, files, what):
    """How many are judged otherwise."""
    passes, _ = promtool_passes(files, folder)
    wrong = 0
    for file, theirs, ours in zip(files, passes, we_pass(tallymill, files, folder)):
        if theirs != ours["ok"]:
            wrong += 1
            if wrong <= 5:
                print(f"{what}: promtool {'passes' if theirs else 'fails'} {file}, we say {json.dumps(ours)[:2000]}\n"
                      + (folder / file).read_text()[:6000])
    print(f"{len(files)} files: {what}: {sum(passes)} pass, {wrong} are judged otherwise")
    return wrong


# ---- cases ----

def cases():
    """(title, {file: text}, passes)"""
    title, files, name = None, {}, None
    for line in (ROOT / "tests/rules/rule_tests.cases").read_text(encoding="utf-8").split("\n"):
        if line.startswith("== "):
            title, files, name = line[3:], {"t.yml": ""}, "t.yml"
        elif line.startswith("-- "):
            if line[3:] in ("passes", "fails"):
                yield title, files, line[3:] == "passes"
                title = None
            else:
                name = line[3:]
                files[name] = ""
        elif title is not None:
            files[name] += line + "\n"


def check_cases(tallymill, folder):
    all_cases = list(cases())
    for number, (_, files, _) in enumerate(all_cases):
        for name, text in files.items():
            path = folder / f"case{number}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    names = [f"case{number}/t.yml" for number in range(len(all_cases))]
    passes, _ = promtool_passes(names, folder)
    wrong = 0
    for (title, _, expected), theirs, ours in zip(all_cases, passes, we_pass(tallymill, names, folder)):
        if theirs != expected:
            wrong += 1
            print(f"promtool {'passes' if theirs else 'fails'}: {title}")
        if ours["ok"] != expected:
            wrong += 1
            print(f"we {'pass' if ours['ok'] else 'fail'}: {title}: {json.dumps(ours)[:1000]}")
    print(f"{len(all_cases)} cases, {sum(c[2] for c in all_cases)} of them pass, {wrong} wrong")
    return wrong


# ---- made ----

def duration(seconds):
    text = ""
    for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= length:
            text += f"{seconds // length}{unit}"
            seconds %= length
    return text or "0s"


def values(rng, counter):
    words, level = [], rng.randrange(4)
    for _ in range(rng.randrange(2, 7)):
        kind = rng.random()
        if kind < 0.15:
            words.append(rng.choice(["_", "_x2", "_x6", "stale"]))
        elif kind < 0.4:
            words.append(f"{level}x{rng.randrange(6)}")
        elif kind < 0.7:
            by, times = rng.randrange(4), rng.randrange(6)
            words.append(f"{level}{'+' if counter or rng.random() < 0.6 else '-'}{by}x{times}")
            level += by * times if counter else 0
        else:
            words.append(str(level))
        level = level + rng.randrange(3) if counter and rng.random() < 0.9 else rng.randrange(6)
    return " ".join(words)


def made_rules(rng):
    groups, alerts = [], []
    for g in range(rng.randrange(1, 4)):
        rules = []
        if rng.random() < 0.5:
            rules.append({"record": "r", "expr": rng.choice(["sum by (job) (m)", "m * 2", "max(m)", "rate(c[2m])"]), "labels": {"g": str(g)}})
        for _ in range(rng.randrange(1, 4)):
            expr = rng.choice(ALERTS).format(n=rng.randrange(5), w=rng.choice(["1m", "2m", "5m"]))
            rule = {"alert": f"A{rng.randrange(4)}", "expr": expr, "labels": {"severity": rng.choice(["page", "ticket"]), "g": str(g)},
                    "annotations": {"text": rng.choice(TEXTS)}}
            if rng.random() < 0.5:
                rule["for"] = rng.choice(["30s", "1m", "90s", "3m"])
            if rng.random() < 0.3:
                rule["keep_firing_for"] = rng.choice(["1m", "3m"])
            if rng.random() < 0.2:
                rule["labels"]["made"] = "{{ $value }}"
            if rule["alert"] not in alerts:
                alerts.append(rule["alert"])
            rules.append(rule)
        groups.append({"name": f"g{g}", "interval": rng.choice(["10s", "1m", "1h"]), "rules": rules})
    return {"groups": groups}, alerts


def made_test(rng, rules_file, alerts, groups):
    series = [{"series": f'm{{job="{job}"}}', "values": values(rng, False)} for job in rng.sample(JOBS, rng.randrange(1, 4))]
    series += [{"series": f'c{{job="{job}"}}', "values": values(rng, True)} for job in rng.sample(JOBS, 2)]
    series.append({"series": f'k{{job="{rng.choice(JOBS)}"}}', "values": values(rng, False)})
    series += [{"series": f'h_bucket{{le="{le}"}}', "values": f"0+{by}x20"} for le, by in (("1", 1), ("2", 3), ("+Inf", 4))]
    test = {"interval": rng.choice(["15s", "30s", "1m"]), "input_series": series, "external_labels": {"dc": "one"},
            "external_url": "http://x/y", "alert_rule_test": [], "promql_expr_test": []}
    seen = set()
    for _ in range(rng.randrange(2, 6)):
        case = (duration(15 * rng.randrange(0, 60)), rng.choice(alerts))
        if case not in seen:
            test["alert_rule_test"].append({"eval_time": case[0], "alertname": case[1], "exp_alerts": []})
        seen.add(case)
    for _ in range(rng.randrange(1, 4)):
        expr = rng.choice(ALERTS + ["ALERTS", "r", "m", "rate(c[2m])", "sum by (g) (ALERTS)", "h_bucket", "1 + 1"]).format(n=rng.randrange(5), w="2m")
        case = (duration(15 * rng.randrange(0, 60)), expr)
        if case not in seen:
            test["promql_expr_test"].append({"expr": case[1], "eval_time": case[0], "exp_samples": []})
        seen.add(case)
    file = {"rule_files": [rules_file], "evaluation_interval": rng.choice(["15s", "30s", "1m", "2m"]), "tests": [test]}
    # Of groups that are not named the order is promtool's secret, and they may ask for one another.
    file["group_eval_order"] = rng.sample(groups, len(groups))
    return file


PAIR = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')


def pairs(text):
    return {name: json.loads(f'"{value}"') for name, value in PAIR.findall(text)}


def fill(test, said):
    """What there is, from promtool's complaints, as what is expected; False: it has others."""
    if re.search(r"err: |parse error", said):
        return False
    for block in re.split(r"\n(?=    (?:alertname|expr): )", said):
        if alert := re.match(r"\s*alertname: (\w+), time: (\S+),", block):
            found = re.findall(r"Labels:\{(.*)\}\n\s+Annotations:\{(.*)\}", block[block.index("got:"):])
            case = next(c for c in test["alert_rule_test"] if (c["alertname"], c["eval_time"]) == alert.groups())
            case["exp_alerts"] = [{"exp_labels": pairs(labels), "exp_annotations": pairs(notes)} for labels, notes in found]
        elif expr := re.match(r'\s*expr: ("(?:[^"\\]|\\.)*"), time: (\S+),', block):
            case = next(c for c in test["promql_expr_test"] if (c["expr"], c["eval_time"]) == (json.loads(expr[1]), expr[2]))
            for labels, value in re.findall(r"(\{[^}]*\}) ([-+\w.]+)", block[block.index("got:"):]):
                number = {"+Inf": ".inf", "-Inf": "-.inf", "NaN": ".nan"}.get(value)
                case["exp_samples"].append({"labels": labels, "value": Plain(number) if number else float(value)})
    return True


class Plain(str):
    """Written without quotes."""


def text_of(value):
    if isinstance(value, Plain):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {text_of(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",\n ".join(text_of(one) for one in value) + "]"
    return json.dumps(value)


def changed(rng, file):
    """One thing in it is another: what is expected, when, or what comes in."""
    file = copy.deepcopy(file)
    test = file["tests"][0]
    alerts = [c for c in test["alert_rule_test"] if c["exp_alerts"]]
    samples = [c for c in test["promql_expr_test"] if c["exp_samples"]]
    kind = rng.randrange(11)
    if kind == 0 and alerts:
        rng.choice(alerts)["exp_alerts"].pop()
    elif kind == 1 and alerts:
        rng.choice(rng.choice(alerts)["exp_alerts"])["exp_labels"]["severity"] = rng.choice(["page", "ticket", "", "none"])
    elif kind == 2 and alerts:
        rng.choice(rng.choice(alerts)["exp_alerts"])["exp_annotations"]["text"] = rng.choice(["", "plain", "0"])
    elif kind == 3 and alerts:
        rng.choice(alerts)["exp_alerts"].append({"exp_labels": {"severity": "page"}})
    elif kind == 4 and samples:
        one = rng.choice(rng.choice(samples)["exp_samples"])
        one["value"] = rng.choice([0, 1, Plain(".inf"), Plain("1_0"), Plain("0x2"), 1 + 2**-52])
    elif kind == 5 and samples:
        rng.choice(samples)["exp_samples"].pop()
    elif kind == 6 and samples:
        rng.choice(rng.choice(samples)["exp_samples"])["labels"] = rng.choice(["{}", "m", 'm{job="mill"}', "m{", "", 'm{a!="b"}'])
    elif kind == 7:
        case = rng.choice(test["alert_rule_test"] + test["promql_expr_test"])
        case["eval_time"] = rng.choice(["0s", "1m", "2m30s", "1h", "10m1ms"])
    elif kind == 8:
        rng.choice(test["input_series"])["values"] = rng.choice(["1x20", "_", "5", "0+1x30", "1 2 x", "stale", ""])
    elif kind == 9:
        file["evaluation_interval"] = rng.choice(["1m", "7s", "5m", "1", "0s"])
    else:
        for case in test["alert_rule_test"]:
            rng.shuffle(case["exp_alerts"])
        for case in test["promql_expr_test"]:
            rng.shuffle(case["exp_samples"])
    return file


def check_made(tallymill, folder, count, seed):
    rng = random.Random(seed)
    plain, others = [], []
    for number in range(count):
        rules, alerts = made_rules(rng)
        (folder / f"r{number}.yml").write_text(text_of(rules))
        file = made_test(rng, f"r{number}.yml", alerts, [g["name"] for g in rules["groups"]])
        name = f"t{number}.yml"
        (folder / name).write_text(text_of(file))
        _, said = promtool_passes([name], folder)
        if fill(file["tests"][0], said.get(name, "")):
            (folder / name).write_text(text_of(file))
        plain.append(name)
        for other in range(2):
            others.append(f"t{number}_{other}.yml")
            (folder / others[-1]).write_text(text_of(changed(rng, file)))
    print(f"seed {seed}")
    return compare(tallymill, folder, plain, "as promtool says") + compare(tallymill, folder, others, "one thing is changed")


# ---- converted, and checked ----

def own_files(folder):
    """Files in our own form: of the repository, and the cases that are taken."""
    yield from sorted((ROOT / "tests/rules").glob("*.tm.yml"))
    yield from sorted((ROOT / "alerting/shipped").glob("*.tm.yml"))
    for number, case in enumerate((ROOT / "tests/rules/beyond.cases").read_text(encoding="utf-8").split("\n== ")[1:]):
        text = re.match(r"[^\n]*\n(.*?)^-- ok$", case, re.S | re.M)
        if text and "\n-- " not in text[1]:
            path = folder / f"beyond{number}.tm.yml"
            path.write_text(text[1], encoding="utf-8")
            yield path
    rng = random.Random(1)
    for number in range(30):
        path = folder / f"made{number}.tm.yml"
        path.write_text(json.dumps({"groups": [{"name": "g", "rules": [made_own(rng, n) for n in range(5)]}]}), encoding="utf-8")
        yield path


def made_own(rng, number):
    """A rule in our own form: `threshold:` or `slo:`."""
    rule = {"alert": f"Own{number}", "labels": {"severity": "page"}, "annotations": {"text": "it's at {{ $value }}: \"so\""}}
    if rng.random() < 0.3:
        rule["slo"] = {"objective": rng.choice([99, 99.9, 95.5]), "window": rng.choice(["30d", "7d", "28d"]), "total": "t_total",
                       "errors": 't_total{code=~"5.."}'} | rng.choice([{}, {"by": ["job"]}])
        return rule
    kind = rng.choice(["gauge", "counter", "histogram"])
    threshold = {kind: "some_metric"} | rng.choice([{}, {"where": {"stage": "image \"x\""}}]) | rng.choice([{}, {"by": ["job"]}])
    above = rng.random() < 0.6
    threshold |= {"above": "200ms", "clear_below": "150ms"} if above else {"below": "10MiB"}
    if kind == "histogram":
        threshold["quantile"] = rng.choice([0.5, 0.99])
    if kind != "gauge" and rng.random() < 0.5:
        threshold["window"] = "10m"
    rule["threshold"] = threshold
    rule |= rng.choice([{}, {"no_data": rng.choice(["fire", "resolve"])}, {"for": "1m"}, {"keep_firing_for": "2m"}])
    return rule


def check_converted(tallymill, folder):
    failed, files = 0, list(own_files(folder))
    for file in files:
        out = folder / f"{file.name}.plain.yml"
        ran = subprocess.run([tallymill, "rules", "convert", file, "-o", out], capture_output=True, text=True, check=False)
        taken = ran.returncode == 0 and subprocess.run(["promtool", "check", "rules", "--lint=none", out], capture_output=True,
                                                       check=False).returncode == 0
        if not taken:
            failed += 1
            print(f"{file} is not taken when it is converted: {ran.stderr}")
    print(f"{len(files)} files converted, {failed} wrong")
    return failed + (len(files) < 20)


def check_shipped(tallymill, folder):
    """The unit tests of the shipped rules: they pass in both, and each rule fires."""
    subprocess.run([tallymill, "rules", "convert", *sorted((ROOT / "alerting/shipped").glob("*.tm.yml")), "-o", folder / "shipped.yml"],
                   capture_output=True, check=True)
    shutil.copy(ROOT / "tests/rules/shipped_test.yml", folder)
    passes, _ = promtool_passes(["shipped_test.yml"], folder)
    ran = subprocess.run([tallymill, "rules", "test", "--coverage-min", "100", "shipped_test.yml"], cwd=folder, capture_output=True,
                         text=True, check=False)
    if passes != [True] or ran.returncode != 0:
        print(f"promtool {passes}, we say {ran.stdout + ran.stderr}")
    print("shipped rules:", ran.stdout.strip().split("\n")[-1])
    return int(passes != [True]) + int(ran.returncode != 0)


def check_checked(tallymill, folder):
    """Rule files of the cases: the same number of rules, or refused by both."""
    files = sorted(str(path.relative_to(folder)) for path in folder.glob("case*/*.yml") if path.name != "t.yml")
    ran = subprocess.run([tallymill, "rules", "check", "--json", *files], cwd=folder, capture_output=True, text=True, check=False)
    failed = 0
    for ours in json.loads(ran.stdout)["files"]:
        theirs = subprocess.run(["promtool", "check", "rules", ours["file"]], cwd=folder, capture_output=True, text=True, check=False)
        counted = re.search(r"SUCCESS: (\d+) rules found", theirs.stdout)
        repeated = re.search(r"(\d+) duplicate rule", theirs.stderr)
        same = ours["ok"] == (theirs.returncode == 0) and (not counted or int(counted[1]) == ours["rules"])
        if not same or bool(repeated) != bool(ours.get("warnings")):
            failed += 1
            print(f"promtool says {theirs.stdout + theirs.stderr}, we {ours}")
    print(f"{len(files)} rule files checked, {failed} wrong")
    return failed + (len(files) < 10)


def main():
    tallymill = str(pathlib.Path(sys.argv[1]).resolve())
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    if not shutil.which("promtool"):
        print("SKIPPED: promtool comes with ./dev setup test")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        failed = (check_cases(tallymill, folder) + check_made(tallymill, folder, count, seed) + check_converted(tallymill, folder)
                  + check_shipped(tallymill, folder) + check_checked(tallymill, folder))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
