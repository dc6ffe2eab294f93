"""A delay planted in one part of a job's time shows up in that part and in no other.

Each delay of 50 ms lies between the product and its surroundings, never in its code: a disk that
syncs slowly, a network that hands over slowly (slow_calls.cc, preloaded), a handler that works
longer, a handler thread or a place that another job has, a worker that dies. Jobs without and with the
delay take turns, and the shortest of each part are compared: a busy machine only ever adds time, to
some of the jobs, while what was planted is in every one of them. So 2 ms is enough for wake-ups.

usage: delays_test.py PROGRAMS
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack

from mill import HEARTBEAT, Client, Mill, until

PROGRAMS = pathlib.Path(sys.argv.pop(1))
STAGE = pathlib.Path(__file__).parents[2] / "examples" / "stage.py"
LIBRARY = PROGRAMS.parent / "tests" / "libslow_calls.so"
PLANTED_MS = 50
SLACK_MS = 2
ROUNDS = 5
BATCHES = 4
# Long enough that the client hears `accepted` and the test can move a delay while it works.
SERVICE_US = 30_000
# Both above what travels in a message: they go through the blob store.
INPUT_BYTES = OUTPUT_BYTES = 40_000


class Pipeline(unittest.TestCase):
    """One pipeline whose calls can be slowed down, one client."""

    settings = ""
    workers = 1

    @classmethod
    def setUpClass(cls):
        if cls is Pipeline:
            raise unittest.SkipTest("what the tests below stand on")
        # In memory: what a disk takes now and then is longer than the slack.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        cls.folder = pathlib.Path(cls.enterClassContext(
            tempfile.TemporaryDirectory(prefix="tallymill-", dir=memory)))
        cls.mill = cls.enterClassContext(
            Mill(PROGRAMS, compute=cls.workers, image=1, settings=cls.settings, folder=cls.folder,
                 environment=lambda name: {"LD_PRELOAD": LIBRARY, "TM_SLOW_CALLS": cls.rule(name)}))
        cls.client = Client(cls.mill.endpoint, "delays")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    @classmethod
    def rule(cls, process):
        return cls.folder / f"slow-{process}"

    def setUp(self):
        self.mill.ready(self.client)

    @contextlib.contextmanager
    def slow(self, process, call, text):
        rule = self.rule(process)
        rule.with_suffix(".new").write_text(f"{call} {PLANTED_MS} {text}\n")
        rule.with_suffix(".new").rename(rule)
        yield
        rule.unlink()

    def submit(self, *jobs):
        """Submits in one message, so that they are accepted and dispatched together; their ids."""
        headers, params, blobs, requests = b"", b"", [], []
        for job in jobs:
            requests.append(self.client.next_request())
            header = {"t": "submit", "r": requests[-1], "kind": "synthetic"}
            header |= {} if headers else {"N": len(jobs)}
            if job.pop("input", False):
                header |= {"in": [{"n": "in.bin", "i": 0}], "B": 1}
                blobs.append(os.urandom(INPUT_BYTES))
            headers += msgpack.packb(header)
            params += msgpack.packb(job)
        self.client.socket.send_multipart([b"T1", headers, params, *blobs])
        accepted = self.client.accepted
        self.assertTrue(self.client.wait_for(lambda: all(r in accepted for r in requests), 10),
                        self.client.refused)
        return [accepted[r]["id"] for r in requests]

    def end(self, job):
        self.assertTrue(self.client.wait_for(lambda: self.client.ends[job], 20), job)
        return job

    def parts(self, job):
        """{part: ms}, once the job's whole is stored, which is after its end was announced."""
        def whole():
            timeline = self.client.ask("timeline", id=job)
            return timeline if timeline["whole_ns"] else None
        return self.ms(until(whole, 10, f"the whole of job {job} is stored"))

    def ms(self, timeline):
        return {name: ns / 1e6 for name, ns in timeline["parts"].items()}

    def compare(self, plain, planted, part, rounds=ROUNDS, grows_ms=PLANTED_MS, slack_ms=SLACK_MS):
        """Runs plain() and planted() in turn; each gives a job that ended. More turns while a machine
        that is busy has not yet left one job of each alone."""
        without, within = [], []
        for _ in range(BATCHES):
            jobs = [(plain(), planted()) for _ in range(rounds)]
            without += [self.parts(one) for one, _ in jobs]
            within += [self.parts(one) for _, one in jobs]
            try:
                return self.judge(without, within, part, grows_ms, slack_ms)
            except AssertionError as off:
                failure = off
        raise failure

    def judge(self, without, within, part, grows_ms, slack_ms):
        self.assertEqual({*without[0]}, {*within[0]})
        growth = {name: min(one[name] for one in within) - min(one[name] for one in without)
                  for name in without[0]}
        print(f"{part}: " + ", ".join(f"{name} {ms:+.2f}" for name, ms in growth.items() if
                                      name == part or abs(ms) > 0.5), "ms", flush=True)
        self.assertAlmostEqual(growth.pop(part), grows_ms, delta=slack_ms)
        for name, ms in growth.items():
            self.assertLess(abs(ms), SLACK_MS, name)


