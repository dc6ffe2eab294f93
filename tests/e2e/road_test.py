"""ARCHITECTURE.md's road is the road: a debugger stepping through one job passes its files in order.

Method: each numbered step names one file and one function of it first. A front and a compute worker
run under gdb with a breakpoint on each; one box job goes through; the order of the first hits, by the
host's monotonic clock, must be the list's.

usage: road_test.py PROGRAMS
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from mill import Client, free_ports, run_job, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# "1. `file.cc`, `Class::function`: what happens there."
STEP = re.compile(r"^(\d+)\. `([\w/]+\.cc)`, `([\w:]+)`", re.MULTILINE)


def road():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("## The road")[1].split("\n## ")[0]
    numbered = re.findall(r"^\d+\. ", section, re.MULTILINE)
    steps = STEP.findall(section)
    assert len(steps) == len(numbered) >= 9, "a step names no file and function"
    assert [int(number) for number, _, _ in steps] == list(range(1, len(steps) + 1))
    return [(file, function) for _, file, function in steps]


class Road(unittest.TestCase):
    def setUp(self):
        self.assertIsNotNone(shutil.which("gdb"), "gdb is missing: ./dev setup test")
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.steps = road()
        self.processes = []

    def under_gdb(self, program, *flags):
        """Starts it; its events, as far as they are written."""
        log = self.folder / (program + ".road")
        output = self.enterContext(open(self.folder / (program + ".log"), "wb"))
        # LeakSanitizer cannot work in a process that is traced.
        environment = os.environ | {"ROAD": json.dumps(self.steps), "ROAD_LOG": str(log),
                                    "ASAN_OPTIONS": "detect_leaks=0"}
        process = subprocess.Popen(
            ["gdb", "--batch", "-nx", "-x", HERE / "road_breakpoints.py", "--args", PROGRAMS / program,
             *map(str, flags)], env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.processes.append(process)
        return lambda: [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def stop_all(self):
        """The traced programs first, by the pids of gdb's children; gdb ends with them."""
        for process in self.processes:
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
            for pid in children.read_text().split() if process.poll() is None else []:
                os.kill(int(pid), 9)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def show_logs(self):
        for log in self.folder.glob("*.log"):
            print(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}")

    def test_one_job_passes_the_files_in_the_order_of_the_list(self):
        jobs, results, control = (f"tcp://127.0.0.1:{port}" for port in free_ports(3))
        places = ("--run-dir", self.folder / "run", "--data-dir", self.folder / "data")
        self.addCleanup(self.stop_all)
        front = self.under_gdb("tallymill-front", *places, "--listen", jobs, "--results", results,
                               "--control", control, "--disk-floor-bytes", 1048576)
        client = Client(jobs, "road")
        try:
            until(lambda: client.hello(0.5), 60, "the front answers")
            worker = self.under_gdb("tallymill-stage-compute", *places)
            until(lambda: any(w["open"] for w in (client.ask("workers") or {"workers": []})["workers"]), 60,
                  "the worker's lane is open")
            self.assertEqual(run_job(client, "box", {}, timeout=60)[0]["w"], "done")
            seen = front() + worker()
            self.assertEqual({e["set"] for e in seen if "set" in e}, set(range(len(self.steps))),
                             "a step's function is not in its file")
            hits = {}
            for event in sorted((e for e in seen if "hit" in e), key=lambda e: e["at"]):
                hits.setdefault(event["hit"], event["at"])
        except AssertionError:
            self.show_logs()
            raise
        passed = [self.steps[index] for index in hits]
        self.assertEqual(passed, self.steps, "passed in another order than ARCHITECTURE.md says")


if __name__ == "__main__":
    unittest.main(verbosity=2)
