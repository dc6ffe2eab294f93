"""The collector as a process: what comes in over HTTP can be asked for, also after it was killed.

Goal: what was acknowledged is there after kill -9; what is malformed is refused and counted, and nobody else notices;
promtool speaks with it as with Prometheus. Method: the shipped program in a folder of its own.

usage: collector_test.py PROGRAMS
"""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

from mill import free_ports, until
from promql_differential import write_request

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
T0 = 1_700_000_000_000


class Collector:
    def __init__(self, folder, *flags):
        self.folder, self.flags = folder, flags
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [PROGRAMS / "tallymill", "collector", "--data", self.folder / "data", "--http", f"127.0.0.1:{self.port}",
             *self.flags], stderr=self.log)
        until(lambda: self.ask("/readyz")[0] == 200, 30, "the collector is ready")

    def ask(self, path, body=None, headers=None):
        request = urllib.request.Request(self.url + path, body, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def push(self, rows):
        return self.ask("/api/v1/write", write_request(rows), {
            "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"})[0]

    def import_text(self, text):
        return self.ask("/api/v1/import/prometheus", text.encode(), {"Content-Type": "text/plain"})

    def query(self, query, at_ms):
        form = urllib.parse.urlencode({"query": query, "time": at_ms / 1000}).encode()
        status, body = self.ask("/api/v1/query", form)
        assert status == 200, body
        return json.loads(body)["data"]["result"]

    def metric(self, name):
        text = self.ask("/metrics")[1].decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()
        self.log.close()


class CollectorTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def collector(self, *flags):
        made = Collector(self.folder, *flags)
        self.addCleanup(lambda: made.process.poll() is None and made.end(signal.SIGTERM))
        return made

    def test_what_was_acknowledged_is_there_after_a_kill(self):
        collector = self.collector()
        series = [{"__name__": "pushed", "i": str(i)} for i in range(200)]
        for step in range(50):
            rows = [(labels, [(T0 + step * 1000, float(step))]) for labels in series]
            self.assertEqual(collector.push(rows), 204)
        collector.end(signal.SIGKILL)
        collector.start()
        counted = collector.query("sum(count_over_time(pushed[100s]))", T0 + 60_000)
        self.assertEqual(counted[0]["value"][1], str(200 * 50))
        self.assertEqual(collector.query("count(pushed)", T0 + 49_000)[0]["value"][1], "200")
        collector.end(signal.SIGTERM)
        collector.start()
        self.assertEqual(collector.query("max(pushed)", T0 + 49_000)[0]["value"][1], "49")

    def test_text_is_imported_whole_or_not_at_all(self):
        collector = self.collector()
        self.assertEqual(collector.import_text(f'a{{x="1"}} 5 {T0}\na{{x="2"}} 6 {T0}\n')[0], 204)
        self.assertEqual(len(collector.query("a", T0)), 2)
        status, said = collector.import_text(f'b 1 {T0}\nb{{ 2\n')
        self.assertEqual(status, 400)
        self.assertIn(b"line 2", said)
        self.assertEqual(collector.query("b", T0), [])
        # Timestamps from 0 on are data like any other.
        self.assertEqual(collector.import_text("old 7 0\n")[0], 204)
        self.assertEqual(collector.query("old", 0)[0]["value"], [0, "7"])

    def test_what_is_malformed_is_refused_and_the_rest_goes_on(self):
        collector = self.collector("--max-series", "3")
        good = write_request([({"__name__": "good"}, [(T0, 1.0)])])
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        for body in (b"", b"\xff" * 20, good[:-3], good + b"x", b"\xff\xff\xff\xff\x0f" + good):
            self.assertEqual(collector.ask("/api/v1/write", body, headers)[0], 400, body[:20])
        self.assertEqual(collector.ask("/api/v1/write", good, {"Content-Type": "text/html"})[0], 415)
        self.assertEqual(collector.ask("/api/v1/write", good, headers)[0], 204)
        self.assertEqual(collector.push([({"__name__": "good", "1bad": "x"}, [(T0, 1.0)])]), 400)
        many = [({"__name__": "many", "i": str(i)}, [(T0, 1.0)]) for i in range(5)]
        self.assertEqual(collector.push(many), 400)
        self.assertEqual(collector.query("count(many)", T0)[0]["value"][1], "2", "as many as there is room for")
        self.assertEqual(collector.push([({"__name__": "good"}, [(T0 + 1000, 2.0)])]), 204, "known ones go on")
        self.assertEqual(collector.metric("tallymill_collector_malformed_requests_total"), 5)
        self.assertEqual(collector.metric('tallymill_collector_refused_samples_total{why="series"}'), 3)

    def test_a_second_one_on_the_same_folder_is_refused(self):
        self.collector()
        (port,) = free_ports(1)
        second = subprocess.run([PROGRAMS / "tallymill", "collector", "--data", self.folder / "data", "--http",
                                 f"127.0.0.1:{port}"], capture_output=True, text=True, timeout=30)
        self.assertEqual(second.returncode, 70, second.stderr)
        self.assertIn(str(self.folder / "data"), second.stderr)

    def test_promtool_speaks_with_it(self):
        if not shutil.which("promtool"):
            self.skipTest("SKIPPED: promtool comes with ./dev setup test")
        collector = self.collector()
        collector.import_text(f'up{{job="a"}} 1 {T0}\n')

        def promtool(*words):
            ran = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=30)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            return ran.stdout.strip()
        self.assertIn('up{job="a"} => 1', promtool("query", "instant", f"--time={T0 // 1000}", collector.url, "up"))
        # Without a time promtool asks for the last 9,999 hours.
        then = (f"--start={T0 // 1000 - 60}", f"--end={T0 // 1000 + 60}")
        self.assertIn('{__name__="up", job="a"}', promtool("query", "series", "--match=up", *then, collector.url))
        self.assertEqual(promtool("query", "series", "--match=up", collector.url), "")
        self.assertEqual(promtool("query", "labels", *then, collector.url, "job"), "a")
        self.assertIn("1 @[", promtool("query", "range", f"--start={T0 // 1000}", f"--end={T0 // 1000 + 60}",
                                       "--step=15s", collector.url, "up"))
        checked = subprocess.run(["promtool", "check", "metrics"], input=collector.ask("/metrics")[1],
                                 capture_output=True, timeout=30)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, b""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
