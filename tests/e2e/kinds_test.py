"""Every kind end to end, on the sample photo: what comes back is looked at, not only that it came.

usage: kinds_test.py PROGRAMS
"""

import json
import os
import pathlib
import struct
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
PHOTO = (pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg").read_bytes()


def png_header(data):
    """(width, height, bits a sample, colour type) of a PNG."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR", data[:16]
    return struct.unpack(">IIBB", data[16:26])


def jpeg_size(data):
    """(width, height) from the frame header of a JPEG."""
    at = 2
    while True:
        marker, length = struct.unpack(">HH", data[at:at + 4])
        if 0xFFC0 <= marker <= 0xFFC2:
            height, width = struct.unpack(">HH", data[at + 5:at + 9])
            return width, height
        at += 2 + length


class Kinds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS))
        cls.client = Client(cls.mill.endpoint, "kinds")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def run_kind(self, kind, params, photo=False):
        """(values, {file name: bytes}) of a job that must be done."""
        inputs = [{"n": "sample.jpg", "b": len(PHOTO), "i": 0}] if photo else []
        fields = {"in": inputs, "B": 1} if photo else {}
        header, values, blobs = run_job(self.client, kind, params, [PHOTO] if photo else [], **fields)
        self.assertEqual(header["w"], "done", header)
        return values, {f["n"]: self.bytes_of(f, blobs) for f in header.get("files", [])}

    def bytes_of(self, file, blobs):
        if "d" not in file:
            return blobs[file["i"]]
        data = b""
        while len(data) < file["b"]:
            _, _, pieces = self.client.ask("get", d=file["d"], o=len(data), l=1 << 20)
            data += pieces[0]
        return data

    def test_box(self):
        values, files = self.run_kind("box", {"x_mm": 80, "y_mm": 60, "z_mm": 40})
        self.assertEqual(values["inner_mm"], [80, 60, 40])
        svg = xml.etree.ElementTree.fromstring(files["box.svg"])
        ids = {e.get("id") for e in svg.iter() if e.tag.endswith("path")}
        self.assertEqual(ids, {"bottom", "lid", "front", "back", "left", "right"})

    def test_a_file_whose_name_is_no_text(self):
        path = os.fsencode(self.mill.folder) + b"/caf\xe9.jpg"
        with open(path, "wb") as file:
            file.write(PHOTO)
        ran = subprocess.run([pathlib.Path(PROGRAMS) / "tallymill", "run", "thumbs", path, "--server",
                              self.mill.endpoint, "--out", self.mill.folder / "odd"],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_a_file_of_several_that_is_refused_is_listed_with_its_error(self):
        good = self.mill.folder / "good.jpg"
        good.write_bytes(PHOTO)
        ran = self.mill.command("run", "thumbs", good, self.mill.folder / "missing.jpg", good, "--json",
                                "--server", self.mill.endpoint, "--out", self.mill.folder / "several",
                                check=False)
        self.assertNotEqual(ran.returncode, 0)
        jobs = json.loads(ran.stdout)["jobs"]
        self.assertEqual([job["state"] for job in jobs], ["done", "refused", "done"])
        self.assertTrue(jobs[1]["code"].startswith("E_"), jobs[1])
        self.assertIn("missing.jpg", jobs[1]["message"])
        self.assertNotIn("job", jobs[1])

    def test_laser(self):
        values, files = self.run_kind("laser", {"material": "plywood_birch", "thickness_mm": 3})
        self.assertEqual(values["laser"]["feed_mm_per_min"], 200)
        self.assertEqual(json.loads(files["settings.json"])["laser"], values["laser"])

    def test_engrave(self):
        values, files = self.run_kind("engrave", {"width_mm": 40, "dpi": 254}, photo=True)
        width, height, bits, colour = png_header(files["engraving.png"])
        # 800 x 450 pixels on 40 mm at ten dots to the millimetre.
        self.assertEqual((width, height, bits), (400, 225, 1))
        self.assertIn(colour, (0, 3))
        self.assertEqual((values["width_px"], values["height_px"]), (width, height))
        gcode = files["engraving.gcode"].decode()
        self.assertEqual(len(gcode), values["gcode_bytes"])
        self.assertIn("G21", gcode)  # millimetres
        self.assertIn("G1", gcode)
        self.assertLessEqual(max(jpeg_size(files["preview.jpg"])), 480)

    def test_thumbs(self):
        values, files = self.run_kind("thumbs", {"sizes": [100, 300]}, photo=True)
        self.assertEqual((values["width"], values["height"]), (800, 450))
        self.assertEqual(jpeg_size(files["thumb-100.jpg"]), (100, 56))
        self.assertEqual(jpeg_size(files["thumb-300.jpg"]), (300, 169))
        _, files = self.run_kind("thumbs", {"sizes": [64], "format": "png"}, photo=True)
        self.assertEqual(png_header(files["thumb-64.png"])[:3], (64, 36, 8))

    def test_a_photo_put_before_is_taken_by_its_digest(self):
        import hashlib
        digest = hashlib.sha256(PHOTO).hexdigest()
        r = self.client.next_request()
        self.client.send({"t": "put", "r": r, "d": digest, "b": len(PHOTO), "o": 0, "B": 1},
                         {}, [PHOTO])
        self.assertTrue(self.client.wait_for(lambda: r in self.client.answers, 10))
        header, values, _ = run_job(self.client, "thumbs", {"sizes": [50]}, **{
            "in": [{"n": "sample.jpg", "d": digest, "b": len(PHOTO)}]})
        self.assertEqual(header["w"], "done", header)
        self.assertEqual(values["width"], 800)

    def test_the_same_job_gives_the_same_bytes(self):
        _, first = self.run_kind("engrave", {"width_mm": 20}, photo=True)
        _, second = self.run_kind("engrave", {"width_mm": 20}, photo=True)
        self.assertEqual(first, second)


if __name__ == "__main__":
    unittest.main(verbosity=2)
