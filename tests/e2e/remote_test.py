"""A stage on another host: the same jobs, the same bytes, and times that still add up.

Method: two network namespaces joined by a cable. Front and compute stand in the first; the image
stage in the second, with another monotonic clock and with a folder of its own where the front's
data lies. Each job runs on an image worker beside the front first, then on that one. Needs root.

usage: remote_test.py PROGRAMS
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from mill import Client, run_job, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
PHOTO = (pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg").read_bytes()
CLOCK_OFFSET_S = 5000
JOBS = [("engrave", {"width_mm": 60}), ("thumbs", {"sizes": [200, 700], "format": "png"})]


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class TwoHosts:
    """Namespaces `front` and `far`, with addresses of their own, and what runs in them."""

    def __init__(self):
        tag = f"tm{os.getpid()}"
        self.front, self.far = tag + "a", tag + "b"
        self.front_address, self.far_address = "10.213.7.1", "10.213.7.2"
        self.temporary = tempfile.TemporaryDirectory(prefix="tallymill-")
        self.folder = pathlib.Path(self.temporary.name)
        self.run, self.data = self.folder / "run", self.folder / "data"
        for folder in (self.run, self.data):
            folder.mkdir()
        self.log = open(self.folder / "log", "ab")
        self.running = []

    def __enter__(self):
        for space in (self.front, self.far):
            ip("netns", "add", space)
        ip("link", "add", self.front, "netns", self.front, "type", "veth", "peer", "name", self.far,
           "netns", self.far)
        for space, address in ((self.front, self.front_address), (self.far, self.far_address)):
            ip("-n", space, "addr", "add", address + "/24", "dev", space)
            for device in (space, "lo"):
                ip("-n", space, "link", "set", device, "up")
        return self

    def start(self, space, *command):
        process = subprocess.Popen(["ip", "netns", "exec", space, *map(str, command)],
                                   stdout=self.log, stderr=self.log)
        self.running.append(process)
        return process

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)

    def __exit__(self, *failure):
        for process in reversed(list(self.running)):
            self.end(process)
        for space in (self.front, self.far):
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)
        self.log.close()
        if failure[0] is not None:
            print((self.folder / "log").read_text(errors="replace")[-6000:])
        self.temporary.cleanup()


@unittest.skipUnless(os.geteuid() == 0, "SKIPPED: namespaces need root; nothing was tested")
class Remote(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.hosts = cls.enterClassContext(TwoHosts())
        h = cls.hosts
        door = f"tcp://{h.front_address}:"
        cls.doors = ["--control", door + "7752", "--results", door + "7751"]
        h.start(h.front, PROGRAMS / "tallymill-front", "--data-dir", h.data, "--run-dir", h.run,
                "--listen", door + "7750", *cls.doors, "--insecure", "--disk-floor-bytes", 1 << 20)
        cls.client = Client(f"ipc://{h.run}/jobs.sock", "remote")
        until(lambda: cls.client.hello(0.5), 20, "the front answers")
        cls.start_near_compute()

    @classmethod
    def start_near_compute(cls):
        h = cls.hosts
        cls.near_compute = h.start(h.front, PROGRAMS / "tallymill-stage-compute", "--run-dir", h.run,
                                   "--insecure")

    def end_near_compute(self):
        def open_ones():
            return sum(w["open"] and w["stage"] == "compute"
                       for w in self.client.ask("workers")["workers"])
        until(lambda: open_ones() == 2, 20, "both compute workers are connected")
        self.hosts.end(self.near_compute)
        until(lambda: open_ones() == 1, 20, "one has left")

    def test_a_far_hop_hands_on_to_a_near_one(self):
        h = self.hosts
        compute = h.start(*self.far_command("compute"))
        # The one beside the front leaves, so that the far one takes the first hop.
        self.end_near_compute()
        near = self.image_worker(h.front, PROGRAMS / "tallymill-stage-image", "--run-dir", h.run,
                                 "--lane-address", h.front_address, "--insecure")
        files, timeline = self.run_one(*JOBS[0])
        self.assertIn("engraving.png", files)
        # It works out the laser's settings, and does not fetch the photograph for that.
        first = next(h for h in timeline["attempts"][-1]["hops"] if h["stage"] == "compute")
        self.assertGreater(first["clock_error_ns"], 0)
        self.assertNotIn("fetch", [span["name"] for span in first["spans"]])
        self.check_times(timeline)
        self.end_worker(near)
        self.start_near_compute()
        self.hosts.end(compute)

    def counter(self, name):
        text = self.client.ask("snapshot", state="prometheus")["prometheus"]
        return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])

    def test_a_lane_that_another_host_cannot_see_is_said_and_its_jobs_wait(self):
        h = self.hosts
        compute = h.start(*self.far_command("compute"))
        self.end_near_compute()
        # With a run directory its lane is an ipc socket, which is not there on the other host.
        near = self.image_worker(h.front, PROGRAMS / "tallymill-stage-image", "--run-dir", h.run)
        kind, params = JOBS[0]
        r = self.client.submit(kind, params, [PHOTO], B=1,
                               **{"in": [{"n": "sample.jpg", "b": len(PHOTO), "i": 0}]})
        until(lambda: " cannot reach worker " in self.log_text(), 20, "the operator is told")
        self.client.pump(0.1)
        job = self.client.accepted[r]["id"]
        self.assertEqual(self.client.ask("status", id=job)["state"], "waiting")
        self.assertFalse(self.client.ends[job])
        self.assertEqual(self.counter("tallymill_links_broken"), 1)
        self.assertIn("another host does not see that socket: --lane-address", self.log_text())
        # One that can reach it does the job, however long the other link stays cut.
        self.start_near_compute()
        self.assertTrue(self.client.wait_for(lambda: self.client.ends[job], 20))
        self.assertEqual(self.client.ends[job][0][0]["w"], "done")
        self.assertEqual(self.client.ask("status", id=job)["charges"], 0)
        self.assertLess(self.counter("tallymill_jobs_handed_back_total"), 50)
        self.assertTrue(self.client.ask("snapshot")["balanced"])
        self.end_worker(near)
        self.hosts.end(compute)

    def log_text(self):
        return (self.hosts.folder / "log").read_text(errors="replace")

    def image_worker(self, *command):
        """Starts one, and returns it when its lane is open."""
        worker = self.hosts.start(*command)
        until(lambda: {w["stage"] for w in self.client.ask("workers")["workers"] if w["open"]}
              >= {"compute", "image"}, 20, "both stages are connected")
        return worker

    def far_command(self, stage):
        h = self.hosts
        # What lies at the front's path over there is a store too, but another one; and no ipc
        # socket is there, which namespaces of the network alone would not hide.
        script = (f"mount -t tmpfs none {h.folder} && mkdir -p {h.data}/blobs && "
                  f"echo 00 > {h.data}/blobs/id && exec \"$@\"")
        return [h.far, "unshare", "--mount", "--time", "--monotonic", CLOCK_OFFSET_S, "sh", "-c",
                script, "sh", PROGRAMS / f"tallymill-stage-{stage}", *self.doors, "--insecure"]

    def end_worker(self, worker):
        self.hosts.end(worker)
        until(lambda: not any(w["stage"] == "image" and w["open"]
                              for w in self.client.ask("workers")["workers"]), 20, "it has left")

    def bytes_of(self, file, blobs):
        if "d" not in file:
            return blobs[file["i"]]
        data = b""
        while len(data) < file["b"]:
            data += self.client.ask("get", d=file["d"], o=len(data), l=1 << 20)[2][0]
        return data

    def run_one(self, kind, params):
        """(files by name, timeline) of a job that must be done."""
        header, _, blobs = run_job(self.client, kind, params, [PHOTO], B=1,
                                   **{"in": [{"n": "sample.jpg", "b": len(PHOTO), "i": 0}]})
        self.assertEqual(header["w"], "done", header)
        # The whole of an end is written with the next commit.
        run_job(self.client, "laser", {"material": "plywood_birch", "thickness_mm": 3})
        files = {f["n"]: self.bytes_of(f, blobs) for f in header["files"]}
        return files, self.client.ask("timeline", id=header["id"])

    def image_hop(self, timeline):
        return next(h for h in timeline["attempts"][-1]["hops"] if h["stage"] == "image")

    def check_times(self, timeline):
        parts, whole = timeline["parts"], timeline["whole_ns"]
        error = sum(h.get("clock_error_ns", 0) for h in timeline["attempts"][-1]["hops"])
        self.assertLess(abs(whole - sum(parts.values())), max(20_000, whole / 100) + error, timeline)
        for name, ns in parts.items():
            self.assertGreaterEqual(ns, -error, (name, timeline))
            self.assertLess(ns, CLOCK_OFFSET_S * 10**9 / 2, (name, timeline))

    def test_the_same_jobs_on_another_host(self):
        h = self.hosts
        near = self.image_worker(h.front, PROGRAMS / "tallymill-stage-image", "--run-dir", h.run)
        here = [self.run_one(*job) for job in JOBS]
        self.end_worker(near)
        far = self.image_worker(*self.far_command("image"))
        there = [self.run_one(*job) for job in JOBS]
        for (files_here, near_line), (files_there, far_line) in zip(here, there):
            self.assertEqual(files_here, files_there)
            self.check_times(near_line)
            self.check_times(far_line)
            self.assertEqual(self.image_hop(near_line).get("clock_error_ns", 0), 0)
            # It says by how much its stamps may be wrong, and that is less than a wrong clock.
            self.assertGreater(self.image_hop(far_line)["clock_error_ns"], 0)
            self.assertLess(self.image_hop(far_line)["clock_error_ns"], 1e9)
        spans = [[s["name"] for s in self.image_hop(line)["spans"]] for _, line in there]
        self.assertIn("fetch", spans[0])
        self.assertIn("put", spans[0])
        self.assertNotIn("fetch", spans[1])  # the same photograph
        self.assertNotIn("fetch", [s["name"] for s in self.image_hop(here[0][1])["spans"]])
        self.assertTrue(self.client.ask("snapshot")["balanced"])
        self.end_worker(far)

    def test_a_lane_that_others_reach_is_refused_unless_it_is_meant(self):
        h = self.hosts
        command = [PROGRAMS / "tallymill-stage-image", "--lane-address", h.front_address]
        refused = h.start(h.front, *command)
        self.assertNotEqual(refused.wait(10), 0)
        errors = [line for line in (h.folder / "log").read_text().splitlines() if " error " in line]
        self.assertTrue(any("--insecure" in line for line in errors), errors)
        h.running.remove(refused)
        meant = self.image_worker(h.front, *command, *self.doors, "--insecure")
        lanes = [w for w in self.client.ask("workers")["workers"] if w["stage"] == "image"]
        self.assertTrue(any(w["open"] for w in lanes))
        self.end_worker(meant)


if __name__ == "__main__":
    unittest.main(verbosity=2)
