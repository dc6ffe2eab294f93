"""Bad input: each gets one clear error with a code and a field, and nothing else stops.

usage: errors_test.py PROGRAMS
"""

import pathlib
import sys
import unittest

import msgpack

from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
PHOTO = (pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg").read_bytes()


class Errors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS))
        cls.client = Client(cls.mill.endpoint, "errors")
        until(lambda: cls.client.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.client)

    def tearDown(self):
        """Whatever was sent: the next good job is served, and the books are in order."""
        header, _, _ = run_job(self.client, "box", {})
        self.assertEqual(header["w"], "done")
        self.assertTrue(self.client.ask("snapshot")["balanced"])

    def refused(self, kind, params=None, blobs=(), **fields):
        if blobs:
            fields |= {"in": [{"n": "a", "b": len(b), "i": i} for i, b in enumerate(blobs)],
                       "B": len(blobs)}
        r = self.client.submit(kind, params, blobs, **fields)
        self.assertTrue(self.client.wait_for(lambda: r in self.client.refused, 10),
                        self.client.accepted.get(r))
        return self.client.refused.pop(r)

    def failed(self, kind, params, blob):
        header, _, _ = run_job(self.client, kind, params, [blob], **{
            "in": [{"n": "a", "b": len(blob), "i": 0}], "B": 1})
        self.assertEqual(header["w"], "failed", header)
        return header

    def raw(self, frames):
        """The error that answers these frames."""
        before = set(self.client.refused)
        self.client.socket.send_multipart(frames)
        self.client.wait_for(lambda: set(self.client.refused) - before or 0 in self.client.refused, 10)
        return self.client.refused.pop(0)

    def test_wrong_frames(self):
        for frames in ([b"T1"], [b"T9", b"\x80", b"\x80"], [b"T1", b"\xc1garbage", b"\x80"],
                       [b"T1", msgpack.packb({"t": "submit"}), b"\xc1", b""], [b"", b"", b""]):
            error = self.raw(frames)
            self.assertIn(error["code"], ("E_FRAME", "E_VERSION"), frames)
            self.assertTrue(error["msg"])

    def test_unknown_verb(self):
        error = self.raw([b"T1", msgpack.packb({"t": "dance", "r": 7}), b"\x80"])
        self.assertEqual(error["code"], "E_FRAME")

    def test_a_verb_that_is_not_for_the_front(self):
        error = self.raw([b"T1", msgpack.packb({"t": "welcome", "r": 7}), b"\x80"])
        self.assertEqual((error["code"], error["field"]), ("E_FRAME", "/t"))

    def test_submit_before_hello(self):
        stranger = Client(self.mill.endpoint, "stranger")
        r = stranger.submit("box", {})
        self.assertTrue(stranger.wait_for(lambda: r in stranger.refused, 10))
        self.assertEqual(stranger.refused[r]["code"], "E_FRAME")

    def test_unknown_kind(self):
        error = self.refused("origami")
        self.assertEqual((error["code"], error["field"]), ("E_NO_ROUTE", "/kind"))
        self.assertIn("engrave", error["msg"])  # what there is

    def test_wrong_params(self):
        for params, field in (({"x_mm": "wide"}, "/x_mm"), ({"x_mm": -3}, "/x_mm"),
                              ({"colour": "red"}, "/colour"), ({"lid": 7}, "/lid"),
                              ({"dimensions": "middle"}, "/dimensions")):
            error = self.refused("box", params)
            self.assertEqual((error["code"], error["field"]), ("E_PARAMS", field), error)

    def test_wrong_fields(self):
        self.assertEqual(self.refused("box", {}, prio=17)["field"], "/prio")
        self.assertEqual(self.refused("box", {}, key="k" * 129)["field"], "/key")
        self.assertEqual(self.refused("thumbs", {})["field"], "/inputs")
        self.assertEqual(self.refused("box", {}, dl=1)["code"], "E_DEADLINE")

    def test_a_target_of_no_size(self):
        for width in (0, -1):
            error = self.refused("engrave", {"width_mm": width}, [PHOTO])
            self.assertEqual((error["code"], error["field"]), ("E_PARAMS", "/width_mm"))

    def test_a_truncated_photo(self):
        for kind in ("thumbs", "engrave"):
            error = self.failed(kind, {}, PHOTO[:len(PHOTO) // 3])
            self.assertEqual(error["code"], "E_PARAMS", error)
            self.assertEqual(error["field"], "/inputs/0", error)

    def test_what_is_no_photo(self):
        for fake in (b"hello, I am a photo", b"\xff\xd8\xff\xe0" + b"\0" * 60,
                     b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\0"):
            error = self.failed("thumbs", {}, fake)
            self.assertEqual(error["code"], "E_PARAMS", error)
            self.assertTrue(error["msg"])

    def test_a_photo_of_no_size(self):
        header = (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0" * 8 + b"\x08\x02\0\0\0" + b"\0" * 4)
        self.assertEqual(self.failed("thumbs", {}, header)["code"], "E_PARAMS")

    def test_questions_about_no_job(self):
        for verb in ("status", "result", "timeline", "cancel", "retry"):
            with self.assertRaises(LookupError) as caught:
                self.client.ask(verb, id=999_999_999)
            self.assertEqual(caught.exception.args[0]["code"], "E_NOT_FOUND", verb)

    def test_a_blob_that_is_not_there(self):
        error = self.refused("thumbs", {}, **{"in": [{"n": "a", "d": "0" * 64, "b": 10}]})
        self.assertEqual((error["code"], error["field"]), ("E_NOT_FOUND", "/inputs"))
        error = self.refused("thumbs", {}, **{"in": [{"n": "a", "d": "../../etc/passwd", "b": 10}]})
        self.assertEqual(error["code"], "E_PARAMS")

    def test_sizes_and_times_that_cannot_be(self):
        """Counts of the client's own, which the front adds up."""
        digest = "0" * 64
        for size in (-1, (1 << 63) - 1):
            inputs = [{"n": "a", "d": digest, "b": size}, {"n": "b", "d": digest, "b": 1_000_000}]
            error = self.refused("synthetic", {}, **{"in": inputs})
            self.assertEqual((error["code"], error["field"]), ("E_TOO_BIG", "/inputs"))
        for field in ("dl", "nb"):
            error = self.refused("synthetic", {}, **{field: -(1 << 63)})
            self.assertEqual((error["code"], error["field"]), ("E_PARAMS", "/" + field))
        piece = bytes((1 << 20) + 1)
        r = self.client.next_request()
        self.client.send({"t": "put", "r": r, "d": digest, "b": len(piece), "o": 0, "B": 1}, {}, [piece])
        self.assertTrue(self.client.wait_for(lambda: r in self.client.refused, 10))
        self.assertEqual(self.client.refused.pop(r)["code"], "E_TOO_BIG")

    def test_a_job_whose_message_to_its_worker_is_too_large(self):
        """Within the bounds of a submit, and with route and stamps above those of a message."""
        name = "x" * 65_430
        header, _, _ = run_job(self.client, "synthetic", {}, [b"abc"],
                               **{"in": [{"n": name, "b": 3, "i": 0}], "B": 1})
        self.assertEqual((header["w"], header["code"], header.get("att")), ("failed", "E_TOO_BIG", 1))
        lanes = self.client.ask("snapshot")["lanes"]
        self.assertTrue(all(lane["balanced"] for lane in lanes), lanes)

    def test_what_is_refused_leaves_no_blob(self):
        blobs = pathlib.Path(self.mill.data) / "blobs"
        before = sorted(blobs.rglob("*"))
        self.refused("nonsense", {}, [bytes(100_000)])
        self.assertEqual(sorted(blobs.rglob("*")), before)

    def test_a_flood_of_cancels_is_one_note(self):
        r = self.client.submit("synthetic", {"service_us": 3_000_000})
        self.assertTrue(self.client.wait_for(lambda: r in self.client.accepted, 10))
        job = self.client.accepted[r]["id"]
        in_flight = lambda: self.client.ask("snapshot")["jobs"]["in_flight"] == 1  # noqa: E731
        self.assertTrue(self.client.wait_for(in_flight, 10))
        head = self.client.ask("ping")["head"]
        asked = []
        for _ in range(3000):
            asked.append(self.client.next_request())
            self.client.send({"t": "cancel", "r": asked[-1], "id": job})
        told = lambda: all(q in self.client.answers or q in self.client.refused for q in asked)  # noqa: E731
        self.assertTrue(self.client.wait_for(told, 20))
        for q in asked:
            self.client.answers.pop(q, None)
            self.client.refused.pop(q, None)
        self.assertTrue(self.client.wait_for(lambda: self.client.ends[job], 20))
        header, _, _ = run_job(self.client, "box", {})
        self.assertLess(header["seq"] - head, 20)

    def test_bounds_at_the_door(self):
        # At each bound the job is taken, one above it is refused with the bound's code.
        for field, most in (("key", 128), ("tp", 64)):
            header, _, _ = run_job(self.client, "box", {}, **{field: "k" * most})
            self.assertEqual(header["w"], "done")
            error = self.refused("box", {}, **{field: "k" * (most + 1)})
            self.assertEqual((error["code"], error["field"]), ("E_TOO_BIG", "/" + field))
        for field, wrong in (("prio", 10), ("prio", -1)):
            self.assertEqual(self.refused("box", {}, **{field: wrong})["code"], "E_PARAMS")
        pad = msgpack.packb({"t": "ping", "r": 7, "pad": "x" * (64 << 10)})
        self.assertEqual(self.raw([b"T1", pad, b"\x80"])["code"], "E_TOO_BIG")
        large = msgpack.packb({"pad": "x" * (1 << 20)})
        ping = msgpack.packb({"t": "ping", "r": 7})
        self.assertEqual(self.raw([b"T1", ping, large])["code"], "E_TOO_BIG")
        self.assertEqual(self.raw([b"T1", ping, b"\x80", *[b""] * 4097])["code"], "E_TOO_BIG")
        frame = bytes((8 << 20) + 1)
        self.assertEqual(self.raw([b"T1", ping, b"\x80", frame])["code"], "E_TOO_BIG")

    def test_bounds_of_hello_and_blobs(self):
        def answer(verb, **fields):
            with self.assertRaises(LookupError) as caught:
                Client(self.mill.endpoint, "x").ask(verb, **fields)
            return caught.exception.args[0]["code"]
        self.assertEqual(answer("hello", client="c" * 65), "E_TOO_BIG")
        self.assertEqual(answer("hello", client="c", v=2), "E_VERSION")
        self.assertTrue(Client(self.mill.endpoint, "c" * 64).hello())
        self.assertEqual(answer("put", d="0" * 64, b=(256 << 20) + 1), "E_TOO_BIG")
        self.assertEqual(answer("get", d="0" * 64), "E_NOT_FOUND")
        self.assertEqual(answer("get", d="A" * 64), "E_PARAMS")


if __name__ == "__main__":
    unittest.main(verbosity=2)