class Surroundings(Pipeline):
    """Two hops, files in and out; each part that lies between the product and its surroundings."""

    def job(self, before=None, running=None, **params):
        """A job that ended; `before` is slow until it is accepted, `running` from then on."""
        with contextlib.ExitStack() as slow:
            if before:
                slow.enter_context(self.slow(*before))
            job, = self.submit({"service_us": SERVICE_US, "bytes_out": OUTPUT_BYTES, "input": True,
                                "route": "compute,image"} | params)
            if running != before:  # or it goes on, without a gap in which the job could slip through
                slow.close()
                if running:
                    slow.enter_context(self.slow(*running))
            return self.end(job)

    def planted(self, part, only="", **delay):
        with self.subTest(part):
            self.compare(lambda: self.job(only=only), lambda: self.job(only=only, **delay), part)

    def test_intake(self):
        self.planted("intake", before=("front", "sync", "/blobs/tmp/"))

    def test_commit(self):
        self.planted("commit", before=("front", "sync", "-wal"))

    def test_settle(self):
        self.planted("settle", running=("front", "sync", "-wal"))

    def test_wire(self):
        self.planted("wire:compute", before=("stage-compute", "recv", "synthetic"),
                     running=("stage-compute", "recv", "synthetic"))
        self.planted("wire:image", running=("stage-image", "recv", "synthetic"))
        self.planted("wire:front", running=("front", "recv", "done"))

    def test_service(self):
        # Both stages work as long as the parameters say: here it is one that does.
        longer = {"only": "compute", "service_us": SERVICE_US + PLANTED_MS * 1000}
        self.compare(lambda: self.job(only="compute"), lambda: self.job(**longer), "service:compute")
        longer["only"] = "image"
        self.compare(lambda: self.job(only="image"), lambda: self.job(**longer), "service:image")

    def test_a_result_that_is_put_slowly(self):
        self.planted("service:compute", running=("stage-compute", "sync", "/blobs/tmp/"))
        # Both stages would make the same file, and a blob that is there is not written again.
        self.planted("service:image", only="image", running=("stage-image", "sync", "/blobs/tmp/"))

    def test_wait(self):
        def behind(service_us):
            first, second = self.submit({"service_us": service_us}, {"service_us": 1000})
            self.end(first)
            return self.end(second)
        self.compare(lambda: behind(1000), lambda: behind(1000 + PLANTED_MS * 1000), "wait:compute")


