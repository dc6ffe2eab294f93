"""Who may speak over HTTP: each operation of the document with no token, a wrong one, one of each role;
and no token in any log.

usage: tokens_test.py PROGRAMS
"""

import base64
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import unittest

from http_client import Http
from mill import Client, Mill, until

PROGRAMS = pathlib.Path(sys.argv.pop(1))
ROLES = ("read", "submit", "operate")
BOX = {"kind": "box", "params": {"x_mm": 80, "y_mm": 60, "z_mm": 40}}


class WithTokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        file = folder / "tokens"
        cls.tokens = {role: subprocess.run(
            [PROGRAMS / "tallymill", "token", f"the-{role}", "--role", role, "--file", file],
            check=True, capture_output=True, text=True).stdout.strip() for role in ROLES}
        cls.mill = cls.enterClassContext(Mill(PROGRAMS, front_keys=(
            f"http_token_file: {file}", "http_access_log: true")))
        bus = Client(cls.mill.endpoint, "tokens")
        until(lambda: bus.hello(0.5), 30, "the front answers")
        cls.mill.ready(bus)
        cls.anybody = Http(cls.mill.http_port)
        cls.of = {role: Http(cls.mill.http_port, token) for role, token in cls.tokens.items()}

    @classmethod
    def tearDownClass(cls):
        text = cls.mill.log_since(0)
        assert " /v1/jobs" in text, "the access log is on"
        for role, token in cls.tokens.items():
            coded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
            for secret in (token, token[3:], coded):
                assert secret not in text, f"the token of {role} is in the log"

    def operations(self):
        for path, methods in self.anybody.document["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path.replace("{id}", "1").replace("{file}", "0").replace(
                    "{digest}", "0" * 64), operation

    def status(self, http, method, path, operation, headers=()):
        if "101" in operation["responses"]:
            return upgrade(self.mill.http_port, path, http.token)
        body = b"{}" if method in ("POST", "PUT") else None
        headers = {"Content-Type": "application/json", **dict(headers)} if body else dict(headers)
        if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
            path += "?colour=red"  # refused behind the guard, or it would not end
        return http.raw(method, path, body, headers).status

    def test_each_operation_is_open_to_its_role_and_above_and_to_nobody_else(self):
        for method, path, operation in self.operations():
            needs = operation["x-tallymill-role"]
            with self.subTest(operation=operation["operationId"], needs=needs):
                if needs == "none":
                    self.assertNotIn(self.status(self.anybody, method, path, operation), (401, 403))
                    continue
                self.assertEqual(self.status(self.anybody, method, path, operation), 401)
                self.assertEqual(self.status(Http(self.mill.http_port, "tm_" + "A" * 43), method, path,
                                             operation), 401)
                for role in ROLES:
                    got = self.status(self.of[role], method, path, operation)
                    if ROLES.index(role) < ROLES.index(needs):
                        self.assertEqual(got, 403, role)
                    else:
                        self.assertNotIn(got, (401, 403), role)

    def test_who_is_refused_is_told_how_to_ask(self):
        answer = self.anybody.ask("GET", "/v1/jobs")
        self.assertEqual((answer.status, answer.json()["code"]), (401, "E_AUTH"))
        self.assertEqual(answer.headers["WWW-Authenticate"].split()[0], "Bearer")
        answer = self.of["read"].ask("POST", "/v1/jobs", BOX)
        self.assertEqual((answer.status, answer.json()["code"]), (403, "E_DENIED"))
        self.assertIn("submit", answer.json()["detail"])

    def test_a_job_belongs_to_the_name_of_its_token_whatever_the_client_says(self):
        headers = {"Tallymill-Client": "somebody-else"}
        job = self.of["submit"].ask("POST", "/v1/jobs", BOX, headers).json()["job"]
        self.assertEqual(self.of["read"].ask("GET", f"/v1/jobs/{job}").json()["client"], "the-submit")

    def test_a_token_in_the_address_is_none(self):
        answer = self.anybody.raw("GET", f"/v1/jobs?token={'A' * 43}&access_token={'A' * 43}")
        self.assertEqual(answer.status, 401)

    def test_a_socket_says_its_protocol_and_not_the_token(self):
        head = upgrade(self.mill.http_port, "/v1/ws", self.tokens["read"], whole=True)
        self.assertIn("Sec-WebSocket-Protocol: tallymill.v1\r\n", head)
        self.assertNotIn("bearer", head)


class Opening(unittest.TestCase):
    def refused(self, *flags, says):
        """A front that must not open."""
        with tempfile.TemporaryDirectory() as folder:
            said = subprocess.run(
                [PROGRAMS / "tallymill-front", "--listen", f"ipc://{folder}/jobs", "--results",
                 f"ipc://{folder}/results", "--control", f"ipc://{folder}/control",
                 "--data-dir", folder, "--run-dir", folder, *flags],
                capture_output=True, text=True, timeout=30, env={**os.environ, "HOME": folder})
        self.assertNotEqual(said.returncode, 0, said.stderr)
        self.assertIn(says, said.stderr)
        return said

    def test_an_address_that_others_reach_is_refused_without_tokens(self):
        said = self.refused("--http", "0.0.0.0:0", says="token")
        self.assertEqual(said.returncode, 6, said.stderr)

    def test_a_token_file_that_is_not_there_or_holds_no_token_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "tokens"
            self.refused("--http", "127.0.0.1:0", "--http-token-file", str(file), says=str(file))
            file.write_text("ci submit tm_this-is-the-token-itself\n")
            file.chmod(0o600)
            said = self.refused("--http", "127.0.0.1:0", "--http-token-file", str(file),
                                says=f"{file}:1")
            self.assertNotIn("this-is-the-token-itself", said.stderr)


def upgrade(port, path, token=None, whole=False):
    """The status of an upgrade to a WebSocket, or the whole head of the answer."""
    protocols = "tallymill.v1"
    if token:
        protocols += ", bearer." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Protocol: {protocols}\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(4096)
            assert piece, head
            head += piece
    text = head.split(b"\r\n\r\n")[0].decode() + "\r\n"
    return text if whole else int(text.split()[1])


if __name__ == "__main__":
    unittest.main()
