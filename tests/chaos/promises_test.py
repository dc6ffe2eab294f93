"""One fault at a time, each against the promise that it must not break (docs/life-of-a-job.md).

usage: promises_test.py PROGRAMS [TEST ...]
TALLYMILL_LINK_CUTS: how often the link between two stages is cut (20).
"""

import hashlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
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

    def next_attempts(self, jobs, struck_ns):
        """Of each job that lost an attempt: seconds from the fault to that and to the next one."""
        rows = []
        for job in jobs:
            if self.client.ends[job][0][0].get("att", 0) < 2:
                continue
            attempts = self.client.ask("timeline", id=job)["attempts"]
            for lost, following in zip(attempts, attempts[1:]):
                if lost["outcome"] == "lost":
                    rows.append(((lost["returned"] - struck_ns) / 1e9,
                                 (following["dispatched"] - struck_ns) / 1e9))
        return rows


class Workers(Pipeline):
    def restart_after(self, sign, bound, threads):
        """A worker is struck while all are busy; its jobs run elsewhere."""
        self.start(compute=2, image=1, threads=threads)
        jobs = self.submit(600, {"service_us": 5000, "route": "compute"})
        self.flying(2 * threads + 2)
        worker = self.mill.children("stage-compute")[0]
        struck = time.monotonic_ns()
        os.kill(worker, sign)
        self.wait_all(jobs)
        if sign == signal.SIGSTOP:
            os.kill(worker, signal.SIGCONT)
        rows = self.next_attempts(jobs, struck)
        known, again = (max(column) for column in zip(*rows))
        print(f"{sign.name}, {threads} threads: {len(rows)} attempts lost, known after at most "
              f"{known:.3f} s, run again after at most {again:.3f} s", flush=True)
        self.assertGreaterEqual(len(rows), threads)
        self.assertLess(again, bound)
        self.all_places_free()

    def test_jobs_of_a_killed_worker_run_again_within_a_second(self):
        self.restart_after(signal.SIGKILL, 1.0, 1)

    def test_jobs_of_a_killed_worker_with_many_threads(self):
        self.restart_after(signal.SIGKILL, 1.0, 8)

    def test_jobs_of_a_stopped_worker_run_again_within_two_seconds(self):
        self.restart_after(signal.SIGSTOP, 2.0, 1)

    def test_a_job_that_kills_its_worker_takes_no_other_with_it(self):
        self.start(compute=2, image=1, threads=4)
        good = self.submit(500, {"service_us": 2000, "route": "compute"})
        poison = self.submit(1, {"outcome": "crash", "route": "compute"})
        good += self.submit(500, {"service_us": 2000, "route": "compute"})
        self.wait_all(good, 60)
        self.wait_all(poison, 60, "failed")
        end = self.client.ends[poison[0]][0][0]
        self.assertIn("worker_lost", end["msg"])
        self.assertIn("signal", end["msg"])
        self.assertEqual(self.client.ask("status", id=poison[0])["charges"], 3)
        runs = [len(self.client.ask("timeline", id=job)["attempts"]) for job in good
                if self.client.ends[job][0][0].get("att", 0) > 1]
        print(f"beside the poison: {len(runs)} jobs ran again, at most {max(runs, default=1)} times: "
              f"{end['msg'].splitlines()[0]}", flush=True)
        self.assertLessEqual(max(runs, default=1), 2)
        self.all_places_free()


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
    """Workers that meet the front, and one another, over TCP; the kernel cuts their connections."""

    def setUp(self):
        if os.geteuid() != 0 or not shutil.which("ss"):
            self.skipTest("SKIPPED: cutting connections needs root and ss")

    def start_workers(self, *stages):
        """A pipeline with one worker of each stage, started alone: their pids."""
        self.start(compute=0, image=0)
        config = self.mill.config.read_text()
        doors = {key: re.search(rf"^  {key}: (\S+)$", config, re.M)[1] for key in ("control", "results")}
        pids = []
        for stage in stages:
            worker = subprocess.Popen(
                [self.mill.programs / f"tallymill-stage-{stage}", "--threads", "8", "--control",
                 doors["control"], "--results", doors["results"], "--diagnostics", "true"],
                stderr=self.mill.log)
            self.addCleanup(worker.wait)
            self.addCleanup(worker.terminate)
            pids.append(worker.pid)
        self.mill.expected_workers = len(stages)
        self.mill.ready(self.client)
        return pids

    def connections(self, pid):
        """(own port, the other's) of every established TCP connection of the process."""
        listed = subprocess.run(["ss", "-Htnp", "state", "established"], capture_output=True,
                                text=True, check=True).stdout
        return {tuple(end.rsplit(":", 1)[1] for end in line.split()[2:4])
                for line in listed.splitlines() if f"pid={pid}," in line}

    def link(self, one, other, when):
        """The connections between the two workers, as soon as there is one: they meet only after the front."""
        between = set()

        def there_is_one():
            ends = self.connections(other)
            between.update((own, far) for own, far in self.connections(one) if (far, own) in ends)
            return between
        self.assertTrue(self.client.wait_for(there_is_one, 20), f"{when}: no link between the two")
        return between

    def cut(self, connections):
        """Ends them, all in one call: jobs run on meanwhile. How many."""
        ends = " or ".join(f"( sport = :{own} and dport = :{other} )" for own, other in connections)
        if ends:
            subprocess.run(["ss", "-HKt", "state", "established", ends], capture_output=True, check=True)
        return len(connections)

    def test_a_link_that_breaks_twenty_times(self):
        worker, = self.start_workers("compute")
        jobs, cuts = [], 0
        while cuts < 20:
            between = self.connections(worker)  # slow to list: before there are jobs
            jobs += self.submit(200, {"service_us": 10_000, "route": "compute"})
            self.flying(4)
            if self.cut(between) == 0:
                continue
            self.flying(1)
            cuts += 1
            self.mill.ready(self.client)
        self.wait_all(jobs, 60)
        self.assertEqual(self.counter("tallymill_charges_total"), 0)
        print(f"{cuts} cuts, {len(jobs)} jobs: {self.counter('tallymill_redeliveries_total'):.0f} sent "
              f"again, {self.counter('tallymill_results_fenced_total'):.0f} results fenced", flush=True)
        self.all_places_free()

    def test_a_link_between_two_stages_that_breaks(self):
        compute, image = self.start_workers("compute", "image")
        cuts = int(os.environ.get("TALLYMILL_LINK_CUTS", "20"))
        total, met, slowest = 0, 0, 0.0
        for cut in range(cuts):
            between = self.link(compute, image, f"cut {cut}")  # slow to list: before there are jobs
            jobs = self.submit(300, {"service_us": 5000, "route": "compute,image"})

            def under_way():
                """Some at either stage, and some of them through the link already."""
                held = {w["stage"]: w["held"] for w in self.client.ask("workers")["workers"]}
                return held["compute"] >= 4 and held["image"] >= 4
            self.assertTrue(self.client.wait_for(under_way, 20), f"cut {cut}")
            self.cut(between)
            began = time.monotonic()
            met += self.snapshot()["in_flight"] > 0
            # Not the ends themselves: nothing of this link may be met by the next cut.
            self.wait_all(jobs, 30)
            self.all_places_free()
            slowest = max(slowest, time.monotonic() - began)
            total += len(jobs)
            for name in ("charges", "results_fenced"):
                self.assertEqual(self.counter(f"tallymill_{name}_total"), 0, f"cut {cut}: {name}")
            missing = {w["incarnation"]: w["missing"] for w in self.client.ask("workers")["workers"]}
            self.assertFalse(any(missing.values()), f"cut {cut}: {missing}")
        jobs = self.snapshot()
        self.assertEqual((jobs["accepted"], jobs["done"]), (total, total))
        back = self.counter("tallymill_jobs_handed_back_total")
        self.assertGreaterEqual(back, cuts, "too few jobs met a cut link")
        self.assertGreaterEqual(met, cuts - 1, "too few cuts met jobs under way")
        print(f"{cuts} cuts of the link between compute and image, {total} jobs: {back:.0f} handed back, "
              f"{self.counter('tallymill_leases_lapsed_total'):.0f} lost in it, all places free after "
              f"{slowest:.1f} s at most", flush=True)


