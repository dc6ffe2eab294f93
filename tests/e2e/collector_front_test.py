"""What a page asks of a collector beside PromQL: its readiness, the live feed, and the front's waterfalls.

Goal: it is ready at once; 500 clients of the live feed cost little, and one that does not read costs nothing;
failures while the collector was dead are all told when it is back, once each. Method: the shipped programs.
TALLYMILL_AWAY_SECONDS: how long it is dead (3; in the long tier 60).

usage: collector_front_test.py PROGRAMS
"""

import json
import os
import pathlib
import selectors
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
import unittest

from collector_process import CollectorProcess
from http_client import Http, Socket
from mill import Client, Mill, is_sanitized, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
AWAY_SECONDS = float(os.environ.get("TALLYMILL_AWAY_SECONDS", "3"))
FOLLOWERS = 500


class Feed(Socket):
    """A client of the live feed."""

    def __init__(self, port, receive_bytes=None):
        super().__init__(port, "/ws")
        self.socket = self.connection.sock
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)

    def exactly(self, n):
        """Without a buffer, so that what waits is seen by select()."""
        data = b""
        while len(data) < n:
            piece = self.socket.recv(n - len(data))
            if not piece:
                raise ConnectionError("the socket ended")
            data += piece
        return data

    def say(self, value):
        data = json.dumps(value).encode()
        head = bytes((0x81, 0x80 | len(data))) if len(data) < 126 else \
            bytes((0x81, 0xFE)) + len(data).to_bytes(2, "big")
        self.send(head + bytes(4) + data)  # masked with zeros

    def follow(self, **topics):
        self.say({"subscribe": [{"topic": topic, "query": query} for topic, query in topics.items()]})

    def values(self):
        """(topic, its first value) as they come; gaps as ("gap", [from, to])."""
        for message in self:
            if "gap" in message:
                yield "gap", message["gap"]
            for topic, said in message.get("topics", {}).items():
                result = said["data"]["result"]
                if said["data"]["resultType"] == "scalar":
                    yield topic, result[1]
                else:
                    yield topic, result[0]["value"][1] if result else None


class Readiness(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))

    def test_an_empty_store_is_ready_within_50_ms(self):
        took = []
        for n in range(7):
            collector = CollectorProcess(PROGRAMS, self.folder / str(n))
            self.addCleanup(collector.end)
            began = time.monotonic()
            collector.start(wait=False)
            while collector.ask("/readyz")[0] != 200:
                self.assertLess(time.monotonic() - began, 20, "it is never ready")
            took.append(time.monotonic() - began)
            collector.end()
        print(f"ready after {', '.join(f'{s * 1000:.0f}' for s in took)} ms", file=sys.stderr)
        # The best: what else this machine does is not ours.
        if not is_sanitized(PROGRAMS / "tallymill-collector"):
            self.assertLess(min(took), 0.05)

    def test_a_front_that_is_away_degrades_it_and_is_said(self):
        with CollectorProcess(PROGRAMS, self.folder, 1) as collector:
            ready = collector.json("/readyz")
            self.assertEqual((ready["state"], ready["checks"]["store"]["state"]), ("degraded", "ok"))
            self.assertIn("127.0.0.1:1", ready["checks"]["front"]["detail"])
            status, body = collector.ask("/v1/jobs")
            self.assertEqual((status, json.loads(body)["code"]), (502, "E_AWAY"))
            log = self.folder / "collector.log"
            until(lambda: "no waterfalls" in log.read_text(), 20, "it is said")
            # And not again at each question.
            failed = "tallymill_collector_waterfall_pulls_failed_total"
            asked = collector.metric(failed)
            until(lambda: collector.metric(failed) > asked + 1, 20, "it asks on")
        self.assertEqual(log.read_text().count("no waterfalls"), 1, log.read_text())


