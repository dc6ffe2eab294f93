"""What `config show` says a setting is and by whom, against what was written where.

Method: one key is set in each way that there is, and in all pairs of them; the answer must name the winner.

usage: config_test.py PROGRAMS
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
KEY = "front.max_depth"
VARIABLE = "TALLYMILL_FRONT__MAX_DEPTH"


class Config(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.file = self.folder / "tallymill.yaml"
        self.file.write_text("# two lines above it\nfront:\n  max_depth: 11\nkinds:\n  box: {retries: 7}\n")

    def run_config(self, *words, code=0, **variables):
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TALLYMILL_")}
        ran = subprocess.run([PROGRAMS / "tallymill", "config", *map(str, words)], capture_output=True,
                             text=True, timeout=30, env=plain | variables, check=False)
        self.assertEqual(ran.returncode, code, ran.stderr)
        return ran.stdout if code == 0 else ran.stderr

    def show(self, *words, **variables):
        told = json.loads(self.run_config("show", "--origin", "--json", *words, **variables))
        return {row["key"]: row for row in told["values"]}

    def test_each_origin_is_named_and_the_nearest_wins(self):
        ways = [([], {}, "2000000", "default"),
                ([self.file], {}, "11", f"{self.file}:3:14"),
                ([], {VARIABLE: "22"}, "22", VARIABLE),
                (["--max-depth", "33"], {}, "33", "--max-depth")]
        for weaker in ways:
            for stronger in ways[ways.index(weaker):]:
                row = self.show(*weaker[0], *(stronger[0] if stronger != weaker else []),
                                **weaker[1] | stronger[1])[KEY]
                self.assertEqual((row["value"], row["origin"], row["unit"]), (*stronger[2:], "jobs"))
        every = self.show(self.file, "--front.max_depth=44", **{VARIABLE: "22"})
        self.assertEqual((every[KEY]["value"], every[KEY]["origin"]), ("44", "--front.max_depth"))
        self.assertEqual((every["kinds.box.retries"]["value"], every["kinds.box.retries"]["origin"]),
                         ("7", f"{self.file}:5:18"))
        self.assertEqual(every["kinds.box.stall_s"]["origin"], "default")

    def test_a_file_is_named_in_three_ways(self):
        for words, variables in (([self.file], {}), (["--config", self.file], {}),
                                 ([], {"TALLYMILL_CONFIG": str(self.file)})):
            self.assertEqual(self.show(*words, **variables)[KEY]["value"], "11")
        self.run_config("show", self.file, self.file, code=2)
        self.run_config("show", "--config", self.file, self.file, code=2)
        self.run_config("show", self.folder / "gone.yaml", code=5)
        self.assertIn("did you mean", self.run_config("show", "--front.max_dept", "1", code=2))

    def test_every_key_is_shown_and_as_a_table_too(self):
        rows = self.show(self.file)
        flags = subprocess.run([PROGRAMS / "tallymill", "up", "--help"], capture_output=True, text=True,
                               check=True, timeout=30).stdout
        keys = {flag.replace("-", "_") for flag in re.findall(r"^  --([\w.-]+)", flags, re.MULTILINE)
                if flag != "config" and "KIND" not in flag}
        self.assertEqual({key.removeprefix("front.") for key in rows if not key.startswith("kinds.")}, keys)
        table = self.run_config("show", "--origin", self.file).splitlines()
        self.assertEqual(table[0].split(), ["KEY", "VALUE", "FROM"])
        self.assertEqual([line.split()[0] for line in table[1:]], list(rows))
        self.assertIn(f"{KEY} 11 jobs {self.file}:3:14", [" ".join(line.split()) for line in table])
        plain = self.run_config("show", self.file).splitlines()
        self.assertEqual(plain[0].split(), ["KEY", "VALUE"])
        self.assertNotIn("default", "\n".join(plain))
        self.assertNotIn("origin", self.run_config("show", "--json"))

    def test_a_secret_that_stands_where_its_files_name_belongs_is_not_told(self):
        token = "tm_" + "aB3-_" * 8 + "xyz"
        key = "-----BEGIN PRIVATE KEY----- MIIE"
        variables = {"TALLYMILL_FRONT__HTTP_TOKEN_FILE": token, "TALLYMILL_FRONT__HTTP_KEY": key,
                     "TALLYMILL_FRONT__HTTP_CERTIFICATE": "tm_certificate.pem"}
        for words in (["--json"], ["--origin"], ["--origin", "--json"]):
            said = self.run_config("show", *words, **variables)
            self.assertNotIn(token, said)
            self.assertNotIn("MIIE", said)
        rows = self.show(**variables)
        self.assertEqual([rows[f"front.http_{name}"]["value"] for name in ("token_file", "key", "certificate")],
                         ["***", "***", "tm_certificate.pem"])
        self.assertEqual(rows["front.http_key"]["origin"], "TALLYMILL_FRONT__HTTP_KEY")

    def test_what_is_right_is_said_in_a_line(self):
        self.assertEqual(self.run_config("check", self.file), f"{self.file}: ok\n")
        self.assertEqual(json.loads(self.run_config("check", self.file, "--json")),
                         {"file": str(self.file), "ok": True})
        self.file.write_text("front:\n  max_dept: 1\n")
        said = self.run_config("check", self.file, code=2)
        self.assertIn(f"{self.file}:2:3: front.max_dept: no such key (did you mean front.max_depth?)", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
