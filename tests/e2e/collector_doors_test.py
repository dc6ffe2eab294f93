"""The collector's other doors, side by side with Debian's Prometheus where it has the same one.

Goal: a target that both scrape looks the same in both: series, labels, ends, what is told of it; each question of the
API gets the same answer, also those that are refused; StatsD, snapshots and tables work as documented. Method: the
shipped programs, a target and a Prometheus on loopback; what two clocks or two programs must differ in is left out.

usage: collector_doors_test.py PROGRAMS
"""

import csv
import gzip
import http.server
import io
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from mill import free_ports, until
from promql_differential import write_request

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "metrics.md"
TEXT = """# HELP jobs_total Jobs that ended, \\"all\\" of them.
# TYPE jobs_total counter
jobs_total{job="own",zone="x"} 7
jobs_total{kind="box"} 1.5e+07
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.1"} 1
wait_seconds_bucket{le="+Inf"} 2
wait_seconds_sum 0.25
wait_seconds_count 2
dated 5 %d
odd NaN
"""
OPENMETRICS = """# TYPE done counter
# HELP done What is done.
done_total 3 # {job_id="17"} 1 %d.5
# UNIT size_bytes bytes
# TYPE size_bytes gauge
size_bytes 4
# EOF
"""


class Target:
    """A server of metrics that says what it is told to."""

    def __init__(self):
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, kind, body = target.pages.get(self.path, (404, "text/plain", ""))
                body = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                if "gzip" in self.headers.get("Accept-Encoding", ""):
                    body = gzip.compress(body)
                    self.send_header("Content-Encoding", "gzip")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.pages = {"/metrics": (200, "text/plain; version=0.0.4", TEXT % (time.time() * 1000)),
                      "/open": (200, "application/openmetrics-text; version=1.0.0; charset=utf-8",
                                OPENMETRICS % time.time())}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Server:
    """A program that answers HTTP at a port."""

    def __init__(self, words, port, ready, folder):
        self.url = f"http://127.0.0.1:{port}"
        self.log = open(folder / f"{port}.log", "wb")
        self.process = subprocess.Popen(words, stderr=self.log, stdout=self.log, cwd=folder)
        until(lambda: self.ask(ready)[0] == 200, 30, f"{words[0]} is ready")

    def ask(self, path, body=None, headers=None, method=None):
        request = urllib.request.Request(self.url + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self.headers = answer.headers
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            self.headers = error.headers
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def json(self, path):
        status, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)["data"]

    def query(self, text):
        return self.json("/api/v1/query?" + urllib.parse.urlencode({"query": text}))["result"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def selector(text):
    return urllib.parse.quote(text)


class Doors(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def collector(self, *flags, data="data"):
        (port,) = free_ports(1)
        made = Server([PROGRAMS / "tallymill", "collector", "--data", self.folder / data, "--http",
                       f"127.0.0.1:{port}", *flags], port, "/readyz", self.folder)
        self.addCleanup(made.end)
        return made

    def prometheus(self, config):
        if not shutil.which("prometheus"):
            self.skipTest("SKIPPED: prometheus comes with ./dev setup test")
        (port,) = free_ports(1)
        made = Server(["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                       f"--storage.tsdb.path={self.folder / 'prometheus'}", "--web.enable-remote-write-receiver",
                       "--enable-feature=exemplar-storage", "--log.level=error"], port, "/-/ready", self.folder)
        self.addCleanup(made.end)
        return made

    def target(self):
        made = Target()
        self.addCleanup(made.stop)
        return made

    def scraped(self, target):
        """Both, which scrape the same target."""
        (dead,) = free_ports(1)
        file = self.folder / "scrape.yml"
        file.write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: plain
  static_configs:
  - targets: ['{target.address}']
    labels: {{zone: a}}
- job_name: honored
  honor_labels: true
  static_configs: [{{targets: ['{target.address}']}}]
- job_name: open
  metrics_path: /open
  static_configs: [{{targets: ['{target.address}']}}]
- job_name: dead
  static_configs: [{{targets: ['127.0.0.1:{dead}']}}]
- job_name: nothing
  metrics_path: /nothing
  static_configs: [{{targets: ['{target.address}']}}]
""")
        both = self.prometheus(file), self.collector("--scrape", file)
        for each in both:
            until(lambda each=each: len(each.query("up")) == 5 and each.query("done_total"), 30, "both scraped")
        return both

    def same(self, both, path):
        theirs, ours = (each.ask(path) for each in both)
        self.assertEqual(ours[0], theirs[0], f"{path}\n{ours}\n{theirs}")
        if theirs[1].startswith("{"):
            theirs, ours = (json.loads(each[1]) for each in (theirs, ours))
        self.assertEqual(ours, theirs, path)

    def test_a_scraped_target_looks_as_it_does_in_prometheus(self):
        target = self.target()
        both = self.scraped(target)
        for path in (
                "/api/v1/labels", "/api/v1/label/job/values", "/api/v1/label/__name__/values",
                "/api/v1/label/exported_job/values", "/api/v1/label/1bad/values", "/api/v1/label/none/values",
                "/api/v1/labels?start=5&end=1",
                "/api/v1/labels?start=x", "/api/v1/label/job/values?end=x",
                "/api/v1/label/job/values?match[]=" + selector('up{job="plain"}'),
                "/api/v1/series", "/api/v1/series?match[]=" + selector('{job=~".*"}'),
                "/api/v1/query_exemplars?query=up", "/api/v1/query_exemplars?query=1", "/api/v1/query_exemplars",
                "/api/v1/query_exemplars?query=up&start=5&end=4", "/api/v1/query_exemplars?query=up&start=x",
                "/api/v1/metadata?metric=jobs_total", "/api/v1/metadata?metric=done",
                "/api/v1/metadata?metric=nothing", "/api/v1/metadata?limit=0", "/api/v1/metadata?limit=x",
                "/api/v1/rules", "/api/v1/rules?type=alert", "/api/v1/rules?type=x", "/api/v1/alerts",
                "/api/v1/scrape_pools", "/api/v1/targets?state=dropped", "/api/v1/targets?state=other",
                "/api/v1/format_query?query=" + selector("sum by(a)(up)"), "/api/v1/format_query",
                "/federate", "/federate?match[]=nothing"):
            with self.subTest(path):
                self.same(both, path)
        for query in ("up", "jobs_total", "wait_seconds_bucket", "wait_seconds_count", "dated", "odd", "done_total",
                      "size_bytes", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling"):
            with self.subTest(query):
                theirs, ours = ({json.dumps(row["metric"], sort_keys=True): row["value"][1]
                                 for row in each.query(query)} for each in both)
                self.assertEqual(ours, theirs)

        def sorted_series(each, match):
            return sorted(each.json("/api/v1/series?match[]=" + selector(match)), key=str)
        self.assertEqual(*(sorted_series(each, '{job=~".+"}') for each in both))

        def exemplars(each):
            return each.json("/api/v1/query_exemplars?query=done_total")
        self.assertEqual(*(exemplars(each) for each in both))
        self.assertEqual(exemplars(both[1])[0]["exemplars"][0]["labels"], {"job_id": "17"})

    def test_what_is_told_of_targets_is_what_prometheus_tells(self):
        both = self.scraped(self.target())

        def told(each, path):
            data = each.json(path)
            for one in data["activeTargets"]:
                one["down"] = one.pop("lastError") != ""
                for unlike in ("lastScrape", "lastScrapeDuration", "globalUrl"):
                    self.assertTrue(one.pop(unlike))
            data["activeTargets"].sort(key=lambda one: one["scrapePool"])
            return data
        for path in ("/api/v1/targets", "/api/v1/targets?state=active&scrapePool=dead"):
            self.assertEqual(*(told(each, path) for each in both))
        self.assertIn("404", [one["lastError"] for one in both[1].json("/api/v1/targets")["activeTargets"]
                              if one["scrapePool"] == "nothing"][0])
        config = both[1].json("/api/v1/status/config")["yaml"]
        self.assertIn("honor_labels: true", config)

    def test_series_end_when_a_target_no_longer_has_them(self):
        target = self.target()
        both = self.scraped(target)
        at_end = 'jobs_total{job="plain"}'
        target.pages["/metrics"] = (200, "text/plain", "wait_seconds_count 3\n")
        for each in both:
            until(lambda each=each: not each.query(at_end) and each.query("wait_seconds_count"), 20, "it ended")
        target.pages["/open"] = (500, "text/plain", "")
        for each in both:
            until(lambda each=each: not each.query("done_total"), 20, "it ended")
        # One with its own time goes on for as long as a query looks back.
        self.assertEqual(*(len(each.query("dated")) for each in both))

    def test_federation_is_the_same_text(self):
        (prometheus, collector) = both = self.prometheus(self.empty_config()), self.collector()
        now = int(time.time() * 1000)
        rows = [({"__name__": "up", "job": "a\"b\\c\nd"}, [(now - 2000, 1.0), (now, 1234567.0)]),
                ({"__name__": "up", "instance": "i"}, [(now, 0.00001)]),
                ({"__name__": "go", "x": "ä"}, [(now, float("inf"))]),
                ({"__name__": "Up", "A": "y", "instance": "i"}, [(now, float("nan"))]),
                ({"__name__": "old"}, [(now - 400_000, 1.0)])]
        for each in both:
            status, said = each.ask("/api/v1/write", write_request(rows), {
                "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})
            self.assertEqual(status, 204, said)
        for match in ("up", '{__name__=~".+"}', "old"):
            self.same(both, "/federate?match[]=" + selector(match))
        self.same(both, "/federate?match[]=up&match[]=" + selector('{instance="i"}'))
        self.assertEqual(collector.ask("/federate?match[]=up%7B")[0], prometheus.ask("/federate?match[]=up%7B")[0])

    def empty_config(self):
        file = self.folder / "empty.yml"
        file.write_text("{}\n")
        return file

    def test_prometheus_takes_our_openmetrics(self):
        collector = self.collector()
        file = self.folder / "ours.yml"
        file.write_text("scrape_configs: [{job_name: ours, scrape_interval: 1s, static_configs: [{targets: ['"
                        + collector.url.removeprefix("http://") + "']}]}]")
        prometheus = self.prometheus(file)
        until(lambda: [row["value"][1] for row in prometheus.query("up")] == ["1"], 30, "it is up")
        self.assertTrue(prometheus.query("tallymill_collector_series"))
        status, text = collector.ask("/metrics", headers={"Accept": "application/openmetrics-text"})
        self.assertEqual(status, 200)
        self.assertTrue(collector.headers["Content-Type"].startswith("application/openmetrics-text"))
        self.assertTrue(text.endswith("# EOF\n"))

    def test_every_metric_is_documented(self):
        target = self.target()
        file = self.folder / "s.yml"
        file.write_text("scrape_configs: [{job_name: a, scrape_interval: 1s, static_configs: [{targets: ['"
                        + target.address + "']}]}]")
        collector = self.collector("--scrape", file, "--statsd", "127.0.0.1:0")
        until(lambda: collector.query("up"), 20, "it was scraped")
        text = collector.ask("/metrics")[1]
        types = dict(re.findall(r"^# TYPE (tallymill_collector_\w+) (\w+)$", text, re.MULTILINE))
        rows = dict(re.findall(r"^\| `(tallymill_collector_\w+)` \| (\w+) \|", DOCS.read_text(), re.MULTILINE))
        self.assertEqual({name: kind for name, kind in types.items() if rows.get(name) != kind}, {})
        if shutil.which("promtool"):
            checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True,
                                     timeout=30, check=False)
            self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, ""))

    def test_statsd_lines_become_series(self):
        (port,) = free_ports(1)
        collector = self.collector("--statsd", f"127.0.0.1:{port}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sends:
            for datagram in ("hits:1|c|#zone:a\nhits:2|c|#zone:a", "load:0.5|g\nbad", "wait:20|ms"):
                sends.sendto(datagram.encode(), ("127.0.0.1", port))
        until(lambda: collector.query("wait_count"), 20, "they are stored")
        self.assertEqual(collector.query("hits")[0]["metric"], {"__name__": "hits", "zone": "a"})
        self.assertEqual(collector.query("hits")[0]["value"][1], "3")
        self.assertEqual(collector.query("histogram_quantile(1, wait_bucket)")[0]["value"][1][:4], "0.02")
        text = collector.ask("/metrics")[1]
        self.assertIn('tallymill_collector_statsd_faults_total{why="no_value"} 1\n', text)
        self.assertIn("tallymill_collector_statsd_dropped_datagrams_total 0\n", text)

    def test_a_snapshot_opens_while_its_store_goes_on(self):
        collector = self.collector()
        now = int(time.time() * 1000)
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        for step in range(20):
            rows = [({"__name__": "pushed", "i": str(i)}, [(now + step, float(step))]) for i in range(50)]
            self.assertEqual(collector.ask("/api/v1/write", write_request(rows), headers)[0], 204)
        status, body = collector.ask("/api/v1/admin/tsdb/snapshot", method="POST")
        self.assertEqual(status, 200, body)
        name = json.loads(body)["data"]["name"]
        self.assertRegex(name, r"^\d{8}T\d{6}Z-[0-9a-f]{16}$")
        copy = self.collector(data=f"data/snapshots/{name}")
        counts = [each.query("sum(count_over_time(pushed[1h]))")[0]["value"][1] for each in (collector, copy)]
        self.assertEqual(counts, ["1000", "1000"])

    def test_a_table_is_read_by_any_reader(self):
        collector = self.collector()
        labels = '{a="x,\\"y\\"",b="=1+1",c="l\\n"}'
        collector.ask("/api/v1/import/prometheus", f"m{labels} 5 1700000000000\n".encode(),
                      {"Content-Type": "text/plain"})
        status, text = collector.ask("/api/v1/query?query=m&time=1700000000&format=csv")
        self.assertEqual(status, 200)
        self.assertEqual(collector.headers["Content-Type"], "text/csv; charset=utf-8; header=present")
        rows = list(csv.reader(io.StringIO(text, newline="")))
        self.assertEqual(rows, [["__name__", "a", "b", "c", "timestamp", "value"],
                                ["m", 'x,"y"', "'=1+1", "l\n", "2023-11-14T22:13:20.000Z", "5"]])

    def test_methods_codings_and_line_breaks(self):
        collector = self.collector()
        collector.ask("/api/v1/import/prometheus", "".join(f'm{{i="{i}"}} 1\n' for i in range(200)).encode(),
                      {"Content-Type": "text/plain"})
        self.assertEqual(len(collector.json("/api/v1/query?query=%0A%09m%0D%0A")["result"]), 200)
        self.assertEqual(collector.ask("/api/v1/query%0A?query=m")[0], 400)
        self.assertEqual(collector.ask("/api/v1/query?query=m", method="HEAD"), (200, ""))
        self.assertIn(collector.ask("/api/v1/query", method="OPTIONS")[0], (200, 204))
        self.assertIn("POST", collector.headers["Allow"])
        self.assertEqual(collector.ask("/api/v1/metadata", b"{}", {"Content-Type": "application/json"})[0], 405)
        self.assertEqual(collector.ask("/api/v1/query", method="PUT")[0], 405)
        request = urllib.request.Request(collector.url + "/api/v1/query?query=m", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            self.assertEqual(answer.headers["Content-Encoding"], "gzip")
            self.assertEqual(len(json.loads(gzip.decompress(answer.read()))["data"]["result"]), 200)

    def test_who_hangs_up_has_his_query_cancelled(self):
        collector = self.collector()
        collector.ask("/api/v1/import/prometheus",
                      "".join(f'm{{i="{i}"}} 1 {t}\n' for i in range(200) for t in range(0, 1_000_000, 10_000)).encode(),
                      {"Content-Type": "text/plain"})
        slow = "/api/v1/query_range?" + urllib.parse.urlencode({
            "query": "sum(quantile_over_time(0.5, m[15m:1s]))", "start": 0, "end": 1000, "step": 0.1})
        began = time.monotonic()
        hung_up = []
        for _ in range(8):
            one = socket.create_connection(collector.url.removeprefix("http://").split(":"))
            one.sendall(f"GET {slow} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            hung_up.append(one)
        for one in hung_up:
            one.close()
        closed = time.monotonic()
        self.assertEqual(len(collector.query("vector(1)")), 1)
        waited = time.monotonic() - closed
        self.assertLess(waited, 5, f"eight queries that nobody waits for took {waited} s more, after {closed - began} s")

    def test_what_cannot_be_done_is_said_at_the_start(self):
        file = self.folder / "bad.yml"
        file.write_text("scrape_configs:\n- job_name: a\n  relabel_configs: []\n")
        for flags, status, says in (
                (["--scrape", file], 64, f"{file}:3:3: unknown key 'relabel_configs'"),
                (["--scrape", self.folder / "none.yml"], 66, "cannot read"),
                (["--statsd", "0.0.0.0:0"], 77, "--insecure"),
                (["--statsd", "nothing"], 64, "not host:port")):
            (port,) = free_ports(1)
            ran = subprocess.run([PROGRAMS / "tallymill", "collector", "--data", self.folder / "data", "--http",
                                  f"127.0.0.1:{port}", *flags], capture_output=True, text=True, timeout=30,
                                 check=False)
            self.assertIn(says, ran.stderr)
            self.assertNotEqual(ran.returncode, 0, (flags, status))

    def test_status_has_the_fields_that_prometheus_has(self):
        both = self.prometheus(self.empty_config()), self.collector()
        now = int(time.time() * 1000)
        rows = [({"__name__": "m", "i": str(i % 7), "n": str(i)}, [(now, 1.0)]) for i in range(30)]
        for each in both:
            each.ask("/api/v1/write", write_request(rows), {
                "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})
        theirs, ours = (each.json("/api/v1/status/tsdb") for each in both)
        self.assertEqual(theirs.keys(), ours.keys())
        self.assertEqual(theirs["headStats"].keys(), ours["headStats"].keys())
        self.assertEqual(theirs["headStats"]["numSeries"], ours["headStats"]["numSeries"])
        for name in ("seriesCountByMetricName", "labelValueCountByLabelName", "memoryInBytesByLabelName"):
            self.assertEqual(*(sorted(each[name], key=lambda one: one["name"]) for each in (theirs, ours)))
        for name in ("runtimeinfo", "buildinfo", "config"):
            theirs, ours = (each.json(f"/api/v1/status/{name}") for each in both)
            self.assertEqual(set(theirs) - set(ours), set())
        flags = both[1].json("/api/v1/status/flags")
        self.assertEqual(flags["data"], str(self.folder / "data"))
        self.assertEqual(flags["retention_days"], "35")


if __name__ == "__main__":
    unittest.main(verbosity=2)
