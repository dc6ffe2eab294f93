"""Every line of a whole run is JSON, and one about a job carries its id and its trace's id.

Goal: a program reads all that the processes say, whatever jobs, clients and libraries put into it. Method: a run with
log.format json at level debug: jobs that end well, fail, crash their worker and hang, with texts that would break a
line; then jq reads what `up` wrote, and each line is held against the jobs that were submitted.

usage: logs_test.py PROGRAMS
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import msgpack
from mill import Client, Mill, until

PROGRAMS = sys.argv.pop(1)
SETTINGS = """\
log: {level: debug, format: json}
kinds:
  synthetic: {stall_s: 1, retries: 0}
"""
HOSTILE = ['two\nlines', '"quoted" \\', 'a\tb\x00c\x1b[31m\x7f', 'half \ud83d of a pair', '{"ts":"forged"}\n{"ts":1}',
           '\u2028ü😀', 'x' * 5000]


class Job:
    def __init__(self, client, kind, params, **fields):
        self.trace = os.urandom(16).hex()
        request = client.next_request()
        header = {"t": "submit", "r": request, "kind": kind, "tp": f"00-{self.trace}-00f067aa0ba902b7-01", **fields}
        pack = lambda value: msgpack.packb(value, unicode_errors="surrogatepass")  # noqa: E731
        client.socket.send_multipart([b"T1", pack(header), pack(params)])
        client.wait_for(lambda: request in client.accepted or request in client.refused, 20)
        self.id = client.accepted[request]["id"] if request in client.accepted else 0


class Logs(unittest.TestCase):
    def test_all_lines_are_json_and_those_of_a_job_name_it_and_its_trace(self):
        if not shutil.which("jq"):
            self.skipTest("SKIPPED: jq comes with ./dev setup test")
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-"))
        mill = Mill(PROGRAMS, compute=2, folder=folder, settings=SETTINGS)
        mill.start()
        self.addCleanup(mill.__exit__, None, None, None)
        client = Client(mill.endpoint, "logs")
        until(lambda: client.hello(0.5), 30, "the front answers")
        mill.ready(client)
        jobs = self.run_jobs(client, mill)
        mill.stop()

        text = (mill.folder / "up.log").read_bytes()
        lines = text.decode("utf-8").splitlines()
        read = subprocess.run(["jq", "-c", "."], input=text, capture_output=True, timeout=60)
        self.assertEqual((read.returncode, read.stderr), (0, b""))
        said = [json.loads(line) for line in read.stdout.decode().split("\n") if line]
        self.assertEqual(len(said), len(text.decode().split("\n")) - 1)
        self.assertGreater(len(lines), 20)
        self.check(said, jobs)

    def run_jobs(self, client, mill):
        jobs = [Job(client, "synthetic", {"route": "compute,image"})]
        for text in HOSTILE:
            jobs += [Job(client, "synthetic", {"pad": text[:1000]}), Job(client, "synthetic", {"outcome": text}),
                     Job(client, "synthetic", {text: 1}), Job(client, text, {}),
                     Job(client, "box", {"material": text, "width_mm": text})]
        for text in HOSTILE:
            Client(mill.endpoint, text.encode("utf-8", "replace").decode()).hello(0.5)
        jobs += [Job(client, "synthetic", {"outcome": "fail"})]
        self.ended(client, jobs)
        self.hangs = Job(client, "synthetic", {"outcome": "hang"})
        crashes = Job(client, "synthetic", {"outcome": "crash"})
        self.ended(client, [self.hangs, crashes])
        return [job for job in [*jobs, self.hangs, crashes] if job.id]

    def ended(self, client, jobs):
        wanted = [job.id for job in jobs if job.id]
        self.assertTrue(client.wait_for(lambda: all(client.ends[job] for job in wanted), 60), "jobs do not end")

    def check(self, said, jobs):
        trace = {str(job.id): job.trace for job in jobs}
        programs = {}
        for line in said:
            self.assertEqual({"ts", "level", "program", "pid", "msg"} - set(line), set(), line)
            self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            # The supervisor quotes what another said last, which stands in that one's own line too.
            if re.search(r"\bjob \d+\b", line["msg"].split("its last words: ")[0]):
                self.assertIn("job", line)
            if "job" in line:
                self.assertEqual(line.get("trace"), trace[line["job"]], line)
                programs.setdefault(line["job"], set()).add(line["program"])
        for job in jobs:
            self.assertIn("front", programs.get(str(job.id), set()))
        self.assertEqual(programs[str(jobs[0].id)], {"front", "compute", "image"})
        self.assertTrue(any("no sign of life" in line["msg"] and line.get("job") == str(self.hangs.id) for line in said))


if __name__ == "__main__":
    unittest.main(verbosity=2)
