"""The demo ends well on the sample photo, says what is in its way, and its checks can fail.

Method: `tallymill demo` as a user calls it; then one dot, one line of G-code, one path and one number
of what it made are spoiled, and each must be noticed by the demo's own checks.

usage: demo_test.py PROGRAMS
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import zlib

from mill import until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
SAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg"
sys.path.insert(0, str(PROGRAMS / "tallymill-demo"))  # an archive of Python files

import checks  # noqa: E402

ENGRAVED = {"width_mm": 80, "dpi": 254, "material": "plywood_birch"}


# In the place of `tallymill`: as it, but an engraving's program then lacks its last burn.
SPOILER = """#!/usr/bin/python3
import os, pathlib, re, subprocess, sys
real, words = {real!r}, sys.argv[1:]
if words[:2] != ["run", "engrave"]:
    os.execv(real, [real, *words])
ended = subprocess.run([real, *words]).returncode
path = pathlib.Path(words[words.index("--out") + 1]) / "engraving.gcode"
lines = path.read_bytes().split(b"\\n")
del lines[max(n for n, line in enumerate(lines) if re.search(rb"S[1-9]", line))]
path.write_bytes(b"\\n".join(lines))
sys.exit(ended)
"""


def demo(*words):
    return subprocess.run([PROGRAMS / "tallymill", "demo", *map(str, words)], capture_output=True,
                          text=True, timeout=90)


def chunks(png):
    """[(type, data)] of a PNG."""
    at, found = 8, []
    while at < len(png):
        length = int.from_bytes(png[at:at + 4], "big")
        found.append((png[at + 4:at + 8], png[at + 8:at + 8 + length]))
        at += length + 12
    return found


def with_dot_flipped(png):
    """The same PNG with the last dot of its first row the other way round."""
    rows = bytearray(zlib.decompress(b"".join(data for kind, data in chunks(png) if kind == b"IDAT")))
    rows[100] ^= 1  # the 800th dot: a row is one filter byte and 100 bytes of dots
    out, written = png[:8], False
    for kind, data in chunks(png):
        if kind == b"IDAT":
            if written:
                continue
            data, written = zlib.compress(rows), True
        out += len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    return out


class Demo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        cls.photos = cls.folder / "photos"
        cls.photos.mkdir()
        shutil.copy(SAMPLE, cls.photos)
        # A photo that says of itself to be one, and a file that is none.
        (cls.photos / "cut short.jpg").write_bytes(SAMPLE.read_bytes()[:9000])
        (cls.photos / "notes.txt").write_text("no picture")
        cls.out = cls.folder / "out"
        cls.ran = demo("--photos", cls.photos, "--out", cls.out, "--once")
        cls.engraved = cls.out / "results" / "02-sample"

    def test_it_ends_well_and_says_what_was_made(self):
        said = self.ran.stdout
        self.assertEqual(self.ran.returncode, 0, said + self.ran.stderr)
        self.assertIn("1 engraving: size", said)
        self.assertIn("refused, as it should be: engrave of cut short.jpg", said)
        # One photo twice, two boxes, a laser setting; the broken one twice.
        self.assertRegex(said, r"accepted 7\n  = done 5 \+ failed 2 \+")
        self.assertIn("balanced", said)
        self.assertRegex(said, r"(?m)^parts .* whole .* adds up")
        self.assertNotIn("\x1b", said)
        table = said.split("\n\n")[1]
        self.assertLessEqual(max(map(len, table.splitlines())), 80)
        for name in ("engraving.png", "engraving.gcode", "preview.jpg", "thumb-120.jpg", "thumb-640.jpg"):
            self.assertTrue((self.engraved / name).stat().st_size, name)

    def test_the_sheet_needs_no_other_file(self):
        page = (self.out / "contact-sheet.html").read_text()
        for words in ("accepted 7 = done 5 + failed 2", "80 × 45 mm, 800 × 450 dots", "cut short.jpg"):
            self.assertTrue(words in page, words)
        self.assertEqual(page.count("<svg"), 2)
        self.assertFalse("\\x" in page)  # nothing of our own that a terminal would have escaped
        links = re.findall(r'(?:src|href)="([^"]{0,40})|url\(([^)]{0,40})', page)
        self.assertTrue(links)
        for link in links:
            self.assertTrue("".join(link).startswith("data:image/"), link)

    def problems(self, folder):
        return list(checks.engraving(PROGRAMS, self.photos / "sample.jpg", [800, 450], ENGRAVED,
                                     {"burnt_dots": self.burnt()}, folder))

    def burnt(self):
        report = subprocess.run([PROGRAMS / "tallymill-demo-check", "engraving",
                                 self.photos / "sample.jpg", self.engraved, json.dumps(ENGRAVED)],
                                capture_output=True, text=True, check=True)
        return json.loads(report.stdout)["burnt_dots"]

    def spoiled(self, name, change, source=None):
        """A copy of the engraving in which one file is changed."""
        copy = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(dir=self.folder)))
        shutil.copytree(source or self.engraved, copy, dirs_exist_ok=True)
        before = (copy / name).read_bytes()
        after = change(before)
        self.assertNotEqual(before, after)
        (copy / name).write_bytes(after)
        return copy

    def test_one_wrong_dot_is_noticed(self):
        self.assertEqual(self.problems(self.engraved), [])
        found = self.problems(self.spoiled("engraving.png", with_dot_flipped))
        self.assertEqual(found, ["engraving.png: 1 dots are not those of the reference, the first at "
                                 "column 799, row 0"])

    def test_one_wrong_line_of_gcode_is_noticed(self):
        def without_the_last_burn(gcode):
            lines = gcode.split(b"\n")
            last = max(n for n, line in enumerate(lines) if re.search(rb"S[1-9]", line))
            return b"\n".join(lines[:last] + lines[last + 1:])
        found = self.problems(self.spoiled("engraving.gcode", without_the_last_burn))
        self.assertEqual(len(found), 1, found)
        self.assertRegex(found[0], r"^engraving\.gcode: ")

    def test_a_spoiled_result_ends_the_demo_with_1(self):
        beside = self.folder / "bin"
        beside.mkdir()
        for name in ("tallymill-demo", "tallymill-demo-check"):
            shutil.copy(PROGRAMS / name, beside)
        (beside / "tallymill").write_text(SPOILER.format(real=str(PROGRAMS / "tallymill")))
        (beside / "tallymill").chmod(0o700)
        ran = subprocess.run([beside / "tallymill-demo", "--out", self.folder / "spoiled", "--once"],
                             capture_output=True, text=True, timeout=90)
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertRegex(ran.stdout, r"WRONG job \d+ engrave .*: engraving\.gcode: ")
        self.assertIn("0 engravings: ", ran.stdout)
        self.assertIn("1 result is not right", ran.stderr)

    def test_a_wrong_size_is_noticed(self):
        found = list(checks.engraving(PROGRAMS, self.photos / "sample.jpg", [800, 450],
                                      ENGRAVED | {"width_mm": 81}, {"burnt_dots": 0}, self.engraved))
        self.assertIn("but 81 mm at 254 dpi are 810", found[0])

    def test_a_wrong_thumbnail_is_noticed(self):
        copy = self.spoiled("thumb-120.jpg", lambda _: (self.engraved / "thumb-240.jpg").read_bytes())
        values = {"files": [{"name": "thumb-120.jpg"}, {"name": "thumb-240.jpg"}]}
        found = list(checks.thumbs(PROGRAMS, [800, 450], {"sizes": [120, 240]}, values, copy))
        self.assertEqual(found, ["thumb-120.jpg is [240, 135], not [120, 68]"])
        cut = self.spoiled("thumb-240.jpg", lambda data: data[:-400])
        found = list(checks.thumbs(PROGRAMS, [800, 450], {"sizes": [120, 240]}, values, cut))
        self.assertEqual(len(found), 1, found)

    def test_an_open_path_and_a_law_that_does_not_hold_are_noticed(self):
        self.assertIsNone(checks.corners("M0 0H3V2H0"))
        self.assertEqual(checks.corners("M0 0H3V2H0Z"), [(0, 0), (3, 0), (3, 2), (0, 2)])
        jobs = {"accepted": 3, "done": 2, "failed": 0, "cancelled": 0, "expired": 0, "in_flight": 0,
                "settling": 0, "waiting": {"ready": 0}}
        lost = list(checks.conservation({"jobs": jobs, "balanced": True}, {"done": 3, "failed": 0}))
        self.assertEqual(lost, ["accepted 3 is not 2", "3 jobs ended done, the front counts 2"])

    def test_a_photo_that_is_known_to_be_good_must_not_be_refused(self):
        photos = self.folder / "listed"
        photos.mkdir()
        shutil.copy(self.photos / "cut short.jpg", photos)
        (photos / "photos.tsv").write_text("# package\tpath\np\tusr/share/cut short.jpg\tA\tCC0\tIt\n")
        ran = demo("--photos", photos, "--out", self.folder / "refused", "--once")
        self.assertEqual(ran.returncode, 1, ran.stdout + ran.stderr)
        self.assertIn("WRONG engrave of cut short.jpg failed: E_PARAMS", ran.stdout)
        self.assertIn("accepted 5\n  = done 3 + failed 2", ran.stdout)
        self.assertIn("3 results are not right", ran.stderr)

    def test_what_is_in_its_way_is_said(self):
        empty = self.folder / "empty"
        empty.mkdir()
        file = self.folder / "file"
        file.write_text("in the way")
        cases = [(("--photos", self.folder / "nowhere"), 70, "nowhere: no such folder"),
                 (("--photos", empty), 70, "no JPEG, PNG or WebP"),
                 (("--photos", self.photos, "--out", file / "out"), 70, "Not a directory"),
                 (("--photos", self.photos, "--out", self.photos), 70, "holds other files"),
                 (("--sideways",), 2, "--sideways")]
        for words, code, why in cases:
            with self.subTest(why):
                ran = demo(*words, "--once")
                self.assertEqual(ran.returncode, code, ran.stderr)
                self.assertIn(why, ran.stderr)
                self.assertNotIn("Traceback", ran.stderr)
        self.assertTrue((self.photos / "notes.txt").exists())

    def test_a_folder_that_may_not_be_written_is_exit_70(self):
        if os.geteuid() == 0:
            where = pathlib.Path("/proc/tallymill-demo")  # not even root makes one there
        else:
            where = self.folder / "locked" / "out"
            where.parent.mkdir(mode=0o500)
        ran = demo("--out", where, "--once")
        self.assertEqual(ran.returncode, 70, ran.stderr)
        self.assertIn(str(where), ran.stderr)

    def test_without_once_it_stays_up_until_ctrl_c(self):
        out = self.folder / "stays"
        with open(self.folder / "stays.log", "w+") as log:
            stays = subprocess.Popen([PROGRAMS / "tallymill", "demo", "--out", out], stdout=log,
                                     stderr=log, start_new_session=True)
            with contextlib.ExitStack() as cleanup:
                cleanup.callback(stays.kill)
                said = pathlib.Path(log.name).read_text
                until(lambda: "Ctrl-C here ends it." in said() or stays.poll() is not None, 60,
                      "the demo shows how to play with it")
                server = re.search(r"TALLYMILL_SERVER=(ipc://\S+)", said())[1]
                self.assertIn("this is the one sample", said())
                asked = subprocess.run([PROGRAMS / "tallymill", "ping", "--server", server],
                                       capture_output=True, text=True, timeout=30)
                self.assertEqual(asked.returncode, 0, asked.stderr)
                os.killpg(stays.pid, signal.SIGINT)
                self.assertEqual(stays.wait(30), 0, said())
                cleanup.pop_all()
        self.assertFalse(pathlib.Path(server.removeprefix("ipc://")).parent.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
