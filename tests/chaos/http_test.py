"""kill -9 of the front in mid-upload, mid-submit and mid-stream, under load over HTTP: clients ask again with the
same Idempotency-Key, follow on from the last end that they heard of, and nothing is lost, twice, or left behind.

usage: http_test.py PROGRAMS [TEST ...]
SEED: of a run to be repeated; it is printed.
"""

import hashlib
import os
import random
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
from chaos import Load, drained, judge, read_ledger, stored_blobs  # noqa: E402
from http_client import Http, form  # noqa: E402
from http_load import HttpClient  # noqa: E402
from mill import Client, Mill, until  # noqa: E402

PROGRAMS = sys.argv.pop(1)
SEED = int(os.environ.get("SEED", time.time()))
KILLS = 6
UPLOADS = 12
# Beyond what a form's file may have in the job's own row: it goes into the store as it comes.
LEAST_SENT = 100_000


class KeyedLoad(Load):
    """Every submit under a key, so that whoever got no answer asks again until there is one."""

    def send(self, key, params, fields):
        if key is None:
            key = fields["key"] = f"{self.client.name}-{self.serial}"
        super().send(key, params, fields)


class KilledOverHttp(unittest.TestCase):
    def setUp(self):
        print(f"SEED={SEED}", flush=True)
        self.rng = random.Random(SEED)
        self.mill = self.enterContext(Mill(PROGRAMS, compute=2, image=2, threads=20))
        self.bus = Client(self.mill.endpoint, "judge")
        until(lambda: self.bus.hello(0.5), 30, "the front answers")
        self.mill.ready(self.bus)
        self.loads = []

    def start_loads(self, *streams):
        for n, stream in enumerate(streams):
            client = HttpClient(self.mill.http_port, f"killed-{n}", stream)
            self.addCleanup(client.close)
            self.loads.append(KeyedLoad(client, random.Random(SEED + n)))
        until(lambda: all(load.client.hello(1) and load.client.streams for load in self.loads), 20,
              "events are followed over HTTP")

    def turn(self):
        for load in self.loads:
            if len(load.asked) < 64 and len(load.jobs) - len(load.client.ends) < 300:
                for _ in range(16):
                    load.submit()
            load.turn()

    def turn_until(self, condition, seconds, what):
        until(lambda: (self.turn(), condition())[1], seconds, what)

    def kill_front(self):
        front, = self.mill.children("front")
        os.kill(front, signal.SIGKILL)
        return front

    def back(self, front):
        """Another front answers, over HTTP too."""
        until(lambda: self.mill.children("front") not in ([], [front]), 20, "another front")
        until(lambda: self.bus.hello(0.5), 20, "it answers")

        def healthy():
            try:
                return Http(self.mill.http_port).raw("GET", "/healthz", timeout=1).status == 200
            except OSError:
                return False
        until(healthy, 20, "it answers over HTTP")

    def half_written(self):
        return list((self.mill.data / "blobs" / "tmp").iterdir())

    def heal_and_judge(self):
        """No more is asked for; all that was accepted ends, once; the law holds and the ledger is whole."""
        def healed():
            for load in self.loads:
                load.turn()
            answer = self.bus.ask("snapshot", timeout=1)
            quiet = not any(load.asked or load.again for load in self.loads)
            return quiet and answer and drained(answer) and answer
        last = until(healed, 60, "all jobs ended")
        self.assertTrue(last["balanced"], last)
        for load in self.loads:
            load.client.hear(load.jobs)
            load.client.judge(load.jobs)
        self.assertEqual(self.half_written(), [])
        self.assertEqual(self.mill.stop(), 0)
        rows = read_ledger(self.mill.data)
        judge(rows, self.loads)
        keyed = {(row.client, row.key) for row in rows.values() if row.key}
        self.assertEqual(len(keyed), len([row for row in rows.values() if row.key]), "a key is one job")
        self.mill.command("ledger", "check", self.mill.data)
        return rows

    # ---- uploads ----

    def uploads(self):
        """(request's head, body, key or None) of each: blobs, and forms with a file and a key."""
        made = []
        for n in range(UPLOADS):
            data = self.rng.randbytes(self.rng.randint(2, 4) << 20)
            if n % 2 == 0:
                made.append(("PUT /v1/blobs", {"Content-Type": "application/octet-stream"}, data, data))
            else:
                kind, body = form({"kind": "synthetic", "params": "{}"},
                                  [("file", "some.bin", "application/octet-stream", data)])
                made.append(("POST /v1/jobs", {"Content-Type": kind, "Idempotency-Key": f"upload-{n}"}, body, data))
        return made

    def begin(self, upload):
        """Sends a part of it, and no more."""
        line, headers, body, _ = upload
        sent = self.rng.randint(LEAST_SENT, len(body) - 1)
        lines = [f"{line} HTTP/1.1", f"Host: 127.0.0.1:{self.mill.http_port}", f"Content-Length: {len(body)}",
                 *(f"{name}: {value}" for name, value in headers.items())]
        connection = socket.create_connection(("127.0.0.1", self.mill.http_port), timeout=20)
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body[:sent])
        self.addCleanup(connection.close)
        return connection

    def test_in_mid_upload_nothing_stays_of_it_and_what_is_sent_again_is_there_once(self):
        self.start_loads("sse")
        uploads = self.uploads()
        for _ in range(3):
            before = stored_blobs(self.mill.data)
            held = [self.begin(upload) for upload in uploads]
            self.turn_until(lambda: len(self.half_written()) == UPLOADS, 30, "all are being written")
            self.turn_until(lambda: self.loads[0].asked, 10, "there is load")
            self.back(self.kill_front())
            for connection in held:
                with self.assertRaises(ConnectionError):
                    while connection.recv(1000):
                        pass
                    raise ConnectionResetError  # an orderly end is one, too
            self.assertEqual(self.half_written(), [], "of what was half sent")
            new = stored_blobs(self.mill.data) - before
            data = {hashlib.sha256(upload[3]).hexdigest() for upload in uploads}
            self.assertFalse(new & data, "a half is not stored as a whole")
        http = Http(self.mill.http_port)
        jobs = []
        for line, headers, body, data in uploads:
            for known in (False, True):
                answer = http.ask(*line.split(), headers=headers, body=body)
                self.assertIn(answer.status, (201, 202), answer.body)
                if answer.status == 202:
                    self.assertEqual(answer.json()["known"], known)
                    jobs.append(answer.json()["job"])
            self.assertIn(hashlib.sha256(data).hexdigest(), stored_blobs(self.mill.data))
        self.assertEqual(len(set(jobs)), UPLOADS // 2)
        self.assertEqual(jobs[::2], jobs[1::2])
        rows = self.heal_and_judge()
        for job in jobs:
            self.assertEqual(rows[job].state, "done")
        print(f"3 kills with {UPLOADS} uploads half sent: nothing left of them; sent again, each is there once")

    # ---- submits and streams ----

    def test_in_mid_submit_and_mid_stream_each_is_taken_once_and_told_once(self):
        self.start_loads("sse", "ws")
        open_submits = 0
        for _ in range(KILLS):
            goal = sum(len(load.jobs) for load in self.loads) + self.rng.randint(200, 600)
            streams = [load.client.streams for load in self.loads]
            heard = [len(load.client.order) for load in self.loads]
            self.turn_until(lambda: sum(len(load.jobs) for load in self.loads) >= goal and
                            all(len(load.client.order) > n for load, n in zip(self.loads, heard)), 60,
                            "jobs come and end")
            self.turn_until(lambda: all(load.asked for load in self.loads), 10, "submits are under way")
            open_submits += sum(len(load.asked) for load in self.loads)
            self.back(self.kill_front())
            self.turn_until(lambda: all(load.client.streams > n for load, n in zip(self.loads, streams)), 20,
                            "both streams are resumed")
        rows = self.heal_and_judge()
        jobs = sum(len(load.jobs) for load in self.loads)
        self.assertEqual(len(rows), jobs, "every job has its client, under its key")
        self.assertGreater(open_submits, 0)
        print(f"{KILLS} kills with {open_submits} submits under way: {jobs} jobs, 0 lost, 0 twice; streams resumed "
              f"{sum(load.client.streams - 1 for load in self.loads)} times")


if __name__ == "__main__":
    unittest.main(verbosity=2)
