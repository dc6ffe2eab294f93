"""A client over HTTP with the face of mill.Client, so that what keeps the bus busy keeps HTTP busy too.

Submits and cancels go out on a few connections that are kept; what happens to its jobs comes by Server-Sent
Events or a WebSocket, which are resumed by the last end that was heard of. What is lost with a connection
is not known, as on the bus: whoever submitted it asks again.
"""

import collections
import http.client
import json
import os
import queue
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
from http_client import Events, Socket  # noqa: E402

ENDS = ("done", "failed", "cancelled", "expired")
CONNECTIONS = 12
# What a connection waits for: longer than a front is ever stopped, shorter than a cycle.
PATIENCE = 5.0
LOST = (OSError, http.client.HTTPException, json.JSONDecodeError, ValueError)


class HttpClient:
    def __init__(self, port, name, stream="sse"):
        self.port = port
        self.name = name
        self.request = 0
        self.epoch = None
        self.accepted = {}  # request -> {"id": job}
        self.refused = {}  # request -> problem
        self.answers = {}
        self.ends = collections.defaultdict(list)  # job -> [(header, {}, [])]
        self.order = []  # of ends, their numbers, as they were told
        self.gaps = []
        self.streams = 0  # that were opened, all resumed but the first
        self.tasks = queue.SimpleQueue()
        self.came = queue.SimpleQueue()
        self.closing = False
        self.threads = [threading.Thread(target=self.carry, daemon=True) for _ in range(CONNECTIONS)]
        self.threads.append(threading.Thread(target=self.follow, args=(stream,), daemon=True))
        for thread in self.threads:
            thread.start()

    def close(self):
        self.closing = True
        for _ in range(CONNECTIONS):
            self.tasks.put(None)
        for thread in self.threads[:CONNECTIONS]:
            thread.join(2 * PATIENCE)

    # ---- on the threads ----

    def carry(self):
        connection = None
        while task := self.tasks.get():
            request, method, path, value, headers = task
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
                body = json.dumps(value(), separators=(",", ":")) if value else None
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                self.came.put((request, response.status, json.loads(response.read())))
            except LOST:
                if connection:
                    connection.close()
                connection = None
        if connection:
            connection.close()

    def follow(self, stream):
        last = None
        while not self.closing:
            try:
                for last, what, value in self.events(stream, last):
                    self.came.put((None, what, value))
            except (AssertionError, *LOST):
                time.sleep(0.02)

    def events(self, stream, last):
        """(where to go on, what, value) of each."""
        path = f"?client={self.name}"
        if stream == "sse":
            with Events(self.port, "/v1/events" + path, last, timeout=60) as events:
                self.streams += 1
                for one, what, value in events:
                    last = one or last
                    yield last, what, value
            return
        since = f"&since={last}" if last else ""
        with Socket(self.port, "/v1/ws" + path + since, timeout=60) as socket:
            self.streams += 1
            for value in socket:
                what = value["event"]
                if what == "hello":
                    ledger = value["ledger"]
                if what in ENDS or (what == "hello" and last is None):
                    last = f"{ledger}:{value['seq']}"
                yield last, what, value

    # ---- as mill.Client ----

    def next_request(self):
        self.request += 1
        return self.request

    def submit(self, kind, params=None, **fields):
        r = self.next_request()
        headers = {"Content-Type": "application/json", "Tallymill-Client": self.name}
        if "key" in fields:
            headers["Idempotency-Key"] = fields["key"]

        def job():
            value = {"kind": kind, "params": params or {}, "priority": fields.get("prio", 4)}
            if "dl" in fields:  # from the moment at which it is sent
                value["deadline_s"] = max(0.0, (fields["dl"] - time.time_ns()) / 1e9)
            return value
        self.tasks.put((r, "POST", "/v1/jobs", job, headers))
        return r

    def send(self, header):
        assert header["t"] == "cancel", header
        self.tasks.put((header["r"], "DELETE", f"/v1/jobs/{header['id']}", None, {}))

    def get(self, path, timeout):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            value = json.loads(response.read())
            return value if response.status == 200 else None
        finally:
            connection.close()

    def ask(self, verb, timeout=5.0):
        if verb != "ping":
            return self.get(f"/v1/{verb}", timeout)
        value = self.get("/v1/snapshot", timeout)
        return value and {"epoch": value["front_epoch"]}

    def hello(self, timeout=5.0):
        try:
            answer = self.ask("ping", timeout)
        except LOST:
            return False
        self.epoch = answer["epoch"] if answer else self.epoch
        return bool(answer)

    def connect(self):
        pass

    def pump(self, timeout=0.0):
        n = 0
        while True:
            try:
                request, what, value = self.came.get(timeout=timeout) if timeout else self.came.get_nowait()
            except queue.Empty:
                return n
            timeout = 0.0
            n += 1
            if request is not None and what in (200, 202) and "known" in value:
                self.accepted[request] = {"id": value["job"], "known": value["known"]}
            elif request is not None and what >= 400:
                self.refused[request] = value
            elif what in ENDS:
                self.ends[value["job"]].append(({"w": what, "seq": value["seq"]}, {}, []))
                self.order.append(value["seq"])
            elif what == "gap":
                self.gaps.append(value)

    def learn_files(self, jobs):
        """Puts the digests of what these jobs made, as their results tell them, into their ends."""
        for job in jobs:
            (header, _, _), = self.ends[job]
            if header["w"] == "done":
                files = self.get(f"/v1/jobs/{job}/result", 10)["files"]
                header["files"] = [{"d": file.get("digest")} for file in files]

    def hear(self, jobs, seconds=20):
        """Until it heard of all their ends, or for so long."""
        end = time.monotonic() + seconds
        while any(not self.ends.get(job) for job in jobs) and time.monotonic() < end:
            self.pump(0.05)

    def judge(self, jobs):
        """Of its jobs each end was told once, in order, over whatever was killed."""
        assert not self.gaps, f"{self.name}: {self.gaps}"
        silent = [job for job in jobs if not self.ends.get(job)]
        assert not silent, f"{self.name} never heard of the ends of {silent[:10]}, {len(silent)} in all"
        twice = {job: events for job, events in self.ends.items() if len(events) > 1}
        assert not twice, f"{self.name} was told twice: {list(twice.items())[:5]}"
        assert self.order == sorted(self.order), f"{self.name} was told out of order"
