"""The bench of the backtest, short: whether all that it plants is found, not how fast anything is.

Method: one day, ten rules, ours alone; the bench holds each planted incident against each rule of its kind.

usage: bench_backtest_test.py PROGRAMS
"""

import json
import pathlib
import subprocess
import sys
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
BENCH = pathlib.Path(__file__).parent.parent.parent / "bench" / "backtest.py"


def bench(*words):
    return subprocess.run([sys.executable, "-B", BENCH, PROGRAMS, *words], capture_output=True, text=True, timeout=300,
                          check=False)


class BenchBacktest(unittest.TestCase):
    def test_all_planted_firings_are_found_and_no_other(self):
        ran = bench("--days", "1", "--rules", "10", "--incidents", "12", "--alone")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        told = {line["what"]: line["median"] for line in map(json.loads, ran.stdout.splitlines())}
        self.assertEqual(told["planted firings, found"], 120)  # 4 + 3 + 3 rules, 12 incidents of each kind
        self.assertGreater(told["evaluations of a processor's second, ours"], 0)

    def test_what_it_does_not_know_is_refused(self):
        for words in (["--days", "0"], ["--rules", "51"], ["--days", "1", "--incidents", "400"], ["--speed"]):
            ran = bench(*words)
            self.assertEqual(ran.returncode, 2, words)
            self.assertIn("usage:", ran.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
