"""What no client should do, done to a real front over HTTP: each thing has its outcome, the front goes
on serving, and no job and no byte is left behind.

usage: abuse_test.py PROGRAMS
"""

import itertools
import json
import pathlib
import resource
import socket
import struct
import sys
import time
import unittest
import zlib

from http_client import Http, form
from mill import Client, Mill, is_sanitized, until

PROGRAMS = sys.argv.pop(1)
PHOTO = (pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg").read_bytes()
BOX = {"kind": "box", "params": {"x_mm": 80, "y_mm": 60, "z_mm": 40}}
CONNECTIONS = 2048  # limits::http_connections
IDLE = 10_000
SANITIZED = is_sanitized(pathlib.Path(PROGRAMS) / "tallymill-front")
RSS_GROWTH_MIB = 96
POISON = {"NUL": "\0", "CRLF": "a\r\nInjected: yes\r\n\r\n", "not UTF-8": "\udcff", "DEL": "\x7f",
          "a mark that turns text round": "\u202e", "long": "x" * 5000, "markup": "<script>\"'&"}


class Abuse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS, front_keys=("http_access_log: true",)))
        bus = Client(cls.mill.endpoint, "abuse")
        until(lambda: bus.hello(0.5), 30, "the front answers")
        cls.mill.ready(bus)
        cls.http = Http(cls.mill.http_port)
        cls.front = cls.mill.children("front")[0]

    def setUp(self):
        def idle():
            jobs = self.snapshot()["jobs"]
            return jobs["in_flight"] == jobs["settling"] == sum(jobs["waiting"].values()) == 0 and jobs
        self.accepted = until(idle, 30, "what came before has ended")["accepted"]

    def tearDown(self):
        """Whatever was done: the same process serves, and its books balance."""
        self.assertEqual(self.mill.children("front"), [self.front], self.mill.last_log())
        self.assertTrue(self.snapshot()["balanced"])
        done = self.http.ask("POST", "/v1/jobs", BOX, {"Prefer": "wait=20"})
        self.assertEqual(done.json().get("state"), "done", done.body)
        # The thread that writes a file removes it, when its client may have been answered already.
        until(lambda: not list((self.mill.data / "blobs" / "tmp").iterdir()), 10, "nothing is left in blobs/tmp")
        self.assertNotIn("Injected", self.mill.log_since(0).replace("\\r\\nInjected", ""))

    def snapshot(self):
        return self.http.ask("GET", "/v1/snapshot").json()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.mill.http_port), 20)

    def raw(self, *pieces, keep=False, head_only=False):
        """All that comes back for these bytes until the server closes, or to the end of a head."""
        with self.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            if not keep:
                connection.shutdown(socket.SHUT_WR)
            said = b""
            while not (head_only and b"\r\n\r\n" in said) and (piece := connection.recv(65536)):
                said += piece
        return said

    def head(self, line, *fields):
        lines = [line, f"Host: 127.0.0.1:{self.mill.http_port}", *fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

    def metric(self, name):
        text = self.http.raw("GET", "/metrics").body.decode()
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise AssertionError(f"no metric {name}")

    def rss(self):
        """MiB of its own: pages of files that it maps are the system's."""
        status = pathlib.Path(f"/proc/{self.front}/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0]) / 1024

    def grew_little(self, before):
        if SANITIZED:
            print("SKIPPED: memory under a sanitizer")
        else:
            self.assertLess(self.rss() - before, RSS_GROWTH_MIB)

    def refused(self, answer, what):
        """4xx and said why, or taken; never a fault of ours, nor a header of the client's."""
        self.assertLess(answer.status, 500, f"{what}: {answer.body}")
        self.assertNotIn("Injected", answer.headers)
        if answer.status >= 400:
            self.assertTrue(answer.json()["code"].startswith("E_"), what)

    # ---- who leaves early ----------------------------------------------------------------------

    def test_who_sends_no_more_gets_its_answer_and_is_not_made_to_wait(self):
        body = json.dumps({"kind": "synthetic", "params": {"service_us": 5_000_000}}).encode()
        began = time.monotonic()
        said = self.raw(self.head("POST /v1/jobs HTTP/1.1", "Content-Type: application/json", "Prefer: wait=30",
                                  f"Content-Length: {len(body)}"), body)
        self.assertLess(time.monotonic() - began, 4)
        self.assertTrue(said.startswith(b"HTTP/1.1 202 "), said)
        job = json.loads(said.partition(b"\r\n\r\n")[2])["job"]
        self.assertEqual(self.http.ask("DELETE", f"/v1/jobs/{job}").status, 200)

    # ---- what stands in fields ------------------------------------------------------------------

    def test_poison_in_every_field_of_every_operation(self):
        for path, methods in self.http.document["paths"].items():
            for method, operation in methods.items():
                if "101" in operation["responses"]:
                    continue
                for place, (what, poison) in itertools.product(operation["parameters"], POISON.items()):
                    with self.subTest(operation=operation["operationId"], field=place["name"], what=what):
                        self.poison_parameter(method.upper(), path, operation, place, poison)

    def poison_parameter(self, method, path, operation, place, poison):
        text = poison.encode("utf-8", "surrogateescape")
        coded = "".join(f"%{byte:02x}" for byte in text)
        fields = ["Connection: close"]
        path = path.replace("{" + place["name"] + "}", coded) if place["in"] == "path" else path
        path = path.replace("{id}", "1").replace("{file}", "0").replace("{digest}", "0" * 64)
        if place["in"] == "query":
            path += f"?{place['name']}={coded}"
        if place["in"] == "header":
            fields.append(f"{place['name']}: {poison}")
        body = b""
        if operation.get("requestBody"):
            body = json.dumps({**BOX, "kind": "nothing"}).encode()
            fields += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        said = self.raw(self.head(f"{method} {path} HTTP/1.1", *fields), body, keep=True,
                        head_only=True)
        head = said.split(b"\r\n\r\n")[0]
        self.assertRegex(head, rb"^HTTP/1.1 [234]\d\d ")
        self.assertNotIn(b"\nInjected", head)

    def test_poison_in_every_member_of_a_job(self):
        for name, (what, poison) in itertools.product(
                ("kind", "params", "inputs", "priority", "deadline_s", "delay_s", "x"), POISON.items()):
            values = [poison, {poison: poison}, [poison], {"name": poison, "digest": poison}]
            if name == "inputs":
                values.append([{"name": poison, "media_type": poison, "digest": "0" * 64}])
            for value in values:
                with self.subTest(member=name, what=what, value=str(value)[:40]):
                    job = json.dumps({**BOX, name: value}, ensure_ascii=False)
                    answer = self.http.raw("POST", "/v1/jobs", job.encode("utf-8", "surrogateescape"),
                                           {"Content-Type": "application/json"})
                    self.refused(answer, what)
                    self.assertGreaterEqual(answer.status, 400)

    def test_poison_in_every_part_of_a_form(self):
        for what, poison in POISON.items():
            for fields, files in (({"kind": poison}, []), ({"kind": "box", "params": poison}, []),
                                  ({"kind": "box", "priority": poison}, []), ({poison: "1", "kind": "box"}, []),
                                  ({"kind": "thumbs"}, [("file", poison, "image/jpeg", PHOTO)]),
                                  ({"kind": "thumbs"}, [(poison, "a.jpg", "image/jpeg", PHOTO)]),
                                  ({"kind": "thumbs"}, [("file", "a.jpg", poison, PHOTO)])):
                with self.subTest(what=what, fields=str(fields)[:40]):
                    kind, body = poisoned_form(fields, files)
                    self.refused(self.http.raw("POST", "/v1/jobs", body, {"Content-Type": kind}), what)

    def test_a_name_of_a_client_comes_back_as_it_was_or_is_refused(self):
        for what, poison in POISON.items():
            with self.subTest(what=what):
                said = self.raw(self.head("POST /v1/jobs HTTP/1.1", "Connection: close",
                                          "Content-Type: application/json", f"Tallymill-Client: {poison}",
                                          f"Idempotency-Key: {poison}",
                                          f"Content-Length: {len(json.dumps(BOX))}"),
                                json.dumps(BOX).encode(), keep=True)
                self.assertRegex(said, rb"^HTTP/1.1 (202|4\d\d) ")
        page = self.http.ask("GET", "/v1/jobs?limit=50")
        self.assertEqual(page.status, 200)

    def test_no_path_leads_out(self):
        for path in ("/../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
                     "/v1/blobs/../../etc/passwd", "/v1/blobs/..%2f..%2fledger.db", "/try.js/../../ledger.db",
                     "/v1/jobs/1/result/..%2f..%2fledger.db", "/\\..\\ledger.db", "/v1/./jobs", "/%00",
                     "file:///etc/passwd", "http://127.0.0.1/etc/passwd", "*", "v1/jobs"):
            with self.subTest(path=path):
                said = self.raw(self.head(f"GET {path} HTTP/1.1", "Connection: close"), keep=True)
                self.assertRegex(said, rb"^HTTP/1.1 (400|404|421) ")
                self.assertNotIn(b"root:", said)

    # ---- bodies -----------------------------------------------------------------------------------

    def test_a_body_is_never_unpacked(self):
        bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
        packed = bomb.compress(b" " * 2**26) + bomb.flush()
        for coding in ("gzip", "deflate", "br", "gzip, gzip"):
            answer = self.http.ask("POST", "/v1/jobs", body=packed, headers={
                "Content-Type": "application/json", "Content-Encoding": coding})
            self.assertEqual(answer.status, 415, answer.body)

    def test_an_upload_that_is_a_bomb_is_a_job_that_failed(self):
        zipped = b"PK\x03\x04" + bytes(26) + b"\0" * 1024
        for name, kind, data in (("huge.png", "image/png", huge_png(100_000, 100_000)),
                                 ("zeros.png", "image/png", huge_png(20_000, 20_000, b"\0" * 2**20)),
                                 ("a.zip", "application/zip", zipped),
                                 ("a.jpg", "image/jpeg", PHOTO[:-2000])):
            with self.subTest(name=name):
                type_, body = form({"kind": "thumbs"}, [("file", name, kind, data)])
                answer = self.http.raw("POST", "/v1/jobs", body, {"Content-Type": type_, "Prefer": "wait=30"},
                                       timeout=60)
                self.assertIn(answer.status, (200, 422), answer.body)
                if answer.status == 200 and name != "a.jpg":
                    self.assertEqual(answer.json()["state"], "failed", answer.body)

    def test_a_body_that_lies_about_its_length_leaves_nothing(self):
        before = len(stored(self.mill))
        for length, body in ((10_000_000, PHOTO), (len(PHOTO) + 1, PHOTO), (2**63, b"x"), (-1, b"x"), ("1e3", b"x")):
            said = self.raw(self.head("PUT /v1/blobs HTTP/1.1", "Content-Type: image/jpeg",
                                      f"Content-Length: {length}"), body)
            self.assertRegex(said, rb"^(HTTP/1.1 4\d\d |$)")
        short = self.raw(self.head("PUT /v1/blobs HTTP/1.1", "Content-Type: image/jpeg", "Content-Length: 3"),
                         b"abcGET /smuggled", keep=True)
        self.assertEqual(short.count(b"HTTP/1.1 201"), 1)
        self.assertEqual(short.count(b"HTTP/1.1 4"), 1)
        self.assertEqual(len(stored(self.mill)), before + 1)

    def test_sixty_four_resets_in_mid_body_leave_nothing(self):
        before = len(stored(self.mill))
        kind, body = form({"kind": "thumbs"}, [("file", "a.jpg", "image/jpeg", PHOTO * 20)])
        connections = []
        for n in range(64):
            line, type_, data = (("PUT /v1/blobs", "image/jpeg", PHOTO * 20) if n % 2 else
                                 ("POST /v1/jobs", kind, body))
            connection = self.connect()
            connection.sendall(self.head(f"{line} HTTP/1.1", f"Content-Type: {type_}",
                                         f"Content-Length: {len(data)}") + data[:len(data) * (n + 1) // 66])
            connections.append(connection)
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        until(lambda: self.metric("tallymill_http_connections") <= 2, 20, "they are gone")
        until(lambda: not list((self.mill.data / "blobs" / "tmp").iterdir()), 20, "so are their files")
        self.assertEqual(len(stored(self.mill)), before)
        self.assertEqual(self.snapshot()["jobs"]["accepted"], self.accepted)

    def test_json_as_deep_as_a_body_may_be_is_refused(self):
        for body in (b"[" * 2**20, b'{"params":' * 100_000, b'{"kind":"box","params":{"a":' + b"[" * 400 + b"]" * 400 +
                     b"}}", b'"' * 2**20, b"9" * 2**20, b"\\" * 1000):
            answer = self.http.ask("POST", "/v1/jobs", body=body, headers={"Content-Type": "application/json"})
            self.assertIn(answer.status, (400, 413, 422), answer.body)
        self.assertEqual(self.http.ask("POST", "/v1/jobs", body=b" " * (2**20 + 1), headers={
            "Content-Type": "application/json"}).status, 413)

    # ---- crowds -------------------------------------------------------------------------------------

    def test_ten_thousand_idle_connections_cost_their_own_places(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.assertGreaterEqual(hard, IDLE + 500, "this test opens 10,000 connections")
        resource.setrlimit(resource.RLIMIT_NOFILE, (IDLE + 500, hard))
        before, idle = self.rss(), []
        try:
            for n in range(IDLE):
                connection = socket.socket()
                # From many addresses: one has no more ports than that.
                connection.bind((f"127.0.{1 + n % 16}.1", 0))
                connection.settimeout(20)
                connection.connect(("127.0.0.1", self.mill.http_port))
                idle.append(connection)
                if n % 1000 == 999:
                    self.assertEqual(self.http.ask("GET", "/healthz").status, 200)
            self.assertLessEqual(self.metric("tallymill_http_connections"), CONNECTIONS)
            self.assertGreaterEqual(self.metric('tallymill_http_cut_total{why="displaced"}'), IDLE - CONNECTIONS)
            print(f"{IDLE} idle connections: {self.rss() - before:.1f} MiB")
            self.grew_little(before)
        finally:
            for connection in idle:
                connection.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        until(lambda: self.metric("tallymill_http_connections") <= 2, 20, "they are gone")

    def test_clients_that_never_read_cost_what_is_bounded(self):
        digest = self.http.ask("PUT", "/v1/blobs", body=bytes(8 * 2**20), headers={
            "Content-Type": "application/octet-stream"}).json()["digest"]
        before, silent = self.rss(), []
        for n in range(100):
            connection = self.connect()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            path = f"/v1/blobs/{digest}" if n % 2 else "/v1/events"
            connection.sendall(self.head(f"GET {path} HTTP/1.1") * (4 if n % 2 else 1))
            silent.append(connection)
        for _ in range(50):
            self.http.ask("POST", "/v1/jobs", BOX)
        self.grew_little(before)
        for connection in silent:
            connection.close()


def poisoned_form(fields, files):
    """As form(), whatever stands in it."""
    boundary, parts = "b0undary", []
    for name, text in fields.items():
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}')
    for field, name, kind, data in files:
        parts.append(f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
                     f"Content-Type: {kind}\r\n\r\n" + data.decode("latin-1"))
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"
    return (f"multipart/form-data; boundary={boundary}",
            b"".join(c.encode("utf-8", "surrogateescape") if ord(c) > 255 else bytes([ord(c)]) for c in body))


def huge_png(width, height, pixels=b""):
    """A PNG that says so and holds hardly anything."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b""))


def stored(mill):
    return [path for path in (mill.data / "blobs").glob("??/*")]


if __name__ == "__main__":
    unittest.main()
