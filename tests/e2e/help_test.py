"""What a newcomer reads first: every help fits a terminal of 80 columns, and asking costs nothing.

Method: `--help` of each program and of each command that `tallymill --help` lists. The launcher's start
is held against /bin/true, interleaved: it links the C++ runtime alone, and one more library shows.

usage: help_test.py PROGRAMS
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import unittest

from mill import is_sanitized

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
LAUNCHER = str(PROGRAMS / "tallymill")
SANITIZED = is_sanitized(LAUNCHER)


def help_of(*words):
    asked = subprocess.run([LAUNCHER, *words, "--help"], capture_output=True, text=True, timeout=30)
    assert asked.returncode == 0, (words, asked.stderr)
    return asked.stdout


def seconds(*command):
    started = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ,
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    assert os.waitpid(pid, 0)[1] == 0
    return time.monotonic() - started


class Help(unittest.TestCase):
    def test_every_help_fits_80_columns_and_says_what_for(self):
        commands = re.findall(r"^  ([a-z]+)  ", help_of().split("Subcommands:")[1], re.MULTILINE)
        self.assertGreater(len(commands), 10)
        asked = [(), ("up",), ("demo",), ("front",), ("stage", "compute"), ("stage", "image"), ("ledger", "check"),
                 ("config", "check"), ("config", "show"), ("alerts", "ls"), ("alerts", "explain"), ("alerts", "silence"),
                 ("alerts", "silence", "add"), ("alerts", "silence", "ls"), ("alerts", "silence", "expire"),
                 ("rules", "check"), ("rules", "test"), ("rules", "convert"), ("rules", "backtest"),
                 ("rules", "shipped"), ("collector", "snapshot"),
                 *((command,) for command in commands)]
        for words in asked:
            text = help_of(*words)
            with self.subTest(" ".join(words)):
                self.assertEqual([line for line in text.splitlines() if len(line) > 80], [])
                self.assertGreater(len(text.splitlines()[0]), 15)
                for line in text.splitlines():  # no flag without a word about it
                    self.assertNotRegex(line, r"^  (-\w,)?--[\w-]+( [A-Z:]+)?$")

    @unittest.skipIf(SANITIZED, "SKIPPED: a sanitizer's runtime starts slowly")
    def test_version_starts_like_a_program_that_links_nothing(self):
        times = [(seconds("/bin/true"), seconds(LAUNCHER, "version")) for _ in range(60)]
        floor, ours = (statistics.median(column) for column in zip(*times))
        print(f"version {ours * 1e3:.2f} ms, /bin/true {floor * 1e3:.2f} ms: {ours / floor:.1f} times")
        # The C++ runtime makes it two; linking OpenCV's image codecs alone would make it 25.
        self.assertLess(ours / floor, 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
