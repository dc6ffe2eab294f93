"""One fault at a time, each against the promise that it must not break (docs/life-of-a-job.md).

usage: promises_test.py PROGRAMS [TEST ...]
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
from mill import Client, Mill, until  # noqa: E402

PROGRAMS = sys.argv.pop(1)


class Pipeline(unittest.TestCase):
    """Helpers over one pipeline per test."""

    def start(self, **options):
        self.mill = self.enterContext(Mill(PROGRAMS, **options))
        self.client = Client(self.mill.endpoint, "promises")
        until(lambda: self.client.hello(0.5), 30, "the front answers")
        self.mill.ready(self.client)

    def submit(self, n, params, **fields):
        requests = [self.client.submit("synthetic", params, **fields) for _ in range(n)]
        self.assertTrue(
            self.client.wait_for(lambda: all(r in self.client.accepted for r in requests), 20),
            self.client.refused)
        return [self.client.accepted[r]["id"] for r in requests]

    def wait_all(self, jobs, seconds=30, state="done"):
        """Until all ended, each once."""
        self.assertTrue(self.client.wait_for(lambda: all(self.client.ends[j] for j in jobs), seconds),
                        self.client.ask("snapshot"))
        for job in jobs:
            self.assertEqual([h["w"] for h, _, _ in self.client.ends[job]], [state], job)

    def snapshot(self):
        answer = self.client.ask("snapshot")
        self.assertTrue(answer["balanced"], answer)
        return answer["jobs"]

    def counter(self, name):
        text = self.client.ask("snapshot", state="prometheus")["prometheus"]
        values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M)
        self.assertTrue(values, name)
        return sum(map(float, values))

    def flying(self, at_least):
        self.assertTrue(self.client.wait_for(lambda: self.snapshot()["in_flight"] >= at_least, 20),
                        self.snapshot())

    def all_places_free(self):
        def free():
            self.snapshot()
            workers = self.client.ask("workers")["workers"]
            return all(w["open"] and w["held"] == w["ahead"] == w["unsettled"] == 0 for w in workers)
        until(free, 10, "every place is free")


class TheFront(Pipeline):
    def test_a_stopped_front_sends_nothing_twice(self):
        self.start(compute=2, image=2, threads=12)
        jobs = self.submit(200, {"service_us": 50_000, "route": "compute,image"})
        jobs += self.submit(20, {"service_us": 7_000_000, "route": "compute"}, prio=9)
        jobs += self.submit(20, {"service_us": 7_000_000, "route": "image"}, prio=9)
        self.flying(40)
        before = [self.counter(f"tallymill_{name}_total")
                  for name in ("redeliveries", "leases_lapsed", "charges")]
        front = self.mill.children("front")[0]
        os.kill(front, signal.SIGSTOP)
        time.sleep(5)  # the fault itself, as long as the promise says
        os.kill(front, signal.SIGCONT)
        self.wait_all(jobs, 60)
        after = [self.counter(f"tallymill_{name}_total")
                 for name in ("redeliveries", "leases_lapsed", "charges")]
        self.assertEqual(after, before)
        self.all_places_free()


class TheLink(Pipeline):
    """A worker that meets the front over TCP alone; its connections are cut by the kernel."""

    def cut(self, pid):
        """Ends every established TCP connection of the process; how many."""
        listed = subprocess.run(["ss", "-Htnp", "state", "established"], capture_output=True,
                                text=True, check=True).stdout
        ports = {line.split()[2].rsplit(":", 1)[1] for line in listed.splitlines()
                 if f"pid={pid}," in line}
        for port in ports:
            subprocess.run(["ss", "-HKt", "state", "established", f"sport = :{port}"],
                           capture_output=True, check=True)
        return len(ports)

    def test_a_link_that_breaks_twenty_times(self):
        if os.geteuid() != 0 or not shutil.which("ss"):
            self.skipTest("SKIPPED: cutting connections needs root and ss")
        self.start(compute=0, image=0)
        config = self.mill.config.read_text()
        doors = {key: re.search(rf"^  {key}: (\S+)$", config, re.M)[1] for key in ("control", "results")}
        worker = subprocess.Popen(
            [self.mill.programs / "tallymill-stage-compute", "--threads", "8", "--control",
             doors["control"], "--results", doors["results"], "--diagnostics", "true"],
            stderr=self.mill.log)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.terminate)
        self.mill.expected_workers = 1
        self.mill.ready(self.client)
        jobs, cuts = [], 0
        while cuts < 20:
            jobs += self.submit(50, {"service_us": 10_000, "route": "compute"})
            self.flying(4)
            n = self.cut(worker.pid)
            if n == 0:
                continue
            self.assertGreater(n, 0)
            cuts += 1
            self.client.wait_for(lambda: self.ready_again(), 20)
        self.wait_all(jobs, 60)
        self.assertEqual(self.counter("tallymill_charges_total"), 0)
        print(f"{cuts} cuts, {len(jobs)} jobs: {self.counter('tallymill_redeliveries_total'):.0f} sent "
              f"again, {self.counter('tallymill_results_fenced_total'):.0f} results fenced", flush=True)
        self.all_places_free()

    def ready_again(self):
        return any(w["open"] for w in self.client.ask("workers")["workers"])


if __name__ == "__main__":
    print("seed: none is drawn, these faults strike at fixed points", flush=True)
    unittest.main(verbosity=2)
