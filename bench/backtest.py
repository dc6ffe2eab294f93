#!/usr/bin/python3
"""bench backtest: our backtest beside promtool's of the same expressions, over the same samples, with planted incidents.

The samples (bench/backtest_load.cc) are made once for each side and pushed by remote write. Ours judges 50 alerts of
rates, quantiles and joins, each over 200 series, at each 15 s of 30 days, in a running collector; `promtool tsdb
create-blocks-from rules` records the same expressions from a running Prometheus. Each incident must be found by each
rule of its kind, with its begin and end, and nothing else. What each row is: docs/benchmarks.md.

usage: backtest.py PROGRAMS [--days N] [--rules N] [--incidents N] [--alone]
"""

import argparse
import datetime
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
from collector import Ours, Prometheus  # noqa: E402
from figures import line, machine  # noqa: E402

MACHINE = machine()  # before anything was timed
INTERVAL = 15
INCIDENT = 20 * 60  # seconds
LONGEST_RANGE = 10 * 60
HELD = 60  # `for`
LABEL = {"rate": "service", "quantile": "service", "join": "worker"}


class PrometheusOfOldSamples(Prometheus):
    def command(self):
        return [*super().command(), "--storage.tsdb.retention.time=100y", "--query.max-samples=50000000"]


def expressions():
    """Of three kinds, in turn."""
    rates = [f"rate(shop_requests_total[{minutes}m]) > {bound}" for bound in (20, 24) for minutes in range(1, 11)]
    quantiles = [f"histogram_quantile({q}, sum by (le, service) (rate(shop_seconds_bucket[{minutes}m]))) > 1"
                 for q in (0.5, 0.9, 0.98) for minutes in (2, 4, 5, 8, 10)]
    joins = [f"{queue} / on (zone) group_left shop_zone_capacity > {bound}"
             for bound in (0.7, 0.75, 0.8) for queue in ("shop_queue", "max_over_time(shop_queue[1m])",
                                                         "avg_over_time(shop_queue[2m])", "avg_over_time(shop_queue[5m])",
                                                         "quantile_over_time(0.5, shop_queue[3m])")]
    kinds = [("rate", rates), ("quantile", quantiles), ("join", joins)]
    all_of = []
    for i in range(max(map(len, (rates, quantiles, joins)))):
        all_of += [(kind, some[i]) for kind, some in kinds if i < len(some)]
    return all_of


def write_rules(folder, rules):
    def text(one):
        return f"groups:\n- name: shop\n  interval: {INTERVAL}s\n  rules:\n" + "".join(map(one, enumerate(rules)))
    alerts, records = folder / "alerts.yml", folder / "records.yml"
    alerts.write_text(text(lambda rule: f"  - alert: {rule[1][0]}_{rule[0]}\n    expr: {json.dumps(rule[1][1])}\n"
                                        f"    for: {HELD}s\n"))
    records.write_text(text(lambda rule: f"  - record: shop:{rule[1][0]}_{rule[0]}\n    expr: {json.dumps(rule[1][1])}\n"))
    return alerts, records


def unix(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def check(answer, rules, incidents):
    """Each incident is one firing of each rule of its kind, and there is no other; how many there are."""
    assert not answer["warnings"], answer["warnings"]
    found = {}
    for firing in answer["firings"]:
        kind = firing["name"].split("_")[0]
        key = firing["name"], firing["labels"][LABEL[kind]]
        found.setdefault(key, []).append((unix(firing["start"]), firing["end"] and unix(firing["end"])))
    planted = 0
    for incident in incidents:
        begin = incident["from_ms"] / 1000
        for number, (kind, expression) in enumerate(rules):
            if kind != incident["kind"]:
                continue
            planted += 1
            there = found.get((f"{kind}_{number}", incident["series"]), [])
            hits = [one for one in there if begin <= one[0] <= begin + INCIDENT and one[1] is not None
                    and begin + INCIDENT <= one[1] + LONGEST_RANGE and one[1] <= begin + INCIDENT + 2 * LONGEST_RANGE]
            assert len(hits) == 1, (expression, incident, there)
    assert planted == len(answer["firings"]), (planted, len(answer["firings"]))
    return planted


class Timed:
    """Wall and processor time of a command and of the server that it asks, and the peak of both."""

    def __init__(self, server):
        self.server = server

    def run(self, words, **keys):
        pathlib.Path(f"/proc/{self.server.process.pid}/clear_refs").write_text("5")  # the high water falls
        before, children = self.server.processor_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        ran = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keys)
        out, said = ran.communicate()
        self.wall = time.monotonic() - begin
        assert ran.returncode == 0, said[-2000:]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.processor = (self.server.processor_time() - before + after.ru_utime + after.ru_stime
                          - children.ru_utime - children.ru_stime)
        self.peak = self.server.status("VmHWM")
        return out


