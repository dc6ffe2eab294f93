#!/usr/bin/python3
"""bench telemetry-overhead: what telemetry costs a job.

Two pipelines of a front and a compute worker, one of which tells a collector what it counts. In a round they take turns of
some milliseconds: one gets a thousand no-op jobs, a hundred a message, and when all have ended it is the other's turn, so
that whatever else the machine does meets both. Of each round the processor time of front and worker (the collector's
apart), by /proc, and the jobs that ended. One JSON line a figure: the time per job with and without, and the ratio of a
round: its median, and the upper bound of that at 95 % by bootstrap. Bound: 1.02.

`instructions`: by callgrind, of one front. Under it a second holds some hundred jobs instead of many thousand, while a frame
goes out each second all the same: so those of a job, by all threads but telemetry's own, and those of a frame, by that
thread, are counted apart, and put together at the rate of jobs that the same pipeline has without callgrind. Bound: 1.015.

usage: telemetry-overhead.py PROGRAMS [ROUNDS] [instructions]
"""

import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "e2e"))
import figures  # noqa: E402
import msgpack  # noqa: E402
from mill import Client, free_ports, run_job, until  # noqa: E402

PIECE = 100  # jobs a message
WINDOW = 2000
TURN = 1000  # jobs
SECONDS = 2.0  # of a round: two frames of each process fall into it, on half of the jobs that they would carry alone
PARAMS = msgpack.packb({"service_us": 0})
INSTRUCTION_JOBS = 20_000


MACHINE = figures.machine()  # before anything was timed


def figure(what, unit, values):
    figures.line("telemetry-overhead", what, unit, values, MACHINE)


