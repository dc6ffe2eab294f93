#!/usr/bin/python3
"""bench alert-latency: how soon somebody hears of a sample that crosses a threshold.

A collector with rules and a webhook; each of the crossings, at random moments, is of a series of its own, so each is an
alert of its own. Timed from before the sample is sent to the webhook's receipt, `for: 0s`: for rules that are judged on
arrival (their timer comes once a minute), by remote write and over the own bus; for rules without, at 1 s. Beside it, the
same samples at the same pace: Debian's Prometheus (remote write receiver, evaluation each second) with Alertmanager
(group_wait 0), each as it comes but for these settings; left out where they are not installed. A lost job: a process that
says once a second, as a front does, that its jobs balance, until at a random moment one is lost; the rule is as the
shipped one, `for: 1s` at an interval of 1 s.

usage: alert-latency.py PROGRAMS [--crossings N] [--only PART]...
parts: remote-write bus lost-job prometheus
"""

import argparse
import http.server
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
import figures  # noqa: E402
import msgpack  # noqa: E402
import zmq  # noqa: E402
from collector_process import CollectorProcess  # noqa: E402
from mill import free_ports, until  # noqa: E402
from prometheus import Prometheus, asked, push  # noqa: E402

MACHINE = figures.machine()  # before anything was timed
PARTS = ["remote-write", "bus", "lost-job", "prometheus"]
PACE = 0.15  # seconds between crossings, on average
LOST_JOBS = 20
RULES = """
groups:
- name: arrival
  interval: 1m
  rules:
  - {alert: OnArrival, expr: heat > 5, on_arrival: true}
- name: timer
  interval: 1s
  rules:
  - {alert: Timer, expr: heat > 5}
- name: laws
  interval: 1s
  rules:
  - {alert: ConservationBroken, expr: tallymill_conservation_balanced == 0, for: 1s}
"""
PLAIN_RULES = """
groups:
- name: timer
  interval: 1s
  rules:
  - {alert: Timer, expr: heat > 5}
"""


def now_ms():
    return time.time_ns() // 1_000_000


class Webhook(http.server.ThreadingHTTPServer):
    """When it was first told that an alert fires, by the alert's name and its `case`."""
    daemon_threads = True

    def __init__(self):
        self.fired = fired = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                at = time.monotonic()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                for alert in json.loads(body)["alerts"]:
                    if alert["status"] == "firing":
                        labels = alert["labels"]
                        fired.setdefault((labels["alertname"], labels["case"]), at)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class BusSender:
    """Frames of one process (docs/formats/telemetry.md) that has one gauge with these cases."""

    def __init__(self, context, endpoint, instance, metric, cases):
        self.socket = context.socket(zmq.PUSH)
        self.socket.connect(endpoint)
        self.instance, self.metric, self.cases = instance, metric, list(cases)
        self.incarnation, self.sequence = time.time_ns(), 0

    def send(self, values):
        self.sequence += 1
        series = [part for i, case in enumerate(self.cases) for part in (i, ["case", case])]
        families = [[self.metric, 1, 0, "What a bench makes up.", series]]
        pairs = [part for case, value in values.items() for part in (self.cases.index(case), float(value))]
        self.socket.send(msgpack.packb(
            [1, "bench", self.instance, self.incarnation, self.sequence, now_ms(), 1, families, pairs, []]))


def at_random(cases, cross):
    """Calls cross(case) for each, at random moments; when it was called, by case."""
    sent = {}
    for case in cases:
        time.sleep(random.expovariate(1 / PACE))
        sent[case] = time.monotonic()
        cross(case)
    return sent


def waited(webhook, alert, sent, seconds=90):
    """Milliseconds from each crossing until the webhook had its alert."""
    until(lambda: all((alert, case) in webhook.fired for case in sent), seconds, f"all of {alert} were told")
    return [(webhook.fired[alert, case] - at) * 1000 for case, at in sent.items()]


def tell(what, values):
    figures.line("alert-latency", what, "ms", values, {"p99": round(figures.quantile(values, 0.99), 4), **MACHINE})
    return values


class Ours:
    def __init__(self, programs, folder):
        self.webhook = Webhook()
        folder = pathlib.Path(folder)
        (folder / "bench.tm.yml").write_text(RULES)
        (folder / "sinks.yml").write_text(f"sinks:\n- {{name: bench, kind: webhook, url: '{self.webhook.url}'}}\n")
        self.bus = f"tcp://127.0.0.1:{free_ports(1)[0]}"
        self.process = CollectorProcess(programs, folder / "collector", flags=[
            "--rules", folder / "bench.tm.yml", "--sinks", folder / "sinks.yml", "--bus", self.bus])

    def __enter__(self):
        self.process.__enter__()
        return self

    def __exit__(self, *failure):
        self.process.__exit__(*failure)
        self.webhook.shutdown()


