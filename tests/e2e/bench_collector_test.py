"""The bench of the collector, short: whether it still measures what it says, not how fast anything is.

Method: one tiny round beside the real peers, its lines read: each row is there for each of them, all answered the
same to the same queries (the bench compares), and of ours nothing was refused or lost.

usage: bench_collector_test.py PROGRAMS
"""

import json
import pathlib
import shutil
import subprocess
import sys
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
BENCH = pathlib.Path(__file__).parent.parent.parent / "bench" / "collector.py"
THREE = ("ours", "Prometheus", "VictoriaMetrics")


def figures(*words):
    ran = subprocess.run([sys.executable, "-B", BENCH, PROGRAMS, "--rounds", "1", "--steps", "40", *words],
                         capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    return {line["what"]: line for line in map(json.loads, ran.stdout.splitlines())}


@unittest.skipUnless(all(map(shutil.which, ("prometheus", "victoria-metrics", "netdata", "taskset"))),
                     "SKIPPED: prometheus, victoria-metrics and netdata come with ./dev setup bench")
class BenchCollector(unittest.TestCase):
    def test_each_row_has_a_line_for_each_server(self):
        told = figures()
        rows = {"remote write", "RSS, idle", "RSS after the samples", "RSS, high water",
                "bytes a sample on disk, sealed", "lost by kill -9 in mid-push"}
        rows |= {what.rsplit(", ", 1)[0] for what in told if what.startswith(("rate: ", "quantile: ", "count: ", "topk: "))
                 and what.endswith(", ours")}
        self.assertEqual(len(rows), 10)
        for row in rows:
            for server in THREE:
                self.assertIn(f"{row}, {server}", told)
        for row in ("ready after kill -9", "bytes a sample on disk after kill -9"):
            self.assertGreater(told[f"{row}, ours / Prometheus"]["median"], 0)
        for nothing in ("remote write, requests refused", "acknowledged samples lost by the kill",
                        "lost by kill -9 in mid-push"):
            self.assertEqual(told[f"{nothing}, ours"]["max"], 0, nothing)
        self.assertGreater(told["own bus / remote write, ours"]["median"], 0)
        if any(what.startswith("StatsD") for what in told):
            self.assertGreater(told["StatsD, taken, ours / Netdata"]["median"], 0)

    def test_one_row_can_be_had_alone(self):
        told = figures("--only", "kill")
        self.assertIn("lost by kill -9 in mid-push, ours", told)
        self.assertFalse([what for what in told if what.startswith(("rate", "remote write", "StatsD"))])


class BadWords(unittest.TestCase):
    def test_what_it_does_not_know_is_refused(self):
        for words in (["--rounds", "0"], ["--only", "speed"], ["--steps", "x"]):
            ran = subprocess.run([sys.executable, "-B", BENCH, PROGRAMS, *words], capture_output=True, text=True,
                                 timeout=30, check=False)
            self.assertEqual(ran.returncode, 2, words)
            self.assertIn("usage:", ran.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