class AnotherStage(Pipeline):
    """Our stages have nothing to wait for between a job's finish and its message: the example's stage
    in Python is made to."""

    def test_handover(self):
        text = STAGE.read_text()
        honest = 'hop["fi"] = hop["ha"] = time.monotonic_ns()'
        self.assertIn(honest, text)
        late = (f'hop["fi"] = time.monotonic_ns(); '
                f'time.sleep({PLANTED_MS / 1000} if os.path.exists({str(self.rule("counter"))!r}) else 0); '
                f'hop["ha"] = time.monotonic_ns()')
        script = self.folder / "late_stage.py"
        script.write_text(text.replace(honest, late))
        stage = subprocess.Popen([sys.executable, script, self.mill.run], stdout=self.mill.log,
                                 stderr=self.mill.log)
        self.addCleanup(stage.wait)
        self.addCleanup(stage.terminate)
        until(lambda: any(w["stage"] == "counter" and w["open"]
                          for w in self.client.ask("workers")["workers"]), 15, "the stage is there")

        def count(*delay):
            with self.slow(*delay) if delay else contextlib.nullcontext():
                request = self.client.submit("count", {}, [b"12345"], B=1, **{"in": [{"n": "a", "i": 0}]})
                self.assertTrue(self.client.wait_for(lambda: request in self.client.accepted, 10),
                                self.client.refused)
                return self.end(self.client.accepted[request]["id"])
        self.compare(count, lambda: count("counter", "late", "-"), "handover:counter")


class Attempts(Pipeline):
    """Two workers with one place each; attempts that wait, fail and are lost."""

    settings = ("  prefetch: 0\n"
                "kinds:\n  synthetic: {retries: 1, retry_base_ms: 100, retry_cap_ms: 100}\n")
    workers = 2
    killed = {}  # job: when, and how long after it began it should have been

    def test_queue(self):
        def third(service_us):
            *others, last = self.submit({"service_us": service_us}, {"service_us": service_us},
                                        {"service_us": 1000})
            for job in others:
                self.end(job)
            return self.end(last)
        self.compare(lambda: third(1000), lambda: third(1000 + PLANTED_MS * 1000), "queue")

    def test_backoff(self):
        # Its length is drawn: uniform from none to the base. What it adds to the whole is in no
        # other part, whatever it was.
        def failing_once():
            job, = self.submit({"service_us": 1000, "fail_first_n": 1})
            return self.end(job)
        drawn = [self.parts(failing_once()) for _ in range(4 * ROUNDS)]
        backoffs = sorted(parts["backoff"] for parts in drawn)
        print(f"backoff: {backoffs[0]:.2f} to {backoffs[-1]:.2f} ms", flush=True)
        self.assertLess(backoffs[0], 50)
        self.assertGreater(backoffs[-1] - backoffs[0], 30)
        middle = backoffs[len(backoffs) // 2]
        self.assertLess(middle, 100 + SLACK_MS)
        for name in drawn[0].keys() - {"backoff"}:
            short = min(parts[name] for parts in drawn if parts["backoff"] < middle)
            long = min(parts[name] for parts in drawn if parts["backoff"] >= middle)
            self.assertLess(abs(long - short), SLACK_MS, name)

    def ms(self, timeline):
        """A kill is never to the millisecond: what the attempt was longer than planned, by this
        process's clock, is taken off."""
        parts = super().ms(timeline)
        if killed := self.killed.get(timeline["job"]):
            lived_ns = killed["at"] - timeline["attempts"][0]["dispatched"]
            parts["lost attempt"] -= lived_ns / 1e6 - killed["planned_ms"]
        return parts

    def test_lost_attempt(self):
        def killed_after(ms):
            self.mill.ready(self.client)
            job, = self.submit({"service_us": 150_000})

            def holder():
                workers = self.client.ask("workers")["workers"]
                return next((w["pid"] for w in workers if w["stage"] == "compute" and w["held"]), None)
            pid = until(holder, 5, "a worker has the job")
            self.client.wait_for(lambda: False, ms / 1000)
            os.kill(pid, signal.SIGKILL)
            self.killed[job] = {"at": time.monotonic_ns(), "planned_ms": ms}
            return self.end(job)
        # Few rounds: the supervisor restarts a worker that dies often after longer and longer. And
        # it may note a death after the front saw the lane break: then the front looks again when an
        # eighth of a heartbeat has passed, and only a longer delay can be told from that.
        longer, look_ms = 2 * PLANTED_MS, HEARTBEAT * 1000 / 8
        self.compare(lambda: killed_after(20), lambda: killed_after(20 + longer), "lost attempt",
                     rounds=3, grows_ms=longer, slack_ms=look_ms + SLACK_MS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
