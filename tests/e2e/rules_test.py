"""`tallymill rules check|test|convert` as a person runs them: what they say, where, and how they end.

That they judge as promtool does is in tests/alerting/rule_test_differential.py.

usage: rules_test.py PROGRAMS
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
RULES = """groups:
  - name: g
    rules:
      - alert: Down
        expr: up == 0
        labels: {severity: page}
      - alert: Never
        expr: up > 100
"""
OURS = """groups:
  - name: ours
    rules:
      - alert: Hot
        threshold: {gauge: heat, above: 80, clear_below: 60, for: 1m}
        no_data: fire
      - alert: Budget
        slo: {objective: 99.9, window: 30d, errors: e_total, total: t_total}
"""
TEST = """rule_files: [rules.yml]
tests:
  - name: it goes down
    interval: 1m
    input_series: [{series: 'up{job="a"}', values: '1 0 0'}]
    alert_rule_test:
      - {eval_time: 2m, alertname: Down, exp_alerts: [{exp_labels: {severity: page, job: JOB}}]}
"""


class Rules(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.write("rules.yml", RULES)
        self.write("ours.tm.yml", OURS)
        self.write("good_test.yml", TEST.replace("JOB", "a"))
        self.write("bad_test.yml", TEST.replace("JOB", "b"))

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8")

    def rules(self, *words):
        ran = subprocess.run([PROGRAMS / "tallymill", "rules", *words], cwd=self.folder, capture_output=True, timeout=60, check=False)
        return ran.returncode, ran.stdout.decode(), ran.stderr.decode()

    def rules_json(self, *words):
        code, out, err = self.rules(*words, "--json")
        self.assertEqual(err, "")
        return code, json.loads(out)

    # ---- check ----

    def test_check_counts_rules(self):
        self.assertEqual(self.rules("check", "rules.yml"), (0, "rules.yml: ok, 2 rules\n", ""))

    def test_check_tells_the_place_of_what_is_wrong_and_goes_on(self):
        self.write("bad.yml", RULES.replace("up == 0", "up == ("))
        code, out, err = self.rules("check", "bad.yml", "rules.yml")
        self.assertEqual(code, 1)
        self.assertEqual(out, "bad.yml: failed\nrules.yml: ok, 2 rules\n")
        self.assertRegex(err, r"^bad\.yml:5:15: could not parse expression: 1:\d+: parse error")

    def test_check_warns_of_rules_that_are_there_twice_and_may_fail_for_it(self):
        self.write("twice.yml", RULES + "      - {alert: Never, expr: up > 200}\n")
        code, out, err = self.rules("check", "twice.yml")
        self.assertEqual((code, out), (0, "twice.yml: ok, 3 rules\n"))
        self.assertEqual(err, "warning: twice.yml:9: 'Never' has the name and labels of the rule in line 7\n")
        self.assertEqual(self.rules("check", "--lint-fatal", "twice.yml")[0], 1)
        self.assertEqual(self.rules("check", "--lint-fatal", "--lint", "none", "twice.yml"), (0, "twice.yml: ok, 3 rules\n", ""))

    def test_check_shows_what_shorthands_became(self):
        code, out, _ = self.rules("check", "--expand", "ours.tm.yml")
        self.assertEqual(code, 0)
        self.assertIn("  line 4: alert Hot\n    expr: heat > 80\n    resolve_expr: heat < 60\n    for: 1m\n", out)
        self.assertIn("record slo:error_ratio:rate5m", out)
        code, answer = self.rules_json("check", "--expand", "ours.tm.yml")
        self.assertEqual(answer["files"][0]["expanded"][0]["expr"], "heat > 80")

    def test_a_file_that_is_not_there_is_exit_code_5_and_one_that_is_refused_goes_before_it(self):
        self.assertEqual(self.rules("check", "none.yml", "rules.yml")[0], 5)
        self.assertEqual(self.rules("check", ".")[0], 5)
        self.write("bad.yml", "groups: [\n")
        self.assertEqual(self.rules("check", "none.yml", "bad.yml")[0], 1)
        self.assertEqual(self.rules("test", "none.yml")[0], 5)
        self.assertEqual(self.rules("convert", "none.yml")[0], 5)
        self.assertEqual(self.rules("check")[0], 2)

    # ---- test ----

    def test_tests_pass(self):
        self.assertEqual(self.rules("test", "good_test.yml"), (0, "good_test.yml: ok, 1 test, 1 check\n", ""))

    def test_a_test_that_fails_shows_what_differs(self):
        code, out, _ = self.rules("test", "bad_test.yml")
        self.assertEqual(code, 1)
        self.assertEqual(out, "bad_test.yml: failed, 1 test, 1 check\n"
                         "  bad_test.yml:7: it goes down: alert Down at 2m\n"
                         "    + {alertname=\"Down\", job=\"a\", severity=\"page\"}\n"
                         "    - {alertname=\"Down\", job=\"b\", severity=\"page\"}\n")
        code, answer = self.rules_json("test", "bad_test.yml", "good_test.yml")
        self.assertEqual(code, 1)
        self.assertEqual([one["ok"] for one in answer["files"]], [False, True])
        self.assertEqual(answer["files"][0]["failures"][0]["line"], 7)

    def test_coverage_tells_which_rules_no_test_made_fire(self):
        code, out, _ = self.rules("test", "--coverage", "good_test.yml")
        self.assertEqual(code, 0)
        self.assertTrue(out.endswith("coverage: 1 of 2 alerting rules fired (50.0 %)\n  rules.yml:7: Never did not fire\n"), out)
        self.assertEqual(self.rules("test", "--coverage-min", "50", "good_test.yml")[0], 0)
        self.assertEqual(self.rules("test", "--coverage-min", "51", "good_test.yml")[0], 1)
        self.assertEqual(self.rules_json("test", "good_test.yml")[1]["coverage"]["silent"],
                         [{"file": "rules.yml", "line": 7, "name": "Never"}])

    def test_bad_input_is_told_with_its_place(self):
        for text, said in (("tests: [\n", "t.yml:2:1: "), ("tests: [{unknown: 1}]\n", "t.yml:1:10: unknown key 'unknown'"),
                           (b"tests: '\xff'\n", "t.yml:1:"), ("tests: &t [*t]\n", "t.yml:1:")):
            with self.subTest(text):
                self.write("t.yml", text)
                code, out, err = self.rules("test", "t.yml")
                self.assertEqual((code, out), (1, "t.yml: failed\n"))
                self.assertTrue(err.startswith(said), err)

    def test_a_rule_file_that_is_broken_fails_the_tests_that_need_it(self):
        self.write("rules.yml", "groups: [{name: g, rules: [{alert: A, expr: '('}]}]\n")
        code, out, _ = self.rules("test", "good_test.yml")
        self.assertEqual(code, 1)
        self.assertRegex(out, r"rules\.yml:1:45: could not parse expression")

    def test_rule_files_that_are_not_there_are_a_warning(self):
        self.write("sub/t.yml", TEST.replace("rules.yml", "none/*.yml").replace("[{exp_labels: {severity: page, job: JOB}}]", "[]"))
        code, _, err = self.rules("test", "sub/t.yml")
        self.assertEqual((code, err), (0, "warning: sub/t.yml: no file is named by 'sub/none/*.yml'\n"))

    def test_a_million_values_are_taken_and_more_than_fit_are_refused(self):
        text = "tests:\n- interval: 1s\n  input_series: [{series: m, values: 1x%s}]\n" \
               "  promql_expr_test: [{expr: m, eval_time: %ss, exp_samples: [{labels: m, value: 1}]}]\n"
        self.write("t.yml", text % (1_000_000, 1_000_000))
        self.assertEqual(self.rules("test", "t.yml")[0], 0)
        self.write("t.yml", text % (10**18, 60))
        self.assertEqual(self.rules("test", "t.yml")[0], 0)
        self.write("t.yml", text % (10**18, 10**8))
        code, out, _ = self.rules("test", "t.yml")
        self.assertEqual(code, 1)
        self.assertIn("more than", out)

    def test_labels_that_are_not_utf8_do_not_reach_the_terminal(self):
        self.write("t.yml", 'tests:\n- interval: 1m\n  input_series: [{series: \'m{a="\\xff\\x1b"}\', values: 1}]\n'
                            "  promql_expr_test: [{expr: m, exp_samples: []}]\n")
        code, out, _ = self.rules("test", "t.yml")
        self.assertEqual(code, 1)
        self.assertNotIn("\x1b", out)
        self.assertEqual(self.rules_json("test", "t.yml")[0], 1)

    # ---- convert ----

    def test_convert_writes_plain_rules_and_warns_of_what_is_left_out(self):
        code, out, err = self.rules("convert", "ours.tm.yml")
        self.assertEqual(code, 0)
        self.assertIn("expr: 'heat > 80'", out)
        self.assertIn("warning: ours.tm.yml:4: 'Hot': resolve_expr is left out", err)
        self.assertIn("'Hot': no_data is left out", err)
        self.write("plain.yml", out)
        self.assertEqual(self.rules("check", "plain.yml")[0], 0)

    def test_convert_writes_over_a_file_only_when_it_is_told_so(self):
        self.assertEqual(self.rules("convert", "rules.yml", "ours.tm.yml", "-o", "plain.yml")[:2], (0, ""))
        code, _, err = self.rules("convert", "rules.yml", "-o", "plain.yml")
        self.assertEqual(code, 1)
        self.assertIn("plain.yml is there already", err)
        self.assertEqual(self.rules("convert", "rules.yml", "-o", "plain.yml", "--force")[0], 0)
        self.assertEqual(self.rules("check", "plain.yml")[1], "plain.yml: ok, 2 rules\n")
        self.assertEqual(self.rules("convert", "rules.yml", "-o", "none/plain.yml")[0], 70)

    def test_convert_refuses_files_that_have_a_group_of_one_name(self):
        self.write("other.yml", RULES)
        code, _, err = self.rules("convert", "rules.yml", "other.yml")
        self.assertEqual(code, 1)
        self.assertIn("a group 'g' is in rules.yml and in other.yml", err)
        self.write("bad.yml", "groups: [\n")
        self.assertEqual(self.rules("convert", "bad.yml")[0], 1)


if __name__ == "__main__":
    unittest.main()
