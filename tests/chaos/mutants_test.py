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
    """What a client of the chaos run would remember. `ends`: job -> [(state, seq, digests)]."""

    def __init__(self, jobs=(), keys=None, ends=None, late=(), makes=()):
        self.jobs, self.keys, self.client = dict.fromkeys(jobs), keys or {}, self
        self.name, self.late, self.makes = "client", late, set(makes)
        self.ends = {job: [({"w": state, "seq": seq, "files": [{"d": d} for d in digests]}, {}, [])
                           for state, seq, digests in ends]
                     for job, ends in (ends or {}).items()}


def row(state="done", seq=9, digests=(), key=None, epoch=1):
    return chaos.Row("client", key, state, seq, tuple(digests), epoch)


class TheJudge(unittest.TestCase):
    """Of the chaos run: each of its verdicts can be a bad one."""

    def finds(self, what, rows, log):
        with self.assertRaisesRegex(AssertionError, what):
            chaos.judge(rows, [log])

    def test_what_is_in_order(self):
        # The same end once more, after a reconnect; a key refused before its job came.
        log = Log([1, 2], {"k": {1}}, {1: [("done", 7, ()), ("done", 7, ())]},
                  late=[(None, 1, None), ("k", 1, None), ("other", 2, None)])
        chaos.judge({1: row(seq=7, key="k"), 2: row("failed", 8)}, [log])

    def test_a_job_that_was_accepted_and_is_not_there(self):
        self.finds("accepted and lost", {1: row()}, Log([1, 2]))

    def test_a_job_without_an_end(self):
        self.finds("accepted and lost", {1: row(None, None)}, Log([1]))

    def test_two_ends_of_a_job(self):
        self.finds("several ends", {1: row(seq=7)},
                   Log([1], ends={1: [("done", 7, ()), ("failed", 9, ())]}))

    def test_two_equal_ends_of_a_job(self):
        self.finds("several ends", {1: row(seq=7)},
                   Log([1], ends={1: [("done", 7, ()), ("done", 9, ())]}))

    def test_an_end_that_the_ledger_does_not_have(self):
        self.finds("client saw", {1: row("failed", 7)}, Log([1], ends={1: [("done", 7, ())]}))

    def test_an_end_under_another_number(self):
        self.finds("client saw", {1: row(seq=9)}, Log([1], ends={1: [("done", 7, ())]}))

    def test_a_key_refused_for_its_deadline_after_its_job_was_accepted(self):
        self.finds("refused for its deadline", {1: row(key="k")}, Log([1], late=[("k", 1, 1)]))

    def test_a_key_refused_for_its_deadline_by_the_front_after_the_one_that_took_its_job(self):
        self.finds("refused for its deadline", {1: row(key="k")}, Log([], late=[("k", 2, None)]))

    def no_effect(self, what, rows, log, blobs):
        with self.assertRaisesRegex(AssertionError, what):
            chaos.judge_effects(rows, [log], set(blobs))

    def test_effects_that_are_in_order(self):
        one, two, unknown, gone = map(chaos.output_of, (1, 2, 3, 4))
        rows = {1: row(digests=[one]), 2: row("cancelled"), 3: row(digests=[unknown]), 4: row("failed"),
                5: row(), 6: row()}
        log = Log([1, 2, 4, 5], makes=[1, 2, 4], ends={1: [("done", 9, [one])]})
        # The cancelled and the failed one had made theirs before.
        self.assertEqual(chaos.judge_effects(rows, [log], {one, two, unknown, gone}), 2)

    def test_a_second_effect_of_a_job(self):
        one, other = chaos.output_of(1), chaos.output_of(2)
        self.no_effect("its effects are", {1: row(digests=[one, other])}, Log([1], makes=[1]),
                       [one, other])
        self.no_effect("effects of no job", {1: row(digests=[one])}, Log([1], makes=[1]), [one, other])

    def test_an_effect_that_is_another_jobs_or_missing(self):
        one, other = chaos.output_of(1), chaos.output_of(2)
        self.no_effect("its effects are", {1: row(digests=[other])}, Log([1], makes=[1]), [other])
        self.no_effect("its effects are", {1: row()}, Log([1], makes=[1]), [one])
        self.no_effect("not in the store", {1: row(digests=[one])}, Log([1], makes=[1]), [])

    def test_an_effect_of_a_job_that_was_cancelled_or_makes_none(self):
        one = chaos.output_of(1)
        self.no_effect("its effects are", {1: row("cancelled", digests=[one])}, Log([1], makes=[1]),
                       [one])
        self.no_effect("its effects are", {1: row(digests=[one])}, Log([1]), [one])

    def test_an_effect_that_its_client_was_not_told_of(self):
        one = chaos.output_of(1)
        self.no_effect("told", {1: row(digests=[one])},
                       Log([1], makes=[1], ends={1: [("done", 9, ())]}), [one])

    def test_a_key_that_made_two_jobs(self):
        with Mill(PROGRAMS, front=MUTANTS / "no_idempotency" / "tallymill-front") as mill:
            client = Client(mill.endpoint, "keys")
            until(lambda: client.hello(0.5), 30, "the front answers")
            mill.ready(client)
            requests = [client.submit("synthetic", {}, key="k") for _ in range(2)]
            self.assertTrue(client.wait_for(lambda: all(r in client.accepted for r in requests), 10))
            jobs = [client.accepted[r]["id"] for r in requests]
            self.assertTrue(client.wait_for(lambda: all(client.ends[job] for job in jobs), 10))
            self.finds("key k made jobs", dict.fromkeys(jobs, row()), Log(jobs, {"k": {*jobs}}))


if __name__ == "__main__":
    print("seed: none is drawn, the mutants strike at fixed numbers", flush=True)
    unittest.main(verbosity=2)
