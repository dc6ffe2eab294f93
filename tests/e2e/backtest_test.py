"""`tallymill rules backtest`: what rules would have done is what they did.

Goal: over the same time a backtest tells each firing that live evaluation had, at the same moments; from a collector, a
folder of samples and a dump alike; and what it cannot tell it says. Method: a collector judges rules each second over
samples that were pushed ahead of their time by remote write, so that each evaluation saw all of them; its ALERTS are
compared.

usage: backtest_test.py PROGRAMS
"""

import datetime
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

from collector_process import CollectorProcess
from mill import until
from prometheus import write_request

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
LIVE = 20  # seconds
RULES = """
groups:
- name: each second
  interval: 1s
  rules:
  - {record: "job:load:avg", expr: "avg by (job) (load)"}
  - {record: tick, expr: "vector(1)"}
  - {alert: High, expr: "job:load:avg > 50", for: 3s, labels: {severity: page}}
  - {alert: Now, expr: "load > 80"}
  - {alert: Fast, expr: "rate(hits_total[5s]) > 20", keep_firing_for: 2s}
  - {alert: Seen, expr: 'ALERTS{alertstate="firing",alertname="Now"}', labels: {level: "{{ $value }}"}}
  - {alert: Again, expr: 'count(ALERTS{alertname="Again"}) < 3 or vector(1)', for: 2s}
- name: each other second
  interval: 2s
  rules:
  - {record: tock, expr: "vector(1)"}
  - {alert: Gone, expr: 'absent_over_time(load{instance="b"}[3s])', for: 2s}
  - {alert: Group, expr: "job:load:avg - on (job) group_right load > 10"}
"""
GAP = range(6, 12)


def samples(begin):
    """(labels, t_ms, value) of each second from `begin`: waves, a counter that leaps, and a gap."""
    rows = []
    for second in range(-20, LIVE + 20):
        at = (begin + second) * 1000
        for number, name in enumerate("abc"):
            value = 60 + 35 * ((second + 3 * number) % 8 - 3.5) / 3.5
            if name != "b" or second not in GAP:
                rows.append(({"__name__": "load", "job": "j", "instance": name}, at, value))
        hits = second * 10 + (200 if second > 8 else 0)
        rows.append(({"__name__": "hits_total", "job": "j"}, at, max(0, hits + 300)))
    return rows


