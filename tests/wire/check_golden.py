#!/usr/bin/env python3
"""Golden vectors, read by another language. Goal: msgpack and docs/protocol.md are enough to
understand every message; nothing of ours is used. Method: take each file's frames apart as the
protocol says, and compare with the meaning that stands beside them.
"""
import io
import json
import pathlib
import sys
import unittest

try:
    import msgpack
except ImportError:
    print("python3-msgpack is missing: apt-get install python3-msgpack", file=sys.stderr)
    sys.exit(77)

GOLDEN = sorted((pathlib.Path(__file__).parent / "golden").glob("*.json"))


def take_apart(frames):
    """Frames of one message -> [{header, params, blobs}]."""
    assert frames[0] == b"T1"
    headers = list(msgpack.Unpacker(io.BytesIO(frames[1]), raw=False))
    params = list(msgpack.Unpacker(io.BytesIO(frames[2]), raw=False))
    blobs = frames[3:]
    assert len(headers) == headers[0].pop("N", 1)
    messages = []
    for header, values in zip(headers, params or [{}] * len(headers), strict=True):
        owned = header.pop("B", 0)
        messages.append({"header": header, "params": values, "blobs": blobs[:owned]})
        blobs = blobs[owned:]
    assert not blobs
    return messages


class Golden(unittest.TestCase):
    def test_every_file_means_what_it_says(self):
        self.assertGreater(len(GOLDEN), 30)
        for path in GOLDEN:
            with self.subTest(path.stem):
                golden = json.loads(path.read_text(encoding="utf-8"))
                messages = take_apart([bytes.fromhex(f) for f in golden["frames"]])
                for message in messages:
                    message["blobs"] = [blob.hex() for blob in message["blobs"]]
                self.assertEqual(messages, golden["messages"])


if __name__ == "__main__":
    unittest.main()