class LiveFeed(unittest.TestCase):
    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-"))
        self.collector = self.enterContext(CollectorProcess(PROGRAMS, folder))

    def push(self, value):
        at = int(time.time() * 1000)
        self.collector.import_text("".join(f'load{{n="{n}"}} {value} {at}\n' for n in range(20)))

    def bounded(self, growth_kb, most_kb):
        if is_sanitized(PROGRAMS / "tallymill-collector"):
            print("SKIPPED: memory under a sanitizer")
        else:
            self.assertLess(growth_kb, most_kb)

    def test_500_clients_hear_each_change_and_leave_nothing_behind(self):
        self.push(1)
        queries = {f"t{n}": f'load{{n="{n}"}}' for n in range(10)}
        feeds = [self.enterContext(Feed(self.collector.port)) for _ in range(FOLLOWERS)]
        heard = [{} for _ in feeds]

        def read(part):
            waiting = selectors.DefaultSelector()
            for i in part:
                feeds[i].follow(**queries)
                waiting.register(feeds[i].socket, selectors.EVENT_READ, iter(feeds[i]))
            while not stop.is_set():
                for key, _ in waiting.select(0.2):
                    message = next(key.data)
                    i = by_socket[key.fileobj]
                    for topic, said in message.get("topics", {}).items():
                        heard[i][topic] = said["data"]["result"][0]["value"][1]
        by_socket = {feed.socket: i for i, feed in enumerate(feeds)}
        stop = threading.Event()
        reader = threading.Thread(target=read, args=(range(FOLLOWERS),))
        reader.start()
        self.addCleanup(lambda: (stop.set(), reader.join()))

        def all_have(value):
            return lambda: all(len(one) == 10 and set(one.values()) == {str(value)} for one in heard)
        until(all_have(1), 30, "all hear the first values")
        self.assertEqual(self.collector.metric("tallymill_collector_live_clients"), FOLLOWERS)
        until(lambda: self.collector.metric("tallymill_collector_live_queries") == 10, 10, "each query once")
        sizes = []
        for value in range(2, 12):
            self.push(value)
            until(all_have(value), 30, f"all hear {value}")
            sizes.append(self.collector.memory_kb())
        stop.set()
        reader.join()
        growth = statistics.mean(sizes[-3:]) - statistics.mean(sizes[2:5])
        print(f"memory with {FOLLOWERS} clients: {sizes} KB", file=sys.stderr)
        self.bounded(growth, 2000)
        for feed in feeds:
            feed.connection.close()
            feed.stream.close()
        until(lambda: self.collector.metric("tallymill_collector_live_clients") == 0, 20, "all are forgotten")
        until(lambda: self.collector.metric("tallymill_collector_live_queries") == 0, 10, "and their queries")

    def test_a_client_that_does_not_read_costs_nothing_and_is_told_what_it_missed(self):
        at = int(time.time() * 1000)
        self.collector.import_text("".join(f'many{{n="{n}", text="{"x" * 200}"}} 1 {at}\n' for n in range(700)))
        slow = self.enterContext(Feed(self.collector.port, 65536))
        # Half a megabyte a second, with the time in each: soon more than sockets hold.
        slow.follow(**{f"t{n}": f"many * 0 + time() + {n}" for n in range(20)})
        until(lambda: self.collector.metric("tallymill_collector_live_clients_behind") == 1, 30, "it is behind")
        size, sent = self.collector.memory_kb(), self.collector.metric("tallymill_http_sent_bytes_total")
        brisk = self.enterContext(Feed(self.collector.port))
        brisk.follow(now="time()")
        told = [next(brisk.values()) for _ in range(4)]
        self.assertEqual({topic for topic, _ in told}, {"now"})
        self.assertLess(self.collector.metric("tallymill_http_sent_bytes_total") - sent, 1 << 20)
        self.bounded(self.collector.memory_kb() - size, 4000)
        gap = next(value for topic, value in slow.values() if topic == "gap")
        self.assertLessEqual(gap[0], gap[1])
        self.assertEqual(next(slow.values())[0][0], "t", "it goes on with what is true now")


class Waterfalls(unittest.TestCase):
    def test_failures_while_the_collector_was_dead_are_all_told_once(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        mill = self.enterContext(Mill(PROGRAMS))
        bus = Client(mill.endpoint, "falls")
        until(lambda: bus.hello(0.5), 30, "the front answers")
        mill.ready(bus)
        collector = CollectorProcess(PROGRAMS, folder, mill.http_port)
        self.addCleanup(collector.end)
        collector.start()

        def fail(count):
            asked = [bus.submit("synthetic", {"outcome": "fail"}) for _ in range(count)]
            self.assertTrue(bus.wait_for(lambda: all(r in bus.accepted for r in asked), 30))
            jobs = [bus.accepted[r]["id"] for r in asked]
            self.assertTrue(bus.wait_for(lambda: all(bus.ends[job] for job in jobs), 60))
            return jobs
        failed = fail(20)
        until(lambda: collector.json("/readyz")["state"] == "ok", 20, "it reaches the front")
        until(lambda: len(self.rows(collector)) >= 5, 20, "some have come")
        collector.end(signal.SIGKILL)
        # At most 500 a second, so that a minute's are fewer than a collector keeps.
        for _ in range(int(AWAY_SECONDS * 10)):
            begin = time.monotonic()
            failed += fail(50)
            while time.monotonic() < begin + 0.1:
                bus.pump(begin + 0.1 - time.monotonic())
        collector.start()

        def all_told():
            told = [row["waterfall"]["job"] for row in self.rows(collector)]
            return set(failed) <= set(told) and told
        told = until(all_told, 60, "all failures are told")
        self.assertEqual(len(told), len(set(told)), "each once")
        self.assertEqual(collector.metric("tallymill_collector_waterfalls_missed_total"), 0)
        self.assertEqual(collector.metric("tallymill_collector_waterfalls_held"), len(told))
        one = collector.json(f"/api/v1/waterfalls/{failed[-1]}")["waterfall"]
        self.assertEqual((one["state"], one["job"], one["timeline"]["job"]), ("failed", failed[-1], failed[-1]))
        of_front = Http(mill.http_port).ask("GET", "/v1/waterfalls?limit=200").json()["waterfalls"]
        self.assertEqual([row["waterfall"] for row in self.rows(collector)][:len(of_front)], of_front)
        print(f"{len(failed)} failures, dead for {AWAY_SECONDS} s", file=sys.stderr)

    @staticmethod
    def rows(collector):
        rows, after, more = [], 0, True
        while more:
            page = collector.json(f"/api/v1/waterfalls?after={after}")
            rows, after, more = rows + page["waterfalls"], page["next"], page["more"]
        return rows


if __name__ == "__main__":
    unittest.main(verbosity=2)
