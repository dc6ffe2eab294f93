"""A leak is told by the collector, a run without one is silent, and memory comes back after a burst.

Goal: 1 KB a job is found within 10,000 jobs, with the name of the process that leaks and no other; the same work without a
leak is never called one; 30 s after a burst each process is back at 1.2 times what it had idle. Method: the shipped
programs, the planted leak of the kind `synthetic`, a window of a minute.

usage: memory_test.py PROGRAMS
"""

import json
import pathlib
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from mill import Client, Mill, until  # noqa: E402

PROGRAMS = sys.argv.pop(1)
WINDOW_S = 60
JOBS_PER_SECOND = 100
PROCESSES = ("front", "stage-compute", "stage-image", "collector")


class Memory(unittest.TestCase):
    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-"))
        self.mill = Mill(PROGRAMS, folder=folder, collector=True)
        text = self.mill.config.read_text()
        self.mill.config.write_text(text.replace("collector: {", f"collector: {{leak_window_s: {WINDOW_S}, "))
        self.mill.start()
        self.addCleanup(self.mill.__exit__, None, None, None)
        self.client = Client(self.mill.endpoint, "memory")
        until(lambda: self.client.hello(0.5), 30, "the front answers")
        self.mill.ready(self.client)

    def query(self, query):
        """{the labels' values: value}; empty while the collector is not there."""
        url = f"http://127.0.0.1:{self.mill.collector_port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            answer = json.load(urllib.request.urlopen(url, timeout=10))
        except OSError:
            return {}
        return {tuple(one["metric"].get(name, "") for name in ("program", "process", "memory")):
                float(one["value"][1]) for one in answer["data"]["result"]}

    def suspected(self):
        return [labels for labels, value in self.query("tallymill_collector_leak_suspected").items() if value]

    def work(self, jobs, params, look):
        """So many at a steady rate; how many were sent when look() was first true, else None."""
        start = time.monotonic()
        for sent in range(jobs):
            self.client.submit("synthetic", params)
            self.client.pump(max(0.0, start + sent / JOBS_PER_SECOND - time.monotonic()))
            while time.monotonic() < start + sent / JOBS_PER_SECOND:
                self.client.pump(start + sent / JOBS_PER_SECOND - time.monotonic())
            if sent % (2 * JOBS_PER_SECOND) == 0 and look():
                return sent
        return None

    def test_1_kilobyte_a_job_is_found_within_10000_jobs_and_nothing_else_is(self):
        found = self.work(10_000, {"leak_bytes": 1024}, self.suspected)
        self.assertIsNotNone(found, "not found in 10,000 jobs")
        self.assertTrue(all("compute-1" in " ".join(labels) for labels in self.suspected()), self.suspected())
        slopes = self.query("tallymill_collector_leak_bytes_per_second")
        slope = max(value for labels, value in slopes.items() if "compute-1" in " ".join(labels))
        print(f"found after {found} jobs, {slope / JOBS_PER_SECOND:.0f} bytes a job")
        self.assertTrue(700 < slope / JOBS_PER_SECOND < 1600)

    def test_the_same_work_without_a_leak_is_silent(self):
        self.assertIsNone(self.work(3 * WINDOW_S * JOBS_PER_SECOND, {"alloc_bytes": 1024}, self.suspected),
                          self.suspected())
        self.assertTrue(self.query("tallymill_collector_leak_suspected"), "nothing was looked at")

    def resident(self):
        """Bytes by program."""
        found = {}
        for name in PROCESSES:
            (pid,) = self.mill.children(name)
            pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
            found[name] = pages * 4096
        return found

    def burst(self, jobs):
        requests = [self.client.submit("synthetic", {"pad": "x" * 4000, "alloc_bytes": 100_000}) for _ in range(jobs)]
        most = self.resident()

        def ended():
            for name, bytes_ in self.resident().items():
                most[name] = max(most[name], bytes_)
            self.client.pump(0.02)
            return all(r in self.client.refused or self.client.ends[self.client.accepted[r]["id"]]
                       for r in requests if r in self.client.accepted) and not self.left(requests)
        until(ended, 120, "the burst ends")
        return most

    def left(self, requests):
        return [r for r in requests if r not in self.client.accepted and r not in self.client.refused]

    def test_30_seconds_after_a_burst_memory_is_back_at_1_2_times_idle(self):
        self.burst(200)  # what is loaded at the first job is no burst's
        time.sleep(15)
        idle = self.resident()
        most = self.burst(20_000)
        time.sleep(30)
        behind = self.resident()
        for name in PROCESSES:
            print(f"{name}: idle {idle[name] >> 10} KiB, at most {most[name] >> 10}, after 30 s {behind[name] >> 10}")
        for name in ("front", "stage-compute", "stage-image"):
            self.assertLessEqual(behind[name], 1.2 * idle[name], name)
        self.assertGreater(sum(self.query("tallymill_process_heap_trims_total").values()), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
