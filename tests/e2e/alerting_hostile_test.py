"""Bad rules, end to end: each has a defined outcome, and what is beside it goes on.

Method: a real collector with files of rules that are wrong, too large, too many or too fast; what it says, what it holds,
and what a good rule beside them does.

usage: alerting_hostile_test.py PROGRAMS
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from collector_process import CollectorProcess
from mill import is_sanitized, run_side_by_side, until
from prometheus import field, varint

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
SANITIZED = is_sanitized(PROGRAMS / "tallymill-collector")  # which takes several times the memory
GOOD = """
- name: good
  interval: 1s
  rules:
  - {alert: Good, expr: vector(1), annotations: {text: "it is {{ $value }}"}}
"""
WRITE = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


def many(first, count, t_ms):
    """A request of remote write with so many series of one sample each."""
    name = field(1, field(1, b"__name__") + field(2, b"many"))
    sample = field(2, b"\x09" + struct.pack("<d", 1) + b"\x10" + varint(t_ms))
    pieces = []
    for n in range(first, first + count):
        i = str(n).encode()
        series = name + b"\x0a" + bytes([len(i) + 5]) + b"\x0a\x01i\x12" + bytes([len(i)]) + i + sample
        pieces += [b"\x0a", bytes([len(series)]), series]
    body = b"".join(pieces)
    pressed = [varint(len(body))]  # snappy, of literals alone
    for at in range(0, len(body), 65536):
        piece = body[at:at + 65536]
        pressed += [bytes([61 << 2]), struct.pack("<H", len(piece) - 1), piece]
    return b"".join(pressed)


def groups(*texts):
    return ("groups:" + "".join(texts)).encode()


class Hostile(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tallymill-hostile-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.file = self.folder / "rules.yml"
        self.collector = CollectorProcess(PROGRAMS, self.folder / "collector",
                                          flags=["--rules", self.file, "--max-series", "2000000"])
        self.addCleanup(self.collector.end)

    def start(self, rules):
        self.file.write_bytes(rules)
        return self.collector.start()

    def refused(self, rules, seconds=30):
        """What a start with these rules says."""
        self.file.write_bytes(rules)
        ran = subprocess.run([PROGRAMS / "tallymill-collector", "--data", self.folder / "refused",
                              "--http", "127.0.0.1:0", "--rules", self.file],
                             capture_output=True, text=True, timeout=seconds, check=False)
        self.assertNotEqual(ran.returncode, 0)
        return ran.stderr

    def reload(self):
        return self.collector.ask("/-/reload", b"")  # urllib calls it a form, and so does curl -d ''

    def rules(self):
        """{name: rule} of all groups."""
        found = self.collector.json("/api/v1/rules")["data"]["groups"]
        return {rule["name"]: rule for group in found for rule in group["rules"]}

    def alerts(self):
        return {one["labels"]["alertname"]: one for one in self.collector.json("/api/v1/alerts")["data"]["alerts"]}

    def good_is_judged(self):
        """Twice more from now on, and it fires."""
        before = self.rules()["Good"]["lastEvaluation"]
        for _ in range(2):
            before = until(lambda: (now := self.rules()["Good"]["lastEvaluation"]) != before and now, 30,
                           "the good rule is judged again")
        self.assertEqual(self.alerts()["Good"]["state"], "firing")

    # ---- files that are refused ----

    def test_a_syntax_error_stops_a_start_and_says_where_and_leaves_a_running_one_as_it_was(self):
        bad = groups("\n- name: g\n  rules:\n  - alert: Bad\n    expr: sum(up\n")
        self.assertRegex(self.refused(bad), r"rules\.yml:5:11: could not parse expression: 1:7: parse error: ")
        self.start(groups(GOOD))
        self.good_is_judged()
        self.file.write_bytes(bad)
        status, body = self.reload()
        self.assertEqual(status, 422, body)
        self.assertIn(b"rules.yml:5:11: could not parse expression", body)
        self.good_is_judged()
        self.assertEqual(self.collector.metric("tallymill_alerting_reload_failures_total"), 1)
        self.file.unlink()
        status, body = self.reload()
        self.assertEqual((status, self.file.name in body.decode()), (422, True), body)
        self.good_is_judged()

    def test_a_label_that_is_not_utf8_is_refused_with_its_place(self):
        said = self.refused(b"groups:\n- name: g\n  rules:\n  - alert: Bad\n    expr: up\n    labels: {a: \"\xff\"}\n")
        self.assertRegex(said, r"rules\.yml:6:\d+: ")

    def test_a_template_that_is_none_is_refused_with_its_place(self):
        said = self.refused(groups('\n- name: g\n  rules:\n  - {alert: Bad, expr: up, annotations: {a: "{{ nope }}"}}\n'))
        self.assertRegex(said, r"rules\.yml:4:\d+: annotation 'a': 1:\d+: function \"nope\" not defined")

    def test_an_expression_of_seven_megabytes_is_refused_at_once_and_so_are_many_that_hold_as_much(self):
        sizes = {}
        for name, text in (("one", "  - alert: A\n    expr: " + "+".join(["a"] * 3_700_000) + "\n"),
                           ("many", "".join(f"  - alert: A{n}\n    expr: {'+'.join(['a'] * 1000)}\n" for n in range(3_600)))):
            self.file.write_bytes(groups("\n- name: g\n  rules:\n" + text))
            self.assertGreater(self.file.stat().st_size, 7_000_000)
            with subprocess.Popen(["/usr/bin/time", "-f", "peak %M", PROGRAMS / "tallymill-collector", "--data",
                                   self.folder / name, "--http", "127.0.0.1:0", "--rules", self.file],
                                  stderr=subprocess.PIPE, text=True) as ran:
                said = ran.communicate(timeout=60)[1]
            self.assertRegex(said, r"rules\.yml:\d+:\d+: ")
            sizes[name] = int(said.split("peak ")[1]) // 1024
        print(f"7 MB of a+a+...: {sizes['one']} MB as one expression, {sizes['many']} MB as 3,600")
        if SANITIZED:
            print("SKIPPED: memory under a sanitizer")
            return
        self.assertLess(sizes["one"], 200)
        self.assertLess(sizes["many"], 400)

    # ---- rules that fail alone ----

    def test_expressions_that_are_no_vector_fail_at_each_evaluation_alone(self):
        self.start(groups(GOOD, '\n- name: g\n  interval: 1s\n  rules:\n  - {alert: Range, expr: "up[5m]"}\n'
                                "  - {alert: Text, expr: '\"x\"'}\n  - {record: beside, expr: vector(7)}\n"))
        self.good_is_judged()
        until(lambda: self.rules()["beside"]["health"] == "ok", 30, "the rule beside them is judged")
        for name in ("Range", "Text"):
            self.assertEqual(self.rules()[name]["health"], "err")
            self.assertEqual(self.rules()[name]["lastError"], "rule result is not a vector or scalar")
        self.assertEqual(self.collector.query("beside")[0]["value"][1], "7")

    def test_templates_that_call_themselves_or_give_too_much_say_so_in_their_place(self):
        loop = '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}'
        much = '{{ define "x" }}' + "x" * 1000 + "{{ end }}" + '{{ template "x" }}' * 200
        self.start(groups(GOOD, "\n- name: g\n  interval: 1s\n  rules:\n"
                                f"  - {{alert: Loop, expr: vector(1), annotations: {{a: {json.dumps(loop)}}}}}\n"
                                f"  - {{alert: Much, expr: vector(1), labels: {{a: {json.dumps(much)}}}}}\n"))
        until(lambda: len(self.alerts()) == 3, 30, "all three fire")
        alerts = self.alerts()
        self.assertIn("exceeded maximum template depth", alerts["Loop"]["annotations"]["a"])
        self.assertIn("<error expanding template: ", alerts["Much"]["labels"]["a"])
        self.assertLess(len(alerts["Much"]["labels"]["a"]), 2000)
        self.good_is_judged()

    def test_a_label_that_an_expression_makes_of_bytes_that_are_no_text_is_told_as_text(self):
        rule = r"""  - {alert: Bytes, expr: 'label_replace(vector(1), "x", "a\xffb", "", "")'}"""
        self.start(groups(GOOD, "\n- name: g\n  interval: 1s\n  rules:\n", rule, "\n"))
        until(lambda: len(self.alerts()) == 2, 30, "both fire")
        self.assertEqual(self.alerts()["Bytes"]["labels"]["x"], "a\ufffdb")
        self.good_is_judged()

    def test_a_rule_that_gives_a_million_series_fails_alone_and_what_it_takes_is_bounded(self):
        self.start(groups(GOOD))
        self.good_is_judged()
        now, count = int(time.time() * 1000), 1_000_000
        for first in range(0, count, 50_000):
            status, said = self.collector.ask("/api/v1/write", many(first, 50_000, now), WRITE)
            self.assertIn(status, (200, 204), said)
        before = self.collector.memory_kb() // 1024
        self.file.write_bytes(groups(GOOD, "\n- name: g\n  interval: 5s\n  rules:\n  - {alert: Many, expr: many > 0}\n"
                                           "  - {record: also, expr: many}\n  - {record: sum, expr: count(many)}\n"))
        self.assertEqual(self.reload()[0], 200)
        until(lambda: self.rules()["sum"]["health"] == "ok", 60, "the rule behind them is judged")
        for name, what in (("Many", "alerts"), ("also", "series")):
            self.assertEqual(self.rules()[name]["health"], "err")
            self.assertEqual(self.rules()[name]["lastError"], f"exceeded limit of 10000 with 1000000 {what}")
        self.assertEqual(self.collector.query("sum")[0]["value"][1], "1000000")
        self.assertEqual(set(self.alerts()), {"Good"})
        self.good_is_judged()
        self.assertEqual(self.collector.metric("tallymill_alerting_pending_alerts"), 0)
        status = pathlib.Path(f"/proc/{self.collector.process.pid}/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
        print(f"a million series: {before} MB before, a peak of {peak} MB with rules that give them all")
        if SANITIZED:
            print("SKIPPED: memory under a sanitizer")
        else:
            self.assertLess(peak - before, 600)

    # ---- groups that are too fast, or too slow ----

    def test_a_group_of_one_millisecond_and_one_of_a_hundred_years_hold_up_nobody(self):
        self.start(groups(GOOD, "\n- name: fast\n  interval: 1ms\n  rules:\n  - {record: fast, expr: vector(1)}\n",
                          "\n- name: slow\n  interval: 100y\n  rules:\n  - {record: slow, expr: vector(1)}\n",
                          "\n- name: slowest\n  interval: 292y\n  rules:\n  - {record: slowest, expr: vector(1)}\n"))
        self.good_is_judged()
        self.good_is_judged()
        self.assertEqual(self.rules()["fast"]["health"], "ok")
        self.assertEqual(self.rules()["slow"]["health"], "unknown")
        self.assertEqual(self.collector.query("slow"), [])
        until(lambda: self.collector.metric("tallymill_alerting_evaluations_total") > 100, 30, "the fast one is judged")

    def test_groups_of_centuries_alone_cost_no_processor_time(self):
        self.start(groups("\n- name: slowest\n  interval: 292y\n  rules:\n  - {record: slowest, expr: vector(1)}\n"))

        def used():
            fields = pathlib.Path(f"/proc/{self.collector.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / 100

        time.sleep(0.5)
        before = used()
        time.sleep(2)
        self.assertLess(used() - before, 0.5)


if __name__ == "__main__":
    run_side_by_side(
        ["Hostile.test_a_rule_that_gives_a_million_series_fails_alone_and_what_it_takes_is_bounded"],
        ["Hostile.test_an_expression_of_seven_megabytes_is_refused_at_once_and_so_are_many_that_hold_as_much",
         "Hostile.test_a_syntax_error_stops_a_start_and_says_where_and_leaves_a_running_one_as_it_was"])
