#!/usr/bin/env python3
"""The house rules as tests. Goal: the tree stays as CONTRIBUTING.md says without anyone watching.
Method: each rule is a function from (path, text) to problems; it runs over every file of the
repository, and over a planted breach, which it must find.
"""
import pathlib
import re
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
THIS = "tests/house/house_test.py"
FILE_LINES_MAX = 900
FILE_BYTES_MAX = 300_000
PAGE_COLUMNS = 140

# Who may include whom. A folder may always include itself; a path ending in .h allows that header
# alone. tests and bench may include anything, as apps may.
MAY_INCLUDE = {
    "base": [],
    "bus": ["base"],
    "store": ["base"],
    "http": ["base"],
    "front": ["bus", "store", "http", "base"],
    "stages": ["bus", "store", "base"],
    "collector": ["bus", "store", "http", "base"],
    "alerting": ["collector/answers.h", "collector/api.h", "collector/arrivals.h",
                 "collector/parameters.h",
                 "collector/query.h", "collector/series.h", "collector/rules.h",
                 "collector/labels_check.h", "collector/stable_sort.h", "collector/promql/ast.h",
                 "collector/promql/evaluate.h", "collector/promql/go_expand.h",
                 "collector/promql/go_text.h", "collector/promql/lexer.h",
                 "collector/promql/parser.h", "collector/promql/print.h",
                 "collector/promql/series_notation.h", "collector/promql/value.h", "bus", "store", "http", "base"],
    "dashboards": ["collector/query.h", "collector/series.h", "alerting/rule_file.h", "http",
                   "base"],
    "loadgen": ["bus", "http", "base"],
}
NOBODY_INCLUDES = ["apps", "tests", "bench"]
# A library that costs every program that links it has one home.
LIBRARY_HOMES = {"opencv2/": ["stages/image/"], "boost/": ["http/", "bench/floor/"], "sqlite3.h": ["front/", "store/"]}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def include_direction(path, text):
    folder = path.split("/")[0]
    if folder not in MAY_INCLUDE:
        return
    for form, target in INCLUDE.findall(text):
        top = target.split("/")[0]
        if form == '"' and (top in MAY_INCLUDE or top in NOBODY_INCLUDES):
            if top != folder and top not in MAY_INCLUDE[folder] and target not in MAY_INCLUDE[folder]:
                yield f"{folder} may not include {target}"
        for prefix, homes in LIBRARY_HOMES.items():
            if target.startswith(prefix) and not any(path.startswith(home) for home in homes):
                yield f"<{target}> belongs in {' or '.join(homes)}"


def header_states_its_purpose(path, text):
    if not path.endswith(".h"):
        return
    opening = text.split("#pragma once")[0]
    if "#pragma once" not in text:
        yield "no #pragma once"
    if not re.match(r"// \S.{14,}", text):
        yield "the first line does not say what the header is for"
    elif any(line and not line.startswith("//") for line in opening.splitlines()):
        yield "#pragma once is not the last line of the opening comment"


def file_is_not_too_long(path, text):
    if path.endswith((".h", ".cc", ".py")) and text.count("\n") > FILE_LINES_MAX:
        yield f"{text.count(chr(10))} lines, more than {FILE_LINES_MAX}"


