"""The life of a job as its client sees it: cancel, deadline, retry, keys, watch, progress.

usage: life_test.py PROGRAMS
"""

import sys
import time
import unittest

from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
LONG = {"service_us": 20_000_000}


class Life(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(
            Mill(PROGRAMS, settings="kinds:\n  synthetic: {retry_base_ms: 20, retry_cap_ms: 50}\n"))
        cls.client = Client(cls.mill.endpoint, "life")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def submit(self, params, **fields):
        r = self.client.submit("synthetic", params, **fields)
        self.assertTrue(self.client.wait_for(lambda: r in self.client.accepted, 10),
                        self.client.refused.get(r))
        return self.client.accepted[r]["id"]

    def end(self, job, seconds=10):
        self.assertTrue(self.client.wait_for(lambda: self.client.ends[job], seconds), job)
        self.assertEqual(len(self.client.ends[job]), 1)
        return self.client.ends[job][0][0]

    def test_a_key_is_known_also_after_its_job_could_not_be_taken_any_more(self):
        deadline = time.time_ns() + 400_000_000
        job = self.submit({}, key="late", dl=deadline)
        self.assertEqual(self.end(job)["w"], "done")
        until(lambda: time.time_ns() > deadline, 10, "the deadline is over")
        self.assertEqual(self.submit({}, key="late", dl=deadline), job)
        r = self.client.submit("synthetic", {"service_us": 1}, key="late", dl=deadline)
        self.assertTrue(self.client.wait_for(lambda: r in self.client.refused, 10))
        self.assertEqual(self.client.refused.pop(r)["code"], "E_DEADLINE")

    def state(self, job):
        return self.client.ask("status", id=job)["state"]

    def running(self, **fields):
        """A long job that a handler works on."""
        job = self.submit(LONG | {"progress_every_ms": 20}, **fields)
        self.assertTrue(self.client.wait_for(lambda: self.client.progress[job], 10))
        return job

    def waiting(self, **fields):
        """A job that waits for its hour."""
        return self.submit({}, nb=time.time_ns() + 60 * 10**9, **fields)

    def test_cancel_of_a_waiting_job(self):
        job = self.waiting()
        self.assertEqual(self.client.ask("cancel", id=job)["state"], "cancelled")
        self.assertEqual(self.end(job)["w"], "cancelled")
        with self.assertRaises(LookupError) as caught:
            self.client.ask("cancel", id=job)
        self.assertEqual(caught.exception.args[0]["code"], "E_STATE")

    def test_cancel_of_a_running_job(self):
        job = self.running()
        self.assertEqual(self.state(job), "in_flight")
        begin = time.monotonic()
        self.assertEqual(self.client.ask("cancel", id=job)["state"], "cancelling")
        self.assertEqual(self.end(job)["w"], "cancelled")
        self.assertLess(time.monotonic() - begin, 5)

    def test_deadline_of_a_waiting_job(self):
        job = self.waiting(dl=time.time_ns() + 300_000_000)
        end = self.end(job)
        self.assertEqual((end["w"], end["code"]), ("expired", "E_DEADLINE"))

    def test_deadline_of_a_running_job(self):
        job = self.running(dl=time.time_ns() + 1_500_000_000)
        self.assertEqual(self.end(job)["w"], "expired")

    def test_a_done_job_cannot_be_cancelled(self):
        job = self.submit({})
        self.assertEqual(self.end(job)["w"], "done")
        with self.assertRaises(LookupError) as caught:
            self.client.ask("cancel", id=job)
        self.assertEqual(caught.exception.args[0]["code"], "E_STATE")

    def test_a_handler_that_fails_is_tried_again(self):
        job = self.submit({"fail_first_n": 2})
        end = self.end(job)
        self.assertEqual((end["w"], end["att"]), ("done", 3), end)

    def test_retry_of_a_dead_letter_is_a_new_job(self):
        job = self.submit({"outcome": "fail"})
        end = self.end(job)
        self.assertEqual((end["w"], end["code"]), ("failed", "E_STAGE"))
        listed = [row["job"] for row in self.client.ask("jobs", state="failed")["jobs"]]
        self.assertIn(job, listed)
        r = self.client.next_request()
        self.client.send({"t": "retry", "r": r, "id": job})
        self.assertTrue(self.client.wait_for(lambda: r in self.client.accepted, 10))
        again = self.client.accepted[r]["id"]
        self.assertNotEqual(again, job)
        self.end(again)
        self.assertEqual(self.client.ask("status", id=again)["parent"], job)
        self.assertEqual(self.state(job), "failed")  # an end stays an end

    def test_one_key_is_one_job(self):
        first = self.submit({"service_us": 1000}, key="key-1")
        self.assertEqual(self.submit({"service_us": 1000}, key="key-1"), first)
        self.end(first)
        r = self.client.submit("synthetic", {"service_us": 1000}, key="key-1")
        self.assertTrue(self.client.wait_for(lambda: r in self.client.accepted, 10))
        answer = self.client.accepted[r]
        self.assertEqual((answer["id"], answer["known"], answer["state"]), (first, True, "done"))
        r = self.client.submit("synthetic", {"service_us": 1001}, key="key-1")
        self.assertTrue(self.client.wait_for(lambda: r in self.client.refused, 10))
        error = self.client.refused.pop(r)
        self.assertEqual((error["code"], error["field"], error["id"]), ("E_DUP", "/key", first))

    def test_keys_of_another_client_are_others(self):
        mine = self.submit({}, key="shared")
        other = Client(self.mill.endpoint, "other")
        self.assertTrue(other.hello())
        header, _, _ = run_job(other, "synthetic", {}, key="shared")
        self.assertNotEqual(header["id"], mine)

    def test_a_result_is_kept_and_fetched_by_id(self):
        job = self.submit({"bytes_out": 1000})
        self.end(job)
        _, header, blobs = self.client.ask("result", id=job)
        self.assertEqual((header["files"][0]["n"], len(blobs[0])), ("bytes.bin", 1000))

    def test_who_was_away_gets_what_ended_meanwhile(self):
        away = Client(self.mill.endpoint, "away")
        self.assertTrue(away.hello())
        first, _, _ = run_job(away, "synthetic", {})
        requests = [away.submit("synthetic", {"service_us": 50_000}) for _ in range(5)]
        self.assertTrue(away.wait_for(lambda: all(r in away.accepted for r in requests), 10))
        jobs = {away.accepted[r]["id"] for r in requests}
        away.connect()  # its connection is gone, with what was on it
        until(lambda: all(self.state(job) == "done" for job in jobs), 20, "the jobs are done")
        away.ends.clear()
        self.assertTrue(away.hello())
        self.assertTrue(away.wait_for(lambda: jobs <= set(away.ends), 10), dict(away.ends))
        self.assertNotIn(first["id"], away.ends)  # it said that it had seen that one
        self.assertTrue(all(len(events) == 1 for events in away.ends.values()))
        self.assertEqual(away.gaps, [])

    def test_another_ledgers_number_is_a_gap(self):
        lost = Client(self.mill.endpoint, "lost")
        self.assertTrue(lost.hello())
        lost.send({"t": "watch", "r": lost.next_request(), "ledger": "another", "since": 5})
        self.assertTrue(lost.wait_for(lambda: lost.gaps, 10))

    def test_a_number_beyond_the_head_is_a_gap(self):
        lost = Client(self.mill.endpoint, "ahead")
        self.assertTrue(lost.hello())
        lost.send({"t": "watch", "r": lost.next_request(), "ledger": lost.ledger, "since": 10**9})
        self.assertTrue(lost.wait_for(lambda: lost.gaps, 10))
        self.assertEqual(lost.gaps[0]["to"], 10**9)
        self.assertGreater(lost.gaps[0]["from"], 0)

    def test_progress_only_rises(self):
        job = self.submit({"service_us": 400_000, "progress_every_ms": 20})
        self.end(job)
        seen = [event.get("p", 0) for event in self.client.progress[job]]
        self.assertGreater(len(seen), 3)
        self.assertEqual(seen, sorted(seen))
        self.assertTrue(all(0 <= p <= 1 for p in seen))


if __name__ == "__main__":
    unittest.main(verbosity=2)
