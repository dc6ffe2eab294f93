#!/usr/bin/env python3
"""Writes the golden vectors as inputs of tests/fuzz/envelope_fuzz.cc: each frame with its length in
front (two bytes, the low one first)."""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "fuzz" / "corpus" / "envelope"

for path in sorted((HERE / "golden").glob("*.json")):
    frames = [bytes.fromhex(f) for f in json.loads(path.read_text(encoding="utf-8"))["frames"]]
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / path.stem).write_bytes(
        b"".join(len(frame).to_bytes(2, "little") + frame for frame in frames))
