"""Chaos: real processes are killed and stopped while clients work, and nothing may be lost.

1. A schedule of faults is drawn from the seed, printed first: kill -9 and SIGSTOP of the front, a
   compute worker, an image worker, both stages at once.
2. Clients keep their own logs: what they submitted under which key, what was accepted, every end
   they saw. Half of the jobs carry an idempotency key and are sent again when no answer came; 5 %
   are cancelled, 5 % have a deadline that may pass.
3. A fault strikes only with at least 64 jobs at the workers, and some at both stages; how many had ended and were
   not settled is printed, and over the run it is not zero.
4. After the last cycle everything heals: every accepted job must end. Then the pipeline is stopped
   and judged offline: each accepted job is in the ledger with exactly one end, the one that its
   client saw; one key is one job; `ledger check` finds nothing.

usage: chaos.py PROGRAMS [--seed N] [--cycles N] [--jobs N] [--faults A,B] [--front FRONT]
TALLYMILL_CHAOS_SECONDS: go on for at least so long.
"""

import argparse
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "e2e"))
from mill import Client, Mill, until  # noqa: E402

ROUTES = ("compute", "image", "compute,image")
FAULTS = ("kill front", "kill compute", "kill image", "kill both", "stop compute", "stop image",
          "stop front")
# Jobs that a client has out at a time: enough that the workers never idle.
BACKLOG = 300


class Load:
    """One client that keeps jobs coming and remembers everything."""

    def __init__(self, mill, name, rng):
        self.client = Client(mill.endpoint, name)
        self.rng = rng
        self.serial = 0
        self.asked = {}  # request -> (key or None, params, fields, sent at)
        self.jobs = {}  # job -> key or None
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
            key, _, _, _ = self.asked.pop(r)
            job = self.client.accepted.pop(r)["id"]
            self.jobs[job] = key
            if key is not None:
                self.keys.setdefault(key, set()).add(job)
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
            elif not later and error["code"] != "E_DEADLINE":
                raise AssertionError(f"refused: {error}")
        self.client.refused.clear()
        self.client.answers.clear()
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
        if any(load.asked for load in loads):
            continue
        last = snapshot(loads) or last
        if last and drained(last):
            assert last["balanced"], last
            return last
    raise AssertionError(f"not all jobs ended within {seconds} s: {last and last['jobs']}")


def all_ends(client):
    """Every job of the ledger and its end, page by page."""
    ends, before = {}, 0
    while True:
        page = client.ask("jobs", timeout=10, n=500, before=before)["jobs"]
        for row in page:
            assert row["job"] not in ends, f"job {row['job']} is listed twice"
            ends[row["job"]] = row["state"]
        if not page:
            return ends
        before = page[-1]["job"]


def judge(ends, loads):
    """Clients' logs against the ledger: 0 lost, 0 second ends, one job a key."""
    terminal = {"done", "failed", "cancelled", "expired"}
    lost = [job for load in loads for job in load.jobs if ends.get(job) not in terminal]
    assert not lost, f"accepted and lost: {lost[:10]} of {len(lost)}"
    for load in loads:
        for job, events in load.client.ends.items():
            states = {header["w"] for header, _, _ in events}
            assert states == {ends.get(job)}, f"job {job}: client saw {states}, ledger {ends.get(job)}"
        for key, jobs in load.keys.items():
            assert len(jobs) == 1, f"key {key} made jobs {jobs}"


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
        loads = [Load(mill, f"client-{i}", random.Random(words.seed + i)) for i in range(4)]
        until(lambda: loads[0].client.hello(0.5), 20, "the front answers")
        for load in loads[1:]:
            assert load.client.hello()
        mill.ready(loads[0].client)
        seconds = float(os.environ.get("TALLYMILL_CHAOS_SECONDS", "0"))
        began, n = time.monotonic(), -1
        while n + 1 < words.cycles or time.monotonic() - began < seconds:
            n += 1
            fault = order[n % len(order)]
            begin = time.monotonic()
            flying, ended = cycle(mill, loads, fault, words.jobs, rng)
            not_settled += ended
            print(f"cycle {n}: {fault}, in flight {flying['compute']} compute + {flying['image']} image, "
                  f"{ended} ended and not settled, {time.monotonic() - begin:.1f} s", flush=True)
        healed = heal(loads, 60)
        print("healed:", healed["jobs"], flush=True)
        ends = all_ends(loads[0].client)
        judge(ends, loads)
        assert mill.stop() == 0, "the pipeline did not drain"
        ledger_check(mill)
        assert not_settled > 0, "no fault struck while a result was unsettled: the run proves less"
        unknown = sum(load.unknown for load in loads)
        print(f"{len(ends)} ends, {sum(len(l.jobs) for l in loads)} acknowledged, 0 lost, 0 twice; "
              f"{unknown} unkeyed submits without an answer")
        print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
