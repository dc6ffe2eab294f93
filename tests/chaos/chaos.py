"""Chaos: real processes are killed and stopped while clients work, and nothing may be lost.

1. A schedule of faults is drawn from the seed, printed first: kill -9 and SIGSTOP of the front, a
   compute worker, an image worker, both stages at once.
2. Half of the clients are on the bus, half speak HTTP, one of these hearing of its jobs by Server-Sent Events,
   one by a WebSocket. Clients keep their own logs: what they submitted under which key, what was accepted, every end
   they saw. Half of the jobs carry an idempotency key and are sent again when no answer came, some
   also after they were accepted and their deadline has passed; 5 % are cancelled, 5 % have a
   deadline that may pass, 5 % make a blob.
3. A fault strikes only with at least 64 jobs at the workers, and some at both stages; how many had ended and were
   not settled is printed, and over the run it is not zero.
4. After the last cycle everything heals: every accepted job must end. Then the pipeline is stopped
   and judged offline: each accepted job is in the ledger with exactly one end, the one that its
   client saw, under the number that it saw; who hears by HTTP heard of each once, in order, without a gap; one key is one job, and is never refused for its
   deadline once that job is there; each job that is done has its blob and no other, and the store
   holds no blob beside these; `ledger check` finds nothing.

usage: chaos.py PROGRAMS [--seed N] [--cycles N] [--jobs N] [--faults A,B] [--front FRONT] [--http N]
TALLYMILL_CHAOS_SECONDS: go on for at least so long.
"""

import argparse
import collections
import hashlib
import os
import pathlib
import random
import signal
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
from http_load import HttpClient  # noqa: E402
from mill import Client, Mill, until  # noqa: E402

ROUTES = ("compute", "image", "compute,image")
FAULTS = ("kill front", "kill compute", "kill image", "kill both", "stop compute", "stop image",
          "stop front")
# Of the jobs that make one: large enough to be stored as a blob.
OUTPUT_BYTES = 33_000
# Jobs that a client has out at a time: enough that the workers never idle.
BACKLOG = 300


class Load:
    """One client that keeps jobs coming and remembers everything."""

    def __init__(self, client, rng):
        self.client = client
        self.rng = rng
        self.serial = 0
        self.asked = {}  # request -> (key or None, params, fields, sent at)
        self.again = []  # (when, key, params, fields): accepted, and asked for once more
        self.late = []  # (key, epoch, its job if it was known): refused for its deadline
        self.repeated = 0
        self.jobs = {}  # job -> key or None
        self.makes = set()  # jobs that make a blob
        self.keys = {}  # key -> set of jobs
        self.unknown = 0  # unkeyed submits whose answer was lost: allowed, not counted
        self.cancels = []
        self.heard = time.monotonic()
        self.pinged = 0.0

    def submit(self):
        self.serial += 1
        route = self.rng.choice(ROUTES)
        params = {"service_us": self.rng.randint(500, 40000), "mode": "sleep", "route": route}
        fields = {"prio": self.rng.randint(0, 9)}
        key = None
        if self.rng.random() < 0.5:
            key = f"{self.client.name}-{self.serial}"
            fields["key"] = key
        if self.rng.random() < 0.05:
            params["bytes_out"] = OUTPUT_BYTES
        if self.rng.random() < 0.05:
            fields["dl"] = time.time_ns() + int(self.rng.uniform(0.005, 2.0) * 1e9)
        self.send(key, params, fields)

    def send(self, key, params, fields):
        try:
            r = self.client.submit("synthetic", params, **fields)
        except Exception as full:  # the pipe to a dead front is full: try again later
            self.unknown += key is None
            if key is not None:
                self.asked[self.client.next_request()] = (key, params, fields, time.monotonic())
            return
        self.asked[r] = (key, params, fields, time.monotonic())

    def turn(self):
        if self.client.pump(0.0):
            self.heard = time.monotonic()
        now = time.monotonic()
        for r in [r for r in self.asked if r in self.client.accepted]:
            key, params, fields, _ = self.asked.pop(r)
            job = self.client.accepted.pop(r)["id"]
            known = job in self.jobs
            self.jobs[job] = key
            if "bytes_out" in params:
                self.makes.add(job)
            if key is not None:
                self.keys.setdefault(key, set()).add(job)
            if known:
                continue
            if key is not None and ("dl" in fields or self.rng.random() < 0.05):
                late = max(0.0, (fields.get("dl", 0) - time.time_ns()) / 1e9)
                self.again.append((now + late + self.rng.uniform(0, 0.3), key, params, fields))
            if self.rng.random() < 0.05:
                self.cancels.append(job)
                self.client.send({"t": "cancel", "r": self.client.next_request(), "id": job})
        for r in [r for r in self.asked if r in self.client.refused]:
            key, params, fields, _ = self.asked.pop(r)
            error = self.client.refused.pop(r)
            # E_FRAME: a front that restarted has not been greeted yet. All of these took nothing.
            later = error["code"] in ("E_BUSY", "E_NO_ROUTE", "E_FRAME")
            if later and key is not None:
                self.asked[self.client.next_request()] = (key, params, fields, now)
            elif error["code"] == "E_DEADLINE":
                self.late.append((key, self.client.epoch, min(self.keys.get(key, ()), default=None)))
            elif not later:
                raise AssertionError(f"refused: {error}")
        self.client.refused.clear()
        self.client.answers.clear()
        for due in [due for due in self.again if due[0] <= now]:
            self.again.remove(due)
            self.repeated += 1
            self.send(*due[1:])
        if now - self.pinged > 0.3:
            self.pinged = now
            self.reconnect_if_needed(now)
        for r, (key, params, fields, sent) in list(self.asked.items()):
            if now - sent < 1.0:
                continue
            del self.asked[r]
            if key is None:
                self.unknown += 1
            else:
                self.send(key, params, fields)

    def reconnect_if_needed(self, now):
        """A front that restarted, or that nothing is heard of, is greeted anew."""
        epoch = self.client.epoch
        try:
            answer = self.client.ask("ping", timeout=0.2)
        except Exception:
            answer = None
        if answer and answer["epoch"] == epoch:
            return
        try:
            self.client.hello(timeout=0.5)
        except Exception:
            self.client.connect()


