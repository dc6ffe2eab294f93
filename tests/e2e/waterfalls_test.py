"""Waterfalls outlive their jobs: read by who asks, over HTTP and the bus, after the jobs were forgotten and
the front was killed, each number once.

Method: jobs of several lengths and ends through real processes whose ledger forgets jobs after a few; what
is read is held against each job's own timeline, taken while the job was there.

usage: waterfalls_test.py PROGRAMS
"""

import os
import signal
import sys
import tempfile
import time
import unittest

from http_client import Http
from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
KEPT = 40
FAST = 400


class Waterfalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="tallymill-"))
        cls.mill = Mill(PROGRAMS, folder=folder)
        text = cls.mill.config.read_text()
        cls.mill.config.write_text(text.replace("front:\n", f"front:\n  retention_jobs: {KEPT}\n"))
        cls.enterClassContext(cls.mill)
        cls.client = Client(cls.mill.endpoint, "falls")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)
        cls.http = Http(cls.mill.http_port)
        cls.run_jobs()

    @classmethod
    def run_jobs(cls):
        client = cls.client
        fast = [client.submit("synthetic", {}) for _ in range(FAST)]
        assert client.wait_for(lambda: len(client.ends) == FAST, 30)
        cls.fast = {client.accepted[r]["id"] for r in fast}
        cls.ended, cls.timelines = {}, {}

        def run(params, state, kind="synthetic", **fields):
            r = client.submit(kind, params, **fields)
            assert client.wait_for(lambda: r in client.accepted, 10)
            job = client.accepted[r]["id"]
            if state == "cancelled":
                client.ask("cancel", id=job)
            assert client.wait_for(lambda: client.ends[job], 30)
            cls.ended[job] = state
            # Its whole rides on a later commit.
            cls.timelines[job] = until(lambda: (t := client.ask("timeline", id=job))["whole_ns"] and t, 10,
                                       "the whole is on disk")
            assert cls.timelines[job]["state"] == state, cls.timelines[job]
        run({"service_us": 700_000, "route": "compute,image"}, "done")
        for _ in range(3):
            run({"outcome": "fail"}, "failed")
        run({"fail_first_n": 1}, "done")
        run({"service_us": 60_000_000}, "expired", dl=time.time_ns() + 300_000_000)
        run({"service_us": 60_000_000}, "cancelled")

    def pages(self, ask, limit=7):
        """All rows, page by page; the rows and the last page."""
        rows, after = [], 0
        while True:
            page = ask(after, limit)
            self.assertEqual(page["schema"], 1)
            self.assertNotIn("gap", page)
            self.assertLessEqual(len(page["waterfalls"]), limit)
            rows += page["waterfalls"]
            self.assertEqual(page["next"], rows[-1]["keep_seq"] if rows else 0)
            after = page["next"]
            if not page["more"]:
                return rows, page

    def over_http(self, after, limit):
        return self.http.ask("GET", f"/v1/waterfalls?after={after}&limit={limit}").json()

    def over_the_bus(self, after, limit):
        return self.client.ask("waterfalls", after=after, n=limit)

    def all_kept(self):
        """Once none waits for its whole any more."""
        def settled():
            rows, page = self.pages(self.over_http)
            return (rows, page) if page["next"] == page["head"] else None
        return until(settled, 10, "all kept waterfalls are told")

    def test_1_what_failed_and_each_length_is_kept_with_the_time_it_took(self):
        rows, _ = self.all_kept()
        self.assertEqual([row["keep_seq"] for row in rows], list(range(1, len(rows) + 1)))
        kept = {row["job"]: row for row in rows}
        self.assertEqual(len(kept), len(rows), "a job is kept once")
        for job, state in self.ended.items():
            self.assertIn(job, kept, state)
            row = kept[job]
            self.assertEqual((row["state"], row["weight"], row["client"]), (state, 1, "falls"))
            self.assertEqual(row["timeline"], self.timelines[job])
            parts = sum(row["timeline"]["parts"].values())
            whole = row["timeline"]["whole_ns"]
            self.assertLessEqual(abs(whole - parts), max(20_000, whole // 100), row)
        failed = next(row for row in rows if row["state"] == "failed")
        self.assertEqual(failed["code"], "E_STAGE")
        # Those that are alike are not kept one by one, and stand for others.
        fast = [row for row in rows if row["job"] in self.fast]
        self.assertTrue(fast)
        self.assertLess(len(fast), FAST // 2)
        self.assertTrue(all(row["weight"] >= 1 for row in fast))
        self.assertGreater(max(row["weight"] for row in fast), 1)

    def test_2_the_bus_tells_the_same(self):
        rows, page = self.all_kept()
        self.assertEqual(self.pages(self.over_the_bus, 5)[0], rows)
        one = self.client.ask("waterfalls", n=1)
        self.assertEqual((len(one["waterfalls"]), one["more"], one["head"]), (1, True, page["head"]))
        rest = self.client.ask("waterfalls", after=1, ledger=page["ledger"])
        self.assertEqual(rest["waterfalls"], rows[1:])

    def test_3_who_asks_with_another_ledgers_number_or_one_beyond_is_told_of_a_gap(self):
        rows, page = self.all_kept()
        head = page["head"]
        beyond = self.http.ask("GET", f"/v1/waterfalls?after={head + 5}").json()
        self.assertEqual((beyond["gap"], beyond["waterfalls"], beyond["next"]),
                         ({"from": head + 1, "to": head + 5}, [], head))
        foreign = self.http.ask("GET", "/v1/waterfalls?after=3&ledger=another&limit=2").json()
        self.assertEqual((foreign["gap"], foreign["ledger"]), ({"from": 0, "to": 3}, page["ledger"]))
        self.assertEqual(foreign["waterfalls"], rows[:2])
        for query, field in (("after=-1", "/after"), ("after=x", "/after"), ("limit=0", "/limit"),
                             ("colour=1", "/colour")):
            answer = self.http.ask("GET", f"/v1/waterfalls?{query}")
            self.assertEqual((answer.status, answer.json()["field"]), (422, field))

    def test_4_what_is_kept_is_counted(self):
        rows, _ = self.all_kept()
        lines = self.http.ask("GET", "/metrics").body.decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("tallymill_waterfalls"))
        kept = {why: int(values[f'tallymill_waterfalls_kept_total{{why="{why}"}}'])
                for why in ("failed", "expired", "drawn")}
        self.assertEqual(kept, {"failed": 3, "expired": 1, "drawn": len(rows) - 4})
        self.assertEqual(int(values["tallymill_waterfalls_held"]), len(rows))

    def test_5_they_are_there_when_their_jobs_are_forgotten_and_the_front_was_killed(self):
        before, page = self.all_kept()

        def forgotten():
            return all(self.http.raw("GET", f"/v1/jobs/{job}").status == 404 for job in self.ended)
        for _ in range(KEPT + 1):
            run_job(self.client, "synthetic")
        until(forgotten, 30, "the jobs' time in the ledger is over")
        front, = self.mill.children("front")
        os.kill(front, signal.SIGKILL)
        until(lambda: self.client.hello(0.5), 30, "the front is back")
        until(lambda: self.mill.children("front") not in ([], [front]), 10, "it is another")
        after, again = self.all_kept()
        self.assertEqual(after[:len(before)], before)
        self.assertEqual(again["ledger"], page["ledger"])
        run_job(self.client, "synthetic", {"outcome": "fail"})
        last, _ = self.all_kept()
        self.assertEqual([row["keep_seq"] for row in last], list(range(1, len(last) + 1)))
        self.assertEqual(last[-1]["state"], "failed")
        self.assertEqual(self.mill.stop(), 0)
        self.mill.command("ledger", "check", self.mill.data)


if __name__ == "__main__":
    unittest.main(verbosity=2)
