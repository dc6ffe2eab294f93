"""The HTTP API of queries against Debian's Prometheus: the same series, the same requests, the same answers.

Goal: promtool, Grafana's Prometheus data source and vmalert do not notice which of the two answers: the same status,
the same error type, the same JSON. Method: a collector and a Prometheus on loopback, both fed by remote write; tables
of requests at the edges where expressions made by chance do not go, those that Grafana makes, promtool's own, and
vmalert with rules of its own when it is installed.

usage: promql_api_test.py PROGRAMS
"""

import collections
import json
import math
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from mill import free_ports, until
from prometheus import Prometheus, asked, push
from promql_made import Maker
from promql_scripts import duration, samples, split_series

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
HERE = pathlib.Path(__file__).parent
HOUR = 3600


def series_of(text, step="1m"):
    rows = []
    for line in text.strip().split("\n"):
        labels, words = split_series(line.strip())
        rows.append((labels, samples(words, duration(step))))
    return rows


SERIES = series_of(r'''
    up{job="api", instance="a:1"} 1x60
    up{job="api", instance="b:1"} 1x20 0x39
    up{job="web", instance="c:1"} 1x10 stale _x5 1x40
    c{i="1"} 0+10x60
    c{i="2"} 0+20x29 0+20x30
    g{i="1"} 1 5 3 8 2 NaN 4 Inf -Inf 0 -0 1e-320 1e300 5e-324 1.7976931348623157e308
    g{i="2"} -3+1x60
    h_bucket{le="0.1"} 0+1x60
    h_bucket{le="0.5"} 0+4x60
    h_bucket{le="1"} 0+9x60
    h_bucket{le="+Inf"} 0+10x60
    odd_bucket{le="2", k="down"} 3x60
    odd_bucket{le="1", k="down"} 5x60
    odd_bucket{le="+Inf", k="down"} 4x60
    odd_bucket{le="x", k="word"} 3x60
    odd_bucket{le=" 1", k="blank"} 3x60
    odd_bucket{le="+Inf", k="blank"} 3x60
    odd_bucket{le="0x10", k="hex"} 3x60
    odd_bucket{le="+inf", k="hex"} 3x60
    odd_bucket{le="1_0", k="under"} 3x60
    odd_bucket{le="+Inf", k="under"} 3x60
    odd_bucket{le="-Inf", k="minus"} 1x60
    odd_bucket{le="Infinity", k="minus"} 3x60
    text{name="ä€𝄞", quote="a\"b\\c\nd\te", empty=""} 1x60
    text{name="x y", quote="{}<>&'"} 2x60
    ends 1 2 stale 3 _x10 4 stale
    huge{i="1"} 1e308x60
    huge{i="2"} 1e308x60
    many{a="1", b="1"} 1x60
    many{a="1", b="2"} 2x60
    many{a="2", b="1"} 3x60
    one{a="1"} 10x60
    one{a="2"} 20x60
''')


class Collector:
    """The shipped program, alone, in a folder of its own."""

    def __init__(self, *flags):
        self.temporary = tempfile.TemporaryDirectory(prefix="tallymill-collector-")
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(pathlib.Path(self.temporary.name) / "log", "wb")
        self.process = subprocess.Popen(
            [PROGRAMS / "tallymill", "collector", "--data", pathlib.Path(self.temporary.name) / "data", "--http",
             f"127.0.0.1:{port}", *flags], stderr=self.log)
        until(self.ready, 60, "the collector is ready")

    def ready(self):
        try:
            return asked(self.url, "/readyz", post=False)[0] == 200
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()
        self.temporary.cleanup()


