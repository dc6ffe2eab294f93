#!/usr/bin/env python3
"""What Prometheus makes of the templates of tests/rules/templates.yml. Goal: what our test expects is what
`promtool test rules` gives. Method: each template is an annotation of a rule of its own, whose expression gives
the case's labels and value; promtool prints what it got, for nothing is what it was told to expect.

    template_differential.py            compares; exit code 1 when one differs
    template_differential.py --write    puts what promtool gives into the file
    template_differential.py --random N --seed S FILE
                                        N cases of values and verbs into FILE, for alerting_test with
                                        TALLYMILL_TEMPLATES=FILE
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import yaml

FILE = pathlib.Path(__file__).resolve().parents[1] / "rules" / "templates.yml"
EXTERNAL_URL = "http://mill.example.com:9090/rules?a=b"
EXTERNAL_LABELS = {"region": "eu", "site": "a<b"}
# In the order of their labels: without a sort Prometheus promises none.
SERIES = {
    'big{__value__="so",le="+Inf"}': 1234567.5,
    'up{instance="10.0.0.1:22",job="web"}': 1,
    'up{instance="a:9090",job="mill"}': 1,
    'up{instance="b.example.com:80",job="web"}': 0,
    'up{instance="c",job="<&>"}': 0,
}


def expression(case):
    said = f"vector({case.get('value', 1)})"
    for name, value in case.get("labels", {}).items():
        said = f'label_replace({said}, "{name}", {json.dumps(value)}, "", "")'
    return said


def run(arguments, files):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            pathlib.Path(folder, name).write_text(json.dumps(content), encoding="utf-8")
        done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True,
                              check=False)
        return done.stdout + done.stderr


def rules_of(cases):
    rules = [{"alert": f"T{i}", "expr": expression(case), "annotations": {"t": case["template"]}}
             for i, case in cases]
    return {"groups": [{"name": "templates", "rules": rules}]}


def refused(cases):
    """The number of each template that cannot be parsed, and why."""
    said = run(["check", "rules", "rules.yml"], {"rules.yml": rules_of(cases)})
    found = {}
    for line in said.splitlines():
        why = re.search(r"template: __alert_T(\d+):(\d+): (.*)$", line)
        if why:
            found[int(why[1])] = re.sub(r"__alert_T\d+", "__alert_T", f"{why[2]}: {why[3]}")
    return found


def unquoted(text):
    """strconv.Unquote."""
    simple = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
    made = bytearray()
    for plain, escape in re.findall(r'([^\\]+)|\\(x..|u.{4}|U.{8}|.)', text, re.DOTALL):
        if plain:
            made += plain.encode()
        elif escape[0] == "x":
            made.append(int(escape[1:], 16))
        elif escape[0] in "uU":
            made += chr(int(escape[1:], 16)).encode()
        else:
            made += simple.get(escape, escape).encode()
    return made.decode("utf-8", "replace")


def expanded(cases):
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "external_labels": EXTERNAL_LABELS,
            "external_url": EXTERNAL_URL,
            "input_series": [{"series": name, "values": str(value)} for name, value in SERIES.items()],
            "alert_rule_test": [{"eval_time": "0m", "alertname": f"T{i}", "exp_alerts": []}
                                for i, _ in cases],
        }],
    }
    said = run(["test", "rules", "test.yml"], {"rules.yml": rules_of(cases), "test.yml": test})
    found = {}
    # Label sets come as Prometheus prints them: {alertname="T1"} {t="..."}.
    for name, text in re.findall(
            r'alertname="T(\d+)".*?Annotations:\{(?:t="((?:[^"\\]|\\.)*)")?\}', said, re.DOTALL):
        found[int(name)] = re.sub(r"__alert_T\d+", "__alert_T", unquoted(text))
    if len(found) < len(cases):
        raise SystemExit(f"promtool said only {len(found)} of {len(cases)}:\n{said[:2000]}")
    return found


def ask(cases):
    """What promtool gives for each: (text, error); the error as LINE: MESSAGE."""
    numbered = list(enumerate(cases))
    errors = refused(numbered)
    texts = expanded([(i, case) for i, case in numbered if i not in errors])
    return [(texts.get(i), errors.get(i)) for i, _ in numbered]


def written(thing):
    """JSON that every reader of YAML takes for the same."""
    return re.sub("[\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}",
                  json.dumps(thing, ensure_ascii=False))


def write(path, cases):
    """One JSON object a line, which is YAML."""
    head = ("# Templates and what Prometheus 2.42 makes of them, as template_differential.py --write wrote it.\n"
            "# error: its line and message; our own says the column, too.\n")
    context = {"external_url": EXTERNAL_URL, "external_labels": EXTERNAL_LABELS,
               "series": [{"series": name, "value": value} for name, value in SERIES.items()]}
    lines = [f"{key}: {written(value)}\n" for key, value in context.items()]
    lines += ["cases:\n"] + [f"  - {written(case)}\n" for case in cases]
    path.write_text(head + "".join(lines), encoding="utf-8")


def with_answers(cases, answers):
    for case, (text, error) in zip(cases, answers):
        case.pop("text", None)
        case.pop("error", None)
        case.update({"error": error} if error is not None else {"text": text})
    return cases


VERBS = ("%v %d %s %q %t %x %X %f %.2f %.0f %e %.3e %g %.4g %G %E %F %5d %-10s| %10s %010d %+d %+.1f % d %08.3f "
         "%6.2f %-8v| %T %c %U %o %b %#x %#v %+v %5t %.3s %5.1s %x %#q %+q %O %z %! %5% %.f %8g").split(" ")


def random_cases(count, seed):
    dice = random.Random(seed)
    functions = ["humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp"]

    def number():
        kind = dice.randrange(6)
        if kind == 0:
            return repr(float(dice.randrange(-10**dice.randrange(1, 17), 10**dice.randrange(1, 17))))
        if kind == 1:
            return repr(dice.choice([-1, 1]) * dice.random() * 10.0**dice.randrange(-30, 30))
        if kind == 2:
            return repr(dice.randrange(0, 100000) / dice.choice([1, 8, 10, 60, 100, 1000, 3600]))
        if kind == 3:  # the edges
            return dice.choice(["NaN", "+Inf", "-Inf", "0", "1", "-1", "0.9999", "999.95", "1000", "1024"])
        return repr(round(dice.random() * 10.0**dice.randrange(-3, 10), dice.randrange(0, 6)))

    def operand():
        return dice.choice(["$value", "$value", "$value", '"w\\u00f6rd"', "42", "-7", "true", "$labels",
                            "(len $labels.a)", '(index "xyz" 1)', "nil", "(safeHtml \"<b>\")", "1.5e10"])

    cases = []
    for _ in range(count):
        value = number()
        if dice.random() < 0.5:
            text = "{{ $value }} {{ " + dice.choice(functions) + " $value }}"
        else:
            text = "{{ printf " + json.dumps(dice.choice(VERBS)) + " " + operand() + " }}"
        cases.append({"template": text, "value": value, "labels": {"a": "x y"}})
    return cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("file", nargs="?", default=FILE, type=pathlib.Path)
    options = parser.parse_args()
    if options.random:
        cases = random_cases(options.random, options.seed)
        write(options.file, with_answers(cases, ask(cases)))
        return 0
    cases = yaml.safe_load(options.file.read_text(encoding="utf-8"))["cases"]
    answers = ask(cases)
    if options.write:
        write(options.file, with_answers(cases, answers))
        return 0
    different = 0
    for case, (text, error) in zip(cases, answers):
        if (case.get("text"), case.get("error")) != (text, error):
            different += 1
            print(f"{case}\n  promtool gives {text!r}, {error!r}")
    print(f"{len(cases)} templates, {different} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
