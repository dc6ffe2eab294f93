#!/usr/bin/env python3
"""Writes the corpora of the envelope's fuzzers, in the form of tests/fuzz/envelope_input.h: the
golden vectors; and an envelope at each limit of size (the table in docs/protocol.md) and one above."""
import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE.parent / "fuzz" / "corpus"
PAGE = (HERE.parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
LIMIT = {name: int(value) for value, name in re.findall(r"\| (\d+)(?: bytes)? \| `(\w+)` \|", PAGE)}


def two(number):
    return number.to_bytes(2, "little")


def frame(data):
    return two(len(data)) + data


def grow(data, times):
    return two(0xFFF1) + two(times) + two(len(data)) + data if times else b""


def more_of_it(times):
    return two(0xFFF2) + two(times)


def filled(start, size):
    """A frame that begins so and has this size."""
    rest = size - len(start)
    return frame(start) + grow(b"x" * 1024, rest // 1024) + grow(b"x", rest % 1024)


def text(size):
    """The head of a msgpack text that takes `size` bytes with it."""
    return b"\xdb" + (size - 5).to_bytes(4, "big")


def header(size, count=b""):
    """A header map of this size, to be filled up."""
    start = (b"\x83\xa1t\xa4ping\xa1N" + count if count else b"\x82\xa1t\xa4ping") + b"\xa1x"
    return start + text(size - len(start))


NAME = frame(b"T1")
PING = b"\x81\xa1t\xa4ping"


def owner(blobs, count=None):
    start = b"\x82\xa1t\xa4ping" if count is None else b"\x83\xa1t\xa4ping\xa1N" + bytes([count])
    return start + b"\xa1B" + bytes([blobs])


def limits(above):
    """By name: an input that stands at its limit, or one above."""
    size = {name: limit + above for name, limit in LIMIT.items()}
    yield "header_bytes", NAME + filled(header(size["header_bytes"]), size["header_bytes"])
    yield "params_bytes", NAME + frame(PING) + filled(text(size["params_bytes"]),
                                                      size["params_bytes"])
    batch = LIMIT["batch_jobs"]
    each = LIMIT["header_frame_bytes"] // batch
    first = filled(header(each + above, b"\xcd" + batch.to_bytes(2, "big")), each + above)
    other = header(each)
    yield "header_frame_bytes", NAME + first + grow(other + b"x" * (each - len(other)), batch - 1)
    yield "frame_bytes", NAME + frame(owner(1)) + frame(b"") + filled(b"", size["frame_bytes"])
    owners = LIMIT["batch_blobs"] // 64
    yield "batch_blobs", (NAME + frame(owner(64, owners + above) + owner(64) * (owners - 1) +
                                       owner(1) * above) +
                          frame(b"") + frame(b"") + more_of_it(size["batch_blobs"] - 1))
    whole = LIMIT["envelope_bytes"] // LIMIT["frame_bytes"] - 1
    rest = size["envelope_bytes"] - whole * LIMIT["frame_bytes"] - 2 - len(owner(whole + 1))
    yield "envelope_bytes", (NAME + frame(owner(whole + 1)) + frame(b"") +
                             filled(b"", LIMIT["frame_bytes"]) + more_of_it(whole - 1) +
                             filled(b"", rest))


for folder in ("envelope", "envelope_limits"):
    (CORPUS / folder).mkdir(parents=True, exist_ok=True)
for path in sorted((HERE / "golden").glob("*.json")):
    frames = [bytes.fromhex(f) for f in json.loads(path.read_text(encoding="utf-8"))["frames"]]
    (CORPUS / "envelope" / path.stem).write_bytes(b"".join(map(frame, frames)))
for above in (0, 1):
    for name, data in limits(above):
        (CORPUS / "envelope_limits" / f"{'above' if above else 'at'}_{name}").write_bytes(data)
