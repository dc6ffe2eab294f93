"""Processes: a second front, a port in use, a clean stop, a restart.

usage: process_test.py PROGRAMS
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

from mill import Client, Mill, free_ports, run_job, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()


class Processes(unittest.TestCase):
    def start(self, **options):
        mill = self.enterContext(Mill(PROGRAMS, **options))
        client = Client(mill.endpoint, "processes")
        until(lambda: client.hello(0.5), 30, "the front answers")
        return mill.ready(client), client

    def run_front(self, data, taken=None):
        """A front of its own; what it said before it gave up. `taken`: where it is to listen."""
        free, results, control = free_ports(3)
        jobs = taken or free
        return subprocess.run(
            [PROGRAMS / "tallymill-front", "--data-dir", data, "--listen", f"tcp://127.0.0.1:{jobs}",
             "--results", f"tcp://127.0.0.1:{results}", "--control", f"tcp://127.0.0.1:{control}"],
            capture_output=True, text=True, timeout=30)

    def test_a_second_front_on_the_ledger_is_refused(self):
        mill, client = self.start()
        second = self.run_front(mill.data)
        self.assertEqual(second.returncode, 70, second.stderr)
        self.assertIn(str(mill.data), second.stderr)
        self.assertEqual(run_job(client, "box", {})[0]["w"], "done")  # the first one never noticed

    def test_a_port_in_use_is_named(self):
        taken = self.enterContext(socket.socket())
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        mill = Mill(PROGRAMS)
        self.addCleanup(mill.temporary.cleanup)
        self.addCleanup(mill.log.close)
        front = self.run_front(mill.data, port)
        self.assertEqual(front.returncode, 70, front.stderr)
        self.assertIn(str(port), front.stderr)
        config = mill.config.read_text().replace(mill.endpoint, f"tcp://127.0.0.1:{port}")
        mill.config.write_text(config)
        up = subprocess.run([PROGRAMS / "tallymill", "up", mill.config], capture_output=True,
                            text=True, timeout=30)
        self.assertEqual(up.returncode, 70, up.stderr)
        self.assertIn(str(port), up.stderr)
        self.assertIn(str(os.getpid()), up.stderr)  # who has it

    def test_a_stop_finishes_what_runs_and_keeps_what_waits(self):
        mill, client = self.start(threads=2)
        running = [client.submit("synthetic", {"service_us": 800_000}) for _ in range(2)]
        waiting = client.submit("synthetic", {}, nb=4_000_000_000_000_000_000)
        requests = running + [waiting]
        self.assertTrue(client.wait_for(lambda: all(r in client.accepted for r in requests), 10))
        jobs = [client.accepted[r]["id"] for r in requests]
        self.assertTrue(client.wait_for(lambda: client.ask("snapshot")["jobs"]["in_flight"] == 2, 10))
        mill.up.send_signal(signal.SIGTERM)
        self.assertTrue(client.wait_for(lambda: all(client.ends[j] for j in jobs[:2]), 20))
        self.assertEqual(mill.up.wait(20), 0)
        again = Mill(PROGRAMS, folder=mill.folder)
        with again:
            client = Client(again.endpoint, "processes")
            until(lambda: client.hello(0.5), 30, "the front answers again")
            until(lambda: not client.ask("snapshot")["replaying"], 10, "it has read its ledger")
            answer = client.ask("snapshot")
            self.assertTrue(answer["balanced"])
            self.assertEqual((answer["jobs"]["accepted"], answer["jobs"]["done"]), (3, 2))
            self.assertEqual(client.ask("status", id=jobs[2])["state"], "waiting")
            self.assertEqual(client.ask("cancel", id=jobs[2])["state"], "cancelling")
            self.assertTrue(client.wait_for(lambda: client.ends[jobs[2]], 10))

    def test_kinds_that_were_forgotten_are_served_again_when_their_stage_says_them(self):
        mill, client = self.start()
        request = client.submit("synthetic", {}, nb=time.time_ns() + 3_000_000_000)
        self.assertTrue(client.wait_for(lambda: request in client.accepted, 10))
        job = client.accepted[request]["id"]
        self.assertEqual(mill.stop(), 0)
        (mill.data / "kinds.json").write_text("")
        with Mill(PROGRAMS, folder=mill.folder) as again:
            client = Client(again.endpoint, "processes")
            until(lambda: client.hello(0.5), 30, "the front answers again")
            again.ready(client)
            self.assertEqual(run_job(client, "synthetic", {})[0]["w"], "done")
            until(lambda: client.ask("status", id=job)["state"] == "done", 20, "the job ran")
        self.assertIn("synthetic", (mill.data / "kinds.json").read_text())

    def test_bad_flags_are_a_usage_error(self):
        for flags in (["--no-such-flag"], ["--listen", "nonsense", "--data-dir", "/dev/null"]):
            front = subprocess.run([PROGRAMS / "tallymill-front", *flags], capture_output=True,
                                   text=True, timeout=30, env={})
            self.assertIn(front.returncode, (2, 70), (flags, front.stderr))
            self.assertTrue(front.stderr)

    def cli(self, *words, **environment):
        return subprocess.run([PROGRAMS / "tallymill", *words], capture_output=True, text=True,
                              timeout=30, env=environment)

    def test_a_flag_goes_before_its_variable(self):
        told = self.cli("ping", "--server", "tcp://127.0.0.1:1", TALLYMILL_SERVER="tcp://127.0.0.1:2")
        self.assertEqual(told.returncode, 3)
        self.assertIn("tcp://127.0.0.1:1:", told.stderr)
        told = self.cli("ping", TALLYMILL_SERVER="tcp://127.0.0.1:2")
        self.assertIn("tcp://127.0.0.1:2:", told.stderr)

    def test_what_is_no_command_and_no_job_is_named(self):
        for words, named in ((["frobnicate"], "no command 'frobnicate'"),
                             (["explain", "abc"], "'abc' is not a job's number"),
                             (["explain", "--", "-3"], "'-3' is not a job's number")):
            told = self.cli(*words)
            self.assertEqual(told.returncode, 2)
            self.assertIn(named, told.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