def ours(arguments, folder, end, rules, alerts):
    server = Ours(folder)
    server.start()
    try:
        said = push(arguments, server, end)
        timed = Timed(server)
        out = timed.run([arguments.programs / "tallymill", "rules", "backtest", alerts, "--collector",
                         f"http://127.0.0.1:{server.port}", "--from", f"{said['begin_ms'] / 1000:.3f}", "--to", end,
                         "--json"])
        answer = json.loads(out)
        line("backtest", "planted firings, found", "firings", [check(answer, rules, said["incidents"])], MACHINE)
        line("backtest", "evaluations, ours", "evaluations", [answer["evaluations"]], MACHINE)
        return timed
    finally:
        server.end(signal.SIGKILL)
        shutil.rmtree(server.folder)


def theirs(arguments, folder, end, records):
    server = PrometheusOfOldSamples(folder)
    server.start()
    try:
        said = push(arguments, server, end)
        server.settle()
        timed = Timed(server)
        timed.run(["promtool", "tsdb", "create-blocks-from", "rules", "--url", f"http://127.0.0.1:{server.port}",
                   "--start", said["begin_ms"] // 1000, "--end", end, "--eval-interval", f"{INTERVAL}s", "--output-dir",
                   folder / "blocks", records])
        return timed
    finally:
        server.end(signal.SIGKILL)
        shutil.rmtree(server.folder)


def push(arguments, server, end):
    begin = time.monotonic()
    ran = subprocess.run([arguments.programs / "bench_backtest_load", *map(str, (
        server.port, arguments.days, end * 1000, arguments.incidents))], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    print(f"bench backtest: {server.name} took {said['samples']} samples in {time.monotonic() - begin:.0f} s",
          file=sys.stderr)
    return said


def tell(name, timed, evaluations):
    line("backtest", f"time, {name}", "s", [timed.wall], MACHINE)
    line("backtest", f"processor time, {name}", "s", [timed.processor], MACHINE)
    line("backtest", f"evaluations of a processor's second, {name}", "1/s", [evaluations / timed.processor], MACHINE)
    line("backtest", f"peak of the server's memory, {name}", "MB", [timed.peak], MACHINE)


def arguments_of(words):
    parser = argparse.ArgumentParser(prog="bench backtest", description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=pathlib.Path)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rules", type=int, default=50)
    parser.add_argument("--incidents", type=int, default=20, help="of each of three kinds")
    parser.add_argument("--alone", action="store_true", help="ours only: whether all that was planted is found")
    arguments = parser.parse_args(words)
    if not 1 <= arguments.days <= 366 or not 3 <= arguments.rules <= 50 or not 1 <= arguments.incidents <= 400:
        parser.error("--days takes 1 to 366, --rules 3 to 50, --incidents 1 to 400")
    if arguments.incidents * 3 * 35 * 60 > (arguments.days * 24 - 2) * 3600:
        parser.error("so many incidents do not fit into so few days")
    return arguments


def main():
    arguments = arguments_of(sys.argv[1:])
    if not arguments.alone and not all(map(shutil.which, ("prometheus", "promtool"))):
        sys.exit("bench backtest: no prometheus; ./dev setup bench installs it")
    Ours.programs = arguments.programs = arguments.programs.absolute()
    rules = expressions()[:arguments.rules]
    end = int(time.time()) // INTERVAL * INTERVAL - 3600
    evaluations = len(rules) * arguments.days * 86400 // INTERVAL
    with tempfile.TemporaryDirectory(prefix="tallymill-", dir=os.environ.get("TALLYMILL_BENCH_DIR")) as name:
        folder = pathlib.Path(name)
        alerts, records = write_rules(folder, rules)
        mine = ours(arguments, folder, end, rules, alerts)
        tell("ours", mine, evaluations)
        if arguments.alone:
            return
        other = theirs(arguments, folder, end, records)
        tell("promtool", other, evaluations)
        line("backtest", "time, ours / promtool", "x", [mine.wall / other.wall], MACHINE)
        line("backtest", "processor time, ours / promtool", "x", [mine.processor / other.processor], MACHINE)


if __name__ == "__main__":
    main()
