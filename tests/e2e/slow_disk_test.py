"""A blob store whose disk takes its time: what waits for it is bounded by its bytes, and nothing is lost.

usage: slow_disk_test.py PROGRAMS
"""

import hashlib
import os
import pathlib
import sys
import tempfile
import unittest

from mill import Client, Mill, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
MIB = 1 << 20


class SlowDisk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.rule = cls.folder / "rule"
        library = PROGRAMS.parent / "tests" / "libslow_calls.so"
        cls.mill = cls.enterClassContext(Mill(PROGRAMS, image=0, environment=lambda name: (
            {"LD_PRELOAD": library, "TM_SLOW_CALLS": cls.rule} if name == "front" else {})))
        cls.client = Client(cls.mill.endpoint, "slow-disk")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def test_what_waits_for_the_blob_store_has_a_bound_in_bytes(self):
        most = 128  # MiB
        whole = os.urandom(MIB) * (most + 10)
        digest = hashlib.sha256(whole).hexdigest()
        self.rule.write_text("hold 0 /blobs/")
        self.addCleanup(lambda: self.rule.unlink(missing_ok=True))
        plug = os.urandom(100)  # while it is synced, the rest waits

        def put(digest, whole, offset, piece):
            r = self.client.next_request()
            self.client.send({"t": "put", "r": r, "d": digest, "b": whole, "o": offset, "B": 1}, {},
                             [piece])
            return r
        first = put(hashlib.sha256(plug).hexdigest(), len(plug), 0, plug)
        pieces = [put(digest, len(whole), n * MIB, whole[n * MIB:(n + 1) * MIB])
                  for n in range(most + 1)]
        # The plug takes a little of the bound: the last two find no room.
        self.assertTrue(self.client.wait_for(lambda: len(self.client.refused) == 2, 30))
        self.assertEqual(sorted(self.client.refused), pieces[-2:])
        for r in pieces[-2:]:
            self.assertEqual(self.client.refused[r]["code"], "E_BUSY")
            self.assertGreater(self.client.refused[r]["retry_after_ms"], 0)
        self.assertNotIn(first, self.client.answers)
        self.rule.unlink()
        self.assertTrue(self.client.wait_for(
            lambda: all(r in self.client.answers for r in [first, *pieces[:-2]]), 30))
        again = [put(digest, len(whole), n * MIB, whole[n * MIB:(n + 1) * MIB])
                 for n in range(most - 1, most + 10)]
        self.assertTrue(self.client.wait_for(lambda: again[-1] in self.client.answers, 30))
        self.assertEqual(self.client.answers[again[-1]][1], {"stored": True})


if __name__ == "__main__":
    unittest.main(verbosity=2)
