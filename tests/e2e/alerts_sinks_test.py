"""Sinks that are away or hostile, and a real Alertmanager. Goal: a sink that is away gets what it missed, in order; one that
hangs, fails, redirects or answers 1 GB holds up no other and costs no memory; Alertmanager hears what is so, also after a
restart of either side. Method: the shipping collector, webhooks of the test, Debian's prometheus-alertmanager.

The sink is away for TALLYMILL_AWAY_SECONDS (20).

usage: alerts_sinks_test.py PROGRAMS
"""

import json
import os
import pathlib
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

from alert_receivers import Receiver
from collector_process import CollectorProcess
from mill import free_ports, is_sanitized, until

PROGRAMS = sys.argv.pop(1)
AWAY_SECONDS = float(os.environ.get("TALLYMILL_AWAY_SECONDS", "20"))
ALERTMANAGER = shutil.which("prometheus-alertmanager")
RULES = "groups:\n- name: g\n  interval: 200ms\n  rules:\n  - {alert: Hot, expr: m > 0.5}\n"


class RawSink:
    """Reads a request, then does what it is made to do with the connection."""

    def __init__(self, act):
        outer = self
        self.asked = 0

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                outer.asked += 1
                self.request.recv(65536)
                try:
                    act(self.request)
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def gigabyte(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    for _ in range(16_384):
        connection.sendall(b"x" * 65_536)


class WithCollector(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        (self.folder / "rules.yml").write_text(RULES)

    def receiver(self, port=0):
        receiver = Receiver(port)
        self.addCleanup(receiver.stop)
        return receiver

    def raw(self, act):
        sink = RawSink(act)
        self.addCleanup(sink.stop)
        return sink

    def collector(self, *flags, sinks=()):
        if sinks:
            (self.folder / "sinks.yml").write_text("sinks:\n" + "".join(
                f"- {{name: {name}, kind: webhook, url: '{url}', timeout: 2s}}\n" for name, url in sinks))
            flags = [*flags, "--sinks", self.folder / "sinks.yml"]
        collector = CollectorProcess(PROGRAMS, self.folder, flags=["--rules", self.folder / "rules.yml", *flags])
        self.addCleanup(lambda: collector.end(signal.SIGKILL))
        return collector.start()

    @staticmethod
    def set(collector, series, value):
        collector.import_text(f'm{{i="{series}"}} {value}\n')
        until(lambda: value == any(one["labels"]["i"] == series
                                   for one in collector.json("/api/v1/alerts")["data"]["alerts"]), 20, "it is judged")


class Sinks(WithCollector):
    def test_one_that_was_away_gets_what_it_missed_in_order(self):
        hook = self.receiver()
        collector = self.collector(sinks=[("hook", hook.url + "/")])
        hook.mode = "down"
        flips = {f"s{i}": 0 for i in range(5)}
        end = time.monotonic() + AWAY_SECONDS
        while time.monotonic() < end:
            for series in flips:
                flips[series] += 1
                self.set(collector, series, flips[series] % 2)
            time.sleep(0.5)
        until(lambda: collector.metric('tallymill_alert_sink_waiting_notices{sink="hook"') == sum(flips.values()), 10,
              "all wait")
        self.assertGreater(collector.metric('tallymill_alert_sink_oldest_notice_seconds{sink="hook"'), AWAY_SECONDS / 2)
        hook.mode = "ok"
        until(lambda: collector.metric('tallymill_alert_sink_waiting_notices{sink="hook"') == 0, 120, "all is told")
        events = {dict(one)["i"]: [status for status, _, _ in all] for one, all in hook.events().items()}
        self.assertEqual(events, {series: ["firing", "resolved"] * (n // 2) + ["firing"] * (n % 2)
                                  for series, n in flips.items()})
        keys = [alert["idempotencyKey"] for _, body in hook.all() for alert in body["alerts"]]
        self.assertEqual(len(keys), len(set(keys)), "and once")

    def test_hostile_ones_hold_up_nobody_and_cost_nothing(self):
        good, elsewhere = self.receiver(), self.receiver()
        fails = self.raw(lambda c: c.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
        hangs = self.raw(lambda c: c.recv(1 << 20) or time.sleep(60))
        redirects = self.raw(lambda c: c.sendall(
            f"HTTP/1.1 307 There\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode()))
        pours = self.raw(gigabyte)
        collector = self.collector(sinks=[("good", good.url + "/"), ("fails", fails.url), ("hangs", hangs.url),
                                          ("redirects", redirects.url), ("pours", pours.url)])
        memory = collector.memory_kb()
        began = time.monotonic()
        for n in range(20):
            collector.import_text(f'm{{i="s{n}"}} 1\n')
        until(lambda: len(good.firing()) == 20, 10, "the good one is told")
        self.assertLess(time.monotonic() - began, 10)

        def outcome(sink, word):
            return collector.metric(f'tallymill_alert_sink_messages_total{{sink="{sink}",outcome="{word}"')

        for sink in ("fails", "hangs", "redirects"):
            until(lambda sink=sink: outcome(sink, "again") >= 2, 60, f"{sink} is tried again")
            self.assertEqual(outcome(sink, "taken") + outcome(sink, "given_up"), 0, sink)
            self.assertEqual(collector.metric(f'tallymill_alert_sink_waiting_notices{{sink="{sink}"'), 20)
        until(lambda: outcome("pours", "taken") == 20, 60, "what is answered after its status is not waited for")
        self.assertEqual(elsewhere.all(), [], "a redirect is not followed")
        if is_sanitized(pathlib.Path(PROGRAMS) / "tallymill-collector"):
            print("SKIPPED: memory under a sanitizer")
        else:
            self.assertLess(collector.memory_kb() - memory, 60_000)
        began = time.monotonic()
        self.assertEqual(collector.end(), 0)
        self.assertLess(time.monotonic() - began, 10, "nor do they hold up its end")


class TheRealAlertmanager:
    def __init__(self, folder, hook):
        self.folder = folder
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "am.yml").write_text(
            "route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}\n"
            f"receivers: [{{name: hook, webhook_configs: [{{url: '{hook}/', send_resolved: true}}]}}]\n")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [ALERTMANAGER, f"--config.file={self.folder}/am.yml", f"--storage.path={self.folder}/am",
             f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.is_ready, 30, "Alertmanager is ready")

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def alerts(self):
        with urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=5) as answer:
            return {one["labels"]["i"] for one in json.load(answer)}

    def stop(self):
        self.process.kill()
        self.process.wait()


class Alertmanager(WithCollector):
    @unittest.skipUnless(ALERTMANAGER, "prometheus-alertmanager is missing: ./dev setup test")
    def test_the_real_one_groups_resolves_and_hears_all_again_after_its_restart(self):
        class Hook(Receiver):  # of Alertmanager's own messages, which have no key of ours
            def groups(self, status):
                return [len(body["alerts"]) for _, body in self.all() if body["status"] == status]

        hook = Hook()
        self.addCleanup(hook.stop)
        manager = TheRealAlertmanager(self.folder, hook.url)
        self.addCleanup(manager.stop)
        collector = self.collector("--alertmanager", f"127.0.0.1:{manager.port}", "--resend-delay", "1s")
        collector.import_text('m{i="a"} 1\nm{i="b"} 1\n')
        until(lambda: manager.alerts() == {"a", "b"}, 15, "it has both")
        until(lambda: 2 in hook.groups("firing"), 20, "and tells them as one group")
        manager.stop()
        shutil.rmtree(self.folder / "am", ignore_errors=True)
        manager.start()
        until(lambda: manager.alerts() == {"a", "b"}, 20, "after its restart it has both again")
        collector.end(signal.SIGKILL)
        collector.start()
        collector.import_text('m{i="a"} 0\n')
        until(lambda: manager.alerts() == {"b"}, 20, "one is over")
        collector.end(signal.SIGKILL)
        until(lambda: not manager.alerts(), 30, "when nobody judges any more it finds out by itself")
        until(lambda: hook.groups("resolved"), 20, "and tells it")

    def test_one_whose_url_names_a_user_is_refused_and_its_secret_is_not_told(self):
        for url in ("http://me:s3cret@127.0.0.1:1", "http://127.0.0.1:1/?token=s3cret"):
            collector = CollectorProcess(PROGRAMS, self.folder, flags=["--alertmanager", url])
            collector.start(wait=False)
            self.assertEqual(collector.process.wait(30), 2, url)
        log = (self.folder / "collector.log").read_text()
        self.assertIn("alerting.alertmanager", log)
        self.assertNotIn("s3cret", log)

    def test_the_end_of_one_is_told_also_after_a_restart(self):
        played = Receiver()
        self.addCleanup(played.stop)
        collector = self.collector("--alertmanager", played.url, "--resend-delay", "1s")

        def ended():
            now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
            return [one for _, body in played.all() for one in body if one["endsAt"] < now]

        self.set(collector, "a", 1)
        until(played.all, 10, "it is told")
        played.mode = "down"
        self.set(collector, "a", 0)
        collector.end(signal.SIGKILL)
        self.assertEqual(ended(), [])
        played.mode = "ok"
        collector.start()
        until(ended, 15, "it is told its end")


if __name__ == "__main__":
    unittest.main()