def remote_write(ours, crossings):
    cases = [f"rw-{i}" for i in range(crossings)]
    push(ours.process.url, [({"__name__": "heat", "case": case}, [(now_ms(), 1)]) for case in cases])
    sent = at_random(cases, lambda case: push(ours.process.url,
                                              [({"__name__": "heat", "case": case}, [(now_ms(), 9)])]))
    timer = tell("remote write, at the timer of 1 s", waited(ours.webhook, "Timer", sent))
    return tell("remote write, on arrival", waited(ours.webhook, "OnArrival", sent)), timer


def own_bus(ours, crossings, context):
    cases = [f"bus-{i}" for i in range(crossings)]
    sender = BusSender(context, ours.bus, "bench-1", "heat", cases)
    sender.send({case: 1 for case in cases})
    until(lambda: len(ours.process.query('heat{job="bench"}')) == crossings, 10, "the bus is heard")
    sent = at_random(cases, lambda case: sender.send({case: 9}))
    tell("own bus, at the timer of 1 s", waited(ours.webhook, "Timer", sent))
    return tell("own bus, on arrival", waited(ours.webhook, "OnArrival", sent))


def lost_jobs(ours, context):
    """Each a process of its own, that says so with its next frame."""
    cases = [f"front-{i}" for i in range(LOST_JOBS)]
    senders = {case: BusSender(context, ours.bus, case, "tallymill_conservation_balanced", [case]) for case in cases}
    balanced = dict.fromkeys(cases, 1)
    due = {case: time.monotonic() + random.random() for case in cases}
    ends = threading.Event()

    def tick():
        while not ends.wait(0.001):
            for case in cases:
                if time.monotonic() >= due[case]:
                    due[case] += 1
                    senders[case].send({case: balanced[case]})

    thread = threading.Thread(target=tick)
    thread.start()
    until(lambda: len(ours.process.query("tallymill_conservation_balanced")) == LOST_JOBS, 10, "all are heard")
    sent = at_random(cases, lambda case: balanced.update({case: 0}))
    told = tell("a lost job", waited(ours.webhook, "ConservationBroken", sent))
    ends.set()
    thread.join()
    return told


def theirs(folder, crossings):
    """Prometheus and Alertmanager."""
    folder = pathlib.Path(folder) / "theirs"
    folder.mkdir()
    webhook = Webhook()
    (port,) = free_ports(1)
    (folder / "am.yml").write_text(
        "route: {receiver: w, group_by: ['...'], group_wait: 0s}\n"
        f"receivers:\n- {{name: w, webhook_configs: [{{url: '{webhook.url}'}}]}}\n")
    (folder / "rules.yml").write_text(PLAIN_RULES)
    alertmanager = subprocess.Popen(
        ["prometheus-alertmanager", f"--config.file={folder}/am.yml", f"--storage.path={folder}/am",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    prometheus = Prometheus(folder, "global: {evaluation_interval: 1s}\n"
                            f"rule_files: ['{folder}/rules.yml']\n"
                            "alerting: {alertmanagers: [{static_configs: "
                            f"[{{targets: ['127.0.0.1:{port}']}}]}}]}}\n")
    try:
        cases = [f"rw-{i}" for i in range(crossings)]
        prometheus.push([({"__name__": "heat", "case": case}, [(now_ms(), 1)]) for case in cases])
        until(lambda: prometheus.asked("/api/v1/alertmanagers", post=False)[1]["data"]["activeAlertmanagers"], 30,
              "Prometheus knows Alertmanager")
        until(lambda: asked(f"http://127.0.0.1:{port}", "/-/ready", post=False)[0] == 200, 30, "Alertmanager is ready")
        sent = at_random(cases, lambda case: prometheus.push(
            [({"__name__": "heat", "case": case}, [(now_ms(), 9)])]))
        return tell("Prometheus and Alertmanager, remote write, at 1 s", waited(webhook, "Timer", sent))
    finally:
        prometheus.stop()
        alertmanager.terminate()
        alertmanager.wait()
        webhook.shutdown()


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("programs")
    parser.add_argument("--crossings", type=int, default=200)
    parser.add_argument("--only", action="append", choices=PARTS)
    said = parser.parse_args()
    parts = said.only or PARTS
    arrival = timer = None
    with tempfile.TemporaryDirectory(prefix="tallymill-") as folder:
        with Ours(said.programs, folder) as ours:
            context = zmq.Context()
            if "remote-write" in parts:
                arrival, timer = remote_write(ours, said.crossings)
            if "bus" in parts:
                own_bus(ours, said.crossings, context)
            if "lost-job" in parts:
                lost_jobs(ours, context)
            context.destroy(linger=0)
        if "prometheus" in parts and shutil.which("prometheus") and shutil.which("prometheus-alertmanager"):
            peer = theirs(folder, said.crossings)
            for what, values in (("on arrival", arrival), ("at the timer", timer)):
                if values:
                    figures.line("alert-latency", f"{what} / Prometheus, medians", "ratio",
                                 [statistics.median(values) / statistics.median(peer)], MACHINE)


main()
