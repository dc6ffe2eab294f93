"""`tallymill collector snapshot`: a copy of a running collector's samples, and a bound on how many there are.

Goal: the command prints the folder of a copy that another collector opens; who may not ask, a collector that is away and
one copy too many are told each with its code, and nothing of what is there goes. Method: the shipped programs.

usage: collector_snapshot_test.py PROGRAMS
"""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from collector_process import CollectorProcess

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
MOST = 16
NAME = r"snapshots/\d{8}T\d{6}Z-[0-9a-f]{16}"


class CollectorSnapshotTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))

    def snapshot(self, url, *words, token=None):
        environment = {"PATH": "/usr/bin:/bin", "TALLYMILL_COLLECTOR": url} | ({"TALLYMILL_TOKEN": token} if token else {})
        return subprocess.run([PROGRAMS / "tallymill", "collector", "snapshot", *words], capture_output=True, text=True,
                              timeout=60, env=environment, check=False)

    def test_it_prints_the_folder_of_a_copy_that_opens(self):
        with CollectorProcess(PROGRAMS, self.folder / "one") as one:
            one.import_text("".join(f"a{{i=\"{i}\"}} {i} 1000\n" for i in range(100)))
            made = self.snapshot(one.url)
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertRegex(made.stdout, rf"^{NAME}\n$")
            one.import_text("a{i=\"later\"} 1 1000\n")
            shutil.copytree(one.folder / "samples" / made.stdout.strip(), self.folder / "two" / "samples")
            with CollectorProcess(PROGRAMS, self.folder / "two") as two:
                self.assertEqual([each.query("count(a)", 1)[0]["value"][1] for each in (one, two)], ["101", "100"])
            said = json.loads(self.snapshot(one.url, "--json").stdout)
            self.assertRegex(said["folder"], rf"^{NAME}$")
            self.assertEqual(said["folder"], "snapshots/" + said["name"])

    def test_one_more_than_there_may_be_is_refused_and_none_goes(self):
        with CollectorProcess(PROGRAMS, self.folder) as collector:
            collector.import_text("a 1 1000\n")
            made = [self.snapshot(collector.url).stdout.strip() for _ in range(MOST)]
            refused = self.snapshot(collector.url)
            self.assertEqual((refused.returncode, refused.stdout), (1, ""))
            self.assertIn(f"there are {MOST} snapshots", refused.stderr)
            # Also after a kill, which leaves half of one.
            collector.end(signal.SIGKILL)
            half = collector.folder / "samples" / "snapshots" / "20260101T000000Z-0123456789abcdef.new"
            half.mkdir()
            collector.start()
            self.assertFalse(half.exists())
            self.assertEqual(self.snapshot(collector.url).returncode, 1)
            self.assertEqual(collector.metric("tallymill_collector_snapshots "), MOST)
            for folder in made:
                self.assertTrue((collector.folder / "samples" / folder / "log" / "series").exists(), folder)
            shutil.rmtree(collector.folder / "samples" / made[0])
            self.assertEqual(self.snapshot(collector.url).returncode, 0)

    def test_who_may_not_and_what_is_away_are_told_with_their_codes(self):
        tokens = self.folder / "tokens"
        held = {}
        for role in ("submit", "operate"):
            held[role] = subprocess.run([PROGRAMS / "tallymill", "token", role, "--role", role, "--file", tokens],
                                        capture_output=True, text=True, timeout=30, check=True).stdout.strip()
        with CollectorProcess(PROGRAMS, self.folder, flags=["--http-token-file", tokens]) as collector:
            self.assertEqual(self.snapshot(collector.url).returncode, 6)
            denied = self.snapshot(collector.url, "--json", token=held["submit"])
            self.assertEqual((denied.returncode, denied.stdout), (6, ""))
            self.assertIn("E_DENIED", denied.stderr)
            made = self.snapshot(collector.url, token=held["operate"])
            self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(self.snapshot(collector.url).returncode, 3)
        self.assertEqual(self.snapshot(collector.url, "--no-such-flag").returncode, 2)
        # Without the word it is the program, which wants a folder.
        alone = subprocess.run([PROGRAMS / "tallymill", "collector"], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(alone.returncode, 2)
        self.assertIn("--data", alone.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
