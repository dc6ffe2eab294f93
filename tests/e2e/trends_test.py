"""`tallymill trends`: a step that a collector has is told, with its time and size; noise is not.

Goal: what the command says is what was planted. Method: a collector of its own with a day of minutes of four series from a
seed, which is printed: two with a step, one with noise, one too short.

usage: trends_test.py PROGRAMS
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from mill import free_ports, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
MINUTES = 24 * 60
SEED = 20260117


class Trends(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        log = self.enterContext(open(folder / "log", "wb"))
        process = subprocess.Popen([PROGRAMS / "tallymill", "collector", "--data", folder / "data", "--http",
                                    f"127.0.0.1:{port}"], stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        until(self.ready, 30, "the collector is ready")

    def ready(self):
        try:
            return urllib.request.urlopen(self.url + "/readyz", timeout=5).status == 200
        except OSError:
            return False

    def trends(self, *words):
        return subprocess.run([PROGRAMS / "tallymill", "trends", *words], capture_output=True, text=True, timeout=60,
                              env={"PATH": "/usr/bin:/bin", "TALLYMILL_COLLECTOR": self.url, "TZ": "UTC"})

    def fill(self):
        print(f"seed {SEED}")
        draw = random.Random(SEED)
        now = int(time.time() // 60) * 60
        lines = []
        for minute in range(MINUTES):
            at = (now - (MINUTES - 1 - minute) * 60) * 1000
            late = minute >= MINUTES - 70
            for name, value in (("up", 100 + 40 * (minute >= 600)), ("down", 100 - 60 * late), ("flat", 100)):
                lines.append(f'seconds{{path="{name}"}} {value + draw.gauss(0, 5)} {at}\n')
            if late:
                lines.append(f'seconds{{path="short"}} 1 {at}\n')
        body = "".join(lines).encode()
        request = urllib.request.Request(self.url + "/api/v1/import/prometheus", body, {"Content-Type": "text/plain"})
        urllib.request.urlopen(request, timeout=30)
        return (now - (MINUTES - 1 - 600) * 60), now - 69 * 60

    def test_so_many_series_are_looked_at_and_one_more_is_left_out_and_said(self):
        def push(names):
            body = "".join(f'many{{n="{n}"}} 1\n' for n in names).encode()
            request = urllib.request.Request(self.url + "/api/v1/import/prometheus", body,
                                             {"Content-Type": "text/plain"})
            urllib.request.urlopen(request, timeout=30)

        def looked_at():
            answer = self.trends("many", "--json")
            self.assertEqual(answer.returncode, 0, answer.stderr)
            said = json.loads(answer.stdout)
            return said["looked_at"], said["left_out"]

        push(range(1000))
        self.assertEqual(looked_at(), (1000, 0))
        push([1000])
        self.assertEqual(looked_at(), (1000, 1))
        self.assertIn("1 series were left out", self.trends("many").stderr)

    def test_a_step_is_told_with_its_time_and_size_and_noise_is_not(self):
        up, down = self.fill()
        answer = self.trends("seconds", "--json")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        said = json.loads(answer.stdout)
        steps = {one["metric"]["path"]: one["steps"] for one in said["series"]}
        self.assertEqual(set(steps), {"up", "down"})
        self.assertEqual((said["looked_at"], said["too_short"], said["left_out"]), (4, 1, 0))
        for path, at, after in (("up", up, 140), ("down", down, 40)):
            self.assertEqual(len(steps[path]), 1)
            self.assertLess(abs(steps[path][0]["unix_s"] - at), 180, path)
            self.assertLess(abs(steps[path][0]["before"] - 100), 5)
            self.assertLess(abs(steps[path][0]["after"] - after), 5)
        text = self.trends("seconds").stdout
        self.assertIn('seconds{path="up"}', text)
        self.assertRegex(text, r"\+\d\d\.\d %")
        self.assertIn("4 series looked at, 2 with steps, 1 too short to tell", text)

    def test_what_cannot_be_asked_is_told_with_its_code(self):
        self.assertEqual(self.trends("seconds{").returncode, 2)
        self.assertIn("E_PARAMS", self.trends("seconds{").stderr)
        self.assertEqual(self.trends("seconds", "--window", "7200").returncode, 2)  # a 12th of the day
        self.assertEqual(self.trends("seconds", "--collector", "http://127.0.0.1:1").returncode, 3)
        self.assertEqual(self.trends().returncode, 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