def snapshot(loads):
    for load in loads:
        try:
            answer = load.client.ask("snapshot", timeout=0.3)
        except Exception:
            continue
        if answer:
            # A front that still reads its ledger does not know yet what it has.
            assert answer["balanced"] or answer["replaying"], f"not balanced: {answer}"
            return answer
    return None


def in_flight(answer):
    return answer["jobs"]["in_flight"] if answer else 0


def at_stages(loads):
    """What the workers of each stage hold, and how many results are not settled."""
    held = {"compute": 0, "image": 0}
    try:
        answer = loads[0].client.ask("workers", timeout=0.3)
    except Exception:
        return held, 0
    for worker in answer["workers"] if answer else []:
        held[worker["stage"]] += worker["held"]
    return held, sum(w["unsettled"] for w in answer["workers"]) if answer else 0


def strike(mill, fault):
    """Carries out one fault; how to undo it."""
    verb, whom = fault.split()
    names = {"front": ["front"], "compute": ["stage-compute"], "image": ["stage-image"],
             "both": ["stage-compute", "stage-image"]}[whom]
    pids = [mill.children(name)[:1] for name in names]
    pids = [pid for found in pids for pid in found]
    for pid in pids:
        os.kill(pid, signal.SIGKILL if verb == "kill" else signal.SIGSTOP)

    def undo():
        if verb == "stop":
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass
    return undo


