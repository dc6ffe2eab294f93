"""Engines with a bug planted are found: the differential test tells each from Prometheus, and the shipping one not.

Goal: the test that compares with Prometheus (tests/e2e/promql_differential.py) would see it if the engine were wrong.
Method: one run of it, by a seed that is printed; each mutant is asked every expression until its answer is another
than that of Prometheus. How many expressions each needed is printed.

usage: mutants_test.py BUILD/tests [SEED]
"""

import pathlib
import random
import shutil
import sys
import unittest

TESTS = pathlib.Path(sys.argv.pop(1)).absolute()
SEED = int(sys.argv.pop(1)) if len(sys.argv) > 1 and sys.argv[1].isdigit() else random.randrange(1 << 31)
sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "e2e"))
from promql_differential import Ours, Run, differ  # noqa: E402

FEWEST_MUTANTS = 10
MOST_EXPRESSIONS = 10_000


class Mutants(unittest.TestCase):
    def test_each_is_found(self):
        if not shutil.which("prometheus"):
            self.skipTest("SKIPPED: prometheus comes with ./dev setup test")
        programs = sorted((TESTS / "mutants").glob("promql_mutant_*"))
        self.assertGreaterEqual(len(programs), FEWEST_MUTANTS, "built: ninja promql_mutants")
        print(f"seed {SEED}, {len(programs)} mutants", flush=True)
        run = Run(SEED)
        self.addCleanup(run.stop)
        right = Ours(TESTS / "promql_ask", run.file)
        self.addCleanup(right.stop)
        hidden = {}
        for program in programs:
            hidden[program.name.removeprefix("promql_mutant_")] = Ours(program, run.file)
        self.addCleanup(lambda: [one.stop() for one in hidden.values()])
        while hidden and run.asked < MOST_EXPRESSIONS:
            asked, his = run.next()
            self.assertIsNone(differ(right.ask(*asked), his), asked)
            for name in [name for name, one in hidden.items() if differ(one.ask(*asked), his)]:
                hidden.pop(name).stop()
                print(f"{name}: found by expression {run.asked}: {asked[3]}", flush=True)
        self.assertEqual(list(hidden), [], f"not found by {run.asked} expressions")


if __name__ == "__main__":
    unittest.main(verbosity=2)
