"""A collector whose disk does not answer: it goes on.

Goal: while a sync of the log takes for ever, health, metrics and queries are answered, and what comes is taken.
Method: the shipped program with a library preloaded that holds its syncs.

usage: collector_slow_disk_test.py PROGRAMS
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

from collector_process import CollectorProcess
from mill import until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
LIBRARY = PROGRAMS.parent / "tests" / "libslow_calls.so"
LOOKS = 2.5  # seconds: the store is looked at in each


class CollectorSlowDiskTest(unittest.TestCase):
    def test_pages_are_answered_while_the_log_waits_for_its_disk(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        rule = folder / "rule"
        collector = CollectorProcess(PROGRAMS, folder)
        with unittest.mock.patch.dict(os.environ, {"LD_PRELOAD": str(LIBRARY), "TM_SLOW_CALLS": str(rule)}):
            collector.start()
        self.addCleanup(collector.end)
        self.addCleanup(lambda: rule.unlink(missing_ok=True))
        collector.import_text("a 1 1000\n")
        rule.write_text("hold 0 /samples/log")
        command = [PROGRAMS / "tallymill", "collector", "snapshot", "--collector", collector.url]
        snapshot = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        until((folder / "samples" / "log" / "0000000002.log").exists, 20, "a new segment waits for its name")
        asked, end = 0, time.monotonic() + LOOKS
        while time.monotonic() < end:
            for page in ("/healthz", "/readyz", "/metrics", "/api/v1/query?query=a&time=1"):
                self.assertEqual(collector.ask(page, timeout=10)[0], 200, f"{page}, after {asked}")
                asked += 1
            collector.import_text(f"b {asked} 1000\n")
        another = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(another.returncode, 1, another.stderr)
        self.assertIn("another snapshot is being made", another.stderr)
        self.assertIsNone(snapshot.poll(), "it was held all the time")
        rule.unlink()
        self.assertRegex(snapshot.communicate(timeout=30)[0], "^snapshots/")


if __name__ == "__main__":
    unittest.main(verbosity=2)
