"""Lists over the wire: jobs by what is known of them, ends by their numbers, everybody's jobs live.

Method: three clients' jobs of two kinds through real processes; each list is held against what the clients
were told of their own.

usage: lists_test.py PROGRAMS
"""

import json
import subprocess
import sys
import time
import unittest

from mill import Client, Mill, until

PROGRAMS = sys.argv.pop(1)


class Lists(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS))
        cls.began = time.time_ns()
        cls.clients = [Client(cls.mill.endpoint, f"lists-{n}") for n in range(3)]
        for client in cls.clients:
            until(lambda client=client: client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.clients[0])
        cls.jobs = {}
        for n, client in enumerate(cls.clients):
            cls.jobs[n] = [cls.run_one(client, "synthetic", {"service_us": 1000 * (n + 1)}, key=f"order-{n}-{i}")
                           for i in range(4)]
        cls.box = cls.run_one(cls.clients[2], "box", {})
        cls.failed = cls.run_one(cls.clients[1], "synthetic", {"outcome": "fail"})
        cls.asker = Client(cls.mill.endpoint, "asker")  # without a hello

    @classmethod
    def run_one(cls, client, kind, params, **fields):
        r = client.submit(kind, params, **fields)
        assert client.wait_for(lambda: r in client.accepted or r in client.refused, 10)
        job = client.accepted[r]["id"]
        assert client.wait_for(lambda: client.ends[job], 20)
        return job

    def ids(self, **fields):
        return [row["job"] for row in self.asker.ask("jobs", **fields)["jobs"]]

    def refused(self, verb, **fields):
        with self.assertRaises(LookupError) as caught:
            self.asker.ask(verb, **fields)
        return caught.exception.args[0]["code"], caught.exception.args[0]["field"]

    def test_what_is_no_list_is_refused_with_a_pointer(self):
        self.assertEqual(self.refused("jobs", sort="fastest"), ("E_PARAMS", "/sort"))
        self.assertEqual(self.refused("jobs", state="nowhere"), ("E_PARAMS", "/state"))
        self.assertEqual(self.refused("jobs", cur="n1"), ("E_PARAMS", "/cursor"))
        self.assertEqual(self.refused("jobs", sort="oldest", cur="n1.1"), ("E_PARAMS", "/cursor"))

    def test_each_filter_rules_out_what_it_should(self):
        self.assertEqual(self.ids(client="lists-0"), self.jobs[0][::-1])
        self.assertEqual(self.ids(client="lists"), [])
        self.assertEqual(self.ids(q="lists-0"), self.jobs[0][::-1])
        self.assertEqual(self.ids(q="order-1-2"), self.jobs[1][2:3])
        self.assertEqual(self.ids(q="E_STA"), [self.failed])
        self.assertEqual(self.ids(state="failed"), [self.failed])
        self.assertEqual(self.ids(q=str(self.box))[0], self.box)
        self.assertEqual(self.ids(kind="box"), [self.box])
        compute = self.ids(stage="compute")
        self.assertIn(self.box, compute)
        self.assertEqual(self.ids(stage="compute", kind="box"), [self.box])
        self.assertEqual(self.ids(stage="nowhere"), [])
        self.assertEqual(self.ids(since=time.time_ns()), [])
        self.assertEqual(len(self.ids(since=self.began)), 14)

    def test_sorts_and_pages(self):
        newest, pages, cursor = [], 0, ""
        while True:
            answer = self.asker.ask("jobs", n=4, cur=cursor)
            newest += [row["job"] for row in answer["jobs"]]
            cursor, pages = answer["cursor"], pages + 1
            if not cursor:
                break
        self.assertEqual(newest, sorted(newest, reverse=True))
        self.assertEqual((len(newest), pages), (14, 4))
        self.assertEqual(self.ids(sort="oldest"), newest[::-1])
        rows = self.asker.ask("jobs", sort="slowest")["jobs"]
        took = [row["took_ns"] for row in rows]
        self.assertEqual(len(took), 14)
        self.assertEqual(took, sorted(took, reverse=True))
        ended = [row["end_unix_ns"] for row in self.asker.ask("jobs", sort="ended")["jobs"]]
        self.assertEqual(len(ended), 14)
        self.assertEqual(ended, sorted(ended, reverse=True))

    def test_the_command_lists_by_the_same_filters(self):
        def listed(*words):
            ran = subprocess.run([self.mill.programs / "tallymill", "jobs", "--server", self.mill.endpoint, "--json",
                                  *words], capture_output=True, text=True, timeout=30)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            return json.loads(ran.stdout)

        def ids(*words):
            return [row["job"] for row in listed(*words)["jobs"]]
        self.assertEqual(ids("--of", "lists-0"), self.jobs[0][::-1])
        self.assertEqual(ids("--query", "order-1"), self.jobs[1][::-1])
        self.assertEqual(ids("--stage", "compute", "--kind", "box", "--since", "3600"), [self.box])
        first = listed("-n", "3", "--sort", "oldest")
        self.assertEqual([row["job"] for row in first["jobs"]], self.jobs[0][:3])
        rest = ids("-n", "1", "--sort", "oldest", "--cursor", first["cursor"])
        self.assertEqual(rest, self.jobs[0][3:])

    def test_ends_are_read_a_page_at_a_time_from_any_number(self):
        told = sorted((event[0]["seq"], job) for client in self.clients
                      for job, events in client.ends.items() for event in events)
        seen, after = [], 0
        while True:
            page = self.asker.ask("ends", after=after, n=5)
            self.assertNotIn("gap", page)
            seen += page["ends"]
            after = page["reached"]
            if not page["more"]:
                break
        self.assertEqual([(end["seq"], end["job"]) for end in seen], told)
        self.assertEqual(after, page["head"])
        failed = next(end for end in seen if end["job"] == self.failed)
        self.assertEqual((failed["state"], failed["code"], failed["kind"], failed["client"]),
                         ("failed", "E_STAGE", "synthetic", "lists-1"))
        self.assertTrue(all(end["took_ns"] > 0 and end["end_unix_ns"] > self.began for end in seen))
        beyond = self.asker.ask("ends", after=page["head"] + 10, ledger=page["ledger"])
        self.assertEqual(beyond["gap"], {"from": page["head"] + 1, "to": page["head"] + 10})
        foreign = self.asker.ask("ends", after=5, ledger="another")
        self.assertEqual((foreign["gap"], foreign["ends"], foreign["reached"]),
                         ({"from": 0, "to": 5}, [], page["head"]))

    def test_who_watches_everybody_sees_jobs_come_and_end(self):
        watcher = Client(self.mill.endpoint, "everybody")  # without a hello
        head = watcher.ask("watch", all=True)["seq"]
        job = self.run_one(self.clients[0], "box", {})
        self.assertTrue(watcher.wait_for(lambda: watcher.ends[job], 10))
        accepted = watcher.progress[job][0]
        self.assertEqual((accepted["w"], accepted["kind"], accepted["client"]), ("accepted", "box", "lists-0"))
        self.assertGreater(accepted["at"], self.began)
        (header, values, blobs), = watcher.ends[job]
        self.assertEqual((header["w"], header["kind"], header["client"]), ("done", "box", "lists-0"))
        self.assertGreater(header["at"], accepted["at"])
        self.assertEqual((values, blobs, header.get("files")), ({}, [], None))
        own = self.clients[0].ends[job][0]
        self.assertTrue(own[0]["files"])
        self.assertNotIn("kind", own[0])
        # The same of the past, and with its result by its id.
        later = Client(self.mill.endpoint, "later")
        self.assertIsNotNone(later.ask("watch", all=True, ids=[job], since=head))
        self.assertTrue(later.wait_for(lambda: later.ends[job], 10))
        (again, values, _), = later.ends[job]
        self.assertEqual((again["seq"], again["kind"], again["at"]), (header["seq"], "box", header["at"]))
        self.assertEqual(again["files"], own[0]["files"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