def alike(a, b):
    """The same JSON; a number in a string to 1e-9 of it."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, str) and isinstance(b, str):
        if a == b:
            return True
        try:
            a, b = float(a), float(b)
        except ValueError:
            return False
        return not math.isnan(a) and not math.isnan(b) and abs(a - b) <= 1e-9 * max(abs(a), abs(b))
    return type(a) is type(b) and a == b


def ordered(body, query):
    """The answer to a query at a moment, in which only an order that was asked for matters."""
    data = body.get("data") if isinstance(body, dict) else None
    has_order = any(word in query for word in ("sort", "topk", "bottomk"))
    if isinstance(data, dict) and data.get("resultType") in ("vector", "matrix") and not has_order:
        data["result"].sort(key=lambda one: json.dumps(one["metric"], sort_keys=True))
    return body


def outcome(status, body):
    """Of an answer: what must be the same. Of an error its type, not its words."""
    if isinstance(body, dict) and body.get("status") == "error":
        return [status, body["errorType"]]
    return [status, body]


class Both(unittest.TestCase):
    """A collector and a Prometheus with SERIES in them."""

    @classmethod
    def setUpClass(cls):
        if not shutil.which("prometheus"):
            raise unittest.SkipTest("SKIPPED: prometheus comes with ./dev setup test")
        cls.ours, cls.theirs = Collector(), Prometheus(flags=cls.flags)
        cls.addClassCleanup(cls.theirs.stop)
        cls.addClassCleanup(cls.ours.stop)
        push(cls.ours.url, SERIES)
        push(cls.theirs.url, SERIES)

    flags = ()

    def check(self, path, pairs=(), post=True):
        mine, his = (asked(one.url, path, pairs, post) for one in (self.ours, self.theirs))
        if path.startswith("/api/v1/query") and "range" not in path:
            for _, body in (mine, his):
                ordered(body, str(dict(pairs).get("query", "")))
        if not alike(outcome(*mine), outcome(*his)):
            self.fails.append(f"{path} {pairs}\n    ours:   {mine}\n    theirs: {his}")

    def setUp(self):
        self.fails = []

    def tearDown(self):
        if self.fails:
            shown = "\n".join(one[:1200] for one in self.fails[:30])
            self.fail(f"{len(self.fails)} different:\n{shown}")


def edges():
    lines = (HERE / "promql_edges.txt").read_text().split("\n")
    return [line for line in lines if line.strip() and not line.startswith("# ")] + ["", "# only a remark", "1 +\n2"]


class Edges(Both):
    MOMENTS = (600, 0, 629.5, 3600, 3899.999, 3900, 3900.001, -1)
    RANGES = ((0, 1800, 60), (-300, 300, 7), (605, 1213, 47), (3000, 4000, 100))

    def test_moments(self):
        for query in edges():
            for at in self.MOMENTS:
                self.check("/api/v1/query", {"query": query, "time": at})

    def test_ranges(self):
        for query in edges():
            for start, end, step in self.RANGES:
                self.check("/api/v1/query_range", {"query": query, "start": start, "end": end, "step": step})

    def test_queries_are_written_as_there(self):
        for query in edges():
            self.check("/api/v1/format_query", {"query": query})
        chance = random.Random(seed := random.randrange(1 << 31))
        print(f"seed {seed}, 600 expressions are written", flush=True)
        for n in range(600):
            maker = Maker(chance, 0, collections.Counter())
            query = maker.vector(n % 9)  # short ones and such as need many lines
            self.check("/api/v1/format_query", {"query": query})
            status, body = asked(self.ours.url, "/api/v1/format_query", {"query": query})
            again = asked(self.ours.url, "/api/v1/format_query", {"query": body["data"]})[1]
            self.assertEqual((status, again["data"].replace("+", "")), (200, body["data"].replace("+", "")), query)


class Requests(Both):
    """The requests that clients make, and those that are wrong."""

    def test_what_grafana_asks(self):
        self.check("/api/v1/query", {"query": "1+1", "time": "600"})
        for post in (True, False):
            self.check("/api/v1/query_range", {
                "query": 'sum by (job) (rate(c[1m]))', "start": "600", "end": "4200", "step": "15"}, post)
            self.check("/api/v1/query_range", {
                "query": "up", "start": "600.123", "end": "4200.456", "step": "15.5"}, post)
            self.check("/api/v1/query", {"query": "topk(3, up)", "time": "600.5"}, post)
            for path in ("/api/v1/labels", "/api/v1/series"):
                for pairs in ([("match[]", "up")], [("match[]", "up"), ("start", "0"), ("end", "3600")],
                              [("match[]", 'up{job="api"}'), ("match[]", "c")],
                              [("match[]", '{__name__=~"u.*"}'), ("limit", "40000")]):
                    self.check(path, pairs, post)
        self.check("/api/v1/labels", {"start": "0", "end": "3600"}, post=False)
        for pairs in ([], [("match[]", "up")], [("start", "0"), ("end", "3600")]):
            for name in ("__name__", "job", "none"):
                self.check(f"/api/v1/label/{name}/values", pairs, post=False)
        for one in (self.ours, self.theirs):
            status, body = asked(one.url, "/api/v1/status/buildinfo", post=False)
            self.assertEqual((status, body["data"]["version"].split("+")[0]), (200, "2.42.0"))

    TIMES = ("600", "600.5", "6e2", "+600", "-1", "1_000", "1970-01-01T00:10:00Z", "1970-01-01T00:10:00.123Z",
             "1970-01-01T02:10:00+02:00", "1970-01-01T00:10:00", "1970-01-01", "abc", "0x10", " 600", "600s", "5m", "")
    STEPS = ("60", "60s", "1m", "1m30s", "0.5", "0", "-1", "-60s", "", "abc", "NaN", "Inf", "1e10", "0.001", "1ms",
             "1h1h", "1y", "1m 30s", "0x10", "9223372036", "9223372037", "1_0")

    def test_times_and_steps(self):
        for post in (True, False):
            for at in self.TIMES:
                if at or post:
                    self.check("/api/v1/query", {"query": "time()", "time": at or "0"}, post)
                self.check("/api/v1/query_range", {"query": "up", "start": at, "end": "1200", "step": "60"}, post)
                self.check("/api/v1/query_range", {"query": "up", "start": "0", "end": at, "step": "60"}, post)
                self.check("/api/v1/series", {"match[]": "up", "start": at or "0"}, post)
            for step in self.STEPS:
                self.check("/api/v1/query_range", {"query": "up", "start": "0", "end": "3", "step": step}, post)
            for end in ("11000", "11001", "10999.999", "-1"):
                self.check("/api/v1/query_range", {"query": "one", "start": "0", "end": end, "step": "1"}, post)
            for timeout in ("10s", "5", "0", "0s", "-1", "abc", "1d", "0.0000001"):
                self.check("/api/v1/query", {"query": "up", "time": "600", "timeout": timeout}, post)

    def test_what_is_missing_or_said_twice(self):
        for post in (True, False):
            for pairs in ({}, {"query": "up"}, {"query": "up", "end": "0", "step": "1"}, {"query": "up", "start": "0", "step": "1"},
                          {"query": "up", "start": "0", "end": "1"}, {"start": "0", "end": "1", "step": "1"},
                          {"query": "up[5m]", "start": "0", "end": "1", "step": "1"},
                          {"query": '"a"', "start": "0", "end": "1", "step": "1"}):
                self.check("/api/v1/query_range", pairs, post)
            self.check("/api/v1/query", {"time": "600"}, post)
            self.check("/api/v1/query", [("query", "up"), ("query", "c"), ("time", "600"), ("time", "700")], post)
            # What vmalert and others say beside it.
            self.check("/api/v1/query", [("query", "up"), ("time", "600"), ("step", "60s"), ("nocache", "1"),
                                         ("dedup", "true"), ("partial_response", "true")], post)
            # Over lines, as rules are written.
            self.check("/api/v1/query", {"query": "up # one\n\t+\r\nup", "time": "600"}, post)
            self.check("/api/v1/series", {"match[]": "up{\n}"}, post)
            self.check("/api/v1/format_query", {}, post)
            for pairs in ([], [("match", "up")], [("match[]", "")], [("match[]", "{}")], [("match[]", "up{")],
                          [("match[]", "up[5m]")], [("match[]", "sum(up)")], [("match[]", "up offset 5m")],
                          [("match[]", "{job=''}")], [("match[]", "nothing")], [("match[]", "up"), ("end", "abc")]):
                self.check("/api/v1/series", pairs, post)
                self.check("/api/v1/labels", pairs, post)
        # The form goes before the address.
        self.check("/api/v1/query?query=up&time=600", {"query": "c"})
        self.check("/api/v1/query?time=600", {"query": "up"})
        for name in ("a-b", "1a", "%20", "%C3%A4"):
            self.check(f"/api/v1/label/{name}/values", post=False)


ALL = ("--start=0", "--end=3600")


class Promtool(Both):
    def ran(self, url, *words):
        said = subprocess.run(["promtool", "query", words[0], *words[1:-1], url, *([words[-1]] if words[-1] else [])],
                              capture_output=True, text=True, timeout=60)
        return said.returncode, sorted(said.stdout.splitlines()), said.stderr.split(":")[0]

    def test_it_says_the_same_of_both(self):
        for words in (("instant", "--time=600", "up"), ("instant", "--time=600", "sum(up)"), ("instant", "--time=600", "g"),
                      ("instant", "--time=600", "1 + 1"), ("instant", "--time=600", '"text"'), ("instant", "--time=600", "up[5m]"),
                      ("instant", "--time=600", "up +"), ("instant", "--time=600", "one + on () many"),
                      ("range", "--start=0", "--end=600", "--step=1m", "rate(c[5m])"),
                      ("range", "--start=0", "--end=600", "--step=1m", "time()"),
                      ("range", "--start=0", "--end=600", "--step=1m", "up["),
                      ("series", "--match=up", "--match=c", *ALL, ""), ("series", "--match={", *ALL, ""),
                      ("labels", *ALL, "job"), ("labels", *ALL, "__name__"), ("labels", *ALL, "none"),
                      ("labels", *ALL, "--match=up", "instance")):
            self.assertEqual(self.ran(self.ours.url, *words), self.ran(self.theirs.url, *words), words)


RULES = """
groups:
- name: group
  interval: 60s
  rules:
  - record: job:up:sum
    expr: |
      sum by (job) (
        up
      )
    labels: {from: rule}
  - record: c:rate5m
    expr: rate(c[5m])
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page}
    annotations: {summary: "{{ $labels.instance }} is {{ $value }}"}
  - alert: Many
    expr: count(up) > 2
