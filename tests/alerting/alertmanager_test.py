#!/usr/bin/env python3
"""Alerts at a real Alertmanager. Goal: it receives what is sent, groups it, resolves it when it is
told so and when it is not told anything any more. Method: Debian's prometheus-alertmanager on a
free loopback port in a temporary folder, the shipping sender, and a webhook that keeps what
Alertmanager makes of it.
"""
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
from mill import run_side_by_side, until  # noqa: E402

SENDER = sys.argv.pop(1) if len(sys.argv) > 1 else ""
ALERTMANAGER = shutil.which("prometheus-alertmanager")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Receiver(http.server.ThreadingHTTPServer):
    """What Alertmanager tells its receivers."""

    def __init__(self):
        self.got = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Alertmanager:
    def __init__(self, folder, hook):
        self.folder, self.port = pathlib.Path(folder), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (self.folder / "am.yml").write_text(f"""
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs:
      - url: http://127.0.0.1:{hook}/
        send_resolved: true
""", encoding="utf-8")
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [ALERTMANAGER, f"--config.file={self.folder}/am.yml",
             f"--storage.path={self.folder}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address="],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.is_ready, 30, "Alertmanager is ready")

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def alerts(self):
        """Those that fire, by stage."""
        with urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=5) as answer:
            return {alert["labels"]["stage"]: alert for alert in json.load(answer)}


class Sender:
    def __init__(self, url, resend_ms):
        self.process = subprocess.Popen([SENDER, url, str(resend_ms)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@unittest.skipUnless(ALERTMANAGER, "prometheus-alertmanager is missing: ./dev setup test")
class RealAlertmanager(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.receiver = Receiver()
        self.addCleanup(self.receiver.server_close)
        self.addCleanup(self.receiver.shutdown)
        self.alertmanager = Alertmanager(folder.name, self.receiver.server_address[1])
        self.addCleanup(self.alertmanager.stop)

    def sender(self, resend_ms):
        sender = Sender(self.alertmanager.url, resend_ms)
        self.addCleanup(sender.stop)
        return sender

    def said(self, status, alerts):
        """A group that Alertmanager told with this status and so many alerts."""
        return next((one for one in list(self.receiver.got)
                     if one["status"] == status and len(one["alerts"]) == alerts), None)

    def test_receives_groups_and_resolves(self):
        sender = self.sender(60_000)
        self.assertEqual(sender.say("fire Wait image")[0], "ok")
        fingerprints = sender.say("fire Wait box")[1:]
        alerts = until(lambda: len(a := self.alertmanager.alerts()) == 2 and a, 10, "both are there")
        self.assertEqual({alert["fingerprint"] for alert in alerts.values()}, set(fingerprints))
        self.assertEqual(alerts["image"]["annotations"], {"summary": "image waits"})
        group = until(lambda: self.said("firing", 2), 15, "they are told as one group")
        self.assertEqual(group["groupLabels"], {"alertname": "Wait"})
        self.assertEqual(sender.say("resolve Wait image")[0], "ok")
        until(lambda: set(self.alertmanager.alerts()) == {"box"}, 10, "one is over")
        self.assertEqual(sender.say("resolve Wait box")[0], "ok")
        until(lambda: not self.alertmanager.alerts(), 10, "both are over")
        until(lambda: self.said("resolved", 1) or self.said("resolved", 2), 15, "and told so")

    def test_resolves_by_itself_when_nobody_judges_any_more(self):
        sender = self.sender(500)  # an end of 4 x the interval, which is 1 s
        sender.say("fire Wait image")
        until(self.alertmanager.alerts, 10, "it is there")
        for _ in range(6):  # for longer than one end
            time.sleep(1)
            self.assertEqual(sender.say("update")[0], "ok")
            self.assertTrue(self.alertmanager.alerts())
        until(lambda: not self.alertmanager.alerts(), 15, "it is over")
        until(lambda: self.said("resolved", 1), 15, "and told so")

    def test_one_that_was_away_is_told_how_things_are(self):
        sender = self.sender(60_000)
        sender.say("fire Wait image")
        until(self.alertmanager.alerts, 10, "it is there")
        self.alertmanager.stop()
        shutil.rmtree(self.alertmanager.folder / "data")
        self.assertEqual(sender.say("fire Wait box")[0], "waiting")
        self.alertmanager.start()
        self.assertEqual(sender.say("update")[0], "ok")
        until(lambda: "box" in self.alertmanager.alerts(), 10, "what began meanwhile is there")


if __name__ == "__main__":
    run_side_by_side(["RealAlertmanager.test_receives_groups_and_resolves"],
                     ["RealAlertmanager.test_resolves_by_itself_when_nobody_judges_any_more"])
