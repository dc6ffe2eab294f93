"""The examples, as a user would start them, against a pipeline.

usage: examples_test.py PROGRAMS
"""

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import unittest

from mill import Client, Mill, run_job, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
PHOTO = EXAMPLES / "sample.jpg"


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS))
        cls.client = Client(cls.mill.endpoint, "examples")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def run_stage(self, *command):
        stage = subprocess.Popen([*map(str, command), str(self.mill.run)], stderr=self.mill.log,
                                 stdout=self.mill.log)
        self.addCleanup(stage.wait)
        self.addCleanup(stage.terminate)

    def kind(self, stage):
        """The kind that a stage of its own announced, once its lane is open."""
        def announced():
            workers = self.client.ask("workers")["workers"]
            return [w["kinds"][0] for w in workers if w["open"] and w["stage"] == stage]
        return until(announced, 15, f"stage {stage} is there")[0]

    def timed(self, job, stage):
        """Its hop was stamped as those of the built-in stages are."""
        run_job(self.client, "box", {})  # the whole of an end is written with the next commit
        timeline = self.client.ask("timeline", id=job)
        hop = timeline["attempts"][-1]["hops"][-1]
        self.assertEqual(hop["stage"], stage)
        stamps = [hop[name] for name in ("sent", "received", "started", "finished", "handed")]
        self.assertEqual(stamps, sorted(stamps))
        whole = timeline["whole_ns"]
        self.assertLess(abs(whole - sum(timeline["parts"].values())), max(20_000, whole / 100))

    def test_a_stage_in_python(self):
        self.run_stage(sys.executable, EXAMPLES / "stage.py")
        kind = self.kind("counter")
        for _ in range(20):
            header, values, _ = run_job(self.client, kind, {}, [b"12345"], **{
                "in": [{"n": "a", "b": 5, "i": 0}], "B": 1})
            self.assertEqual((header["w"], values["bytes"]), ("done", 5))
        self.timed(header["id"], "counter")
        self.assertTrue(self.client.ask("snapshot")["balanced"])

    def test_files_that_cannot_be_had_fail_their_job_and_nothing_else(self):
        """A stage in another language names what it likes as its job's files."""
        whole = b"whole" * 50_000
        digest = hashlib.sha256(whole).hexdigest()
        self.client.ask("put", blobs=[whole], d=digest, b=len(whole))
        source = (EXAMPLES / "stage.py").read_text()
        for stage, file, said in (
                ("long", '"n": "n" * 201, "d": "%s", "b": 250_000' % digest, "200 bytes"),
                ("absent", '"n": "a", "d": "0" * 64, "b": 1', "not in the blob store: 000"),
                ("larger", '"n": "a", "d": "%s", "b": 250_001' % digest, "has 250000: " + digest),
                ("true", '"n": "a", "d": "%s", "b": 250_000' % digest, "")):
            with self.subTest(stage), tempfile.TemporaryDirectory() as folder:
                program = pathlib.Path(folder) / "stage.py"
                program.write_text(source.replace("counter", stage).replace(
                    '"count"', f'"{stage}"').replace(
                    '"o": "ok",', '"o": "ok", "files": [{%s}],' % file))
                self.run_stage(sys.executable, program)
                header, _, blobs = run_job(self.client, self.kind(stage), {})
                if said:
                    self.assertEqual((header["w"], header["code"]), ("failed", "E_STAGE"))
                    self.assertIn(said, header["msg"])
                    self.assertFalse(header.get("files"))
                else:
                    self.assertEqual(header["w"], "done")
                    self.assertEqual([f["d"] for f in header["files"]], [digest])
        self.assertTrue(self.client.ask("snapshot")["balanced"])

    def test_a_stage_in_cpp(self):
        program = PROGRAMS / "example-stage"
        if not program.exists():
            self.skipTest("SKIPPED: this build has no example-stage")
        self.run_stage(program)
        kind = self.kind("shouter")
        header, values, _ = run_job(self.client, kind, {"text": "quiet"})
        self.assertEqual((header["w"], values["text"]), ("done", "QUIET"))
        self.timed(header["id"], "shouter")
        r = self.client.submit(kind, {"text": ""})
        self.assertTrue(self.client.wait_for(lambda: r in self.client.refused, 10))
        self.assertEqual(self.client.refused[r]["field"], "/text")

    def test_a_client_in_python(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, EXAMPLES / "client.py", self.mill.endpoint, "engrave",
                                   '{"width_mm": 30}', PHOTO], cwd=folder, capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertGreater((pathlib.Path(folder) / "engraving.gcode").stat().st_size, 1000)
            self.assertTrue((pathlib.Path(folder) / "engraving.png").read_bytes().startswith(b"\x89PNG"))
            wrong = subprocess.run([sys.executable, EXAMPLES / "client.py", self.mill.endpoint, "box",
                                    '{"x_mm": -1}'], cwd=folder, capture_output=True, text=True,
                                   timeout=60)
            self.assertNotEqual(wrong.returncode, 0)
            self.assertIn("E_PARAMS /x_mm", wrong.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
