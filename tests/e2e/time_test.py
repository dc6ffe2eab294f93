"""Where the time goes: the parts of a job's time add up to the whole, under load and however it ends,
and where they do not, that is counted.

usage: time_test.py PROGRAMS
"""

import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time
import unittest

from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
STAGE = pathlib.Path(__file__).parents[2] / "examples" / "stage.py"
JOBS = 2000


class Time(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(
            Mill(PROGRAMS, compute=2, image=2, threads=4,
                 settings="kinds:\n  synthetic: {retry_base_ms: 5, retry_cap_ms: 10}\n"))
        cls.client = Client(cls.mill.endpoint, "time")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def anomalies(self):
        text = self.client.ask("snapshot", state="prometheus")["prometheus"]
        return int(re.search(r"^tallymill_timing_anomalies_total (\d+)$", text, re.MULTILINE)[1])

    def off(self, jobs):
        """[(job, whole, sum)] of those whose parts differ by more than 1 % or 20 us."""
        found = []
        for job in jobs:
            timeline = self.client.ask("timeline", id=job)
            whole, parts = timeline["whole_ns"], timeline["parts"]
            self.assertTrue(whole, timeline)
            if abs(whole - sum(parts.values())) > max(20_000, whole / 100):
                found.append((job, whole, parts))
        return found

    def run_all(self, make):
        requests = [make() for _ in range(JOBS)]
        accepted = self.client.accepted
        self.assertTrue(self.client.wait_for(lambda: all(r in accepted for r in requests), 30))
        jobs = [accepted[r]["id"] for r in requests]
        self.assertTrue(self.client.wait_for(lambda: all(self.client.ends[j] for j in jobs), 60))
        # The whole of an end is written with the next commit: here is one.
        run_job(self.client, "synthetic", {})
        return jobs

    def test_the_parts_are_the_whole(self):
        seed = random.randrange(1 << 30)
        print(f"seed {seed}", flush=True)
        rng = random.Random(seed)
        jobs = self.run_all(lambda: self.client.submit("synthetic", {
            "service_us": rng.choice((0, 200, 2000)), "mode": rng.choice(("sleep", "spin")),
            "fail_first_n": rng.choice((0,) * 19 + (1,)),
            "route": rng.choice(("compute", "image", "compute,image"))}, prio=rng.randint(0, 9)))
        off = self.off(jobs)
        print(f"{len(jobs)} jobs, of {len(off)} the parts are not the whole: {off[:3]}", flush=True)
        self.assertLessEqual(len(off), JOBS // 1000)

    def test_known_service_shows_as_service(self):
        r = self.client.submit("synthetic", {"service_us": 50_000, "route": "compute,image"})
        self.assertTrue(self.client.wait_for(lambda: r in self.client.accepted, 10))
        job = self.client.accepted[r]["id"]
        self.assertTrue(self.client.wait_for(lambda: self.client.ends[job], 10))
        parts = self.client.ask("timeline", id=job)["parts"]
        self.assertGreaterEqual(parts["service:compute"], 50_000_000)
        self.assertGreaterEqual(parts["service:image"], 50_000_000)

    def test_however_a_job_ends_its_time_is_accounted_for(self):
        before = self.anomalies()

        def job(params=None, **fields):
            r = self.client.submit("synthetic", params or {}, **fields)
            self.assertTrue(self.client.wait_for(lambda: r in self.client.accepted, 10))
            return self.client.accepted[r]["id"]

        def state(job, wanted):
            until(lambda: self.client.ask("status", id=job)["state"] == wanted, 10, wanted)
            return job

        def soon(ms):
            return time.time_ns() + ms * 1_000_000

        cancelled = state(job({"service_us": 20_000_000}), "in_flight")
        scheduled = state(job(nb=soon(60_000)), "waiting")
        killed = job({"service_us": 300_000, "route": "image"})

        def holder():
            return next((worker["pid"] for worker in self.client.ask("workers")["workers"]
                         if worker["stage"] == "image" and worker["held"]), None)
        pid = until(holder, 10, "a worker lists the job")
        jobs = {
            "cancelled while it ran": cancelled, "cancelled before its time": scheduled,
            "killed": killed,
            "scheduled": job(nb=soon(200)),
            "failed": job({"outcome": "fail"}),
            "tried again": job({"fail_first_n": 2, "service_us": 1000}),
            "expired while it ran": job({"service_us": 20_000_000}, dl=soon(200)),
            "expired before its time": job(nb=soon(60_000), dl=soon(200)),
        }
        for one in (cancelled, scheduled):
            self.client.ask("cancel", id=one)
        os.kill(pid, signal.SIGKILL)
        for how, one in jobs.items():
            self.assertTrue(self.client.wait_for(lambda: self.client.ends[one], 20), how)
        self.mill.ready(self.client)
        run_job(self.client, "synthetic", {})
        timelines = {how: self.client.ask("timeline", id=one) for how, one in jobs.items()}
        for how, timeline in timelines.items():
            with self.subTest(how):
                parts = timeline["parts"]
                self.assertLessEqual(abs(timeline["whole_ns"] - sum(parts.values())),
                                     max(20_000, timeline["whole_ns"] / 100), parts)
                self.assertGreaterEqual(min(parts.values()), 0, parts)
        named = {how: timeline["parts"] for how, timeline in timelines.items()}
        self.assertGreater(named["killed"]["lost attempt"], 1_000_000)
        self.assertGreater(named["scheduled"]["earlier"], 150_000_000)
        self.assertGreater(named["expired while it ran"]["service:compute"], 100_000_000)
        self.assertLess(named["expired while it ran"]["queue"], 100_000_000)
        self.assertGreater(named["cancelled before its time"]["earlier"], 1_000_000)
        # A front that is not given the processor between its two last readings counts one.
        self.assertLessEqual(self.anomalies() - before, 1)

    def test_a_stage_whose_stamps_are_nonsense_is_counted(self):
        """The example's stage, one stamp at a time missing or from nowhere."""
        text = STAGE.read_text()
        honest = 'hop["fi"] = hop["ha"] = time.monotonic_ns()'
        self.assertIn(honest, text)
        for name, nonsense in (("missing", 'hop["fi"], hop["ha"] = 0, time.monotonic_ns() + 1'),
                               ("later", 'hop["fi"] = hop["ha"] = time.monotonic_ns() + 10**10')):
            with self.subTest(name):
                script = self.mill.folder / f"stage-{name}.py"
                # The handler's time must exceed what is tolerated: else nothing would be missing.
                lies = f"time.sleep(0.005); {nonsense}"
                script.write_text(text.replace(honest, lies).replace("counter", f"liar-{name}")
                                  .replace('"count"', f'"count-{name}"'))
                stage = subprocess.Popen([sys.executable, script, self.mill.run],
                                         stdout=self.mill.log, stderr=self.mill.log)
                self.addCleanup(stage.wait)
                self.addCleanup(stage.terminate)
                until(lambda: any(w["stage"] == f"liar-{name}" and w["open"]
                                  for w in self.client.ask("workers")["workers"]), 15, "it is there")
                before = self.anomalies()
                run_job(self.client, f"count-{name}", {}, [b"12345"],
                        **{"in": [{"n": "a", "b": 5, "i": 0}], "B": 1})
                until(lambda: self.anomalies() == before + 1, 10, "the anomaly is counted")


if __name__ == "__main__":
    unittest.main(verbosity=2)
