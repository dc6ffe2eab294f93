"""Each command on a good day: what a maker, and whoever looks after the machine, types in turn.

Goal: what a command prints is true of the pipeline, for people and as JSON; its exit code says so.

usage: everyday_test.py PROGRAMS
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

from mill import Client, Mill, free_ports, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
PHOTO = pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg"
OK, NEGATIVE, AWAY, NOT_FOUND = 0, 1, 3, 5


class Everyday(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS))
        cls.client = Client(cls.mill.endpoint, "everyday")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))

    def tallymill(self, *words, code=OK, server=True, config=None):
        words = [str(word) for word in words]
        run = subprocess.run([PROGRAMS / "tallymill", *words,
                              *(["--server", self.mill.endpoint] if server else [])],
                             cwd=self.folder, capture_output=True, text=True, timeout=60,
                             env=os.environ | {"NO_COLOR": "1"} |
                             ({"TALLYMILL_CONFIG": str(config)} if config else {}))
        self.assertEqual(run.returncode, code, (words, run.stdout, run.stderr))
        return run.stdout

    def as_json(self, *words, **how):
        return json.loads(self.tallymill(*words, "--json", **how))

    def a_job(self, *words):
        return int(self.tallymill("submit", *words).strip())

    def test_a_picture_goes_out_and_its_files_come_back(self):
        out = self.tallymill("run", "thumbs", PHOTO, "--out", "pictures").split()
        self.assertTrue(out)
        for name in out:
            self.assertGreater((self.folder / name).stat().st_size, 100)

    def test_where_the_time_of_a_job_went_is_known_as_soon_as_it_has_ended(self):
        job = self.as_json("run", "engrave", PHOTO, "--param", "width_mm=20", "--out", "e")["jobs"][0]
        self.assertEqual(job["state"], "done")
        shown = self.tallymill("explain", job["job"])
        for word in ("commit", "queue", "service", "handover", "settle", "adds up"):
            self.assertIn(word, shown)
        told = self.as_json("explain", job["job"])
        self.assertLess(abs(told["whole_ns"] - sum(told["parts"].values())), 20_000)
        self.assertEqual([hop["stage"] for hop in told["attempts"][-1]["hops"]], ["compute", "image"])

    def test_a_job_that_waits_is_seen_cancelled_and_tried_again(self):
        job = self.a_job("box", "--delay", "100000")
        status = self.as_json("status", job)
        self.assertEqual((status["job"], status["state"], status["kind"]), (job, "waiting", "box"))
        self.assertIn("waiting", self.tallymill("status", job))
        self.assertIn(job, [row["job"] for row in self.as_json("jobs", "--state", "live")["jobs"]])
        self.assertEqual(self.as_json("cancel", job)["state"], "cancelled")
        self.assertEqual(self.as_json("wait", job, code=NEGATIVE)["code"], "E_CANCELLED")
        self.assertIn("cancelled", self.tallymill("jobs", "--state", "cancelled"))
        again = self.as_json("retry", job)
        self.assertEqual(again["parent"], job)
        self.assertEqual(self.as_json("wait", again["job"])["state"], "done")
        self.assertIn(f"job {job}", self.tallymill("status", again["job"]))  # whose retry it is
        self.tallymill("result", again["job"], "--out", "again")
        self.assertIn(b"<svg", (self.folder / "again" / "box.svg").read_bytes())

    def test_the_same_key_of_the_same_client_is_the_same_job(self):
        key = ["box", "--key", "order-7", "--client", "shop"]
        self.assertEqual(self.a_job(*key), self.a_job(*key))

    def test_a_failed_job_is_in_the_list_with_its_reason(self):
        job = self.a_job("synthetic", "--param", "outcome=fail")
        self.tallymill("wait", job, code=NEGATIVE)
        row = next(row for row in self.as_json("jobs", "--state", "failed")["jobs"]
                   if row["job"] == job)
        self.assertTrue(row["code"].startswith("E_"), row)
        listed = self.tallymill("jobs", "--state", "failed", "--kind", "synthetic")
        self.assertIn(row["code"], listed)
        self.assertNotIn("box", listed)

    def test_a_list_is_as_long_as_asked_for_and_newest_first(self):
        jobs = [self.a_job("box") for _ in range(3)]
        self.tallymill("wait", *jobs)
        rows = self.as_json("jobs", "--limit", 2)["jobs"]
        self.assertEqual(len(rows), 2)
        self.assertGreater(rows[0]["job"], rows[1]["job"])
        self.assertEqual(len(self.tallymill("jobs", "--limit", 2).splitlines()), 3)  # with its head

    def test_the_pipeline_is_shown_as_it_is(self):
        self.tallymill("ping")
        workers = self.as_json("workers")["workers"]
        self.assertEqual(sorted(w["stage"] for w in workers), ["compute", "image"])
        for worker in workers:
            self.assertIn(worker["incarnation"], self.tallymill("workers"))
        topology = self.as_json("topology")
        self.assertIn({"kind": "engrave", "route": ["compute", "image"]}, topology["routes"])
        self.assertIn("compute → image", self.tallymill("topology"))
        self.assertIn("engrave", self.tallymill("kinds"))
        self.assertIn("engrave", [kind["name"] for kind in self.as_json("kinds")["kinds"]])
        snapshot = self.as_json("snapshot")
        self.assertTrue(snapshot["balanced"])
        self.assertIn("every accepted job is accounted for", self.tallymill("snapshot"))
        self.assertIn("# TYPE tallymill_jobs_accepted_total counter",
                      self.tallymill("snapshot", "--prometheus"))

    def test_the_doctor_finds_the_pipeline_well_and_an_absent_one_out(self):
        config = self.mill.config
        said = self.tallymill("doctor", server=False, config=config)
        self.assertTrue(all(line.startswith("ok  ") for line in said.splitlines()), said)
        findings = self.as_json("doctor", server=False, config=config)["findings"]
        self.assertTrue(all(finding["ok"] for finding in findings), findings)
        checks = {finding["check"]: finding for finding in findings}
        self.assertIn("stage image", checks)
        self.assertIn("is held by the front", checks["port of front.http"]["what"])
        # None runs here, and somebody else has one of its ports.
        holders = [self.enterContext(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        jobs, http, collector = (holder.getsockname()[1] for holder in holders)
        results, control = free_ports(2)
        absent = self.folder / "absent.yaml"
        absent.write_text(
            f"run_dir: {self.folder}/run\ndata_dir: {self.folder}/data\nfront:\n"
            f"  listen: tcp://127.0.0.1:{jobs}\n  results: tcp://127.0.0.1:{results}\n"
            f"  control: tcp://127.0.0.1:{control}\n  http: 127.0.0.1:{http}\n"
            f"collector:\n  http: 127.0.0.1:{collector}\n")
        findings = self.as_json("doctor", server=False, config=absent, code=NEGATIVE)["findings"]
        wrong = {finding["check"]: finding for finding in findings if not finding["ok"]}
        self.assertEqual(sorted(wrong), ["front", "port of collector.http", "port of front.http", "port of front.listen"])
        for key in ("front.listen", "front.http", "collector.http"):
            self.assertIn(str(os.getpid()), wrong[f"port of {key}"]["what"])
            self.assertIn(f"TALLYMILL_{key.upper().replace('.', '__')}=", wrong[f"port of {key}"]["mend"])
        for finding in wrong.values():
            self.assertTrue(finding["mend"], finding)
        # One runs, and its port of HTTP is another's.
        taken = self.folder / "taken.yaml"
        taken.write_text(self.mill.config.read_text().replace(f":{self.mill.http_port}\n", f":{http}\n"))
        findings = self.as_json("doctor", server=False, config=taken, code=NEGATIVE)["findings"]
        self.assertEqual([finding["check"] for finding in findings if not finding["ok"]],
                         ["port of front.http"])
        absent.write_text(absent.read_text().replace(f"http: 127.0.0.1:{http}", "http: off"))
        findings = self.as_json("doctor", server=False, config=absent, code=NEGATIVE)["findings"]
        self.assertNotIn("port of front.http", [finding["check"] for finding in findings])

    def test_the_ledger_is_checked_while_the_front_has_it(self):
        said = self.tallymill("ledger", "check", self.mill.data, server=False)
        self.assertIn("0 violations", said)

    def test_a_configuration_that_is_right_is_said_to_be(self):
        self.tallymill("config", "check", self.mill.config, server=False)
        self.assertTrue(self.as_json("version", server=False)["version"])

    def test_what_is_not_there_is_said_so(self):
        for words in (["status"], ["cancel"], ["retry"], ["explain"], ["wait"],
                      ["result", "--out", "none"]):
            self.tallymill(*words, 10**15, code=NOT_FOUND)
        for form in ([], ["--json"]):
            told = subprocess.run([PROGRAMS / "tallymill", "kinds", "origami", *form, "--server", self.mill.endpoint],
                                  capture_output=True, text=True, timeout=60)
            self.assertEqual(told.returncode, NOT_FOUND, told.stderr)
            self.assertIn("box", told.stderr)
        nobody = subprocess.run([PROGRAMS / "tallymill", "ping", "--server", "tcp://127.0.0.1:9"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(nobody.returncode, AWAY, nobody.stderr)
        self.assertIn("tallymill up", nobody.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