def cycle(mill, loads, fault, jobs, rng):
    """Keeps load on until `jobs` more were accepted, with one fault in the middle."""
    begin = sum(len(load.jobs) for load in loads)
    struck, undo, strike_at, ended, before = None, None, None, 0, 0
    deadline = time.monotonic() + 60
    while True:
        accepted = sum(len(load.jobs) for load in loads) - begin
        if accepted >= max(jobs, before + jobs // 2) and struck and not undo:
            return struck, ended
        assert time.monotonic() < deadline, f"cycle {fault}: {accepted} accepted, struck {struck}"
        for load in loads:
            if len(load.asked) < 64 and len(load.jobs) - len(load.client.ends) < BACKLOG:
                for _ in range(16):
                    load.submit()
            load.turn()
        if struck is None and accepted > jobs // 4:
            flying = in_flight(snapshot(loads))
            held, ended = at_stages(loads)
            if flying >= 64 and sum(held.values()) >= 64 and all(held.values()):
                undo = strike(mill, fault)
                struck, strike_at, before = held, time.monotonic(), accepted
                if fault.startswith("kill"):
                    undo = None
        if undo and time.monotonic() - strike_at > rng.uniform(1.6, 2.5):
            undo()
            undo = None


def drained(answer):
    jobs = answer["jobs"]
    return (jobs["in_flight"] == 0 and jobs["settling"] == 0 and not any(jobs["waiting"].values())
            and not answer["replaying"])


def heal(loads, seconds):
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        for load in loads:
            load.turn()
        if any(load.asked or load.again for load in loads):
            continue
        last = snapshot(loads) or last
        if last and drained(last):
            assert last["balanced"], last
            return last
    raise AssertionError(f"not all jobs ended within {seconds} s: {last and last['jobs']}")


def all_ends(client):
    """Every job of the ledger and its end, page by page."""
    ends, cursor = {}, ""
    while True:
        page = client.ask("jobs", timeout=10, n=500, cur=cursor)
        for row in page["jobs"]:
            assert row["job"] not in ends, f"job {row['job']} is listed twice"
            ends[row["job"]] = row["state"]
        cursor = page.get("cursor", "")
        if not cursor:
            return ends


# A job as the ledger has it; `epoch`: of the front that took it.
Row = collections.namedtuple("Row", "client key state seq digests epoch")
STATES = ("done", "failed", "cancelled", "expired")


def read_ledger(data):
    """Of a pipeline that has stopped: every job's row."""
    database = sqlite3.connect(f"file:{pathlib.Path(data) / 'ledger.db'}?mode=ro", uri=True)
    rows = database.execute(
        "SELECT j.id, j.client, j.key, e.state, e.seq, e.digests,"
        " (SELECT max(epoch) FROM epochs WHERE after_seq < j.id)"
        " FROM jobs j LEFT JOIN ends e ON e.job = j.id").fetchall()
    found = {}
    for job, client, key, state, seq, digests, epoch in rows:
        assert job not in found, f"job {job} has two ends in the ledger"
        found[job] = Row(client, key, None if state is None else STATES[state], seq,
                         tuple((digests or "").split()), epoch)
    database.close()
    return found


def stored_blobs(data):
    """The digests that the store holds."""
    return {path.name for path in (pathlib.Path(data) / "blobs").glob("??/*")}


def output_of(job):
    """The digest of the file that `synthetic` makes for a job (docs/kinds.md)."""
    mask, out = 2**64 - 1, bytearray()
    state = (job * 0x9E3779B97F4A7C15 + 1) & mask
    while len(out) < OUTPUT_BYTES:
        state ^= (state << 13) & mask
        state ^= state >> 7
        state ^= (state << 17) & mask
        out += state.to_bytes(8, "little")
    return hashlib.sha256(out[:OUTPUT_BYTES]).hexdigest()


def judge(rows, loads):
    """Clients' logs against the ledger: 0 lost, 0 second ends, one job a key."""
    lost = [job for load in loads for job in load.jobs
            if job not in rows or rows[job].state not in STATES]
    assert not lost, f"accepted and lost: {lost[:10]} of {len(lost)}"
    of_key = {(row.client, row.key): job for job, row in rows.items() if row.key}
    for load in loads:
        for job, events in load.client.ends.items():
            seen = {(header["w"], header["seq"]) for header, _, _ in events}
            assert len(seen) == 1, f"job {job}: its client saw several ends: {seen}"
            has = (rows[job].state, rows[job].seq)
            assert seen == {has}, f"job {job}: client saw {seen}, ledger {has}"
        for key, jobs in load.keys.items():
            assert len(jobs) == 1, f"key {key} made jobs {jobs}"
        for key, epoch, known in load.late:
            # One that its client had not heard of may have been on its way to the disk, but not when
            # an earlier front took it.
            job = known or of_key.get((load.client.name, key))
            stood = known or (job and rows[job].epoch < epoch)
            assert not stood, f"key {key}: refused for its deadline, and its job {job} was there"


def judge_effects(rows, loads, blobs):
    """Every job that is done and makes a blob has that one, and there is no other: 0 second effects."""
    known = {job for load in loads for job in load.jobs}
    makes = {job for load in loads for job in load.makes}
    # Submits whose answer was lost may have made one too.
    outputs = {job: output_of(job) for job in rows if job in makes or job not in known}
    effects = 0
    for job, row in rows.items():
        must = job in makes and row.state == "done"
        may = must or (job not in known and row.state == "done")
        want = (outputs[job],) if must or (may and row.digests) else ()
        assert row.digests == want, f"job {job}, {row.state}: its effects are {row.digests}, not {want}"
        assert not set(want) - blobs, f"job {job}: its effect {want} is not in the store"
        effects += len(want)
    for load in loads:
        for job, events in load.client.ends.items():
            for header, _, _ in events:
                told = tuple(f["d"] for f in header.get("files", ()) if f.get("d"))
                assert told == rows[job].digests, f"job {job}: told {told}, has {rows[job].digests}"
    # A job that did not end as done may have made its blob before.
    strange = blobs - set(outputs.values())
    assert not strange, f"effects of no job: {sorted(strange)[:5]} of {len(strange)}"
    return effects


def ledger_check(mill):
    """Every law of the ledger, offline."""
    if "\n  ledger " not in mill.command("--help").stdout:
        print("SKIPPED: this build has no `tallymill ledger check`; only clients' logs were judged")
        return
    print(mill.command("ledger", "check", mill.data).stdout.strip())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--cycles", type=int, default=7)
    parser.add_argument("--jobs", type=int, default=1000, help="acknowledged in each cycle")
    parser.add_argument("--http", type=int, default=2, help="so many of the four clients speak HTTP")
    parser.add_argument("--front", help="another program in the front's place: a mutant")
    parser.add_argument("--faults", default="", help="comma-separated, in this order")
    words = parser.parse_args()
    print(f"seed {words.seed}", flush=True)
    rng = random.Random(words.seed)
    order = list(FAULTS)
    rng.shuffle(order)
    order = words.faults.split(",") if words.faults else order
    not_settled = 0
    with Mill(words.programs, compute=2, image=2, threads=20, front=words.front) as mill:
        first = Client(mill.endpoint, "client-0")
        until(lambda: first.hello(0.5), 20, "the front answers")
        mill.ready(first)
        by_http = [HttpClient(mill.http_port, f"client-{i}", ("sse", "ws")[i % 2])
                   for i in range(4 - words.http, 4)]
        clients = [first, *(Client(mill.endpoint, f"client-{i}") for i in range(1, 4 - words.http)), *by_http]
        for client in clients[1:]:
            assert client.hello()
        until(lambda: all(client.streams for client in by_http), 10, "events are followed over HTTP")
        loads = [Load(client, random.Random(words.seed + i)) for i, client in enumerate(clients)]
        seconds = float(os.environ.get("TALLYMILL_CHAOS_SECONDS", "0"))
        began, n, front_killed = time.monotonic(), -1, False
        while n + 1 < words.cycles or time.monotonic() - began < seconds:
            n += 1
            fault = order[n % len(order)]
            front_killed |= fault == "kill front"
            begin = time.monotonic()
            flying, ended = cycle(mill, loads, fault, words.jobs, rng)
            not_settled += ended
            print(f"cycle {n}: {fault}, in flight {flying['compute']} compute + {flying['image']} image, "
                  f"{ended} ended and not settled, {time.monotonic() - begin:.1f} s", flush=True)
        healed = heal(loads, 60)
        print("healed:", healed["jobs"], flush=True)
        ends = all_ends(first)
        for load in loads[len(loads) - len(by_http):]:
            load.client.hear(load.jobs)
            load.client.judge(load.jobs)
            load.client.learn_files(load.makes | (load.client.ends.keys() - load.jobs.keys()))
            load.client.close()
        assert mill.stop() == 0, "the pipeline did not drain"
        rows = read_ledger(mill.data)
        assert ends == {job: row.state for job, row in rows.items()}, "`jobs` does not tell the ledger"
        judge(rows, loads)
        effects = judge_effects(rows, loads, stored_blobs(mill.data))
        ledger_check(mill)
        assert not_settled > 0, "no fault struck while a result was unsettled: the run proves less"
        unknown = sum(load.unknown for load in loads)
        repeated, late = sum(load.repeated for load in loads), sum(len(l.late) for l in loads)
        assert effects > 0 and repeated > 0, "no job made a blob, or none was asked for again"
        resumed = sum(client.streams - 1 for client in by_http)
        assert resumed or not by_http or not front_killed, "a front was killed, and no stream was resumed"
        print(f"{len(by_http)} clients on HTTP, whose streams were resumed {resumed} times, told each end once, "
              f"in order")
        print(f"{len(ends)} ends, {sum(len(l.jobs) for l in loads)} acknowledged, 0 lost, 0 twice; "
              f"{unknown} unkeyed submits without an answer")
        print(f"{effects} blobs, each its job's only one; {repeated} accepted jobs asked for again; "
              f"{late} submits refused for their deadline, none of a job that was there")
        print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
