"""Endpoints that are watched: a real redis, a real PostgreSQL, HTTP and TCP, as they go down, hang, refuse and come back.

Goal: tallymill_probe_up says how each of them is, whatever another one does; no secret is in the log or in a series.
Method: a collector that asks each of them five times a second; servers that are ended, stopped by a signal, and given
another password than the one that is expected.

usage: prober_test.py PROGRAMS
"""

import http.server
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from collector_process import CollectorProcess
from mill import free_ports, until
from servers import PASSWORD, Postgres, Redis

PROGRAMS = sys.argv.pop(1)
WRONG = "wr0ng-of-the-test"


class Web(http.server.BaseHTTPRequestHandler):
    """Answers with what the test put into `says`: a status and a body."""

    says = (200, b"all is well")

    def do_GET(self):
        status, body = Web.says
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Prober(unittest.TestCase):
    def setUp(self):
        # Not of this user alone: PostgreSQL runs as another one.
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.folder.chmod(0o755)

    def file(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def collector(self, *probes):
        config = self.file("probes.yml", "probes:\n" + "".join(f"- {{{one}}}\n" for one in probes))
        made = CollectorProcess(PROGRAMS, self.folder / "collector", flags=["--alerting.probes", config])
        return self.enterContext(made)

    def is_up(self, collector, name):
        """1, 0, or None when it has not been asked yet."""
        found = collector.query(f'tallymill_probe_up{{probe="{name}"}}')
        return float(found[0]["value"][1]) if found else None

    def becomes(self, collector, name, value):
        until(lambda: self.is_up(collector, name) == value, 20, f"{name} is {value}")

    def log(self, collector):
        return (collector.folder / "collector.log").read_text()

    def end_of(self, collector):
        """No secret was told."""
        log = self.log(collector)
        series = collector.ask("/api/v1/series?match[]=tallymill_probe_up&match[]=tallymill_probe_duration_seconds")[1]
        flags = collector.ask("/api/v1/status/flags")[1]
        for secret in (PASSWORD, WRONG):
            self.assertNotIn(secret, log)
            self.assertNotIn(secret.encode(), series + flags)

    def test_a_redis_and_a_postgres_that_end_and_come_back(self):
        with Redis(self.folder / "redis") as redis, Postgres(self.folder / "postgres") as postgres:
            self.file("redis.password", PASSWORD + "\n")
            self.file("dsn", postgres.dsn() + "\n")
            collector = self.collector(
                f'name: cache, kind: redis, address: "127.0.0.1:{redis.port}", '
                f"password_file: {self.folder}/redis.password, interval: 200ms",
                f"name: books, kind: postgres, dsn_file: {self.folder}/dsn, interval: 200ms",
                f'name: port, kind: tcp, address: "127.0.0.1:{redis.port}", interval: 200ms')
            for name in ("cache", "books", "port"):
                self.becomes(collector, name, 1)
            redis.end()
            self.becomes(collector, "cache", 0)
            self.becomes(collector, "port", 0)
            self.assertEqual(self.is_up(collector, "books"), 1)
            postgres.end()
            self.becomes(collector, "books", 0)
            redis.start()
            postgres.start()
            for name in ("cache", "books", "port"):
                self.becomes(collector, name, 1)
            target = collector.query('tallymill_probe_up{probe="books"}')[0]["metric"]["target"]
            self.assertEqual(target, f"127.0.0.1:{postgres.port}/postgres")
            took = collector.query('tallymill_probe_duration_seconds{probe="books"}')
            self.assertLess(float(took[0]["value"][1]), 5)
            self.assertIn("is down: Connection refused", self.log(collector))
            self.end_of(collector)

    def test_a_password_that_is_another_one(self):
        with Redis(self.folder / "redis") as redis, Postgres(self.folder / "postgres") as postgres:
            self.file("redis.password", WRONG)
            self.file("dsn", postgres.dsn(WRONG))
            collector = self.collector(
                f'name: wrong, kind: redis, address: "127.0.0.1:{redis.port}", '
                f"password_file: {self.folder}/redis.password",
                f'name: none, kind: redis, address: "127.0.0.1:{redis.port}"',
                f"name: books, kind: postgres, dsn_file: {self.folder}/dsn",
                f'name: other, kind: redis, address: "127.0.0.1:{postgres.port}"')
            for name in ("wrong", "none", "books", "other"):
                self.becomes(collector, name, 0)
            log = self.log(collector)
            self.assertIn("redis answers AUTH with the error WRONGPASS", log)
            self.assertIn("redis answers PING with the error NOAUTH", log)
            self.assertIn('password authentication failed for user "mill"', log)
            self.end_of(collector)

    def test_one_that_hangs_holds_up_no_other(self):
        with Redis(self.folder / "redis") as redis, Postgres(self.folder / "postgres") as postgres:
            deaf = self.enterContext(socket.create_server(("127.0.0.1", 0), backlog=64))
            address = f"127.0.0.1:{deaf.getsockname()[1]}"
            self.file("redis.password", PASSWORD)
            self.file("dsn", postgres.dsn())
            long = "interval: 200ms, timeout: 200ms"
            collector = self.collector(
                f'name: cache, kind: redis, address: "127.0.0.1:{redis.port}", '
                f"password_file: {self.folder}/redis.password, interval: 5s",
                f"name: books, kind: postgres, dsn_file: {self.folder}/dsn, interval: 5s",
                f'name: deaf-redis, kind: redis, address: "{address}", {long}',
                f"name: deaf-http, kind: http, url: http://{address}/, {long}",
                f'name: tcp, kind: tcp, address: "{address}", {long}')
            for name, up in (("cache", 1), ("books", 1), ("deaf-redis", 0), ("deaf-http", 0), ("tcp", 1)):
                self.becomes(collector, name, up)
            for one in (redis, postgres):
                one.process.send_signal(signal.SIGSTOP)
            for name in ("cache", "books"):
                self.becomes(collector, name, 0)
                # As long as its timeout, and not much longer.
                took = float(collector.query(f'tallymill_probe_duration_seconds{{probe="{name}"}}')[0]["value"][1])
                self.assertGreaterEqual(took, 5)
                self.assertLess(took, 8)
            tries = collector.query('count_over_time(tallymill_probe_up{probe="tcp"}[5s])')
            self.assertGreater(float(tries[0]["value"][1]), 10)
            for one in (redis, postgres):
                one.process.send_signal(signal.SIGCONT)
            for name in ("cache", "books"):
                self.becomes(collector, name, 1)
            # In the middle of tries that hang it ends at once.
            begin = time.monotonic()
            self.end_of(collector)
            self.assertEqual(collector.end(), 0)
            self.assertLess(time.monotonic() - begin, 5)

    def test_http_by_status_and_text(self):
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        url = f"http://127.0.0.1:{web.server_port}/health?key={PASSWORD}"
        Web.says = (200, b"all is well")
        collector = self.collector(f"name: any, kind: http, url: '{url}', interval: 200ms",
                                   f"name: moved, kind: http, url: '{url}', status: 301, interval: 200ms",
                                   f"name: text, kind: http, url: '{url}', body: is well, interval: 200ms")
        for says, expected in (((200, b"all is well"), (1, 0, 1)), ((204, b""), (1, 0, 0)), ((301, b"is well"), (0, 1, 0)),
                               ((500, b"is well"), (0, 0, 0)), ((200, b"is well"), (1, 0, 1))):
            Web.says = says
            for name, up in zip(("any", "moved", "text"), expected):
                self.becomes(collector, name, up)
        self.assertIn("is down: it answers with status 500", self.log(collector))
        self.end_of(collector)

    def test_https_by_who_vouches_for_it(self):
        key, certificate = self.folder / "key.pem", self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        web.socket = context.wrap_socket(web.socket, server_side=True)
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        Web.says = (200, b"all is well")
        url = f"https://127.0.0.1:{web.server_port}/"
        collector = self.collector(f"name: known, kind: http, url: '{url}', ca_file: {certificate}",
                                   f"name: unknown, kind: http, url: '{url}'")
        self.becomes(collector, "known", 1)
        self.becomes(collector, "unknown", 0)

    def test_a_file_that_is_none(self):
        (port,) = free_ports(1)
        for text, said in (("probes: [{name: a, kind: tcp}]", "probes.yml:1:10: expected an address: host:port"),
                           ("probes: [{name: a, kind: redis, address: 'a:1', password_env: NOT_THERE}]",
                            "probe 'a': $NOT_THERE is not set")):
            config = self.file("probes.yml", text)
            result = subprocess.run(
                [pathlib.Path(PROGRAMS) / "tallymill-collector", "--data", self.folder / "samples", "--http",
                 f"127.0.0.1:{port}", "--alerting.probes", config], capture_output=True, text=True, timeout=30,
                env={k: v for k, v in os.environ.items() if k != "NOT_THERE"})
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(said, result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