"""
LIVE_RULES = """
groups:
- name: live
  interval: 1s
  rules:
  - record: live:sum
    expr: sum(live)
  - alert: Down
    expr: live == 0
    for: 2s
    labels: {severity: page}
    annotations: {summary: "{{ $labels.i }} is {{ $value }}"}
  - alert: Waiting
    expr: live > bool 0 == 1
    for: 1h
"""


class VmAlert(Both):
    """Rules of vmalert, evaluated over us and over Prometheus."""

    def setUp(self):
        super().setUp()
        self.program = shutil.which(os.environ.get("TALLYMILL_VMALERT", "vmalert"))
        if not self.program:
            self.skipTest("SKIPPED: vmalert comes with ./dev setup bench")
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.http,) = free_ports(1)

    def command(self, url, rules, *flags):
        (self.folder / "rules.yml").write_text(rules)
        return [self.program, f"-rule={self.folder}/rules.yml", f"-datasource.url={url}", f"-remoteWrite.url={url}",
                f"-remoteRead.url={url}", "-notifier.url=http://127.0.0.1:1", f"-httpListenAddr=127.0.0.1:{self.http}",
                "-remoteWrite.flushInterval=100ms", "-loggerLevel=PANIC", *flags]


class PastRules(VmAlert):
    def test_rules_of_the_past(self):
        for one in (self.ours, self.theirs):
            ran = subprocess.run(
                self.command(one.url, RULES, "-replay.timeFrom=1970-01-01T00:10:00Z",
                             "-replay.timeTo=1970-01-01T00:50:00Z", "-replay.disableProgressBar"),
                capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(ran.returncode, 0, ran.stderr)
        for query in ("job:up:sum", "c:rate5m", "ALERTS", "ALERTS_FOR_STATE"):
            form = {"query": query, "start": 0, "end": 3600, "step": 30}
            self.assertTrue(asked(self.ours.url, "/api/v1/query_range", form)[1]["data"]["result"], query)
            self.check("/api/v1/query_range", form)


class LiveRules(VmAlert):
    def alerts(self):
        """By name and labels: what vmalert says of each, without what tells one run from another."""
        try:
            _, body = asked(f"http://127.0.0.1:{self.http}", "/api/v1/alerts", post=False)
        except OSError:
            return {}
        return {(one["name"], json.dumps(one["labels"], sort_keys=True)):
                (one["state"], one["value"], one["annotations"], one["activeAt"]) for one in body["data"]["alerts"] or ()}

    def live(self, url):
        now = int(time.time())
        push(url, [({"__name__": "live", "i": "a"}, [(now * 1000, 1.0)]), ({"__name__": "live", "i": "b"}, [(now * 1000, 0.0)])])
        running = subprocess.Popen(self.command(url, LIVE_RULES), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: sorted(one[0] for one in self.alerts().values()) == ["firing", "pending"], 30, "one of each")
            until(lambda: asked(url, "/api/v1/query", {"query": "ALERTS_FOR_STATE"})[1]["data"]["result"], 30, "they are kept")
            before = self.alerts()
        finally:
            running.terminate()
            running.wait()
        # What it was waiting for goes on where it was.
        running = subprocess.Popen(self.command(url, LIVE_RULES), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: len(self.alerts()) == 2, 30, "both are back")
            until(lambda: all(then[3][:19] == before[key][3][:19] for key, then in self.alerts().items()), 30,
                  "they are active since they were")
        finally:
            running.terminate()
            running.wait()
        return {key: one[:3] for key, one in before.items()}

    def test_rules_of_now(self):
        self.assertEqual(self.live(self.ours.url), self.live(self.theirs.url))


if __name__ == "__main__":
    unittest.main(verbosity=2)
