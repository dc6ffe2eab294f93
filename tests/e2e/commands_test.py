"""The commands with what a user mistypes, a disk that is full and names that are no text.

Goal: the exit code tells what happened, nothing is lost in silence, nothing is half written.

usage: commands_test.py PROGRAMS
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from mill import Client, Mill, run_job, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
PHOTO = pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg"


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS))
        cls.client = Client(cls.mill.endpoint, "commands")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_command(self, *words, stdout=subprocess.PIPE, connects=True):
        server = ["--server", self.mill.endpoint] if connects else []
        return subprocess.run([os.fsencode(PROGRAMS / "tallymill"), *map(os.fsencode, words), *server],
                              stdout=stdout, stderr=subprocess.PIPE, cwd=self.folder, timeout=60)

    def test_names_that_are_no_text_are_said_as_json(self):
        ran = self.run_command("run", "thumbs", b"missing\xff", "--json", "-o", "out")
        self.assertEqual(ran.returncode, 2, ran.stderr)
        self.assertIn("missing", json.loads(ran.stderr)["error"]["message"])
        named = self.run_command("ping", "--client", b"\xff\xfe")
        self.assertEqual(named.returncode, 2, named.stderr)
        self.assertIn(b"UTF-8", named.stderr)

    def test_durations_are_bounded(self):
        for flag in ("--delay", "--deadline", "--timeout"):
            for value in ("1e10", "1e300", "0", "-1", "nan", "x"):
                ran = self.run_command("run", "laser", f"{flag}={value}")
                self.assertEqual(ran.returncode, 2, (flag, value, ran.stderr))
                self.assertLess(len(ran.stderr), 300)

    def test_output_that_cannot_be_written_is_no_success(self):
        run_job(self.client, "box", {})
        with open("/dev/full", "wb") as full:
            for words in (["jobs"], ["jobs", "--json"], ["jobs", "--help"]):
                ran = self.run_command(*words, stdout=full)
                self.assertEqual(ran.returncode, 70, (words, ran.stderr))
            self.assertEqual(self.run_command("version", stdout=full, connects=False).returncode, 70)

    def test_a_configuration_is_a_file_of_bounded_size(self):
        for file in (self.folder, "/dev/zero"):
            ran = self.run_command("config", "check", file, connects=False)
            self.assertEqual(ran.returncode, 2, ran.stderr)
        large = self.folder / "large.yaml"
        large.write_text("#" * (1 << 20))
        self.assertEqual(self.run_command("config", "check", large, connects=False).returncode, 0)
        large.write_text("#" * ((1 << 20) + 1))
        self.assertEqual(self.run_command("config", "check", large, connects=False).returncode, 2)

    def test_a_token_is_told_once_and_its_file_holds_its_hash(self):
        file = self.folder / "tokens"
        told = self.run_command("token", "ci", "--role", "operate", "--file", file, connects=False)
        self.assertEqual(told.returncode, 0, told.stderr)
        token = told.stdout.decode().strip()
        self.assertRegex(token, r"^tm_[\w-]{43}$")
        self.assertNotIn(token.encode(), told.stderr)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(file.read_text().split(),
                         ["ci", "operate", hashlib.sha256(token.encode()).hexdigest()])
        file.write_text(file.read_text().rstrip())  # as an editor may leave it
        added = self.run_command("token", "grafana", "--role=read", "--file", file, "--json", connects=False)
        said = json.loads(added.stdout)
        self.assertEqual([line.split()[:2] for line in file.read_text().splitlines()],
                         [["ci", "operate"], ["grafana", "read"]])
        self.assertEqual(said["line"], file.read_text().splitlines()[1])
        self.assertEqual((said["name"], said["role"], said["file"]), ("grafana", "read", str(file)))
        loose = self.run_command("token", "x", connects=False)
        self.assertEqual(loose.stderr.decode().split()[:2], ["x", "submit"])
        self.assertIn(hashlib.sha256(loose.stdout.strip()).hexdigest(), loose.stderr.decode())

    def test_a_token_that_cannot_be_kept_is_not_told(self):
        file = self.folder / "tokens"
        file.write_text("ci submit " + "a" * 64 + "\n")
        file.chmod(0o600)
        (self.folder / "open").touch()
        (self.folder / "open").chmod(0o666)
        (self.folder / "broken").write_text("ci submit\n")
        (self.folder / "broken").chmod(0o600)
        for words, exit_code in ((["ci", "--file", file], 1), (["new", "--file", "open"], 6),
                                 (["new", "--file", "broken"], 2), (["a b"], 2), ([""], 2),
                                 (["new", "--file", self.folder], 70), (["new", "--role", "none"], 2),
                                 (["new", "--file", "/proc/nowhere/tokens"], 70), ([], 2)):
            ran = self.run_command("token", *words, connects=False)
            self.assertEqual((ran.returncode, ran.stdout), (exit_code, b""), (words, ran.stderr))
        self.assertEqual(file.read_text(), "ci submit " + "a" * 64 + "\n")
        self.assertEqual((self.folder / "open").read_bytes(), b"")

    def test_the_result_of_a_failed_job_says_that_it_failed(self):
        header, _, _ = run_job(self.client, "synthetic", {"outcome": "fail"})
        ran = self.run_command("result", str(header["id"]), "-o", "out")
        self.assertEqual(ran.returncode, 1, ran.stderr)
        self.assertIn(f"job {header['id']} failed", ran.stderr.decode())

    def test_results_are_written_whole_or_not_at_all(self):
        done = self.run_command("run", "engrave", PHOTO, "-p", "width_mm=20", "-o", "first")
        self.assertEqual(done.returncode, 0, done.stderr)
        names = sorted(path.name for path in (self.folder / "first").iterdir())
        (self.folder / "half").mkdir()
        (self.folder / "half" / names[-1]).write_text("mine")
        job = self.client.ask("jobs", l=1)["jobs"][0]["job"]
        again = self.run_command("result", str(job), "-o", "half")
        self.assertEqual(again.returncode, 1, again.stderr)
        self.assertEqual([path.name for path in (self.folder / "half").iterdir()], names[-1:])
        both = self.run_command("result", str(job), str(job), "-o", "both", "--force")
        self.assertEqual(both.returncode, 0, both.stderr)
        self.assertEqual(sorted(p.name for p in (self.folder / "both" / str(job)).iterdir()), names)

    def test_as_many_jobs_are_listed_as_were_asked_for(self):
        asked = [self.client.submit("synthetic", {}) for _ in range(620)]
        self.assertTrue(self.client.wait_for(lambda: all(r in self.client.accepted for r in asked), 30))
        listed = json.loads(self.run_command("jobs", "-n", "610", "--json").stdout)["jobs"]
        ids = [job["job"] for job in listed]
        self.assertEqual(len(ids), 610)
        self.assertEqual(ids, sorted(set(ids), reverse=True))

    def test_a_state_of_the_table_can_be_asked_for(self):
        later = self.client.submit("synthetic", {}, nb=4_000_000_000_000_000_000)
        self.assertTrue(self.client.wait_for(lambda: later in self.client.accepted, 10))
        job = self.client.accepted[later]["id"]
        listed = json.loads(self.run_command("jobs", "--state", "waiting", "--json").stdout)["jobs"]
        self.assertEqual([row["job"] for row in listed], [job])
        self.assertEqual(
            json.loads(self.run_command("jobs", "--state", "in_flight", "--json").stdout)["jobs"], [])
        self.assertEqual(self.run_command("jobs", "--state", "nowhere").returncode, 2)
        self.client.ask("cancel", id=job)

    def test_what_is_said_twice_or_against_itself_is_refused(self):
        for words in (["run", "box", "-p", "width_mm=80", "-p", "width_mm=90"],
                      ["submit", "box", "--key", "of nobody"],
                      ["snapshot", "--json", "--prometheus"]):
            ran = self.run_command(*words)
            self.assertEqual(ran.returncode, 2, (words, ran.stderr))

    def test_no_folder_is_made_for_what_has_no_result(self):
        for words in (["run", "origami"], ["run", "box", "-p", "x_mm=-3"], ["run", "thumbs", "gone"],
                      ["run", "synthetic", "-p", "outcome=fail"], ["run", "synthetic"],
                      ["result", str(10**15)]):
            self.run_command(*words, "-o", "out/deep")
            self.assertEqual(list(self.folder.iterdir()), [], words)
        self.assertEqual(self.run_command("run", "box", "-o", "out/deep").returncode, 0)
        self.assertIn(b"<svg", (self.folder / "out/deep/box.svg").read_bytes())

    def test_an_output_that_cannot_be_written_costs_no_job(self):
        (self.folder / "file").write_text("mine")
        before = self.client.ask("ping")["head"]
        for out in ("file", "file/below", "/proc/nowhere/below"):
            ran = self.run_command("run", "box", "-o", out)
            self.assertEqual(ran.returncode, 70, ran.stderr)
            self.assertIn(b"E_DISK", ran.stderr)
        self.assertEqual(self.client.ask("ping")["head"], before)

    def test_what_is_refused_stands_in_the_json_answer(self):
        sent = self.run_command("submit", "box", "-p", "x_mm=-3", "--json")
        self.assertEqual(sent.returncode, 2, sent.stderr)
        told = json.loads(sent.stdout)
        self.assertEqual(told["jobs"], [])
        (refused,) = told["refused"]
        self.assertEqual((refused["code"], refused["field"]), ("E_PARAMS", "/x_mm"))
        self.assertEqual(refused["message"], json.loads(sent.stderr)["error"]["message"])

        photos = [self.folder / "gone.jpg", PHOTO]
        sent = self.run_command("submit", "thumbs", *photos, "--json")
        told = json.loads(sent.stdout)
        self.assertEqual(len(told["jobs"]), 1)
        self.assertEqual([one["file"] for one in told["refused"]], [str(photos[0])])

    def test_a_job_that_is_not_known_stands_in_the_json_answer(self):
        done, _, _ = run_job(self.client, "box", {})
        nobody = 10**15
        for command in ("status", "wait", "result", "cancel", "retry"):
            ran = self.run_command(command, str(nobody), "--json")
            self.assertEqual(ran.returncode, 5, ran.stderr)
            told = json.loads(ran.stdout)
            self.assertEqual((told["job"], told["code"]), (nobody, "E_NOT_FOUND"), command)
            self.assertTrue(told["message"])
        for command in ("status", "wait"):
            ran = self.run_command(command, str(nobody), str(done["id"]), "--json")
            self.assertEqual(ran.returncode, 5, ran.stderr)
            unknown, known = json.loads(ran.stdout)
            self.assertEqual((unknown["job"], unknown["code"]), (nobody, "E_NOT_FOUND"))
            self.assertEqual((known["job"], known["state"]), (done["id"], "done"))

    def test_version_as_json(self):
        ran = self.run_command("version", "--json", connects=False)
        self.assertRegex(json.loads(ran.stdout)["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(self.run_command("version", "extra", connects=False).returncode, 2)

    def test_control_characters_do_not_reach_the_terminal(self):
        sent = self.run_command("submit", "laser", "--client", "\u009b31mX")
        self.assertEqual(sent.returncode, 0, sent.stderr)
        shown = self.run_command("jobs", "-n", "1").stdout
        self.assertNotIn("\u009b".encode(), shown)
        self.assertIn(b"\\x9b", shown)


if __name__ == "__main__":
    unittest.main(verbosity=2)
