"""Alerts over kill -9. Goal: whenever the collector is killed, no alert is lost, none is told as over that is not, none is
told under a second key, each alert's events come in order, and `for` goes on with the time added that nobody looked.
Method: the shipping collector with rules of short intervals, killed at moments by chance (the seed is printed) while
alerts begin, are pending, fire, end and are being told; a webhook that is up, away or slow and keeps all by key.

usage: alerts_restart_test.py PROGRAMS [--full]    # 10 kills, or 60
"""

import os
import pathlib
import random
import signal
import sys
import tempfile
import time
import unittest

from alert_receivers import Receiver
from collector_process import CollectorProcess
from mill import until

FULL = "--full" in sys.argv
PROGRAMS = [one for one in sys.argv[1:] if not one.startswith("--")][0]
KILLS = 60 if FULL else 10
SEED = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
HOLD = 1.5
RULES = f"""
groups:
- name: now
  interval: 200ms
  rules:
  - {{alert: Now, expr: m > 0.5}}
- name: held
  interval: 200ms
  rules:
  - {{alert: Held, expr: h > 0.5, for: {int(HOLD * 1000)}ms}}
"""


class Restarts(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.receiver = Receiver()
        self.addCleanup(self.receiver.stop)
        (self.folder / "sinks.yml").write_text(f"sinks:\n- {{name: hook, kind: webhook, url: '{self.receiver.url}/'}}\n")

    def collector(self, rules):
        (self.folder / "rules.yml").write_text(rules)
        collector = CollectorProcess(PROGRAMS, self.folder, flags=[
            "--rules", self.folder / "rules.yml", "--sinks", self.folder / "sinks.yml", "--for-grace-period", "0s"])
        self.addCleanup(lambda: collector.end(signal.SIGKILL))
        return collector.start()

    @staticmethod
    def alerts(collector):
        """{(name, series): state}."""
        return {(one["labels"]["alertname"], one["labels"]["i"]): one["state"]
                for one in collector.json("/api/v1/alerts")["data"]["alerts"]}

    def test_whatever_the_moment_each_event_is_told_once_and_in_order(self):
        print(f"SEED={SEED}")
        chance = random.Random(SEED)
        truth = {(name, f"s{i}"): False for name in ("Now", "Held") for i in range(4)}
        flips = {one: 0 for one in truth}
        began = {}
        collector = self.collector(RULES)
        for n in range(KILLS):
            chosen = chance.sample(sorted(truth), chance.randint(1, 3))
            self.receiver.mode = chance.choice(["ok", "down", "slow"])
            for one in chosen:
                truth[one] = not truth[one]
                flips[one] += 1
                if truth[one]:
                    began[one] = time.time()
            collector.import_text("".join(
                f'{"m" if name == "Now" else "h"}{{i="{i}"}} {int(truth[name, i])}\n' for name, i in chosen))
            # From before the evaluation to when a slow webhook has answered.
            time.sleep(chance.choice([0, chance.uniform(0, 0.6), chance.uniform(0, HOLD + 1.5)]))
            collector.end(signal.SIGKILL)
            self.receiver.mode = chance.choice(["ok", "ok", "slow"])
            collector.start()
            wanted = {one for one, fires in truth.items() if fires}
            until(lambda: self.alerts(collector) == dict.fromkeys(wanted, "firing"), 30,
                  f"kill {n}: what is so is seen: {sorted(wanted)}")
            self.receiver.mode = "ok"
            until(lambda: {(dict(one)["alertname"], dict(one)["i"]) for one in self.receiver.firing()} == wanted, 90,
                  f"kill {n}: and told")
            self.check(flips, began, n)
        collector.end(signal.SIGKILL)

    def check(self, flips, began, n):
        events = {(dict(one)["alertname"], dict(one)["i"]): all for one, all in self.receiver.events().items()}
        for one, times in flips.items():
            told = [status for status, _, _ in events.get(one, [])]
            wanted = ["firing", "resolved"] * (times // 2) + ["firing"] * (times % 2)
            self.assertEqual(told, wanted, f"kill {n}: {one}")
            if one[0] == "Held" and told and told[-1] == "firing":
                self.assertGreaterEqual(events[one][-1][2] - began[one], HOLD, f"kill {n}: {one} fires too soon")

    def test_of_a_rule_that_went_while_it_was_down_the_end_is_told_and_it_starts(self):
        collector = self.collector(RULES)
        collector.import_text('m{i="a"} 1\n')
        until(self.receiver.firing, 30, "it fires")
        collector.end(signal.SIGKILL)
        (self.folder / "rules.yml").write_text(RULES.replace("Now", "Other"))
        collector.start()
        until(lambda: not any(dict(one)["alertname"] == "Now" for one in self.receiver.firing()), 30, "its end is told")
        self.assertIsNone(collector.process.poll())

    def test_for_goes_on_after_a_kill_with_the_time_added_that_nobody_looked(self):
        hold, before = 14, 9
        collector = self.collector(
            f"groups:\n- name: g\n  interval: 200ms\n  rules:\n  - {{alert: Held, expr: h > 0.5, for: {hold}s}}\n")
        collector.import_text('h{i="a"} 1\n')
        until(lambda: self.alerts(collector), 10, "it is pending")
        began = time.time()
        time.sleep(before)
        collector.end(signal.SIGKILL)
        away = time.time()
        time.sleep(2)
        collector.start()
        away = time.time() - away
        self.assertEqual(self.alerts(collector), {("Held", "a"): "pending"})
        until(self.receiver.firing, hold + 20, "it fires")
        took = self.receiver.all()[0][0] - began
        self.assertGreaterEqual(took, hold + away - 1, "the time that nobody looked is no `for`")
        self.assertLess(took, hold + away + before - 2, "it did not begin anew")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
