"""A pipeline of real processes on loopback, and a client of the wire protocol, for tests.

The pipeline is `tallymill up` with its default stages in a folder of its own; the client speaks
docs/protocol.md with nothing but pyzmq and msgpack, so that the tests do not trust the library that
they would also test. Every wait has a deadline and a condition; nothing sleeps for a guess.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack
import zmq

HEARTBEAT = 0.4


def is_sanitized(program):
    """Built with the sanitizer of addresses: it starts slowly, and keeps what was freed."""
    return b"__asan_init" in pathlib.Path(program).read_bytes()


def free_ports(n, kind=socket.SOCK_STREAM):
    """Ports that were free a moment ago."""
    sockets = [socket.socket(type=kind) for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def until(condition, seconds, what):
    """Waits for condition() to be true; the value. Fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


def run_side_by_side(*lanes):
    """unittest.main() for tests that mostly wait: each lane, names of classes or tests, runs in a process of its own, and
    what is in none in one more. With names on the command line: those alone."""
    if len(sys.argv) > 1:
        unittest.main(verbosity=2)

    def flat(suite):
        return [one for part in suite for one in (flat(part) if isinstance(part, unittest.TestSuite) else [part])]
    tests = [one.id().removeprefix("__main__.") for one in
             flat(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))]
    named = {name for lane in lanes for name in lane}
    rest = [test for test in tests if not {test, test.split(".")[0]} & named]
    lanes = [*lanes, *([rest] if rest else [])]

    def run(lane):
        return subprocess.run([*sys.orig_argv, *lane], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
        results = list(pool.map(run, lanes))
    for result in results:
        print(result.stdout, flush=True)
    sys.exit(any(result.returncode for result in results))


class Mill:
    """`tallymill up` in a temporary folder."""

    def __init__(self, programs, compute=1, image=1, threads=1, settings="", folder=None,
                 environment=None, front=None, front_keys=(), collector=False):
        self.programs = pathlib.Path(programs).absolute()
        self.temporary = None
        if folder is None:
            self.temporary = tempfile.TemporaryDirectory(prefix="tallymill-")
            folder = self.temporary.name
        self.folder = pathlib.Path(folder)
        self.run = self.folder / "run"
        self.data = self.folder / "data"
        self.run.mkdir(parents=True, exist_ok=True)
        jobs, results, control, self.http_port, self.collector_port = free_ports(5)
        collector_http = f"127.0.0.1:{self.collector_port}" if collector else "off"
        self.config = self.folder / "tallymill.yaml"
        self.config.write_text(
            f"run_dir: {self.run}\ndata_dir: {self.data}\n"
            f"front:\n  listen: tcp://127.0.0.1:{jobs}\n  results: tcp://127.0.0.1:{results}\n"
            f"  control: tcp://127.0.0.1:{control}\n  http: 127.0.0.1:{self.http_port}\n  diagnostics: true\n  disk_floor_bytes: 1048576\n"
            + "".join(f"  {key}\n" for key in front_keys) +
            f"collector: {{http: '{collector_http}'}}\n"
            f"stages:\n  compute: {{workers: {compute}}}\n  image: {{workers: {image}}}\n" + settings)
        plain = threads == 1 and environment is None and front is None
        self.up_program = (self.programs / "tallymill-up" if plain
                           else self.wrap(threads, environment, front))
        self.log = open(self.folder / "up.log", "ab")
        self.endpoint = f"tcp://127.0.0.1:{jobs}"
        self.up = None
        self.expected_workers = compute + image

    def wrap(self, threads, environment, front):
        """A copy of `up` beside scripts that start its children with so many threads, and each with
        the variables of environment(its name); `front`: another program in the front's place."""
        beside = self.folder / "bin"
        beside.mkdir(exist_ok=True)
        for name in ("tallymill-front", "tallymill-stage-compute", "tallymill-stage-image"):
            flags = f"--threads {threads}" if "stage" in name else ""
            variables = environment(name.removeprefix("tallymill-")) if environment else {}
            words = " ".join(shlex.quote(f"{key}={value}") for key, value in variables.items())
            program = front if front and name == "tallymill-front" else self.programs / name
            (beside / name).write_text(f'#!/bin/sh\nexec env {words} {program} {flags} "$@"\n')
            (beside / name).chmod(0o700)
        (beside / "tallymill-collector").symlink_to(self.programs / "tallymill-collector")
        shutil.copy(self.programs / "tallymill-up", beside)
        return beside / "tallymill-up"

    def start(self):
        self.up = subprocess.Popen([self.up_program, str(self.config)],
                                   stderr=self.log, stdout=self.log)
        return self

    def children(self, name):
        """Pids of living processes of the tree that run tallymill-NAME."""
        found = []
        try:
            pids = pathlib.Path(f"/proc/{self.up.pid}/task/{self.up.pid}/children").read_text().split()
        except OSError:
            return found
        for pid in pids:
            try:
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
                state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if command.endswith("tallymill-" + name) and state != "Z":
                found.append(int(pid))
        return found

    def ready(self, client, seconds=20):
        """Until every worker's lane is open."""
        def all_open():
            answer = client.ask("workers", timeout=0.5)
            return answer and sum(w["open"] for w in answer["workers"]) >= self.expected_workers
        until(all_open, seconds, "all workers are connected")
        return self

    def command(self, *words, check=True, timeout=60):
        result = subprocess.run([self.programs / "tallymill", *map(str, words)], timeout=timeout,
                                capture_output=True, text=True)
        if check and result.returncode != 0:
            raise AssertionError(f"{words}: exit {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def stop(self, seconds=20):
        if self.up is None or self.up.poll() is not None:
            return self.up.returncode if self.up else None
        self.up.send_signal(signal.SIGTERM)
        try:
            return self.up.wait(seconds)
        except subprocess.TimeoutExpired:
            self.up.send_signal(signal.SIGTERM)
            try:
                return self.up.wait(5)
            except subprocess.TimeoutExpired:
                self.up.kill()
                return self.up.wait()

    def last_log(self, lines=40):
        return "\n".join((self.folder / "up.log").read_text(errors="replace").splitlines()[-lines:])

    def log_size(self):
        return (self.folder / "up.log").stat().st_size

    def log_since(self, size):
        return (self.folder / "up.log").read_bytes()[size:].decode(errors="replace")

    def __enter__(self):
        return self.start()

    def __exit__(self, *failure):
        self.stop()
        self.log.close()
        if failure[0] is not None:
            print(self.last_log())
        if self.temporary:
            self.temporary.cleanup()


class Client:
    """One connection, single-threaded: pump() reads what came."""

    def __init__(self, endpoint, name, context=None):
        self.context = context or zmq.Context.instance()
        self.endpoint = endpoint
        self.name = name
        self.socket = None
        self.request = 0
        self.answers = {}
        self.accepted = {}  # request -> job
        self.refused = {}  # request -> error header
        self.ends = collections.defaultdict(list)  # job -> events
        self.progress = collections.defaultdict(list)
        self.gaps = []
        self.order = []  # of ends, their numbers
        self.seen = 0  # the last sequence number of an end
        self.epoch = None
        self.ledger = ""
        self.connect()

    def close(self):
        if self.socket is not None:
            self.socket.close(0)
            self.socket = None

    def __del__(self):
        self.close()

    def connect(self):
        self.close()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 100_000)
        self.socket.connect(self.endpoint)

    def send(self, header, params=None, blobs=()):
        frames = [b"T1", msgpack.packb(header), msgpack.packb(params or {}), *blobs]
        self.socket.send_multipart(frames, zmq.NOBLOCK)

    def next_request(self):
        self.request += 1
        return self.request

    def hello(self, timeout=5.0):
        """Says hello and watches its own jobs from the last end it saw; False when nobody answers."""
        r = self.next_request()
        self.send({"t": "hello", "r": r, "client": self.name})
        if not self.wait_for(lambda: r in self.answers, timeout):
            return False
        welcome = self.answers.pop(r)[0]
        self.epoch = welcome["epoch"]
        since = self.seen if self.ledger == welcome["ledger"] else -1
        self.ledger = welcome["ledger"]
        r = self.next_request()
        watch = {"t": "watch", "r": r, "ledger": self.ledger}
        self.send(watch | ({"since": since} if since >= 0 else {}))
        return self.wait_for(lambda: r in self.answers, timeout)

    def submit(self, kind, params=None, blobs=(), **fields):
        r = self.next_request()
        self.send({"t": "submit", "r": r, "kind": kind, **fields}, params, blobs)
        return r

    def ask(self, verb, timeout=5.0, blobs=(), **fields):
        """The answer's params; None after the timeout; an error raises LookupError(header)."""
        r = self.next_request()
        self.send({"t": verb, "r": r, **({"B": len(blobs)} if blobs else {}), **fields}, {}, blobs)
        if not self.wait_for(lambda: r in self.answers or r in self.refused, timeout):
            return None
        if r in self.refused:
            raise LookupError(self.refused.pop(r))
        header, params, blobs = self.answers.pop(r)
        return params if not blobs else (params, header, blobs)

    def wait_for(self, condition, timeout):
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.pump(min(left, 0.05))
        return True

    def pump(self, timeout=0.0):
        """Reads everything that is there, waiting at most `timeout` for the first message."""
        if not self.socket.poll(int(timeout * 1000)):
            return 0
        n = 0
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return n
            n += 1
            self.read(frames)

    def read(self, frames):
        assert frames[0] == b"T1", frames[0]
        headers, values = msgpack.Unpacker(raw=False), msgpack.Unpacker(raw=False)
        headers.feed(frames[1])
        values.feed(frames[2])
        blobs = frames[3:]
        for header, params in zip(headers, values):
            mine = blobs[:header.get("B", 0)]
            blobs = blobs[header.get("B", 0):]
            kind, r = header["t"], header.get("r", 0)
            if kind == "accepted":
                self.accepted[r] = header
            elif kind == "error":
                self.refused[r] = header
            elif kind == "event" and header["w"] in ("done", "failed", "cancelled", "expired"):
                self.ends[header["id"]].append((header, params, mine))
                self.order.append(header["seq"])
                self.seen = max(self.seen, header["seq"])
            elif kind == "event":
                self.progress[header["id"]].append(header)
            elif kind == "gap":
                self.gaps.append(header)
            else:
                self.answers[r] = (header, params, mine)


def run_job(client, kind, params=None, blobs=(), timeout=30, **fields):
    """Submits one job and waits for its end: (event header, values, blobs)."""
    r = client.submit(kind, params, blobs, **fields)
    assert client.wait_for(lambda: r in client.accepted or r in client.refused, timeout), "no answer"
    assert r in client.accepted, client.refused[r]
    job = client.accepted[r]["id"]
    assert client.wait_for(lambda: client.ends[job], timeout), f"job {job} did not end"
    return client.ends[job][0]