def no_forbidden_word(path, text):
    # A word left for later is an issue that nobody tracks.
    for word in re.findall(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b", text):
        yield f"'{word}': do it, or open an issue"
    if path.startswith("tests/") and path.endswith((".cc", ".h")):
        for word in re.findall(r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\b", text):
            yield f"'{word}' in a test: move the fake clock, or poll for the condition"


def no_machine_path(path, text):
    for where in re.findall(r"(?<![\w.$}~])/(?:work|home|root|Users|tmp)/\w+", text):
        yield f"'{where}' is a place on one machine"


def test_states_its_goal(path, text):
    if not path.startswith("tests/"):
        return
    if path.endswith(("_test.cc", "_fuzz.cc")) and not text.startswith("// "):
        yield "the first line does not say the test's goal"
    if path.endswith("_test.py") and not re.match(r'(#!.*\n)?"""\S.{14,}', text):
        yield "the first line does not say the test's goal"


def page_is_narrow(path, text):
    """Tables and code blocks aside: they cannot be broken."""
    if not path.endswith(".md"):
        return
    in_block = False
    for number, line in enumerate(text.splitlines(), 1):
        in_block ^= line.startswith("```")
        if len(line) > PAGE_COLUMNS and not in_block and not line.startswith("|"):
            yield f"line {number} has {len(line)} columns, more than {PAGE_COLUMNS}"


def block_says_what_it_is(path, text):
    # tests/e2e/docs_test.py runs those that can run.
    if path.endswith(".md"):
        fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
        for number, words in enumerate(fences[::2], 1):
            if not words:
                yield f"block {number} does not say what it is: sh, console, text, ..."


def anchors(text):
    """What GitHub makes of headings: lower case, words and hyphens."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links_resolve(path, text):
    if not path.endswith(".md"):
        return
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue  # the net's
        name, _, anchor = target.partition("#")
        there = (ROOT / path).parent / name if name else ROOT / path
        if name and not there.exists():
            yield f"the link to {target} leads nowhere"
        elif anchor and anchor not in anchors(there.read_text(encoding="utf-8") if name else text):
            yield f"the link to {target} names no heading"


def blob_is_small(path, text):
    if len(text) > FILE_BYTES_MAX:
        yield f"{len(text)} bytes, more than {FILE_BYTES_MAX}"


LIMIT = re.compile(r"^inline constexpr (?:[\w:]+|struct \{[^}]*\}) (\w+)", re.MULTILINE)


def unused_limits(limits, code):
    for name in LIMIT.findall(limits):
        if not re.search(rf"\blimits::{name}\b", code):
            yield f"limits::{name} bounds nothing"


def files():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:  # an unpacked archive
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")]
    for name in sorted(names):
        path = ROOT / name
        if name.startswith("build/") or name == THIS or not path.is_file():
            continue
        try:
            yield name, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or a golden vector


class House(unittest.TestCase):
    def holds_everywhere(self, rule):
        problems = [f"{path}: {problem}" for path, text in files() for problem in rule(path, text)]
        self.assertFalse(problems, "\n" + "\n".join(problems))

    def finds(self, rule, path, text):
        self.assertTrue(list(rule(path, text)), f"{rule.__name__} missed a planted breach")

    def passes(self, rule, path, text):
        self.assertEqual(list(rule(path, text)), [])

    def test_include_direction(self):
        self.finds(include_direction, "stages/worker.h", '#include "front/front.h"\n')
        self.finds(include_direction, "base/a.cc", '#include "bus/loop.h"\n')
        self.finds(include_direction, "alerting/a.cc", '#include "collector/head.h"\n')
        self.finds(include_direction, "front/a.cc", "#include <opencv2/core.hpp>\n")
        self.passes(include_direction, "alerting/a.cc", '#include "collector/query.h"\n')
        self.passes(include_direction, "apps/a.cc", '#include "front/front.h"\n')
        self.holds_everywhere(include_direction)

    def test_headers_state_their_purpose(self):
        self.finds(header_states_its_purpose, "base/a.h", "#pragma once\n// A: what it is for.\n")
        self.finds(header_states_its_purpose, "base/a.h", "// A: what it is for, in words.\n")
        self.finds(header_states_its_purpose, "base/a.h", "// A\n#pragma once\n")
        self.holds_everywhere(header_states_its_purpose)

    def test_no_file_is_too_long(self):
        self.finds(file_is_not_too_long, "base/a.cc", "\n" * (FILE_LINES_MAX + 1))
        self.passes(file_is_not_too_long, "base/a.cc", "\n" * FILE_LINES_MAX)
        self.holds_everywhere(file_is_not_too_long)

    def test_no_forbidden_word(self):
        self.finds(no_forbidden_word, "base/a.cc", "// TO" "DO: later\n")
        self.finds(no_forbidden_word, "tests/base/a_test.cc", "std::this_thread::sleep_for(1s);\n")
        self.passes(no_forbidden_word, "base/a.cc", "std::this_thread::sleep_for(1s);\n")
        self.holds_everywhere(no_forbidden_word)

    def test_no_machine_path(self):
        self.finds(no_machine_path, "docs/a.md", "see /ho" "me/someone\n")
        self.passes(no_machine_path, "docs/a.md", "in ~/work/main and a/tmp/b\n")
        self.holds_everywhere(no_machine_path)

    def test_tests_state_their_goal(self):
        self.finds(test_states_its_goal, "tests/base/a_test.cc", '#include "base/a.h"\n')
        self.finds(test_states_its_goal, "tests/e2e/a_test.py", "import sys\n")
        self.holds_everywhere(test_states_its_goal)

    def test_every_limit_is_used(self):
        planted = "inline constexpr int used = 1;\ninline constexpr struct {\n} unused;\n"
        self.assertEqual(list(unused_limits(planted, "limits::used")),
                         ["limits::unused bounds nothing"])
        shipped = {path: text for path, text in files()
                   if path.endswith((".h", ".cc")) and not path.startswith(("tests/", "bench/"))}
        limits = shipped.pop("base/limits.h")
        self.assertGreater(len(LIMIT.findall(limits)), 100)
        problems = list(unused_limits(limits, "\n".join(shipped.values())))
        self.assertFalse(problems, "\n" + "\n".join(problems))

    def test_pages_are_narrow(self):
        self.finds(page_is_narrow, "docs/a.md", "x" * (PAGE_COLUMNS + 1) + "\n")
        self.passes(page_is_narrow, "docs/a.md", "|" + "x" * PAGE_COLUMNS + "\n")
        self.holds_everywhere(page_is_narrow)

    def test_blocks_of_pages_say_what_they_are(self):
        self.finds(block_says_what_it_is, "docs/a.md", "```\n./dev test\n```\n")
        self.passes(block_says_what_it_is, "docs/a.md", "```sh\ntallymill jobs\n```\n")
        self.holds_everywhere(block_says_what_it_is)

    def test_links_resolve(self):
        self.finds(links_resolve, "docs/a.md", "[a](no-such-page.md)\n")
        self.finds(links_resolve, "docs/a.md", "# One\n[a](#two)\n")
        self.passes(links_resolve, "docs/a.md", "# One `b`: two\n[a](#one-b-two) [b](../README.md)\n")
        self.holds_everywhere(links_resolve)

    def test_no_file_is_a_large_blob(self):
        self.finds(blob_is_small, "tests/a.json", "x" * (FILE_BYTES_MAX + 1))
        self.holds_everywhere(blob_is_small)

    def test_sources_are_formatted(self):
        formatter = shutil.which("clang-format-19")
        self.assertIsNotNone(formatter, "clang-format-19 is missing: ./dev setup test")
        sources = [path for path, _ in files() if path.endswith((".h", ".cc"))]
        run = subprocess.run([formatter, "--dry-run", "--Werror", *sources], cwd=ROOT,
                             capture_output=True, text=True, check=False)
        wrong = sorted({line.split(":")[0] for line in run.stderr.splitlines() if "error:" in line})
        self.assertEqual(run.returncode, 0, "\n./dev format would change: " + " ".join(wrong))


if __name__ == "__main__":
    unittest.main()