class TheDisk(Pipeline):
    def test_a_full_disk_refuses_and_recovers(self):
        if os.geteuid() != 0:
            self.skipTest("SKIPPED: a full disk needs root, for a small tmpfs")
        folder = tempfile.mkdtemp(prefix="tallymill-disk-")
        self.addCleanup(os.rmdir, folder)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", folder],
                          capture_output=True).returncode != 0:
            self.skipTest("SKIPPED: no tmpfs can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", folder])
        self.start(compute=1, image=1, threads=4, folder=folder)
        running = self.submit(4, {"service_us": 3_000_000, "route": "compute"})
        self.flying(4)
        filler = pathlib.Path(folder) / "filler"
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
                    file.flush()
            except OSError:
                pass
        codes = set()

        def refused():
            r = self.client.submit("synthetic", {"route": "compute"})
            self.client.wait_for(lambda: r in self.client.accepted or r in self.client.refused, 10)
            if r in self.client.accepted:
                running.append(self.client.accepted[r]["id"])
                return False
            codes.add(self.client.refused.pop(r)["code"])
            return True
        until(refused, 20, "a submit is refused")
        self.assertEqual(codes, {"E_DISK"})
        self.wait_all(running, 30)  # a full disk does not keep what runs from its end
        filler.unlink()
        until(lambda: not refused(), 20, "a submit is accepted again")
        self.wait_all(running, 30)
        self.all_places_free()

    def start_on_a_disk_that_can_fail(self):
        """The file whose rule makes syncs of the front fail while it exists."""
        library = pathlib.Path(PROGRAMS).absolute().parent / "tests" / "libslow_calls.so"
        self.assertTrue(library.exists(), library)
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-fsync-"))
        rule = pathlib.Path(folder) / "rule"

        def environment(program):
            if program != "front":
                return {}
            return {"LD_PRELOAD": library, "TM_SLOW_CALLS": rule}
        self.start(environment=environment)
        return rule

    def disk_is_mended(self, rule, jobs, stop=True):
        rule.unlink()

        def back():
            self.client.connect()
            return self.client.hello(0.5)
        until(back, 30, "the front answers again")
        self.mill.ready(self.client)
        self.wait_all(jobs)
        if stop:
            self.assertEqual(self.mill.stop(), 0)
            self.mill.command("ledger", "check", self.mill.data)

    def test_a_failing_fsync_ends_the_front_and_loses_nothing(self):
        rule = self.start_on_a_disk_that_can_fail()
        # At once: that a front was ready tells its supervisor that it can run, not how long it lived.
        jobs = self.submit(200, {"service_us": 1000, "route": "compute"})
        front = self.mill.children("front")[0]
        # Open, so that no new file can be given its number.
        before = self.enterContext(open(self.mill.data / "ledger.db", "rb"))
        rule.write_text("fail 0 -wal")
        late = [self.client.submit("synthetic", {"service_us": 0, "route": "compute"})
                for _ in range(50)]
        until(lambda: front not in self.mill.children("front"), 20, "the front ends")
        self.client.pump(0.2)
        self.assertFalse([r for r in late if r in self.client.accepted], "accepted without a sync")
        until(lambda: "exit 70" in self.mill.last_log(), 5, "it ended with exit 70")
        self.disk_is_mended(rule, jobs)
        self.assertFalse(os.path.sameopenfile(before.fileno(), self.enterContext(
            open(self.mill.data / "ledger.db", "rb")).fileno()), "the ledger was not copied")

    def test_a_failing_fsync_of_a_blob_ends_the_front_and_it_is_not_stored(self):
        rule = self.start_on_a_disk_that_can_fail()
        content = os.urandom(100_000)
        digest = hashlib.sha256(content).hexdigest()

        def put():
            r = self.client.next_request()
            self.client.send({"t": "put", "r": r, "B": 1, "d": digest, "b": len(content)}, {},
                             [content])
            return r

        def submit():
            return self.client.submit("synthetic", {"route": "compute"}, [content],
                                      **{"B": 1, "in": [{"n": "input", "i": 0}]})
        # Of the file aside, of the folder that its name is put into, and of a submit's own bytes.
        for send, text in ((put, "blobs/tmp/"), (put, f"blobs/{digest[:2]}"), (submit, "blobs/tmp/")):
            front = self.mill.children("front")[0]
            before = self.mill.log_size()
            rule.write_text(f"fail 0 {text}")
            r = send()
            until(lambda: front not in self.mill.children("front"), 20, "the front ends")
            self.client.pump(0.2)
            for told in (self.client.answers, self.client.accepted, self.client.refused):
                self.assertNotIn(r, told, text)
            until(lambda: "exit 70" in self.mill.log_since(before), 5, "it ended with exit 70")
            self.assertIn("the blob store failed, nothing is acknowledged any more",
                          self.mill.log_since(before))
            blobs = self.mill.data / "blobs"
            self.assertFalse((blobs / digest[:2] / digest).exists(), text)
            self.disk_is_mended(rule, [], stop=False)
        r = put()
        self.assertTrue(self.client.wait_for(lambda: r in self.client.answers, 10))
        self.assertEqual(self.client.answers[r][1], {"stored": True})
        r = submit()
        self.assertTrue(self.client.wait_for(lambda: r in self.client.accepted, 10))
        self.wait_all([self.client.accepted[r]["id"]])
        self.assertEqual(self.mill.stop(), 0)
        self.mill.command("ledger", "check", "--blobs", self.mill.data)

    def test_a_disk_that_stays_broken_is_not_filled_by_the_starts(self):
        rule = self.start_on_a_disk_that_can_fail()
        jobs = self.submit(200, {"service_us": 1000, "route": "compute"})
        self.client.wait_for(lambda: all(self.client.ends[j] for j in jobs), 20)

        def ends():
            return (self.mill.folder / "up.log").read_text(errors="replace").count("front died")
        # A sync of the log, then of the copy that each start makes, then of the folder that it is in.
        for text in ("-wal", "ledger.copy", self.mill.data.name):
            rule.with_suffix(".new").write_text(f"fail 0 {text}")
            rule.with_suffix(".new").rename(rule)
            before = ends()
            self.client.submit("synthetic", {"service_us": 0, "route": "compute"})
            until(lambda: ends() >= before + 2, 30, f"two starts met a failing sync of {text}")
        self.assertIsNone(self.mill.up.poll(), "the supervisor gave up")
        left = {f.name for f in self.mill.data.iterdir() if f.is_file()}
        copies = sorted(left & {"ledger.copy", "ledger.copy.tmp"})
        print(f"after {ends()} ends of the front: {sorted(left)}", flush=True)
        self.assertLessEqual(len(copies), 1)
        self.assertLessEqual(left, {
            "ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.lock", "ledger.reserve",
            "ledger.failed", "kinds.json", *copies})
        self.disk_is_mended(rule, jobs)
        left = [f.name for f in self.mill.data.iterdir() if f.name.startswith("ledger.copy")]
        self.assertEqual(left, [])


class TheLedger(Pipeline):
    def test_the_check_finds_a_job_that_was_lost(self):
        self.start()
        jobs = self.submit(20, {"service_us": 0, "route": "compute"})
        self.wait_all(jobs)
        self.assertEqual(self.mill.stop(), 0)
        whole = self.mill.command("ledger", "check", self.mill.data, check=False)
        self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)
        ledger = sqlite3.connect(self.mill.data / "ledger.db")
        self.assertEqual(ledger.execute("DELETE FROM jobs WHERE id = ?", (jobs[7],)).rowcount, 1)
        ledger.commit()
        ledger.close()
        check = self.mill.command("ledger", "check", self.mill.data, check=False)
        self.assertEqual(check.returncode, 7, check.stdout + check.stderr)


if __name__ == "__main__":
    print("seed: none is drawn, these faults strike at fixed points", flush=True)
    unittest.main(verbosity=2)
