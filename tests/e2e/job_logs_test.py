"""`tallymill logs` finds what a job's processes said, and keeping it is in nobody's way.

Goal: a job's lines come together from all processes, with its id and its trace's; the folder is bounded; a disk that hangs
stops no job, and what is lost is said. Method: real pipelines; a FIFO stands for a disk that takes nothing.

usage: job_logs_test.py PROGRAMS
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

from mill import Client, Mill, run_job, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
TRACE = "0af7651916cd43dd8448eb211c80319c"
FILE_BYTES = 8 << 20  # limits.h
FILES = 8
LINES_PER_SECOND = 200


class JobLogs(unittest.TestCase):
    def start(self, level="debug", **more):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.hanging = []
        mill = Mill(PROGRAMS, folder=folder, settings=f"log: {{level: {level}}}\n", **more)
        self.logs_of = mill.data / "logs"
        return mill

    def serve(self, mill):
        self.mill = self.enterContext(mill)
        self.client = Client(mill.endpoint, "job-logs")
        until(lambda: self.client.hello(0.5), 30, "the front answers")
        mill.ready(self.client)

    def end_writers(self):
        """One that hangs would outlive its test, as it would its `up`."""
        for fifo in self.logs_of.glob("*.jsonl"):
            fifo.unlink()
        for writer in [*self.hanging, *self.mill.children("up")]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(writer, signal.SIGKILL)

    def logs(self, *words, code=0):
        ran = self.mill.command("logs", "--data", self.mill.data, *words, check=False)
        self.assertEqual(ran.returncode, code, ran.stderr)
        return ran

    def lines(self, *words):
        return [json.loads(line) for line in self.logs("--format", "json", *words).stdout.split("\n")[:-1]]

    def fail_job(self, trace=TRACE, pad="", **params):
        event, _, _ = run_job(self.client, "synthetic", {"outcome": "fail", "pad": pad, **params},
                              tp=f"00-{trace}-b7ad6b7169203331-01")
        self.assertEqual(event["w"], "failed")
        return event["id"]

    def test_a_failed_job_is_found_in_the_lines_of_all_its_processes(self):
        self.serve(self.start())
        other = self.fail_job(trace="1" * 32)
        job = self.fail_job(route="compute,image")
        said = until(lambda: len(found := self.lines()) and
                     {"front", "compute-1"} <= {line["process"] for line in found if line.get("job") == str(job)} and found,
                     10, "its lines are kept")
        self.assertEqual([line["ts"] for line in said], sorted(line["ts"] for line in said))
        self.assertIn("up", {line["process"] for line in said})
        text = self.logs("--json").stdout
        read = subprocess.run(["jq", "-c", "."], input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual((read.returncode, len(read.stdout.splitlines())), (0, len(text.splitlines())))

        mine = self.lines("--job", job)
        self.assertEqual({line["job"] for line in mine}, {str(job)})
        self.assertEqual({line["trace"] for line in mine}, {TRACE})
        self.assertLessEqual({"front", "compute-1"}, {line["process"] for line in mine})
        self.assertEqual(self.lines("--trace", TRACE), mine)
        self.assertEqual(self.lines("--job", job, "--since", "1h"), mine)
        self.assertEqual({line["process"] for line in self.lines("--job", job, "--process", "compute")}, {"compute-1"})
        self.assertNotEqual(self.lines("--job", other), [])
        console = self.logs("--job", job).stdout
        self.assertIn("compute-1: ", console)
        self.assertIn(f"job={job} trace={TRACE}\n", console)
        self.assertIn(" process=front program=front pid=", self.logs("--job", job, "--format", "logfmt").stdout)

        unknown = self.logs("--job", 4711, code=5)
        self.assertEqual(unknown.stdout, "")
        self.assertIn("no line about job 4711", unknown.stderr)
        self.assertEqual(json.loads(self.logs("--job", 4711, "--json", code=5).stderr)["error"]["code"], "E_NOT_FOUND")
        self.assertIn("no lines match", self.logs("--process", "nobody").stderr)
        for wrong in (["--since", "x"], ["--since", "5w"], ["--since", "0"], ["--level", "off"], ["--job", "0"],
                      ["--job", "1x"], ["--format", "xml"]):
            self.logs(*wrong, code=2)
        self.assertEqual(self.mill.command("logs", "--data", self.mill.folder / "none", check=False).returncode, 5)

    def test_damaged_and_hostile_lines_cost_no_other_and_drive_no_terminal(self):
        self.serve(self.start(image=0))
        text = "\x1b[2J \x9b31m \x07 two\nlines \u2028 \x7f"
        line = {"ts": "2026-01-02T03:04:05.678901Z", "level": "error", "process": text, "program": text, "pid": 1, "msg": text,
                "job": "77", "trace": text}
        hostile = [json.dumps(line), json.dumps(line, ensure_ascii=False)]
        damaged = ["no line", '{"ts":1}', json.dumps(line)[:80], "[" * 50_000, "\x00\x01", json.dumps(line | {"ts": "x"})]
        (self.logs_of / "0000000000.jsonl").write_bytes("\n".join([*hostile, *damaged, json.dumps(line)[:-1]]).encode())
        for form in ("console", "logfmt", "json"):
            ran = self.logs("--job", 77, "--format", form)
            self.assertEqual(ran.stdout.count("\n"), 2, ran.stdout)
            self.assertEqual([c for c in ran.stdout if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)], [])
            self.assertIn("7 lines could not be read", ran.stderr)
        self.assertEqual(self.lines("--job", 77), 2 * [line])
        self.assertNotEqual(self.lines("--process", "front"), [])

    def test_what_did_not_go_well_is_told_by_default_and_a_flood_of_it_in_bounds(self):
        self.serve(self.start(level="info"))
        failed = self.fail_job()
        crashed = run_job(self.client, "synthetic", {"outcome": "crash"}, tp=f"00-{'3' * 32}-b7ad6b7169203331-01")[0]["id"]
        well = run_job(self.client, "synthetic", {})[0]["id"]
        until(lambda: {line["process"] for line in self.lines("--job", failed)} == {"front", "compute-1"}, 10,
              "the failed job is told by both")
        until(lambda: "lost" in str(said := self.lines("--job", crashed)) and "failed at attempt 3" in str(said), 10,
              "what became of the crashed one is told")
        self.assertEqual({line.get("trace") for line in self.lines("--job", crashed)}, {"3" * 32})
        self.assertIn("says nothing above debug", self.logs("--job", well, code=5).stderr)

        for _ in range(2000):
            self.client.submit("synthetic", {"outcome": "fail"}, tp=f"00-{TRACE}-b7ad6b7169203331-01")
        self.assertTrue(self.client.wait_for(lambda: len(self.client.ends) >= 2003, 60), "jobs do not end")
        until(lambda: self.fail_job() and all(
            any("such lines before" in line["msg"] for line in self.lines("--process", name)) for name in ("front", "compute")),
            20, "what was left out is told")
        seconds = {}
        for line in self.lines("--trace", TRACE):
            seconds.setdefault((line["process"], line["ts"][:19]), []).append(line)
        # Of the clock's seconds each is part of two of the bound's at most.
        self.assertLessEqual(max(map(len, seconds.values())), 2 * LINES_PER_SECOND)

    def test_following_shows_a_new_line_and_goes_on_in_the_next_file(self):
        self.serve(self.start())
        self.fail_job()
        seen = self.follow("--trace", "2" * 32)
        second = self.fail_job(trace="2" * 32)
        until(lambda: {line["process"] for line in seen} >= {"front", "compute-1"}, 20, "its lines are seen")
        # The writer goes on in a new file; the old one is not there any more.
        old = until(lambda: sorted(self.logs_of.glob("*.jsonl")), 5, "a file")[-1]
        with open(old, "ab") as file:
            file.truncate(FILE_BYTES)
            file.seek(FILE_BYTES)
            file.write(b"\n")
        every = self.follow("--process", "compute")
        third = self.fail_job()
        until(lambda: len(list(self.logs_of.glob("*.jsonl"))) == 2, 20, "the next file")
        until(lambda: any(line.get("job") == str(third) for line in every), 20, "its lines are seen too")
        self.assertTrue(all(line["job"] == str(second) for line in seen), seen)

    def follow(self, *words):
        """What comes, as it comes."""
        process = subprocess.Popen([PROGRAMS / "tallymill", "logs", "--data", self.mill.data, "-f", "--json", *words],
                                   stdout=subprocess.PIPE)
        seen = []

        def read():
            for line in process.stdout:
                seen.append(json.loads(line))
        reader = threading.Thread(target=read)
        reader.start()

        def end():
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(10), 130)
            reader.join()
            process.stdout.close()
        self.addCleanup(end)
        return seen

    def test_the_folder_is_bounded_and_the_newest_lines_are_there(self):
        mill = self.start()
        self.logs_of.mkdir(parents=True)
        for number in range(1, FILES + 3):  # two more than the bound: of an older version, or copied
            path = self.logs_of / f"{number:010}.jsonl"
            path.write_bytes(b"")
            os.truncate(path, FILE_BYTES)
        self.serve(mill)
        job = self.fail_job()
        until(lambda: (self.logs_of / f"{FILES + 3:010}.jsonl").exists(), 10, "the next file")
        names = sorted(path.name for path in self.logs_of.iterdir())
        self.assertEqual(names, [f"{number:010}.jsonl" for number in range(4, FILES + 4)])
        self.assertLessEqual(sum(path.stat().st_size for path in self.logs_of.iterdir()), FILES * FILE_BYTES)
        found = until(lambda: self.mill.command("logs", "--data", self.mill.data, "--job", job, check=False).stdout,
                      10, "its lines are kept")
        self.assertIn(f"job={job} ", found)
        self.assertIn("could not be read", self.logs().stderr)

    def test_a_disk_that_takes_nothing_stops_no_job_and_what_it_costs_is_said(self):
        mill = self.start()
        self.logs_of.mkdir(parents=True)
        fifo = self.logs_of / "0000000001.jsonl"
        os.mkfifo(fifo)
        self.serve(mill)
        self.addCleanup(self.end_writers)
        ends = 0
        for _ in range(50):  # 5,000 jobs: more lines than the pipes hold
            ends += 100
            for _ in range(100):
                self.client.submit("synthetic", {}, tp=f"00-{TRACE}-b7ad6b7169203331-01")
            self.assertTrue(self.client.wait_for(lambda: len(self.client.ends) == ends, 60), "jobs do not end")
        with open(fifo, "rb") as disk:  # it takes again
            os.set_blocking(disk.fileno(), False)
            got = bytearray()

            def is_told():
                got.extend(disk.read() or b"")
                self.fail_job()  # a loss is told by the next line
                return b"lines before this one were not kept" in got
            until(is_told, 30, "the loss is told")
        for line in got.decode().split("\n")[1:-1]:
            json.loads(line)
        fifo.unlink()
        after = self.fail_job()
        until(lambda: self.mill.command("logs", "--data", self.mill.data, "--job", after, check=False).returncode == 0,
              20, "lines are kept again")

    def test_a_writer_that_hangs_or_dies_holds_up_no_end_and_no_start(self):
        mill = self.start(image=0)
        self.logs_of.mkdir(parents=True)
        os.mkfifo(self.logs_of / "0000000001.jsonl")
        self.serve(mill)
        self.addCleanup(self.end_writers)
        writer, = self.mill.children("up")
        os.kill(writer, signal.SIGKILL)
        again = until(lambda: (self.fail_job(), self.mill.children("up"))[1], 10, "another writer")
        self.assertNotEqual(again, [writer])
        for _ in range(600):
            self.client.submit("synthetic", {"outcome": "fail", "pad": "x" * 200})
        self.assertTrue(self.client.wait_for(lambda: len(self.client.ends) >= 600, 60))
        self.hanging = again
        self.assertEqual(self.mill.stop(20), 0)
        self.mill.start()
        self.client.connect()
        until(lambda: self.client.hello(0.5), 30, "the front answers again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
