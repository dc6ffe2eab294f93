"""The bench of alerting under load, short: that no evaluation is missed and that both judges say the same.

Method: two hundred rules of its twenty shapes for some seconds, beside Debian's Prometheus; the bench itself fails when
the alerts that stand at the end differ.

usage: bench_alert_load_test.py PROGRAMS
"""

import json
import pathlib
import shutil
import subprocess
import sys
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
BENCH = pathlib.Path(__file__).parent.parent.parent / "bench" / "alert-load.py"


def run(*words):
    return subprocess.run([sys.executable, "-B", BENCH, PROGRAMS, *words], capture_output=True, text=True, timeout=300,
                          check=False)


@unittest.skipUnless(shutil.which("prometheus"), "SKIPPED: prometheus comes with ./dev setup bench")
class BenchAlertLoad(unittest.TestCase):
    def test_two_hundred_rules_a_second_miss_nothing_and_say_what_prometheus_says(self):
        ran = run("--rounds", "1", "--rules", "200", "--seconds", "3")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        told = {line["what"]: line for line in map(json.loads, ran.stdout.splitlines())}
        for nothing in ("missed evaluations, ours", "failed evaluations, ours", "alerts that differ, ours"):
            self.assertEqual(told[nothing]["max"], 0, nothing)
        self.assertGreater(told["alerts that stand, ours"]["min"], 10)
        self.assertGreater(told["rules judged, ours"]["min"], 100)
        for row in ("processor time of a second", "RSS"):
            self.assertGreater(told[f"{row}, ours / Prometheus"]["median"], 0)


class BadWords(unittest.TestCase):
    def test_what_it_does_not_know_is_refused(self):
        for words in (["--rounds", "0"], ["--rules", "x"], ["--seconds", "0"]):
            ran = run(*words)
            self.assertEqual(ran.returncode, 2, words)
            self.assertIn("usage:", ran.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
