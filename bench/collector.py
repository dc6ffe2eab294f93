#!/usr/bin/python3
"""bench collector: our collector beside Prometheus, VictoriaMetrics and Netdata, on the same data in the same run.

In each round every server starts on a fresh folder, in another order than before, and gets the same remote write
requests, made beforehand (bench/collector_load.cc: 7.2 million samples of 10,000 series). Then ours and Prometheus
are killed with -9 and start again, VictoriaMetrics flushes and merges, and all three, alive and idle, answer the
same queries in turn. Ratios are of readings of one round. What each row is: docs/benchmarks.md.

usage: collector.py PROGRAMS [--rounds N] [--steps N] [--only ROW]...
rows: ingest bus disk kill rate quantile count topk rss ready statsd
"""

import argparse
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
from figures import line, machine  # noqa: E402
from mill import free_ports, until  # noqa: E402

MACHINE = machine()  # before anything was timed
STEP = 15  # seconds
SERIES = 10_000
REQUEST = 2_000  # samples
ASKED = 20  # times a round that each query is asked
EVENT_SECONDS = 3
QUERIES = {
    "rate": ('sum by(stage)(rate(mill_jobs_total{kind="kind-0"}[5m]))', True),
    "quantile": ('histogram_quantile(0.99, sum by(le,stage)(rate(mill_seconds_bucket{kind="kind-0"}[5m])))', True),
    "count": ('count({job="mill"})', False),
    "topk": ("topk(5, rate(mill_jobs_total[5m]))", False),
}
ROWS = ["ingest", "bus", "disk", "kill", *QUERIES, "rss", "ready", "statsd"]


def bytes_of(folder):
    return sum(file.stat().st_size for file in pathlib.Path(folder).rglob("*") if file.is_file())


def samples_of(result):
    """What a query answered, as numbers by labels and time: to see that all answer the same."""
    return {(tuple(sorted(one["metric"].items())), float(t)): float(value)
            for one in result for t, value in (one.get("values") or [one["value"]])}


def dropped_datagrams(port):
    """What the system dropped of a UDP socket, for it was full."""
    for row in open("/proc/net/udp").readlines()[1:]:
        fields = row.split()
        if int(fields[1].split(":")[1], 16) == port:
            return int(fields[-1])
    return 0


class Server:
    """One of the three, in a folder of its own."""
    ready_path = "/-/ready"
    parameters = {}
    statsd = 0  # its port

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) / self.name
        self.data = self.folder / "data"
        self.folder.mkdir()
        (self.port,) = free_ports(1)
        self.process = self.connection = None

    def start(self, core=None):
        """Seconds from the start of its process until it is ready. `core`: the one that it may use."""
        pinned = [] if core is None else ["taskset", "-c", str(core)]
        begin = time.monotonic()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*pinned, *self.command()], stdout=log, stderr=log)
        while not self.is_ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < begin + 120, f"{self.name} is not ready"
            time.sleep(0.001)
        return time.monotonic() - begin

    def is_ready(self):
        try:
            return self.ask("GET", self.ready_path)[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None):
        """Over one connection that is kept; its status and body."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            self.connection.request(method, path, body)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            raise ConnectionError(str(error)) from error

    def query(self, expression, **when):
        """Seconds that the answer took, and its result."""
        path = "/api/v1/query_range" if "start" in when else "/api/v1/query"
        path += "?" + urllib.parse.urlencode({"query": expression, **when, **self.parameters})
        begin = time.monotonic()
        status, body = self.ask("GET", path)
        took = time.monotonic() - begin
        assert status == 200, f"{self.name}: {status} {body[:500]}"
        return took, json.loads(body)["data"]["result"]

    def end(self, how):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait()
        if self.connection:
            self.connection.close()
        self.connection = None

    def status(self, key):
        """VmRSS or VmHWM, MB."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split(key + ":")[1].split()[0]) * 1024 / 1e6

    def processor_time(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def settle(self):
        """Waits until it is idle: what it does behind its answers is done."""
        def idle():
            before = self.processor_time()
            time.sleep(0.25)
            return self.processor_time() - before <= 0.01
        until(idle, 60, f"{self.name} is idle")


class Ours(Server):
    name = "ours"
    programs = None
    bus = None  # its endpoint

    def command(self):
        doors = ["--statsd", f"127.0.0.1:{self.statsd}"] if self.statsd else []
        doors += ["--bus", self.bus] if self.bus else []
        return [self.programs / "tallymill-collector", "--http", f"127.0.0.1:{self.port}", "--data", self.data,
                "--log.level", "error", *doors]

    def metric(self, name):
        text = self.ask("GET", "/metrics")[1].decode()
        return sum(float(one.split()[-1]) for one in text.splitlines() if one.startswith(name))


class Prometheus(Server):
    name = "Prometheus"

    def command(self):
        config = self.folder / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1h}\n")
        return ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self.data}", "--log.level=error",
                f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-remote-write-receiver",
                "--web.enable-admin-api"]