def unix_ms(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def key(labels):
    return tuple(sorted((name, value) for name, value in labels.items() if name not in ("__name__", "alertstate")))


def told(answer):
    return sorted((key(one["labels"]), unix_ms(one["start"]), one["end"] and unix_ms(one["end"]))
                  for one in answer["firings"])


class Backtest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.rules = self.folder / "rules.yml"
        self.rules.write_text(RULES)

    def backtest(self, *words, url="http://127.0.0.1:1"):
        return subprocess.run([PROGRAMS / "tallymill", "rules", "backtest", *map(str, words)], capture_output=True,
                              text=True, timeout=120, check=False,
                              env={"PATH": "/usr/bin:/bin", "TALLYMILL_COLLECTOR": url, "TZ": "UTC"})

    def answer(self, *words, **keys):
        ran = self.backtest(*words, "--json", **keys)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout)

    def push(self, collector, rows):
        series = {}
        for labels, t, value in rows:
            series.setdefault(key(labels | {"metric": labels["__name__"]}), (labels, []))[1].append((t, value))
        status, said = collector.ask("/api/v1/write", write_request(series.values()), {
            "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})
        self.assertEqual(status // 100, 2, said)

    def live(self, name):
        """A folder of samples over which rules were judged; nothing: an evaluation was late, so that one was missed."""
        begin = int(time.time()) + 2
        with CollectorProcess(PROGRAMS, self.folder / name) as collector:
            self.push(collector, samples(begin))
        collector.flags = ["--rules", str(self.rules)]
        collector.start()
        until(lambda: time.time() > begin + LIVE, LIVE + 30, "all was judged")
        missed = collector.metric("tallymill_alerting_missed_evaluations_total")
        collector.end()
        collector.flags = []
        return None if missed else (collector, begin)

    def alerts(self, collector, at, to_ms):
        """What ALERTS says, as told() says it."""
        found = []
        for one in collector.query('ALERTS{alertstate="firing"}[2m]', at):
            step = 2000 if one["metric"]["alertname"] in ("Gone", "Group") else 1000
            times = [round(float(t) * 1000) for t, _ in one["values"] if float(t) * 1000 <= to_ms]
            for t in times:
                if found and found[-1][0] == key(one["metric"]) and found[-1][2] == t:
                    found[-1][2] = t + step
                else:
                    found.append([key(one["metric"]), t, t + step])
        return sorted((labels, start, end if end <= to_ms else None) for labels, start, end in found)

    def test_it_tells_what_was_told_live_from_wherever_the_samples_are(self):
        collector, begin = next(filter(None, (self.live(f"live-{i}") for i in range(3))))
        with collector:
            at = begin + LIVE + 10
            times = {name: [round(float(t) * 1000) for t, _ in collector.query(f"{name}[2m]", at)[0]["values"]]
                     for name in ("tick", "tock")}
            # The time in which both groups had their first evaluation, and not one more before it.
            start = max(times["tick"][0] - 1000, times["tock"][0] - 2000) + 1
            end = times["tick"][-1]
            period = ["--from", f"{start / 1000:.3f}", "--to", f"{end / 1000:.3f}"]
            expected = self.alerts(collector, at, end)
            self.assertEqual({dict(labels)["alertname"] for labels, _, _ in expected},
                             {"High", "Now", "Fast", "Seen", "Again", "Gone", "Group"})
            answer = self.answer(self.rules, *period, url=collector.url)
            self.assertEqual(told(answer), expected)
            self.assertEqual([one["judged"] for one in answer["rules"]], [name not in ("tick", "tock") for name in (
                one["name"] for one in answer["rules"])])
            text = self.backtest(self.rules, *period, url=collector.url).stdout
            self.assertIn(f"{len(expected)} firings", text)
            made = subprocess.run([PROGRAMS / "tallymill", "collector", "snapshot", "--collector", collector.url],
                                  capture_output=True, text=True, timeout=60, check=True).stdout.strip()
        here = self.answer(self.rules, *period, "--store", collector.folder / "samples" / made)
        self.assertEqual(told(here), expected)
        dump = self.folder / "dump"
        dump.write_text("".join(
            f"{labels['__name__']}{{" + ",".join(f'{n}="{v}"' for n, v in labels.items() if n != "__name__") +
            f"}} {value} {t / 1000}\n" for labels, t, value in samples(begin)) + "# EOF\n")
        self.assertEqual(told(self.answer(self.rules, *period, "--dump", dump)), expected)

    def test_what_is_wrong_is_said_and_where(self):
        broken = self.folder / "broken.yml"
        broken.write_text('groups:\n- name: g\n  rules:\n  - {alert: A, expr: "up >"}\n')
        with CollectorProcess(PROGRAMS, self.folder / "one") as collector:
            collector.import_text("".join(f"load {i} {1_700_000_000_000 + i * 15_000}\n" for i in range(100)))
            long_ago = ["--from", "1700000000", "--to", "1700001500"]
            for words, code, said in (
                    (["--from", "1700001500", "--to", "1700000000"], 2, "is before the begin"),
                    (["--from", "yesterday"], 2, "is no time"),
                    ([], 2, "say of which time"),
                    (["--last", "7d", "--from", "1"], 2, "excludes"),
                    ([*long_ago, "--dump", self.folder / "none"], 5, "cannot be read"),
                    ([*long_ago, "--store", self.folder], 5, "is no folder of samples"),
                    (["--from", "0", "--to", "1700000000", "--interval", "1s"], 2, "evaluations are more than the 200000000")):
                ran = self.backtest(self.rules, *words, url=collector.url)
                self.assertEqual(ran.returncode, code, (words, ran.stderr))
                self.assertIn(said, ran.stderr)
            for where in ([], ["--dump", self.folder / "none"]):
                ran = self.backtest(broken, *long_ago, *where, url=collector.url)
                self.assertEqual(ran.returncode, 2)
                self.assertIn("broken.yml:4:", ran.stderr)
            nothing = self.backtest(self.rules, "--from", "1600000000", "--to", "1600001500", url=collector.url)
            self.assertEqual(nothing.returncode, 1)
            self.assertIn("NO SAMPLES", nothing.stderr)
            some = self.backtest(self.rules, "--from", "1699990000", "--to", "1700001500", url=collector.url)
            self.assertIn("the first samples that these rules look at are of 2023-11-14T22:13:20", some.stderr)

    def test_it_is_asked_over_http_with_json_or_a_rule_file_as_it_is(self):
        rules = "groups: [{name: g, interval: 15s, rules: [{alert: A, expr: load > 50}]}]"
        with CollectorProcess(PROGRAMS, self.folder / "one") as collector:
            collector.import_text("".join(f"load {i} {1_700_000_000_000 + i * 15_000}\n" for i in range(100)))
            path = "/api/v1/rules/backtest"

            def ask(body, **headers):
                status, said = collector.ask(path, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)
                return status, json.loads(said)
            period = {"from": 1_700_000_000, "to": "2023-11-14T22:38:20Z"}
            status, plain = ask({"rules": rules, **period})
            self.assertEqual(status, 200, plain)
            firing = plain["data"]["firings"][0]
            self.assertEqual((firing["value"], firing["peak"], firing["end"], len(plain["data"]["firings"])),
                             (51, 99, None, 1))
            self.assertEqual(plain["data"]["notifications"], [{"sink": "", "messages": 1, "reminders": 0}])
            for body in ({"rules": {"rules": rules}}, {"rules": {"groups": [
                    {"name": "g", "interval": "15s", "rules": [{"alert": "A", "expr": "load > 50"}]}]}}):
                self.assertEqual(ask(body | period)[1]["data"]["firings"], plain["data"]["firings"])
            query = urllib.parse.urlencode(period)
            status, said = collector.ask(f"{path}?{query}", rules.encode(), {"Content-Type": "text/yaml"})
            self.assertEqual(status, 200, said)
            self.assertEqual(json.loads(said)["data"]["firings"], plain["data"]["firings"])
            sinks = "sinks: [{name: ops, kind: webhook, url: 'http://127.0.0.1:1', repeat_interval: 5m}]"
            self.assertEqual(ask({"rules": rules, "sinks": sinks, **period})[1]["data"]["notifications"],
                             [{"sink": "ops", "messages": 1, "reminders": 2}])
            for wrong, said in (({}, "'from' is missing"), ({"from": "x", "to": 1}, "is no time"),
                                ({**period}, "'rules' is missing"), ({**period, "rules": 5}, "is the text"),
                                ({**period, "rules": "groups: 5"}, "rules:1:"), ({**period, "rule": ""}, "is none of"),
                                ({**period, "rules": rules, "interval": "soon"}, "no length of time"),
                                ({**period, "rules": "groups: []"}, "no rules")):
                status, answer = ask(wrong)
                self.assertIn(status, (400, 422), answer)
                self.assertIn(said, answer["error"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
