"""The bounds at the front's doors, on real processes: what is at one is taken, what is above it is
answered or counted, nobody else notices, and nothing is lost.

usage: bounds_test.py PROGRAMS
"""

import hashlib
import os
import pathlib
import re
import socket
import sys
import time
import unittest

import msgpack
import zmq

from mill import Client, Mill, run_job, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
KIB, MIB = 1 << 10, 1 << 20
WINDOW_BYTES = 16 * MIB
HANDSHAKE_S = 5
FOR_EVER = 4_000_000_000_000_000_000  # as "not before": waits as long as the test likes


class Door(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS, image=0))
        cls.client = Client(cls.mill.endpoint, "bounds")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def metric(self, name, **labels):
        text = self.client.ask("snapshot", state="prometheus")["prometheus"]
        wanted = "".join(f'{key}="{value}"' for key, value in labels.items())
        found = re.search(rf"^{name}(?:{{{wanted}}})? (\S+)$", text, re.MULTILINE)
        self.assertIsNotNone(found, name)
        return float(found[1])

    def still_works(self):
        self.assertEqual(run_job(self.client, "box", {})[0]["w"], "done")
        self.assertTrue(self.client.ask("snapshot")["balanced"])

    # ---- what needs a name, and what does not ----

    def test_only_what_belongs_to_a_client_needs_a_hello(self):
        stranger = Client(self.mill.endpoint, "nobody")
        for verb in ("ping", "snapshot", "workers", "topology", "kinds", "jobs"):
            self.assertIsNotNone(stranger.ask(verb), verb)
        for data in (os.urandom(100), b""):
            digest = hashlib.sha256(data).hexdigest()
            r = stranger.next_request()
            stranger.send({"t": "put", "r": r, "d": digest, "b": len(data), "B": 1}, {}, [data])
            self.assertTrue(stranger.wait_for(lambda: r in stranger.answers, 10))
            self.assertEqual(stranger.answers[r][1], {"stored": True})
            self.assertEqual(stranger.ask("get", d=digest)[2], [data])
        self.assertIsNotNone(stranger.ask("watch", ids=[1]))
        for verb, fields in (("watch", {}), ("submit", {"kind": "box"})):
            with self.assertRaises(LookupError) as caught:
                stranger.ask(verb, **fields)
            error = caught.exception.args[0]
            self.assertEqual((error["code"], error["field"]), ("E_FRAME", "/t"))

    # ---- the window of the welcome ----

    def submit_at_once(self, client, sizes):
        """One message with a submit for each size; their requests. No commit comes in between."""
        headers, requests = b"", []
        for n, _ in enumerate(sizes):
            requests.append(client.next_request())
            header = {"t": "submit", "r": requests[-1], "kind": "synthetic", "nb": FOR_EVER, "B": 1,
                      "in": [{"n": "a", "b": sizes[n], "i": 0}]}
            headers += msgpack.packb(header | ({"N": len(sizes)} if n == 0 else {}))
        client.socket.send_multipart([b"T1", headers, b"\x80" * len(sizes),
                                      *[bytes(size) for size in sizes]])
        self.assertTrue(client.wait_for(
            lambda: all(r in client.accepted or r in client.refused for r in requests), 30))
        return requests

    def test_the_window_is_taken_whole_and_what_is_above_it_is_told_to_wait(self):
        client = Client(self.mill.endpoint, "window")
        self.assertTrue(client.hello())
        each = 32 * KIB
        sizes = [each - 1] * (WINDOW_BYTES // each)  # and a byte of params
        full = self.submit_at_once(client, sizes)
        self.assertEqual([r for r in full if r in client.refused], [])
        # Answered, they are no longer in it: as much again, and one byte too many.
        more = self.submit_at_once(client, sizes + [0])
        self.assertEqual([r for r in more if r in client.refused], more[-1:])
        error = client.refused[more[-1]]
        self.assertEqual(error["code"], "E_RATE")
        self.assertGreater(error["retry_after_ms"], 0)
        self.assertGreaterEqual(self.metric("tallymill_submits_refused_total", code="E_RATE"), 1)
        again = self.submit_at_once(client, [0])
        self.assertIn(again[0], client.accepted)
        # Nothing else of it was lost: each that was accepted is there, and can be cancelled.
        jobs = [client.accepted[r]["id"] for r in full + more[:-1] + again]
        self.assertEqual(len(set(jobs)), 2 * len(sizes) + 1)
        self.assertGreaterEqual(self.metric("tallymill_jobs_live_bytes"), 2 * WINDOW_BYTES)
        for job in jobs:
            client.send({"t": "cancel", "r": client.next_request(), "id": job})
        self.assertTrue(client.wait_for(lambda: all(client.ends[job] for job in jobs), 30))
        self.still_works()

    def test_a_submit_larger_than_the_window_goes_alone(self):
        client = Client(self.mill.endpoint, "large")
        self.assertTrue(client.hello())
        headers, requests = b"", []
        for n, blobs in enumerate((3, 1)):
            requests.append(client.next_request())
            headers += msgpack.packb(
                {"t": "submit", "r": requests[-1], "kind": "synthetic", "B": blobs,
                 "in": [{"n": str(i), "b": 8 * MIB, "i": i} for i in range(blobs)]}
                | ({"N": 2} if n == 0 else {}))
        client.socket.send_multipart([b"T1", headers, b"\x80\x80", *[bytes(8 * MIB)] * 3, b""])
        self.assertTrue(client.wait_for(
            lambda: requests[0] in client.accepted and requests[1] in client.refused, 30),
            (client.accepted, client.refused))
        self.assertEqual(client.refused[requests[1]]["code"], "E_RATE")
        job = client.accepted[requests[0]]["id"]
        self.assertTrue(client.wait_for(lambda: client.ends[job], 30))

    # ---- what libzmq ends without a word, and what cannot be sent ----

    def test_a_frame_that_libzmq_does_not_take_costs_its_sender_the_connection(self):
        ended = lambda: self.metric("tallymill_front_disconnects_total", door="jobs")
        ping = msgpack.packb({"t": "ping", "r": 7})
        before = ended()
        at = Client(self.mill.endpoint, "at")
        at.socket.send_multipart([b"T1", ping, b"\x80", bytes(9 * MIB)])
        self.assertTrue(at.wait_for(lambda: at.refused, 10))
        self.assertEqual(at.refused[0]["code"], "E_TOO_BIG")  # read, and refused by name
        self.assertEqual(ended(), before)
        above = Client(self.mill.endpoint, "above")
        self.assertIsNotNone(above.ask("ping"))
        above.socket.send_multipart([b"T1", ping, b"\x80", bytes(9 * MIB + 1)])
        until(lambda: ended() == before + 1, 10, "the connection is ended and counted")
        self.assertIsNotNone(above.ask("ping"))  # the next one is like any other
        self.still_works()

    def test_an_answer_to_a_client_that_is_gone_is_counted(self):
        job = self.client.submit("synthetic", {}, nb=FOR_EVER)
        self.assertTrue(self.client.wait_for(lambda: job in self.client.accepted, 10))
        job = self.client.accepted[job]["id"]
        before = self.metric("tallymill_front_disconnects_total", door="jobs")
        gone = Client(self.mill.endpoint, "gone")
        self.assertIsNotNone(gone.ask("watch", ids=[job]))
        gone.close()
        until(lambda: self.metric("tallymill_front_disconnects_total", door="jobs") > before, 10,
              "the front knows that it is gone")
        dropped = self.metric("tallymill_front_messages_dropped_total")
        self.client.ask("cancel", id=job)
        self.assertTrue(self.client.wait_for(lambda: self.client.ends[job], 10))
        self.assertEqual(self.metric("tallymill_front_messages_dropped_total"), dropped + 1)

    def test_a_peer_that_is_silent_in_its_handshake_is_put_out(self):
        failed = lambda: self.metric("tallymill_front_handshakes_failed_total", door="jobs")
        before = failed()
        address = self.mill.endpoint.removeprefix("tcp://").split(":")
        greeting = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
        silent = []
        begin = time.monotonic()
        # Not a word; a part of the greeting; the greeting, and then no READY.
        for words in [b"", greeting[:11], greeting] * 5:
            peer = self.enterContext(socket.create_connection((address[0], int(address[1]))))
            peer.sendall(words)
            peer.settimeout(HANDSHAKE_S + 10)
            silent.append(peer)
        self.still_works()  # meanwhile
        for peer in silent:
            try:
                while peer.recv(4096):
                    pass
            except ConnectionResetError:
                pass
        self.assertGreater(time.monotonic() - begin, HANDSHAKE_S - 1)
        until(lambda: failed() == before + len(silent), 10, "each is counted")
        self.still_works()

    # ---- lists and pages ----

    def test_single_jobs_that_one_connection_may_watch(self):
        watcher = Client(self.mill.endpoint, "watcher")
        jobs = []
        for _ in range(100):
            requests = self.submit_at_once(self.client, [1] * 1000)
            jobs += [self.client.accepted.pop(r)["id"] for r in requests]
        for first in range(0, len(jobs), 1000):
            self.assertIsNotNone(watcher.ask("watch", ids=jobs[first:first + 1000]), first)
            if first == 0:  # jobs that were never there cost nothing
                self.assertIsNotNone(watcher.ask("watch", ids=[10**12 + 1]))
                head = watcher.ask("ping")["head"]
                self.assertIsNotNone(watcher.ask("watch", ids=[10**12 + 2], since=head))
        with self.assertRaises(LookupError) as caught:
            watcher.ask("watch", ids=jobs[:1])
        error = caught.exception.args[0]
        self.assertEqual((error["code"], error["field"]), ("E_TOO_BIG", "/ids"))
        self.assertTrue(watcher.hello())  # all jobs of its client cost nothing
        # One of them ends: there is room for another.
        self.client.ask("cancel", id=jobs[0])
        self.assertTrue(watcher.wait_for(lambda: watcher.ends[jobs[0]], 10))
        self.assertIsNotNone(watcher.ask("watch", ids=jobs[1:2]))

    def test_a_page_of_jobs_and_a_piece_of_a_replay(self):
        page, piece = 150, 500
        reader = Client(self.mill.endpoint, "pages")
        self.assertTrue(reader.hello())
        since = reader.ask("ping")["head"]
        requests = [reader.submit("synthetic", {}) for _ in range(piece + 1)]
        self.assertTrue(reader.wait_for(lambda: all(r in reader.accepted for r in requests), 30))
        jobs = sorted(reader.accepted[r]["id"] for r in requests)
        self.assertTrue(reader.wait_for(lambda: all(reader.ends[job] for job in jobs), 30))
        for asked, given in ((0, page), (page - 1, page - 1), (page, page), (page + 1, page)):
            answer = reader.ask("jobs", n=asked)
            self.assertEqual([row["job"] for row in answer["jobs"]], jobs[::-1][:given])
        rest = reader.ask("jobs", cur=answer["cursor"], n=1)["jobs"]
        self.assertEqual([row["job"] for row in rest], jobs[::-1][page:page + 1])
        # One piece exactly, and one end more than that.
        by_seq = sorted(reader.ends[job][0][0]["seq"] for job in jobs)
        for expected in (by_seq[1:], by_seq):
            away = Client(self.mill.endpoint, "pages")
            away.ledger, away.seen = reader.ledger, expected[0] - 1
            self.assertGreaterEqual(away.seen, since)
            self.assertTrue(away.hello())
            self.assertTrue(away.wait_for(lambda: len(away.ends) >= len(expected), 20))
            events = [event[0]["seq"] for events in away.ends.values() for event in events]
            self.assertEqual(events, expected)
            self.assertEqual(away.gaps, [])

    def test_a_watcher_that_does_not_read_is_told_what_it_missed(self):
        jobs, result = 1500, 32 * KIB
        reader = Client(self.mill.endpoint, "sleepy")
        self.assertTrue(reader.hello())
        asleep = Client(self.mill.endpoint, "sleepy")
        asleep.close()
        asleep.socket = zmq.Context.instance().socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 0), (zmq.RCVHWM, 1), (zmq.RCVBUF, 64 * KIB)):
            asleep.socket.setsockopt(option, value)
        asleep.socket.connect(self.mill.endpoint)
        self.assertTrue(asleep.hello())
        # From here on it does not read: 47 MiB of ends come, 16 may wait.
        requests = [reader.submit("synthetic", {"bytes_out": result}) for _ in range(jobs)]
        self.assertTrue(reader.wait_for(
            lambda: all(r in reader.accepted for r in requests), 30))
        ids = [reader.accepted[r]["id"] for r in requests]
        self.assertTrue(reader.wait_for(lambda: all(reader.ends[j] for j in ids), 60))
        self.assertEqual(reader.gaps, [])  # who reads misses nothing
        last = max(reader.ends[job][0][0]["seq"] for job in ids)
        self.assertTrue(asleep.wait_for(lambda: asleep.gaps and asleep.gaps[-1]["to"] >= last, 30))
        for job in ids:
            seq = reader.ends[job][0][0]["seq"]
            lost = any(gap["from"] <= seq <= gap["to"] for gap in asleep.gaps)
            self.assertEqual(len(asleep.ends.get(job, [])), 0 if lost else 1, seq)
        self.assertGreater(sum(len(asleep.ends.get(job, [])) for job in ids), 0)
        # And from here on it is told again.
        end = run_job(reader, "synthetic", {})[0]
        self.assertTrue(asleep.wait_for(lambda: asleep.ends.get(end["id"]), 10))

    def test_a_second_watch_goes_back_and_nothing_overtakes(self):
        reader = Client(self.mill.endpoint, "twice")
        self.assertTrue(reader.hello())
        requests = [reader.submit("synthetic", {}) for _ in range(1500)]
        self.assertTrue(reader.wait_for(lambda: all(r in reader.accepted for r in requests), 30))
        jobs = [reader.accepted[r]["id"] for r in requests]
        self.assertTrue(reader.wait_for(lambda: all(reader.ends[job] for job in jobs), 30))
        numbers = sorted(reader.ends[job][0][0]["seq"] for job in jobs)
        again = Client(self.mill.endpoint, "twice")
        self.assertTrue(again.hello())
        again.seen = 0
        for since in (numbers[700], numbers[0] - 1, numbers[1300]):
            again.send({"t": "watch", "r": again.next_request(), "ledger": again.ledger,
                        "since": since})
        live = [reader.submit("synthetic", {}) for _ in range(50)]
        self.assertTrue(reader.wait_for(lambda: all(r in reader.accepted for r in live), 30))
        last = [reader.accepted[r]["id"] for r in live]
        self.assertTrue(again.wait_for(lambda: all(again.ends.get(job) for job in last), 30))
        order = again.order[-(len(numbers) + len(live)):]
        self.assertEqual(order[:len(numbers)], numbers)  # all from the earliest, and then the live ones
        self.assertEqual(order, sorted(order))

    def test_a_result_whose_header_is_as_large_as_it_may_be(self):
        results = zmq.Context.instance().socket(zmq.PUSH)
        self.addCleanup(results.close, 0)
        results.connect(f"ipc://{self.mill.run}/results.sock")
        front = self.mill.children("front")
        # Refused for its file; there is no room for a longer word in its header.
        done = {"t": "done", "k": {"j": 10**12, "e": 1, "a": 1}, "w": "nobody", "files": [{}], "msg": ""}
        room = 64 * KIB - len(msgpack.packb(done)) - 2
        fenced = self.metric("tallymill_results_fenced_total")
        for short in range(40):
            done["msg"] = "m" * (room - short)
            header = msgpack.packb(done)
            self.assertLessEqual(len(header), 64 * KIB)
            results.send_multipart([b"T1", header, b"\x80"])
        until(lambda: self.metric("tallymill_results_fenced_total") == fenced + 40, 10,
              "each is fenced")
        self.assertEqual(self.mill.children("front"), front)  # the same process
        self.still_works()

    def test_tokens_in_one_beat(self):
        most = 20_480
        control = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(control.close, 0)
        name = f"bounds-{os.getpid()}"
        control.setsockopt(zmq.ROUTING_ID, name.encode())
        control.connect(f"ipc://{self.mill.run}/control.sock")

        def say(header, params):
            control.send_multipart([b"T1", msgpack.packb(header | {"inc": name}), msgpack.packb(params)])

        def tokens(n):
            return {"held": [[10**12 + i, 1, 1, 0] for i in range(n)]}

        say({"t": "worker_hello", "stage": "bounds", "host": "here", "boot": "x", "pid": 0,
             "ep": f"ipc://{self.mill.run}/lane-{name}", "lj": 1, "lb": 1, "lu": 1}, {"held": [], "kinds": []})
        void = set()

        def heard():
            while control.poll(0):
                for header in self.headers(control.recv_multipart()):
                    void.update(v["k"]["j"] for v in header.get("v", []) if v["w"] == "void")
            return void

        refused = self.metric("tallymill_front_messages_refused_total")
        say({"t": "beat", "ns": 1}, tokens(most))
        until(lambda: len(heard()) == most, 20, "each token is answered")
        self.assertEqual(self.metric("tallymill_front_messages_refused_total"), refused)
        say({"t": "beat", "ns": 2}, tokens(most + 1))
        until(lambda: self.metric("tallymill_front_messages_refused_total") == refused + 1, 20,
              "one more is refused")
        say({"t": "beat", "ns": 3, "dr": True}, {"held": []})
        self.still_works()

    def headers(self, frames):
        unpacker = msgpack.Unpacker(raw=False)
        unpacker.feed(frames[1])
        return list(unpacker)