class Victoria(Server):
    name = "VictoriaMetrics"
    ready_path = "/health"
    parameters = {"nocache": 1}

    def command(self):
        return ["victoria-metrics", f"-storageDataPath={self.data}", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-search.disableCache", "-search.latencyOffset=0s", "-loggerLevel=ERROR"]

    def merge(self):
        for what in ("flush", "merge"):
            assert self.ask("GET", f"/internal/force_{what}")[0] == 200
        self.settle()


class Netdata(Server):
    """Its StatsD, and of the rest only what tells how it does."""
    name = "Netdata"
    ready_path = "/api/v1/info"
    SETTINGS = """
[global]
    run as user = root
    process scheduling policy = keep
    process nice level = 0
[directories]
    config = {folder}
    stock config = {folder}
    cache = {folder}
    lib = {folder}
    log = {folder}
    registry = {folder}
    home = {folder}
    lock = {folder}
[logs]
    debug = none
    error = {folder}/error.log
    access = none
    health = none
[db]
    mode = ram
[ml]
    enabled = no
[health]
    enabled = no
[registry]
    enabled = no
[web]
    bind to = 127.0.0.1:{port}
[plugins]
    timex = no
    checks = no
    idlejitter = no
    tc = no
    diskspace = no
    proc = no
    cgroups = no
    slabinfo = no
    enable running new plugins = no
[statsd]
    bind to = udp:127.0.0.1:{statsd}
"""

    def command(self):
        config = self.folder / "netdata.conf"
        config.write_text(self.SETTINGS.format(folder=self.folder, port=self.port, statsd=self.statsd))
        return ["netdata", "-D", "-c", config]

    def events(self, seconds):
        """Of the last `seconds`."""
        answer = self.ask("GET", f"/api/v1/data?chart=netdata.statsd_events&after=-{seconds}&format=json")[1]
        table = json.loads(answer)
        at = table["labels"].index("counters")
        return sum(row[at] or 0 for row in table["data"])  # of each second, its rate


KINDS = [Ours, Prometheus, Victoria]


class Bench:
    def __init__(self, arguments, folder):
        self.rows, self.steps, self.folder = arguments.only or ROWS, arguments.steps, pathlib.Path(folder)
        self.load = pathlib.Path(arguments.programs) / "bench_collector_load"
        self.programs = pathlib.Path(arguments.programs)
        self.samples = self.steps * SERIES
        self.end = int(time.time()) // STEP * STEP
        self.figures = {}  # of each row: unit, of each server its values
        Ours.programs = self.programs

    def wants(self, *rows):
        return any(row in self.rows for row in rows)

    def run_load(self, *words):
        ran = subprocess.run([self.load, *map(str, words)], capture_output=True, text=True, timeout=600, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def has_statsd(self):
        said = subprocess.run([self.programs / "tallymill-collector", "--help"], capture_output=True, text=True,
                              timeout=30, check=True)
        return "--statsd" in said.stdout

    def keep(self, what, unit, who, value):
        self.figures.setdefault((what, unit), {}).setdefault(who, []).append(value)

    def range(self):
        return {"start": self.end - (self.steps - 2) * STEP, "end": self.end, "step": STEP}

    def stored(self, server):
        """Samples that the server finds, of the series of each of the two connections."""
        found = {}
        for name in ("mill_jobs_total", "mill_seconds_bucket", "mill_queue_depth"):
            counts = f"sum by(kind)(count_over_time({name}[{self.steps * STEP + 60}s]))"
            for one in server.query(counts, time=self.end)[1]:
                found[name, one["metric"]["kind"]] = int(float(one["value"][1]))
        first = sum(count for (name, kind), count in found.items()
                    if name == "mill_jobs_total" or (name, kind) == ("mill_seconds_bucket", "kind-0"))
        return [first, sum(found.values()) - first]

    # ---- the parts of a round ----

    def push(self, server):
        said = self.run_load("push", self.folder / "requests", server.port)
        self.keep("remote write", "samples/s", server.name, sum(said["acknowledged"]) * REQUEST / said["seconds"])
        self.keep("remote write, request, p50", "ms", server.name, said["p50_ms"])
        self.keep("remote write, request, p99", "ms", server.name, said["p99_ms"])
        self.keep("remote write, requests refused", "requests", server.name, said["refused"])
        self.keep("remote write, processor time of a million samples", "s", server.name,
                  server.processor_time() / self.samples * 1e6)
        return sum(said["acknowledged"]) * REQUEST

    def fill(self, server):
        server.start()
        server.settle()
        self.keep("RSS, idle", "MB", server.name, server.status("VmRSS"))
        acknowledged = self.push(server)
        self.keep("RSS after the samples", "MB", server.name, server.status("VmRSS"))
        self.keep("RSS, high water", "MB", server.name, server.status("VmHWM"))
        if isinstance(server, Victoria):
            server.merge()
            return
        server.end(signal.SIGKILL)
        if self.wants("disk"):
            self.keep("bytes a sample on disk after kill -9", "B", server.name,
                      bytes_of(server.data) / self.samples)
        self.keep("ready after kill -9", "ms", server.name, server.start() * 1e3)
        found = sum(self.stored(server))
        self.keep("acknowledged samples lost by the kill", "samples", server.name, max(0, acknowledged - found))
        if isinstance(server, Ours):
            waits = server.metric("tallymill_collector_head_samples")
            if waits and self.wants("disk"):
                self.keep("bytes a sample of the log", "B", server.name, bytes_of(server.data / "log") / waits)
        server.settle()

    def ask(self, servers):
        """Each query in turn, each server in turn, so that what disturbs one disturbs all."""
        for row, (expression, is_range) in QUERIES.items():
            if not self.wants(row):
                continue
            when = self.range() if is_range else {"time": self.end}
            took = {server.name: [] for server in servers}
            answers = {}
            for _ in range(ASKED + 1):
                for server in servers:
                    seconds, answers[server.name] = server.query(expression, **when)
                    took[server.name].append(seconds)
            for name, times in took.items():
                self.keep(f"{row}: {expression}", "ms", name, statistics.median(times[1:]) * 1e3)
            self.compare(row, answers)

    def compare(self, row, answers):
        """VictoriaMetrics extrapolates otherwise: it is held to as many series only."""
        ours, theirs = samples_of(answers["ours"]), samples_of(answers["Prometheus"])
        assert ours.keys() == theirs.keys() and ours, (row, len(ours), len(theirs))
        for key, value in ours.items():
            assert abs(value - theirs[key]) <= 1e-9 * abs(theirs[key]) + 1e-12, (row, key, value, theirs[key])
        assert len(answers["VictoriaMetrics"]) == len(answers["ours"]), row

    def end_all(self, servers):
        for server in servers:
            if self.wants("disk") and isinstance(server, Victoria):
                self.keep("bytes a sample on disk, sealed", "B", server.name,
                          bytes_of(server.data) / self.samples)
            if self.wants("disk") and isinstance(server, Prometheus):
                name = json.loads(server.ask("POST", "/api/v1/admin/tsdb/snapshot")[1])["data"]["name"]
                blocks = bytes_of(server.data / "snapshots" / name)
                self.keep("bytes a sample on disk, sealed", "B", server.name, blocks / self.samples)
            server.end(signal.SIGTERM)
            if self.wants("disk") and isinstance(server, Ours):
                said = self.run_load("seal", server.data)
                whole = said["bytes"] + (server.data / "log" / "series").stat().st_size
                assert said["samples"] == self.samples, said
                self.keep("bytes a sample on disk, sealed", "B", server.name, whole / self.samples)

    def one_round(self, number):
        home = self.folder / f"round-{number}"
        home.mkdir()
        kinds = KINDS[number % 3:] + KINDS[:number % 3]
        servers = [kind(home) for kind in kinds]
        try:
            if self.wants("ingest", "disk", "rss", "ready", *QUERIES):
                for server in servers:
                    self.fill(server)
                self.ask(servers)
                self.end_all(servers)
        finally:
            for server in servers:
                if server.process:
                    server.end(signal.SIGKILL)
        if self.wants("kill"):
            for kind in KINDS:
                self.kill(kind, home)
        if self.wants("bus"):
            self.bus(home)
        if self.wants("statsd") and self.has_statsd():
            self.events(home)
        shutil.rmtree(home)

    # ---- rows of their own ----

    def kill(self, kind, home):
        """kill -9 in mid-push: of each connection a prefix was acknowledged, and it is there."""
        (home / "killed").mkdir()
        server = kind(home / "killed")
        server.start()
        pushing = subprocess.Popen([self.load, "push", self.folder / "requests", str(server.port)],
                                   stdout=subprocess.PIPE, text=True)
        # About half of what it takes, by its own work and not by the clock, whoever else works here.
        cost = "remote write, processor time of a million samples"
        whole = statistics.median(self.figures.get((cost, "s"), {}).get(kind.name, [0.2])) * self.samples / 1e6
        enough = server.processor_time() + whole / 2
        until(lambda: server.processor_time() > enough or pushing.poll() is not None, 60, "it is in mid-push")
        server.end(signal.SIGKILL)
        said = json.loads(pushing.communicate(timeout=60)[0])
        server.start()
        lost = sum(max(0, acknowledged * REQUEST - n) for acknowledged, n in zip(said["acknowledged"], self.stored(server)))
        self.keep("lost by kill -9 in mid-push", "samples", kind.name, lost)
        self.keep("acknowledged until the kill", "samples", kind.name, sum(said["acknowledged"]) * REQUEST)
        server.end(signal.SIGKILL)
        shutil.rmtree(home / "killed")

    def bus(self, home):
        """The same samples as two processes tell them over our own bus, until all are stored; and by remote write."""
        rates = []
        for over_bus in (True, False):
            place = home / ("bus" if over_bus else "http")
            place.mkdir()
            server = Ours(place)
            server.bus = f"ipc://{place}/bus"
            server.start()
            server.settle()
            if over_bus:
                said = self.run_load("bus", server.bus, self.steps, self.end * 1000)
                stored = "tallymill_collector_telemetry_samples_total"
                until(lambda: server.metric(stored) >= said["samples"], 60, "all samples of the bus are stored")
                rates.append(said["samples"] / (time.monotonic() - said["begin"]))
                self.keep("own bus", "samples/s", "ours", rates[0])
                self.keep("own bus, bytes a sample", "B", "ours", said["bytes"] / said["samples"])
            else:
                said = self.run_load("push", self.folder / "requests", server.port)
                rates.append(self.samples / said["seconds"])
            server.end(signal.SIGKILL)
        self.keep("own bus / remote write", "x", "ours", rates[0] / rates[1])

    def events(self, home):
        """StatsD flat out for some seconds: the server on one core, who sends on another."""
        place = home / "statsd"
        place.mkdir()
        for kind in (Ours, Netdata):
            server = kind(place)
            server.statsd = free_ports(1, socket.SOCK_DGRAM)[0]
            server.start(core=0)
            # Netdata tells rates, and the first of them only of a name that it knows.
            self.run_load("statsd", server.statsd, 1)
            time.sleep(4)
            before = server.metric("tallymill_collector_statsd_lines_total") if kind is Ours else 0
            drops = dropped_datagrams(server.statsd)
            said = self.run_load("statsd", server.statsd, EVENT_SECONDS)
            time.sleep(2.5)
            if kind is Ours:
                taken = server.metric("tallymill_collector_statsd_lines_total") - before
            else:
                taken = server.events(EVENT_SECONDS + 3)
            self.keep("StatsD, taken", "events/s", server.name, taken / said["seconds"])
            self.keep("StatsD, sent", "events/s", server.name, said["sent"] / said["seconds"])
            self.keep("StatsD, dropped by the system", "datagrams/s", server.name,
                      (dropped_datagrams(server.statsd) - drops) / said["seconds"])
            server.end(signal.SIGKILL)

    # ---- what came out ----

    def print(self):
        for (what, unit), by_server in self.figures.items():
            for name, values in by_server.items():
                line("collector", f"{what}, {name}", unit, values, MACHINE)
            for name, values in by_server.items():
                ours = by_server.get("ours", [])
                if name != "ours" and len(ours) == len(values) and all(values):
                    line("collector", f"{what}, ours / {name}", "x", [a / b for a, b in zip(ours, values)], MACHINE)


def arguments_of(words):
    parser = argparse.ArgumentParser(prog="bench collector", description=__doc__.splitlines()[0])
    parser.add_argument("programs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=720, help="samples of each series")
    parser.add_argument("--only", action="append", choices=ROWS, help="a row; several times: several")
    arguments = parser.parse_args(words)
    if not 1 <= arguments.rounds <= 100 or not 4 <= arguments.steps <= 5000:
        parser.error("--rounds takes 1 to 100, --steps 4 to 5000")
    return arguments


def main():
    arguments = arguments_of(sys.argv[1:])
    for program in ("prometheus", "victoria-metrics", "netdata"):
        if not shutil.which(program):
            sys.exit(f"bench collector: no {program}; ./dev setup bench installs it")
    with tempfile.TemporaryDirectory(prefix="tallymill-") as folder:
        bench = Bench(arguments, folder)
        bench.run_load("make", bench.folder / "requests", bench.steps, bench.end * 1000)
        for number in range(arguments.rounds):
            bench.one_round(number)
        bench.print()


if __name__ == "__main__":
    main()
