#!/usr/bin/python3
"""bench alert-load: ten thousand rules each second, ours beside Prometheus.

10,000 rules of 20 shapes, in groups of 100, over 10,000 live series that come by remote write each second; in each
second 5 % of the series cross what their rules compare them with, so that about half of the alerts fire and 5 % change.
Each server gets the same samples for the same time, on the same two cores, one after the other (less than 8 s: at once). Then the samples stay
as they are until all windows hold nothing else, and both must say that the same alerts are pending and firing, with the
same values. What each row is: docs/benchmarks.md.

usage: alert-load.py PROGRAMS [--rounds N] [--rules N] [--seconds S]
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
import collector  # noqa: E402
from figures import line  # noqa: E402
from mill import until  # noqa: E402
from prometheus import field, varint  # noqa: E402

GROUP = 100  # rules
WINDOW, HOLD = 5, 2  # seconds that rules look back, or wait
WARM = 8  # seconds before it is measured, so that windows are full and alerts are there
LOW, HIGH = 2, 7
CROSS = 0.05  # of the series, each second

# {0}: the series, {1}: one of a hundred zones.
SHAPES = [
    'g{{i="{0}"}} > 5',
    'g{{i="{0}"}} < 5',
    'g{{i="{0}",zone="{1}"}} >= 5 and on (i) g{{i="{0}"}} < 100',
    'g{{i="{0}"}} * 2 > 10',
    'rate(g{{i="{0}"}}[5s]) > 0.5',
    'increase(g{{i="{0}"}}[5s]) > 2',
    'avg_over_time(g{{i="{0}"}}[5s]) > 5',
    'max_over_time(g{{i="{0}"}}[5s]) > 5',
    'min_over_time(g{{i="{0}"}}[5s]) > 5',
    'changes(g{{i="{0}"}}[5s]) > 1',
    'delta(g{{i="{0}"}}[5s]) > 3',
    'absent(g{{i="{0}"}})',
    'g{{i="{0}"}} - g{{i="{0}"}} offset 2s > 3',
    'abs(g{{i="{0}"}} - 5) > 2.5',
    'clamp_max(g{{i="{0}"}}, 6) > 5',
    'sum without (zone) (g{{i="{0}"}}) > 5',
    'max by (i) (g{{i="{0}"}}) > 5',
    'g{{i="{0}"}} > 5 unless on (i) g{{i="{0}"}} > 100',
    'g{{i="{0}"}} > 5 or g{{i="{0}"}} < 1',
    'label_replace(g{{i="{0}"}}, "who", "one", "i", ".*") > 5',
]


def file_of(rules):
    """The file of rules."""
    lines = ["groups:"]
    for n in range(rules):
        if n % GROUP == 0:
            lines += [f"- name: group-{n}", "  interval: 1s", "  rules:"]
        lines += [f"  - alert: Rule{n}", f"    expr: {json.dumps(SHAPES[n % len(SHAPES)].format(n, n % 100))}",
                  "    labels: {severity: page}", '    annotations: {text: "{{ $labels.i }} is {{ $value }}"}']
        if n % 3 == 0:
            lines.append(f"    for: {HOLD}s")
    return "\n".join(lines) + "\n"


class Live:
    """The series, a request a second: by the same seed the same."""

    def __init__(self, count):
        self.chance = random.Random(1)
        self.values = [LOW] * count
        self.labels = []
        for n in range(count):
            labels = {"__name__": "g", "i": str(n), "instance": f"10.0.0.{n % 250}:9100", "job": "mill",
                      "zone": str(n % 100)}
            self.labels.append(b"".join(field(1, field(1, name.encode()) + field(2, value.encode()))
                                        for name, value in sorted(labels.items())))

    def cross(self):
        for n in range(len(self.values)):
            if self.chance.random() < CROSS:
                self.values[n] = LOW + HIGH - self.values[n]

    def request(self, t_ms):
        sample = {value: field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(t_ms)) for value in (LOW, HIGH)}
        body = b"".join(field(1, labels + sample[value]) for labels, value in zip(self.labels, self.values))
        pieces = [varint(len(body))]  # snappy, of literals alone
        for at in range(0, len(body), 65536):
            piece = body[at:at + 65536]
            pieces += [bytes([61 << 2]), struct.pack("<H", len(piece) - 1), piece]
        return b"".join(pieces)


class Judge:
    """What both kinds of server have: rules, samples each second, and what was made of them."""

    def metric(self, name):
        text = self.ask("GET", "/metrics")[1].decode()
        return sum(float(one.split()[-1]) for one in text.splitlines() if one.startswith(name))

    def write(self, body):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self.connection.request("POST", "/api/v1/write", body, {
            "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0"})
        answer = self.connection.getresponse()
        said = answer.read()
        assert answer.status in (200, 204), (self.name, answer.status, said)

    def processor_time(self):
        """Of all its threads, to the nanosecond: a small form takes no more than some ticks."""
        return sum(int(path.read_text().split()[0])
                   for path in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")) / 1e9

    def disk_bytes(self):
        fields = dict(row.split(": ") for row in pathlib.Path(f"/proc/{self.process.pid}/io").read_text().splitlines())
        return int(fields["wchar"]), int(fields["write_bytes"])

    def alerts(self):
        found = json.loads(self.ask("GET", "/api/v1/alerts")[1])["data"]["alerts"]
        return sorted((sorted(one["labels"].items()), one["state"], float(one["value"])) for one in found)

    def evaluated(self):
        return self.metric(self.evaluations)


class Ours(Judge, collector.Ours):
    evaluations = "tallymill_alerting_evaluations_total"
    missed = "tallymill_alerting_missed_evaluations_total"
    failed = "tallymill_alerting_evaluation_failures_total"

    def command(self):
        return [*super().command(), "--rules", self.rules]


class Prometheus(Judge, collector.Prometheus):
    evaluations = "prometheus_rule_evaluations_total"
    missed = "prometheus_rule_group_iterations_missed_total"
    failed = "prometheus_rule_evaluation_failures_total"

    def command(self):
        made = super().command()
        with open(self.folder / "prometheus.yml", "a") as config:
            config.write(f"rule_files: [{self.rules}]\n")
        return made


class Bench:
    def __init__(self, arguments, folder):
        self.rules, self.seconds, self.folder = arguments.rules, arguments.seconds, pathlib.Path(folder)
        self.file = self.folder / "rules.yml"
        self.file.write_text(file_of(self.rules))
        self.figures = {}
        collector.Ours.programs = pathlib.Path(arguments.programs).absolute()

    def keep(self, what, unit, who, value):
        self.figures.setdefault((what, unit), {}).setdefault(who, []).append(value)

    def feed(self, server, live, seconds, crossing):
        """A request at each second."""
        for _ in range(seconds):
            now = time.time()
            at = int(now) + 1
            if crossing:
                live.cross()
            body = live.request(at * 1000)
            time.sleep(max(0, at - time.time()))
            server.write(body)

    def measure(self, kind, home):
        server = kind(home)
        server.rules = self.file
        server.start()
        live = Live(self.rules)
        self.feed(server, live, min(WARM, self.seconds), True)
        time.sleep(0.5)
        begin, used, judged = time.monotonic(), server.processor_time(), server.evaluated()
        said, written = server.disk_bytes()
        self.feed(server, live, self.seconds, True)
        time.sleep(0.5)
        took = time.monotonic() - begin
        used, judged = server.processor_time() - used, server.evaluated() - judged
        self.keep("processor time of a second", "s", kind.name, used / took)
        self.keep("processor time of a rule that was judged", "us", kind.name, used / judged * 1e6)
        self.keep("rules judged", "rules/s", kind.name, judged / took)
        self.keep("bytes that it wrote", "B/s", kind.name, (server.disk_bytes()[0] - said) / took)
        self.keep("bytes that went to the disk", "B/s", kind.name, (server.disk_bytes()[1] - written) / took)
        self.keep("RSS", "MB", kind.name, server.status("VmRSS"))
        self.keep("RSS, high water", "MB", kind.name, server.status("VmHWM"))
        self.keep("missed evaluations", "evaluations", kind.name, server.metric(kind.missed))
        self.keep("failed evaluations", "evaluations", kind.name, server.metric(kind.failed))
        self.feed(server, live, WINDOW + HOLD + 3, False)
        time.sleep(1.5)
        alerts = server.alerts()
        server.end(signal.SIGTERM)
        return alerts

    def one_round(self, number):
        home = self.folder / f"round-{number}"
        home.mkdir()
        kinds = [Ours, Prometheus] if number % 2 == 0 else [Prometheus, Ours]
        # A short one says nothing of speed, only whether both say the same: at once.
        workers = 2 if self.seconds < WARM else 1
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            tasks = {kind.name: pool.submit(self.measure, kind, home) for kind in kinds}
            alerts = {name: task.result() for name, task in tasks.items()}
        ours, theirs = alerts["ours"], alerts["Prometheus"]
        assert ours, "no alert is there: nothing was shown"
        different = [one for one in ours if one not in theirs] + [one for one in theirs if one not in ours]
        self.keep("alerts that stand", "alerts", "ours", len(ours))
        self.keep("alerts that differ", "alerts", "ours", len(different))
        assert not different, different[:5]
        shutil.rmtree(home)

    def print(self):
        for (what, unit), by_server in self.figures.items():
            for name, values in by_server.items():
                line("alert-load", f"{what}, {name}", unit, values, collector.MACHINE)
            ours, theirs = by_server.get("ours", []), by_server.get("Prometheus", [])
            if theirs and all(theirs):
                line("alert-load", f"{what}, ours / Prometheus", "x", [a / b for a, b in zip(ours, theirs)],
                     collector.MACHINE)


def arguments_of(words):
    parser = argparse.ArgumentParser(prog="bench alert-load", description=__doc__.splitlines()[0])
    parser.add_argument("programs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60, help="of each server that are measured")
    arguments = parser.parse_args(words)
    if not 1 <= arguments.rounds <= 100 or not 20 <= arguments.rules <= 20_000 or not 1 <= arguments.seconds <= 3600:
        parser.error("--rounds takes 1 to 100, --rules 20 to 20000, --seconds 1 to 3600")
    return arguments


def main():
    arguments = arguments_of(sys.argv[1:])
    if not shutil.which("prometheus"):
        sys.exit("bench alert-load: no prometheus; ./dev setup bench installs it")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # also of all that it starts
    with tempfile.TemporaryDirectory(prefix="tallymill-") as folder:
        bench = Bench(arguments, folder)
        for number in range(arguments.rounds):
            bench.one_round(number)
        bench.print()


if __name__ == "__main__":
    main()
