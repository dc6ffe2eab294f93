"""What the API says of rules against Prometheus itself: the same rule file and the same samples to Debian's Prometheus and
to a collector; /api/v1/rules, with type=alert and type=record too, and /api/v1/alerts must say the same.

Times are held to their form, and since when alerts are active to a few seconds; how long things took is left out.

usage: rules_api_differential.py PROGRAMS
"""

import datetime
import json
import pathlib
import re
import signal
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
from collector_process import CollectorProcess  # noqa: E402
from mill import until  # noqa: E402
from prometheus import STALE, Prometheus, push  # noqa: E402

PROGRAMS = sys.argv.pop(1)
NEVER = "0001-01-01T00:00:00Z"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
RULES = """
groups:
- name: zebra
  interval: 1s
  rules:
  - record: job:m:sum
    expr: sum by (job) (m)
  - record: m:labelled
    expr: m * 2
    labels: {team: mill, empty: ""}
  - record: m:twice
    expr: label_replace(m, "i", "same", "", "")
- name: alpha
  interval: 1s
  limit: 10
  rules:
  - alert: Fires
    expr: m > 1
    labels: {severity: page, "i2": "{{ $labels.i }}"}
    annotations: {summary: "{{ $labels.i }} is {{ $value | humanize }}", "other": "é \\"quoted\\" <b>"}
  - alert: Pending
    expr: m  >  1 and on() vector(1)
    for: 1h
  - alert: Kept
    expr: m == 7
    for: 1m30s
    keep_firing_for: 5m
  - alert: Silent
    expr: m > 1000
    annotations: {a: b}
  - alert: Equal
    expr: m
    labels: {i: same}
  - alert: Odd
    expr: m * NaN or m / 0 > 0 or m * 1e-7 < 1
- name: limited
  interval: 1s
  limit: 1
  rules:
  - alert: TooMany
    expr: m
  - record: too:many
    expr: m
- name: slow
  interval: 1h
  rules:
  - alert: Never
    expr: m
  - record: never
    expr: m
- name: quiet
  interval: 1s
  rules: []
"""


def is_time(value):
    return value == NEVER or TIME.fullmatch(value) is not None


def seconds(text):
    whole, rest = re.match(r"(.{19})(?:\.(\d+))?", text).groups()
    return datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + float("0." + (rest or "0"))


def normal(what):
    """Without what differs from run to run, and alerts in an order."""
    if isinstance(what, list | tuple):
        return [normal(one) for one in what]
    if not isinstance(what, dict):
        return what
    found = {}
    for name, value in what.items():
        if name == "evaluationTime":
            assert isinstance(value, int | float) and 0 <= value < 60, value
            found[name] = "some"
        elif name in ("lastEvaluation", "activeAt"):
            assert is_time(value), value
            found[name] = "never" if value == NEVER else "once"
        elif name == "alerts":
            found[name] = sorted(map(normal, value), key=lambda one: json.dumps(one, sort_keys=True))
        else:
            found[name] = normal(value)
    return found


class RulesApi(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        rules = self.folder / "rules.yml"
        rules.write_text(RULES)
        self.prometheus = Prometheus(config=f"global: {{evaluation_interval: 1s}}\nrule_files: [{rules}]\n")
        self.addCleanup(self.prometheus.stop)
        self.collector = CollectorProcess(PROGRAMS, self.folder, flags=["--rules", rules])
        self.addCleanup(lambda: self.collector.end(signal.SIGKILL))
        self.collector.start()

    def write(self, values):
        at = int(time.time() * 1000)
        rows = [({"__name__": "m", "job": "j", "i": i}, [(at, value)]) for i, value in values.items()]
        push(self.prometheus.url, rows)
        push(self.collector.url, rows)

    def both(self, path, **form):
        theirs = self.prometheus.asked(path, form, post=False)
        status, body = self.collector.ask(path + ("?" + urllib.parse.urlencode(form) if form else ""))
        return theirs, (status, json.loads(body))

    def agree(self, what, *fire):
        """Both have judged what was written last, so that of Fires exactly these fire, and say the same."""
        def same():
            for body in self.both("/api/v1/alerts"):
                fires = {one["labels"]["i"] for one in body[1]["data"]["alerts"]
                         if one["labels"]["alertname"] == "Fires" and float(one["value"]) in fire}
                if len(fires) != len(fire):
                    return False
            return all(normal(theirs) == normal(ours) for theirs, ours in map(lambda one: self.both(*one[0], **one[1]), asked))

        asked = [(("/api/v1/rules",), {}), (("/api/v1/rules",), {"type": "alert"}),
                 (("/api/v1/rules",), {"type": "record"}), (("/api/v1/alerts",), {})]
        try:
            until(same, 15, what)
        except AssertionError:
            for path, form in asked:
                theirs, ours = self.both(*path, **form)
                self.maxDiff = None
                self.assertEqual(json.dumps(normal(ours), indent=1, sort_keys=True),
                                 json.dumps(normal(theirs), indent=1, sort_keys=True), f"{what}: {path} {form}")
            raise

    @staticmethod
    def is_judged(answer):
        return all(group["lastEvaluation"] != NEVER for group in answer[1]["data"]["groups"] if group["name"] != "slow")

    def active(self):
        theirs, ours = self.both("/api/v1/alerts")
        return [{json.dumps(one["labels"], sort_keys=True): seconds(one["activeAt"])
                 for one in body["data"]["alerts"]} for _, body in (theirs, ours)]

    def test_rules_and_alerts_are_told_as_prometheus_tells_them(self):
        until(lambda: all(self.is_judged(body) for body in self.both("/api/v1/rules")), 10, "both judge")
        self.agree("nothing is there")
        self.write({"a": 2, "b": 0.5})
        self.agree("some are pending, some fire, some fail", 2)
        theirs, ours = self.active()
        for labels, since in theirs.items():
            self.assertAlmostEqual(ours[labels], since, delta=4, msg=labels)
        self.write({"a": 7, "b": 123456.789, "c": -1e-9})
        self.agree("values changed", 7, 123456.789)
        self.write({"a": STALE, "b": 3, "c": STALE})
        self.agree("some are over", 3)

    def test_what_is_asked_wrongly_is_answered_alike(self):
        for form in ({"type": "nonsense"}, {"type": ""}):
            theirs, ours = self.both("/api/v1/rules", **form)
            self.assertEqual((ours[0], ours[1]["status"], ours[1].get("errorType")),
                             (theirs[0], theirs[1]["status"], theirs[1].get("errorType")), form)


if __name__ == "__main__":
    unittest.main()
