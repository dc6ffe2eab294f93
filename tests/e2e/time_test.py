"""Where the time goes: under load, the parts of a job's time add up to the whole.

usage: time_test.py PROGRAMS
"""

import random
import sys
import unittest

from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
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


if __name__ == "__main__":
    unittest.main(verbosity=2)
