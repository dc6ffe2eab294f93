"""The bench of HTTP, short: whether it still measures what it says, not how fast anything is.

Method: each part for a moment, its lines read; what a busy machine cannot change is held: no error, no event
that a listener missed, and the memory of idle WebSockets.

usage: bench_http_test.py PROGRAMS
"""

import json
import pathlib
import shutil
import subprocess
import sys
import unittest

BENCH = pathlib.Path(sys.argv.pop(1)).absolute() / "bench_http"


def figures(*words):
    ran = subprocess.run([BENCH, "--rounds", "1", *words], capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    return {line["what"]: line for line in map(json.loads, ran.stdout.splitlines())}


class BenchHttp(unittest.TestCase):
    def test_jobs_are_accepted_and_every_listener_hears_of_each(self):
        told = figures("--seconds", "2", "jobs")
        self.assertEqual(told["jobs over HTTP, errors"]["max"], 0)
        self.assertEqual(told["ends that a listener missed, lines lost, gaps"]["max"], 0)
        for what in ("accepted, since it was due", "event lag, 50 Server-Sent Events",
                     "event lag, 50 WebSockets"):
            p50, p99, most = (told[f"{what}, {q}"]["median"] for q in ("p50", "p99", "most"))
            self.assertTrue(0 < p50 <= p99 <= most, what)

    def test_h2load_sends_the_same(self):
        if not shutil.which("h2load"):
            self.skipTest("SKIPPED: h2load comes with ./dev setup bench")
        told = figures("--seconds", "2", "h2load")
        self.assertGreater(told["jobs over HTTP, accepted, h2load"]["median"], 1500)
        self.assertEqual(told["jobs over HTTP, errors, h2load"]["max"], 0)
        self.assertEqual(told["ends that a listener missed, lines lost, gaps, h2load"]["max"], 0)

    def test_idle_websockets_are_small(self):
        self.assertLessEqual(figures("sockets")["memory of 500 idle WebSockets"]["median"], 20)

    def test_all_servers_answer(self):
        if not (shutil.which("wrk") and pathlib.Path("/usr/sbin/nginx").exists()):
            self.skipTest("SKIPPED: wrk and nginx come with ./dev setup bench")
        told = figures("--seconds", "1", "answers")
        for answer in ("JSON, 2 KiB", "file, 100 KiB"):
            for server in ("", ", bare Beast", ", nginx"):
                self.assertGreater(told[answer + server]["median"], 0)
            self.assertGreater(told[answer + " / bare Beast"]["median"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
