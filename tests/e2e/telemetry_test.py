"""What processes count, asked of the collector of `up` by PromQL.

Goal: it answers with what the processes themselves say, also after it was killed; jobs go on unchanged while it is
frozen, dead or cannot start; a worker that was killed goes on in its series. Method: the shipped programs, a client of the
wire, and the collector's HTTP.

usage: telemetry_test.py PROGRAMS
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
JOBS = 30


class Telemetry(unittest.TestCase):
    def start(self, **options):
        mill = Mill(PROGRAMS, collector=True, **options)
        self.addCleanup(mill.__exit__, None, None, None)
        mill.start()
        client = Client(mill.endpoint, "telemetry")
        until(lambda: client.hello(0.5), 30, "the front answers")
        mill.ready(client)
        return mill, client

    def query(self, mill, query):
        """{labels as text without the name: value}; None while the collector does not answer."""
        form = urllib.parse.urlencode({"query": query}).encode()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{mill.collector_port}/api/v1/query", form, 5) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return {",".join(f"{k}={v}" for k, v in sorted(row["metric"].items()) if k != "__name__"):
                float(row["value"][1]) for row in result}

    def total(self, mill, query):
        answer = self.query(mill, query)
        return sum(answer.values()) if answer else None

    def snapshot(self, mill):
        """{sample with its labels: value} of the front's counters and histograms, as it says them itself."""
        text = mill.command("snapshot", "--server", mill.endpoint, "--prometheus").stdout
        found = {}
        for line in text.splitlines():
            if line.startswith("tallymill_front_disconnects_total"):
                continue  # asking is a connection, which ends
            if one := re.fullmatch(r"(\w+(?:_total|_count|_bucket))(?:\{(.*)\})? (\S+)", line):
                found[one[1], one[2] or ""] = float(one[3])
        return found

    def differences(self, mill):
        """Samples of the front of which the collector says something else; None while it does not answer."""
        wrong = []
        for (name, labels), value in self.snapshot(mill).items():
            selector = ",".join(filter(None, [labels, 'job="front"']))
            answer = self.query(mill, f"{name}{{{selector}}}")
            if answer is None:
                return None
            if sorted(answer.values()) != [value]:
                wrong.append((name, labels, value, answer))
        return wrong

    def run_jobs(self, client, n=JOBS):
        """How long each took from submit to end."""
        took = []
        for _ in range(n):
            before = time.monotonic()
            header, _, _ = run_job(client, "synthetic", {"route": "compute,image"})
            self.assertEqual(header["w"], "done")
            took.append(time.monotonic() - before)
        return took

    def collector(self, mill):
        (pid,) = until(lambda: mill.children("collector"), 20, "a collector runs")
        return pid

    def test_promql_answers_with_what_the_processes_count(self):
        mill, client = self.start()
        self.run_jobs(client)
        until(lambda: self.total(mill, 'tallymill_jobs_ended_total{end="done"}') == JOBS, 15, "the ends are counted")
        until(lambda: self.differences(mill) == [], 15, "the collector says what the front says")
        until(lambda: self.query(mill, "up") == {
            "instance=collector,job=collector": 1, "instance=compute-1,job=compute": 1, "instance=front,job=front": 1,
            "instance=image-1,job=image": 1}, 15, "all are up")
        until(lambda: self.total(mill, "tallymill_stage_service_seconds_count") == 2 * JOBS, 15, "both hops are counted")
        self.assertEqual(self.total(mill, "tallymill_conservation_balanced"), 1)
        quantile = self.total(mill, "histogram_quantile(0.9, sum by (le) (tallymill_job_response_seconds_bucket))")
        self.assertGreater(quantile, 0)

    def test_a_collector_that_is_killed_has_every_count_when_it_is_back(self):
        mill, client = self.start()
        self.run_jobs(client)
        until(lambda: self.differences(mill) == [], 15, "the collector says what the front says")
        first = self.collector(mill)
        os.kill(first, signal.SIGKILL)
        self.run_jobs(client)
        until(lambda: mill.children("collector") not in ([], [first]), 20, "another one runs")
        until(lambda: self.differences(mill) == [], 15, "it says what the front says")
        self.assertEqual(self.total(mill, 'tallymill_jobs_ended_total{end="done"}'), 2 * JOBS)

    def test_jobs_go_on_while_the_collector_is_frozen(self):
        mill, client = self.start()
        self.run_jobs(client, 5)
        before = sorted(self.run_jobs(client))
        pid = self.collector(mill)
        os.kill(pid, signal.SIGSTOP)
        try:
            frozen = sorted(self.run_jobs(client, 2 * JOBS))
        finally:
            os.kill(pid, signal.SIGCONT)
        # Not a measurement: one that waited would wait for ever.
        self.assertLess(frozen[len(frozen) // 2], 10 * before[len(before) // 2] + 0.1)
        until(lambda: self.differences(mill) == [], 15, "it says what the front says")

    def test_jobs_go_on_without_a_collector_that_can_start(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            mill = Mill(PROGRAMS, collector=True)
            self.addCleanup(mill.__exit__, None, None, None)
            text = mill.config.read_text()
            mill.config.write_text(text.replace(str(mill.collector_port), str(taken.getsockname()[1])))
            mill.start()
            client = Client(mill.endpoint, "telemetry")
            until(lambda: client.hello(0.5), 30, "the front answers")
            mill.ready(client)
            self.run_jobs(client)
            until(lambda: "jobs go on without it" in mill.last_log(), 20, "it is said")
        self.assertEqual(mill.stop(), 0)

    def test_a_worker_that_was_killed_goes_on_in_its_series(self):
        mill, client = self.start()
        self.run_jobs(client)
        count = 'tallymill_stage_received_total{instance="compute-1"}'
        until(lambda: self.total(mill, count) == JOBS, 15, "its jobs are counted")
        (pid,) = mill.children("stage-compute")
        os.kill(pid, signal.SIGKILL)
        self.run_jobs(client, 3)
        until(lambda: self.total(mill, count) == 3, 15, "it began anew")
        self.assertEqual(len(self.query(mill, "tallymill_stage_received_total{job='compute'}")), 1)
        until(lambda: (self.total(mill, f"increase({count}[5m])") or 0) > 0, 15, "a reset is no loss")

    def system_calls(self, pid, work, tree):
        """How many a thread makes while work() runs, or all of its process; and how long that took."""
        with tempfile.NamedTemporaryFile() as counted:
            tracer = subprocess.Popen(["strace", "-qq", *(["-f"] if tree else []), "-c", "-U", "calls", "-p", str(pid),
                                       "-o", counted.name])
            until(lambda: "TracerPid:\t0" not in pathlib.Path(f"/proc/{pid}/status").read_text(), 10, "it is traced")
            begin = time.monotonic()
            work()
            took = time.monotonic() - begin
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
            said = counted.read().decode()
            if not said.strip():
                return 0, took  # of no call it prints nothing
            return int(re.search(r"(\d+) total", said)[1]), took

    def thread(self, pid, name):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            if (task / "comm").read_text().strip() == name:
                return int(task.name)
        raise AssertionError(f"no thread {name} in {pid}")

    @unittest.skipUnless(shutil.which("strace"), "needs strace")
    def test_no_system_call_is_made_for_an_event(self):
        mill, client = self.start()
        (front,) = mill.children("front")
        self.run_jobs(client, 5)
        # Its own thread: so many a second, however much is counted in it.
        calls, took = self.system_calls(self.thread(front, "telemetry"), lambda: self.run_jobs(client, 300), False)
        self.assertLess(calls, 60 * (took + 1))
        told, told_took = self.system_calls(front, lambda: self.run_jobs(client, 300), True)

        other = Mill(PROGRAMS)
        self.addCleanup(other.__exit__, None, None, None)
        other.start()
        client = Client(other.endpoint, "telemetry")
        until(lambda: client.hello(0.5), 30, "the front answers")
        other.ready(client)
        self.run_jobs(client, 5)
        (front,) = other.children("front")
        untold, untold_took = self.system_calls(front, lambda: self.run_jobs(client, 300), True)
        # What comes with time is not what comes with jobs: heartbeats too take some of them.
        print(f"system calls of the front for 300 jobs: {told} in {told_took:.1f} s with telemetry, "
              f"{untold} in {untold_took:.1f} s without")
        self.assertLess(told, 1.1 * untold + 100 * (told_took + 1))

    def test_all_end_together_and_the_collector_last(self):
        mill, client = self.start()
        self.run_jobs(client, 3)
        self.collector(mill)
        self.assertEqual(mill.stop(), 0)
        self.assertEqual(mill.children("collector"), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
