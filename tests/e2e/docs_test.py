"""The documents' commands work as they stand there.

Method: every fenced block says what it is; `sh` blocks of a page run in order in one folder against a
pipeline of this build, where photo.jpg is the examples' picture. What a block says beside its language:

  sh serve         keeps running: the pipeline. It is waited for until its workers are there
  sh collector     keeps running: a collector. It is waited for until it is ready
  python until W   runs until it has printed the word W
  text output      shows what the block before it printed: at least one line, numbers aside
  console          is for a person: not run here (it installs, or would test itself)

The one thing replaced is the default address of a front, by one that is free, on any machine.

usage: docs_test.py PROGRAMS
"""

import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from mill import free_ports, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
ROOT = pathlib.Path(__file__).parents[2]
PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md",
         *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = {"console", "text", "json", "yaml", "cpp"}


def blocks(page):
    """(line, info string as words, text) of each fenced block."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(text[:m.start()].count("\n") + 1, m[1].split(), m[2]) for m in FENCE.finditer(text)]


def shape(text):
    """Its lines with numbers and the width of gaps aside."""
    plain = (re.sub(r"\s+", " ", re.sub(r"\d+([.,]\d+)*", "N", line)).strip() for line in text.splitlines())
    return {line for line in plain if len(line) > 3}


class Pages(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        shutil.copy(ROOT / "examples/sample.jpg", self.folder / "photo.jpg")
        self.jobs, results, control, http = (f"tcp://127.0.0.1:{port}" for port in free_ports(4))
        self.http = http.removeprefix("tcp://")
        self.collector, self.statsd = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("TALLYMILL_")} | {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "TALLYMILL_RUN_DIR": str(self.folder / "run"),
            "TALLYMILL_DATA_DIR": str(self.folder / "data"), "TALLYMILL_FRONT__LISTEN": self.jobs,
            "TALLYMILL_FRONT__RESULTS": results, "TALLYMILL_FRONT__CONTROL": control,
            "TALLYMILL_FRONT__HTTP": self.http, "TALLYMILL_COLLECTOR__HTTP": self.collector,
            "TALLYMILL_FRONT__DISK_FLOOR_BYTES": "1048576"}
        self.served = False

    def start(self, command, **pipes):
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, start_new_session=True,
                                stdin=subprocess.DEVNULL, **pipes)

    def serve(self, script):
        log = self.enterContext(open(self.folder / "up.log", "wb"))
        process = self.start(["bash", "-c", "exec " + script], stdout=log, stderr=log)
        self.addCleanup(process.wait, 30)
        self.addCleanup(process.send_signal, signal.SIGTERM)
        self.served = True
        try:
            until(lambda: self.run_shell("tallymill kinds box && tallymill kinds engrave")[0] == 0, 30,
                  "the pipeline is up")
        except AssertionError:
            print((self.folder / "up.log").read_text(errors="replace"))
            raise

    def serve_collector(self, script):
        log = self.enterContext(open(self.folder / "collector.log", "wb"))
        process = self.start(["bash", "-c", script], stdout=log, stderr=log)
        self.addCleanup(process.wait, 30)
        self.addCleanup(os.killpg, process.pid, signal.SIGTERM)
        self.served = True
        until(lambda: self.run_shell(f"curl -s --fail http://{self.collector}/readyz")[0] == 0, 30,
              "the collector is ready")

    def run_shell(self, script):
        """(exit status, what it printed); what it started in its session ends with it."""
        process = self.start(["bash", "-euo", "pipefail", "-c", script], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        try:
            printed, _ = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, printed

    def run_python(self, script, word):
        process = self.start([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        printed, end = b"", time.monotonic() + 30
        while word.encode() not in printed and time.monotonic() < end:
            if selector.select(0.1):
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                printed += piece
        process.kill()
        process.wait()
        process.stdout.close()
        return 0 if word.encode() in printed else 1, printed.decode(errors="replace")

    def run_page(self, page):
        printed = None
        for line, info, text in blocks(page):
            where = f"{page}:{line}"
            self.assertTrue(info, f"{where}: a block that does not say what it is")
            text = text.replace("tcp://127.0.0.1:7750", self.jobs)
            text = text.replace("127.0.0.1:7780", self.http)
            text = text.replace("127.0.0.1:7790", self.collector)
            text = text.replace("127.0.0.1:8125", self.statsd)
            text = text.replace("127.0.0.1/8125", self.statsd.replace(":", "/"))
            if info == ["sh", "serve"]:
                self.serve(text)
            elif info == ["sh", "collector"]:
                self.serve_collector(text)
            elif info == ["text", "output"]:
                self.assertIsNotNone(printed, f"{where}: output of nothing")
                self.assertTrue(shape(text) & shape(printed), f"{where}: it prints\n{printed}")
            elif info[0] in ("sh", "python"):
                if not self.served:
                    self.serve("tallymill up")
                if info[0] == "sh":
                    status, printed = self.run_shell(text)
                else:
                    self.assertEqual(info[1:2], ["until"], f"{where}: until which word?")
                    status, printed = self.run_python(text, info[2])
                self.assertEqual(status, 0, f"{where}: exit {status}\n{text}\n{printed}")
            else:
                self.assertIn(info[0], NOT_RUN, f"{where}: unknown kind of block")

    def test_a_block_that_fails_or_shows_another_output_is_found(self):
        page = self.folder / "planted.md"
        for wrong in ("```sh\nfalse\n```\n", "```sh\ntallymill frobnicate | cat\n```\n",
                      "```sh\necho hello 1\n```\n```text output\ngoodbye 2\n```\n", "```\necho\n```\n",
                      "```python until never\nprint('ever')\n```\n"):
            page.write_text(wrong)
            with self.subTest(wrong), self.assertRaises(AssertionError):
                self.run_page(page)
        page.write_text("```sh\necho hello 1\n```\n```text output\nhello 2\n```\n")
        self.run_page(page)


def add_page(page):
    setattr(Pages, "test_" + re.sub(r"\W", "_", page), lambda self: self.run_page(page))



for each in PAGES:
    add_page(each)
assert blocks("README.md"), "README.md shows no command"

if __name__ == "__main__":
    unittest.main(verbosity=2)
