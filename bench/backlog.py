#!/usr/bin/python3
"""bench backlog: what a million waiting jobs cost.

A front with no stage takes N jobs with 200 bytes of params each, is killed with -9, starts again, and gets a
stage. One JSON line a figure: enqueue rate while empty and while full, RSS of the front, time from
the kill to the first acknowledgement and to the first of the old jobs done, and the rate at which the
backlog then drains, bodies read back from disk. The one client is Python: the enqueue rates are what
it can send, and only their ratio says something of the front.

usage: backlog.py PROGRAMS [N]
"""

import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
import msgpack  # noqa: E402
from figures import line, machine  # noqa: E402
from mill import Client, run_job, until  # noqa: E402

JOB_BYTES = 200
EMPTY = msgpack.packb({"service_us": 0, "pad": "x" * 32})
PARAMS = msgpack.packb({"service_us": 0, "pad": "x" * (32 + JOB_BYTES - len(EMPTY))})
assert len(PARAMS) == JOB_BYTES
PIECE = 100  # jobs a message
WINDOW = 3000

MACHINE = machine()  # before anything was timed


def figure(what, unit, value):
    line("backlog", what, unit, [value], MACHINE)


class Doors:
    """The processes, on ipc sockets of a temporary folder."""

    def __init__(self, programs, folder):
        self.programs, self.folder = pathlib.Path(programs), pathlib.Path(folder)
        self.jobs = f"ipc://{folder}/jobs"
        self.common = ["--results", f"ipc://{folder}/results", "--control", f"ipc://{folder}/control",
                       "--data-dir", f"{folder}/data", "--diagnostics", "true", "--log.level", "error"]

    def front(self):
        return subprocess.Popen([self.programs / "tallymill-front", "--listen", self.jobs, *self.common])

    def stage(self):
        return subprocess.Popen([self.programs / "tallymill-stage-compute", "--run-dir", self.folder,
                                 *self.common])

    def client(self, name):
        client = Client(self.jobs, name)
        until(lambda: client.hello(0.5), 10, "the front answers")
        return client


def rss_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def fill(client, jobs):
    """Submits `jobs`; the rates of the first and the last tenth, as jobs a second."""
    sent, marks, tenth = 0, [(0, time.monotonic())], jobs // 10
    while len(client.accepted) < jobs:
        while sent < jobs and sent - len(client.accepted) < WINDOW:
            first, client.request = client.request + 1, client.request + PIECE
            headers = b"".join(
                msgpack.packb({"t": "submit", "r": first + i, "kind": "synthetic"}
                              | ({"N": PIECE} if i == 0 else {})) for i in range(PIECE))
            client.socket.send_multipart([b"T1", headers, PARAMS * PIECE])
            sent += PIECE
        client.pump(0.02)
        assert not client.refused, next(iter(client.refused.values()))
        if len(client.accepted) >= marks[-1][0] + tenth:
            marks.append((len(client.accepted), time.monotonic()))
    rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in zip(marks, marks[1:])]
    return rates[0], rates[-1]


def main():
    programs, jobs = sys.argv[1], 1_000_000
    if len(sys.argv) > 2:
        if len(sys.argv) > 3 or not sys.argv[2].isdecimal() or int(sys.argv[2]) < 1000:
            print(f"bench backlog: takes a number of jobs, 1000 or more, not {' '.join(sys.argv[2:])!r}",
                  file=sys.stderr)
            sys.exit(2)
        jobs = int(sys.argv[2]) // 1000 * 1000
    with tempfile.TemporaryDirectory(prefix="tallymill-") as folder:
        doors = Doors(programs, folder)
        front, stage = doors.front(), doors.stage()
        client = doors.client("backlog")
        until(lambda: client.ask("kinds")["kinds"], 10, "a stage announces its kinds")
        run_job(client, "synthetic", {"service_us": 0})
        stage.kill()
        stage.wait()
        figure("front RSS, no job", "MiB", rss_mib(front))
        empty, full = fill(client, jobs)
        figure("enqueue, the first tenth", "jobs/s", empty)
        figure("enqueue, the last tenth", "jobs/s", full)
        figure("enqueue, last / first tenth", "x", full / empty)
        figure("front RSS, all waiting", "MiB", rss_mib(front))

        front.send_signal(signal.SIGKILL)
        front.wait()
        killed = time.monotonic()
        front = doors.front()
        again = Client(doors.jobs, "after")
        while not again.hello(0.05):
            again.connect()
        r = again.submit("synthetic", {"service_us": 0})
        assert again.wait_for(lambda: r in again.accepted, 30)
        figure("kill -9 to the first acknowledgement", "s", time.monotonic() - killed)
        stage = doors.stage()
        until(lambda: again.ask("snapshot", timeout=30)["jobs"]["done"] > 2, 60, "old jobs are done")
        figure("kill -9 to the first old job done", "s", time.monotonic() - killed)
        before, begin = again.ask("snapshot")["jobs"]["done"], time.monotonic()
        again.wait_for(lambda: False, 3)
        figure("drain", "jobs/s",
               (again.ask("snapshot", timeout=30)["jobs"]["done"] - before) / (time.monotonic() - begin))
        after = again.ask("snapshot", timeout=30)
        assert after["balanced"] and after["jobs"]["accepted"] == jobs + 2, after
        for process in (front, stage):
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