class Retained(unittest.TestCase):
    def test_a_number_older_than_what_is_kept_is_a_gap_and_the_rest_follows(self):
        kept = 20
        mill = Mill(PROGRAMS, image=0)
        text = mill.config.read_text()
        mill.config.write_text(text.replace("front:\n", f"front:\n  retention_jobs: {kept}\n"))
        self.enterContext(mill)
        client = Client(mill.endpoint, "away")
        until(lambda: client.hello(0.5), 30, "the front answers")
        mill.ready(client)
        jobs = [run_job(client, "synthetic", {})[0]["id"] for _ in range(3 * kept)]
        numbers = {job: client.ends[job][0][0]["seq"] for job in jobs}

        def listed():
            return [row["job"] for row in client.ask("jobs")["jobs"]]
        until(lambda: len(listed()) == kept, 30, "the older ones are forgotten")
        self.assertEqual(sorted(listed()), jobs[-kept:])

        away = Client(mill.endpoint, "away")
        away.ledger, away.seen = client.ledger, numbers[jobs[0]]
        self.assertTrue(away.hello())
        self.assertTrue(away.wait_for(lambda: len(away.ends) == kept, 20), len(away.ends))
        self.assertEqual(list(away.ends), jobs[-kept:])
        self.assertEqual(len(away.gaps), 1, away.gaps)
        gap = away.gaps[0]
        self.assertEqual(gap["from"], numbers[jobs[0]] + 1)
        self.assertGreaterEqual(gap["to"], numbers[jobs[-kept - 1]])  # every end that is missing
        self.assertLess(gap["to"], numbers[jobs[-kept]])
        # At the last number that is gone nothing is missing.
        near = Client(mill.endpoint, "away")
        near.ledger, near.seen = client.ledger, gap["to"]
        self.assertTrue(near.hello())
        self.assertTrue(near.wait_for(lambda: len(near.ends) == kept, 20), len(near.ends))
        self.assertEqual(near.gaps, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
