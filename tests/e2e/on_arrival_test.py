"""Alerts that a sample begins. Goal: it is told between two timers, only the timer ends it, a flood
of samples costs the timers nothing. Method: a collector of this build, rules whose timer comes once
an hour, a webhook that keeps what it gets.

usage: on_arrival_test.py PROGRAMS
"""

import http.server
import json
import pathlib
import sys
import tempfile
import threading
import time
import unittest

from collector_process import CollectorProcess
from mill import until
from prometheus import push

PROGRAMS = sys.argv.pop(1)
RULES = """
groups:
- name: hourly
  interval: 1h
  rules:
  - alert: Hot
    expr: temperature{site!="lab"} > 80
    on_arrival: true
    annotations: {summary: '{{ $labels.site }} is at {{ $value }}'}
  - alert: Full
    threshold: {gauge: level, above: 9, for: 1s}
  - {alert: AtTheTimer, expr: temperature > 80}
- name: each second
  interval: 1s
  rules: [{record: seconds, expr: time()}]
"""


class Webhook(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        self.got = got = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, name):
        return [one for one in self.got if one["labels"]["alertname"] == name]


def now_ms():
    return time.time_ns() // 1_000_000


class OnArrival(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.webhook = Webhook()
        self.addCleanup(self.webhook.server_close)
        self.addCleanup(self.webhook.shutdown)
        self.rules = self.folder / "arrival.tm.yml"
        self.rules.write_text(RULES)
        sinks = self.folder / "sinks.yml"
        sinks.write_text("sinks: [{name: hook, kind: webhook, url: "
                         f"'http://127.0.0.1:{self.webhook.server_port}/'}}]\n")
        self.collector = self.enterContext(CollectorProcess(
            PROGRAMS, self.folder / "collector", flags=["--rules", self.rules, "--sinks", sinks]))

    def push(self, metric, value, samples=1, **labels):
        end = now_ms()
        push(self.collector.url, [({"__name__": metric, **labels},
                                   [(end - samples + 1 + i, value) for i in range(samples)])])

    def alerts(self):
        return {(one["labels"]["alertname"], one["labels"].get("site", "")): one["state"]
                for one in self.collector.json("/api/v1/alerts")["data"]["alerts"]}

    def test_a_sample_is_told_of_between_two_timers_and_only_the_timer_ends_it(self):
        self.push("temperature", 70, site="mill")
        self.push("temperature", 90, site="lab")
        self.push("temperature", 91, site="mill")
        until(lambda: self.webhook.of("Hot"), 5, "the webhook is told")
        (alert,) = self.webhook.of("Hot")
        self.assertEqual(alert["labels"], {"alertname": "Hot", "site": "mill"})
        self.assertEqual(alert["annotations"], {"summary": "mill is at 91"})
        (began,) = self.collector.query("tallymill_rule_arrival")
        self.assertEqual(began["metric"], {"__name__": "tallymill_rule_arrival", "alertname": "Hot", "site": "mill",
                                           "rule_group": "hourly", "rule_metric": "temperature"})
        self.assertEqual(began["value"][1], "91")
        self.assertEqual(len(self.collector.query('ALERTS{alertname="Hot",alertstate="firing"}')), 1)
        self.push("temperature", 20, site="mill")
        self.push("temperature", 99, site="yard")  # one that is told after it
        until(lambda: len(self.webhook.of("Hot")) == 2, 5, "the next is told")
        self.assertEqual(self.alerts(), {("Hot", "mill"): "firing", ("Hot", "yard"): "firing"})
        self.assertEqual([one["status"] for one in self.webhook.got], ["firing", "firing"])

    def test_for_begins_with_the_first_sample_and_a_later_one_finds_it_over(self):
        self.push("level", 10)
        until(lambda: self.alerts() == {("Full", ""): "pending"}, 5, "it is pending")
        began = time.monotonic()

        def is_told():
            self.push("level", 11)
            return self.webhook.of("Full")
        until(is_told, 10, "the webhook is told")
        self.assertGreater(time.monotonic() - began, 0.9)

    def test_rules_that_are_read_again_are_watched(self):
        self.rules.write_text(RULES.replace("> 80", "> 50"))
        self.assertEqual(self.collector.ask("/-/reload", b"", {"Content-Type": "application/json"})[0], 200)
        self.push("temperature", 60, site="mill")
        until(lambda: self.webhook.of("Hot"), 5, "the webhook is told")

    def test_a_flood_is_judged_now_and_then_and_the_timers_keep_their_times(self):
        begin = time.monotonic()
        sent = 0
        while sent < 300_000:
            self.push("temperature", 90, samples=1000, site="mill")
            sent += 1000
        took = time.monotonic() - begin
        judged = self.collector.metric("tallymill_alerting_arrival_evaluations_total")
        self.assertGreater(judged, 0)
        self.assertLessEqual(judged, took * 50 + 2)
        self.assertEqual(self.collector.metric("tallymill_alerting_missed_evaluations_total"), 0)
        self.assertEqual(len(self.webhook.of("Hot")), 1)


unittest.main()
