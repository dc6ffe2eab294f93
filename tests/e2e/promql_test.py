"""PromQL against Debian's Prometheus: a short run of promql_differential.py, with a seed of its own each time; and
whether the scripts that our engine is held against are right about Prometheus.

usage: promql_test.py PROGRAMS
"""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import promql_scripts

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
EXPRESSIONS = os.environ.get("TALLYMILL_PROMQL_EXPRESSIONS", "2000")


class Promql(unittest.TestCase):
    def test_answers_are_those_of_prometheus(self):
        if not shutil.which("prometheus"):
            self.skipTest("SKIPPED: prometheus comes with ./dev setup test")
        ran = subprocess.run(
            [sys.executable, "-B", pathlib.Path(__file__).with_name("promql_differential.py"),
             PROGRAMS.parent / "tests" / "promql_ask", EXPRESSIONS], capture_output=True, text=True, check=False)
        print(ran.stdout)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)

    def test_scripts_expect_what_prometheus_says(self):
        if not shutil.which("prometheus"):
            self.skipTest("SKIPPED: prometheus comes with ./dev setup test")
        evaluations = 0
        for path in sorted(promql_scripts.FOLDER.glob("*.test")):
            wrong, count = promql_scripts.check(path)
            self.assertEqual(wrong, [], path.name)
            evaluations += count
        self.assertGreaterEqual(evaluations, 400)


if __name__ == "__main__":
    unittest.main(verbosity=2)