def cpu_seconds(process):
    """Of all its threads, to the nanosecond."""
    return sum(int(path.read_text().split()[0])
               for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/schedstat")) / 1e9


class Pipeline:
    """Front and worker on ipc sockets of a folder of their own."""

    def __init__(self, programs, folder, telemetry, front_words=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.jobs = f"ipc://{folder}/jobs"
        common = ["--results", f"ipc://{folder}/results", "--control", f"ipc://{folder}/control", "--data-dir",
                  f"{folder}/data", "--diagnostics", "true", "--log.level", "error"]
        self.collector = None
        if telemetry:
            bus = f"ipc://{folder}/bus"
            (port,) = free_ports(1)
            self.collector = subprocess.Popen([programs / "tallymill-collector", "--data", f"{folder}/series", "--http",
                                               f"127.0.0.1:{port}", "--bus", bus, "--log.level", "error"])
            common += ["--telemetry.endpoint", bus]
        self.front = subprocess.Popen([*front_words, programs / "tallymill-front", "--listen", self.jobs, *common])
        self.stage = subprocess.Popen([programs / "tallymill-stage-compute", "--run-dir", self.folder, *common])
        self.client = Client(self.jobs, "bench")
        until(lambda: self.client.hello(0.5), 120, "the front answers")
        until(lambda: self.client.ask("kinds", timeout=30)["kinds"], 60, "a stage announces its kinds")
        run_job(self.client, "synthetic", {"service_us": 0}, timeout=60)

    def processes(self):
        return [self.front, self.stage]

    def send(self):
        client = self.client
        first, client.request = client.request + 1, client.request + PIECE
        headers = b"".join(msgpack.packb({"t": "submit", "r": first + i, "kind": "synthetic"}
                                         | ({"N": PIECE} if i == 0 else {})) for i in range(PIECE))
        client.socket.send_multipart([b"T1", headers, PARAMS * PIECE])

    def turn(self, seconds=None, jobs=None):
        """Jobs that ended in it; all that were sent have when it is over."""
        client, sent = self.client, 0
        client.order.clear()
        client.accepted.clear()
        client.ends.clear()
        begin = time.monotonic()
        more = (lambda: time.monotonic() < begin + seconds) if seconds else (lambda: sent < jobs)
        while more() or len(client.order) < sent:
            while more() and sent - len(client.order) < WINDOW:
                self.send()
                sent += PIECE
            client.pump(0.02)
            assert not client.refused, next(iter(client.refused.values()))
        return sent

    def end(self):
        for process in (self.stage, self.front, self.collector):
            if process:
                process.send_signal(signal.SIGTERM)
                process.wait(120)


def upper_bound(ratios, seed=1):
    """Of the median, at 95 %: by 2,000 draws."""
    draw = random.Random(seed)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[int(0.975 * len(medians))]


def processor_time(programs, folder, rounds):
    on, off = Pipeline(programs, f"{folder}/on", True), Pipeline(programs, f"{folder}/off", False)
    for one in (on, off):
        one.turn(seconds=2)
    per_job = {on: [], off: []}
    collector = []
    for i in range(rounds):
        both = (on, off) if i % 2 else (off, on)
        used = {one: -sum(map(cpu_seconds, one.processes())) for one in both}
        aside, jobs, end = -cpu_seconds(on.collector), 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            jobs += [one.turn(jobs=TURN) for one in both][0]
        for one in both:
            per_job[one].append(1e6 * (used[one] + sum(map(cpu_seconds, one.processes()))) / jobs)
        collector.append(1e6 * (aside + cpu_seconds(on.collector)) / jobs)
    figure("processor time per job, telemetry on", "us", per_job[on])
    figure("processor time per job, telemetry off", "us", per_job[off])
    figure("processor time of the collector per job", "us", collector)
    ratios = [a / b for a, b in zip(per_job[on], per_job[off])]
    figure("on / off", "x", ratios)
    figure("on / off, upper bound of the median at 95 %", "x", [upper_bound(ratios)])
    on.end()
    off.end()


def threads_of(out):
    """Of each thread that callgrind wrote down: its instructions, and how many frames it made."""
    for path in out.parent.glob(f"{out.name}-*"):
        text = path.read_text()
        counted = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
        frame = re.search(r"^cfn=\((\d+)\) tallymill::bus::TelemetryWriter::write", text, re.MULTILINE)
        calls = re.findall(rf"^cfn=\({frame[1]}\).*\ncalls=(\d+)", text, re.MULTILINE) if frame else []
        yield int(counted[1]) if counted else 0, sum(map(int, calls))


def instructions(programs, folder):
    native = Pipeline(programs, f"{folder}/native", True)
    native.turn(seconds=2)
    rate = statistics.median(native.turn(seconds=1) for _ in range(5))
    native.end()
    out = pathlib.Path(folder) / "callgrind"
    words = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}", "--quiet"]
    counted = Pipeline(programs, f"{folder}/counted", True, words)
    jobs = sum(counted.turn(jobs=INSTRUCTION_JOBS // 10) for _ in range(10))
    counted.end()
    threads = list(threads_of(out))
    frames = sum(frames for _, frames in threads)
    assert frames > 0, "no thread of the front made a frame"
    per_frame = sum(count for count, frames in threads if frames) / frames
    per_job = sum(count for count, frames in threads if not frames) / jobs
    figure("jobs a second, without callgrind", "jobs/s", [rate])
    figure("instructions of the front per job, but for telemetry", "instructions", [per_job])
    figure("instructions of the front per frame", "instructions", [per_frame])
    figure("instructions per job, on / off", "x", [1 + per_frame / rate / per_job])


def main():
    words = sys.argv[2:]
    counted = "instructions" in words
    rounds = [word for word in words if word != "instructions"]
    if len(rounds) > 1 or not all(word.isdecimal() and int(word) > 0 for word in rounds):
        print(f"bench telemetry-overhead: takes a number of rounds and `instructions`, not {' '.join(words)!r}",
              file=sys.stderr)
        sys.exit(2)
    programs = pathlib.Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory(prefix="tallymill-") as folder:
        if counted:
            instructions(programs, folder)
        else:
            processor_time(programs, folder, int(rounds[0]) if rounds else 60)


if __name__ == "__main__":
    main()
