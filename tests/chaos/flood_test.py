"""Who sends much: 32 clients with 64 MiB each, and a peer whose message never ends.

Goal: the front's memory does not follow what clients send, each client gets its answer, and what a
raw peer can park in a message that never ends costs the front a restart and nobody a job.
Method: the shipped client, once writing to the blob store that it sees and once over the bus, where
a folder of its own hides it (needs root); then a bare TCP socket that speaks ZMTP, against a front
that may not have more memory than a bound. (libzmq itself sends nothing of an unfinished message.)

usage: flood_test.py PROGRAMS [UNITTEST_ARG ...]
"""

import os
import pathlib
import re
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
from mill import Client, Mill, until  # noqa: E402

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
CLIENTS = 32
PAYLOAD = 64 << 20
FRONT_RSS_MIB = 512
REAL_MEMORY = 512 << 20
ADDRESSES = 2 << 30  # of which threads and allocator reserve half before the first message


def peak_rss_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


class LargePayloads(unittest.TestCase):
    def thirty_two(self, hidden):
        with Mill(PROGRAMS, compute=1, image=0) as mill:
            client = Client(mill.endpoint, "watcher")
            until(lambda: client.hello(0.5), 20, "the front answers")
            mill.ready(client)
            senders = []
            for i in range(CLIENTS):
                file = mill.folder / f"payload-{i}"
                with open(file, "wb") as out:
                    out.write(b"%08d" % i)
                    out.truncate(PAYLOAD)
                command = [str(PROGRAMS / "tallymill"), "submit", "synthetic", str(file), "--server",
                           mill.endpoint, "--client", f"large-{i}", "--timeout", "120", "--json"]
                if hidden:
                    hide = f"mount -t tmpfs none {mill.data} && exec " + shlex.join(command)
                    command = ["unshare", "-m", "sh", "-c", hide]
                senders.append(subprocess.Popen(command, stdout=subprocess.PIPE,
                                                stderr=subprocess.PIPE, text=True))
            accepted = refused = 0
            for sender in senders:
                out, err = sender.communicate(timeout=150)
                if sender.returncode == 0:
                    accepted += 1
                else:
                    refused += 1
                    self.assertRegex(out + err, "E_(BUSY|RATE|DISK|MEM|TOO_BIG)")
            peak = peak_rss_mib(mill.children("front")[0])
            print(f"{accepted} accepted, {refused} refused; the front's peak: {peak:.0f} MiB"
                  f"{', over the bus' if hidden else ''}", flush=True)
            self.assertGreater(accepted, 0)
            self.assertLessEqual(peak, FRONT_RSS_MIB)

            def all_ended():
                jobs = client.ask("snapshot")["jobs"]
                return jobs["accepted"] == accepted == jobs["done"]
            until(all_ended, 60, "every accepted job is done")

    def test_of_clients_that_see_the_store(self):
        self.thirty_two(hidden=False)

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED: hiding the store needs root")
    def test_over_the_bus(self):
        self.thirty_two(hidden=True)


def raw_peer(endpoint):
    """A connection after its handshake, with the first frame of a message sent."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    peer = socket.create_connection((host, int(port)), timeout=10)
    def read(size):
        data = b""
        while len(data) < size:
            data += peer.recv(size - len(data)) or hung_up()
        return data

    def hung_up():
        raise ConnectionError("the front hung up in the handshake")

    peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    read(64)
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    peer.sendall(b"\x04" + bytes([len(ready)]) + ready)
    read(read(2)[1])
    peer.sendall(b"\x01\x02T1")
    return peer


class MemoryGroup:
    """A control group with a bound, of either version; None when there is none to be had."""

    @staticmethod
    def make(bound):
        name = f"tallymill-{os.getpid()}"
        for parent, key in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                            ("/sys/fs/cgroup", "memory.max")):
            folder = pathlib.Path(parent) / name
            try:
                folder.mkdir()
                (folder / key).write_text(str(bound))
                return folder
            except OSError:
                if folder.is_dir():
                    folder.rmdir()
        return None


class AMessageThatNeverEnds(unittest.TestCase):
    def flood(self, bound):
        """Runs the front behind the shell's words `bound` and fills it; how it met its bound."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        script = folder / "front"
        script.write_text(f'#!/bin/sh\n{bound}\nexec {PROGRAMS}/tallymill-front "$@"\n')
        script.chmod(0o700)
        with Mill(PROGRAMS, compute=1, image=0, front=script) as mill:
            client = Client(mill.endpoint, "honest")
            until(lambda: client.hello(0.5), 20, "the front answers")
            mill.ready(client)
            asked = [client.submit("synthetic", {"service_us": 20_000}) for _ in range(200)]
            self.assertTrue(client.wait_for(lambda: all(r in client.accepted for r in asked), 20))
            jobs = [client.accepted[r]["id"] for r in asked]
            front = mill.children("front")[0]
            peer = raw_peer(mill.endpoint)
            self.addCleanup(peer.close)
            piece = b"\x03" + struct.pack(">Q", 8 << 20) + bytes(8 << 20)  # long, more to come
            sent = 0
            try:
                while sent < ADDRESSES // len(piece):
                    peer.sendall(piece)
                    sent += 1
            except OSError as why:
                print(f"after {sent * 8} MiB: {why}", flush=True)
            self.assertLess(sent, ADDRESSES // len(piece), "the front has no bound")
            until(lambda: client.hello(0.5), 30, "a front answers")
            ended = "lives" if front in mill.children("front") else "was started again"
            self.assertGreater(sent, 10, "it parked nothing")
            print(f"the peer was dropped after {sent * 8} MiB, the front {ended}", flush=True)
            self.assertTrue(client.wait_for(lambda: all(client.ends[job] for job in jobs), 60))
            self.assertEqual({client.ends[job][0][0]["w"] for job in jobs}, {"done"})
            self.assertTrue(client.ask("snapshot")["balanced"])
            return ended

    def test_ends_the_connection_when_memory_is_refused(self):
        self.assertEqual(self.flood(f"ulimit -v {ADDRESSES >> 10}"), "lives")

    def test_costs_a_restart_and_no_job_when_the_kernel_kills(self):
        group = MemoryGroup.make(REAL_MEMORY)
        if group is None:
            self.skipTest("SKIPPED: no control group for memory; the kernel's kill was not tested")
        self.addCleanup(lambda: until(lambda: not (group / "cgroup.procs").read_text(), 20, "empty")
                        or group.rmdir())
        self.assertEqual(self.flood(f"echo $$ > {group}/cgroup.procs"), "was started again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
