"""Fronts with a bug planted in them are found: the law turns red within 2 s of the first job that is
lost or counted twice; and the chaos run's judge finds each thing that it is there to find.

A front that acknowledges before its commit is caught by the simulator and by the ledger's own tests: a
kill -9 alone strikes the moment between the two too rarely.

usage: mutants_test.py PROGRAMS FOLDER    FOLDER/NAME/tallymill-front: the mutants
"""

import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
import chaos  # noqa: E402
from mill import Client, Mill, until  # noqa: E402

PROGRAMS, MUTANTS = sys.argv.pop(1), pathlib.Path(sys.argv.pop(1)).absolute()
# They strike each job whose number is a multiple of 50: so many in a row hold some.
JOBS = 200
RED_WITHIN_S = 2.0
INCONSISTENT = 7


class TheLaw(unittest.TestCase):
    def turns_red(self, name):
        with Mill(PROGRAMS, compute=2, front=MUTANTS / name / "tallymill-front") as mill:
            client = Client(mill.endpoint, name)
            until(lambda: client.hello(0.5), 30, "the front answers")
            mill.ready(client)
            self.assertTrue(client.ask("snapshot")["balanced"])
            submitted = time.monotonic()
            for _ in range(JOBS):
                client.submit("synthetic", {"route": "compute"})
            until(lambda: not client.ask("snapshot")["balanced"], 20, "the law turns red")
            took = time.monotonic() - submitted
            print(f"{name}: red {took:.2f} s after the first submit", flush=True)
            self.assertLess(took, RED_WITHIN_S)
            told = mill.command("snapshot", "--server", mill.endpoint, check=False)
            self.assertEqual(told.returncode, INCONSISTENT, told.stderr)
            mill.up.kill()  # what it dropped would keep it from draining

    def test_a_dropped_queue_entry(self):
        self.turns_red("drop_queue_entry")

    def test_a_dropped_lease(self):
        self.turns_red("drop_lease")

    def test_an_end_counted_twice(self):
        self.turns_red("count_done_twice")

    def test_a_swallowed_lane_message(self):
        self.turns_red("swallow_lane_message")


class Log:
    """What a client of the chaos run would remember."""

    def __init__(self, jobs=(), keys=None, ends=None):
        self.jobs, self.keys, self.client = dict.fromkeys(jobs), keys or {}, self
        self.ends = {job: [({"w": state}, {}, []) for state in states]
                     for job, states in (ends or {}).items()}


class TheJudge(unittest.TestCase):
    """Of the chaos run: each of its verdicts can be a bad one."""

    def finds(self, what, ends, log):
        with self.assertRaisesRegex(AssertionError, what):
            chaos.judge(ends, [log])

    def test_what_is_in_order(self):
        chaos.judge({1: "done", 2: "failed"}, [Log([1, 2], {"k": {1}}, {1: ["done", "done"]})])

    def test_a_job_that_was_accepted_and_is_not_there(self):
        self.finds("accepted and lost", {1: "done"}, Log([1, 2]))

    def test_a_job_without_an_end(self):
        self.finds("accepted and lost", {1: "in_flight"}, Log([1]))

    def test_two_ends_of_a_job(self):
        self.finds("client saw", {1: "done"}, Log([1], ends={1: ["done", "failed"]}))

    def test_an_end_that_the_ledger_does_not_have(self):
        self.finds("client saw", {1: "failed"}, Log([1], ends={1: ["done"]}))

    def test_a_key_that_made_two_jobs(self):
        with Mill(PROGRAMS, front=MUTANTS / "no_idempotency" / "tallymill-front") as mill:
            client = Client(mill.endpoint, "keys")
            until(lambda: client.hello(0.5), 30, "the front answers")
            mill.ready(client)
            requests = [client.submit("synthetic", {}, key="k") for _ in range(2)]
            self.assertTrue(client.wait_for(lambda: all(r in client.accepted for r in requests), 10))
            jobs = [client.accepted[r]["id"] for r in requests]
            self.assertTrue(client.wait_for(lambda: all(client.ends[job] for job in jobs), 10))
            self.finds("key k made jobs", dict.fromkeys(jobs, "done"), Log(jobs, {"k": {*jobs}}))


if __name__ == "__main__":
    print("seed: none is drawn, the mutants strike at fixed numbers", flush=True)
    unittest.main(verbosity=2)
