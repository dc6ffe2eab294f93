"""Every client command through http:// as through tcp://: the same answers, exit codes and files.

Method: each command on the same pipeline by both ways, and what they print compared, numbers aside;
then what only HTTP has: tokens and their roles, TLS, servers that are none, a front that is killed.

usage: http_commands_test.py PROGRAMS
"""

import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest

from collector_process import CollectorProcess
from mill import Client, Mill, free_ports, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
PHOTO = pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg"
OK, NEGATIVE, USAGE, AWAY, NOT_FOUND, DENIED = 0, 1, 2, 3, 5, 6


class Command(unittest.TestCase):
    """A pipeline, and its commands in a folder."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        mill = Mill(PROGRAMS)
        settings = cls.settings_of_front()
        mill.config.write_text(mill.config.read_text().replace("front:\n", f"front:\n{settings}"))
        cls.mill = cls.enterClassContext(mill)
        cls.bus = Client(cls.mill.endpoint, "watcher")
        until(lambda: cls.bus.hello(0.5), 30, "the front answers")
        cls.mill.ready(cls.bus)
        cls.http = f"http://127.0.0.1:{cls.mill.http_port}"

    @classmethod
    def settings_of_front(cls):
        return ""

    def start(self, *words, server=None, before=(), **how):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TALLYMILL_")}
        environment |= {"NO_COLOR": "1", "TALLYMILL_CONFIG": str(self.mill.config)} | how.pop("environment", {})
        return subprocess.Popen([*before, PROGRAMS / "tallymill", *map(str, words), "--server",
                                 server or self.http], cwd=self.folder, env=environment, text=True,
                                **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how)

    def tallymill(self, *words, code=OK, **how):
        """(what it printed, what it said beside); its exit code must be this one."""
        process = self.start(*words, **how)
        printed, said = process.communicate(timeout=90)
        self.assertEqual(process.returncode, code, (words, printed, said))
        return printed, said


def words_of(text, *servers):
    """What was said but for numbers, their units, bars and gaps."""
    for server in servers:
        text = text.replace(server, "SERVER")
    text = re.sub(r"anonymous-[0-9a-f]+", "anonymous", text)
    return [word for word in re.findall(r"[A-Za-z_-]{2,}", text) if word not in ("ns", "us", "ms")]


class Alike(Command):
    def words(self, text):
        return words_of(text, self.mill.endpoint, self.http)

    def both(self, *words, only="", **how):
        """By tcp and by http; what they said must be alike. The answers."""
        answers = []
        for server in (self.mill.endpoint, self.http):
            printed, said = self.tallymill(*words, server=server, **how)
            kept = "\n".join(line for line in printed.splitlines() if line.startswith(only))
            answers.append((printed, self.words(kept), self.words(said)))
        self.assertEqual(answers[0][1:], answers[1][1:], words)
        return [answer[0] for answer in answers]

    def jobs(self, *words):
        return [int(printed) for printed in self.both("submit", *words)]

    def of_each(self, command, jobs, *words, **how):
        """The same of one job by tcp and of another one by http."""
        answers = []
        for server, job in zip((self.mill.endpoint, self.http), jobs):
            printed, said = self.tallymill(command, job, *words, server=server, **how)
            answers.append((printed, self.words(printed), self.words(said)))
        self.assertEqual(answers[0][1:], answers[1][1:], command)
        return [answer[0] for answer in answers]

    def test_a_job_is_given_seen_cancelled_and_tried_again(self):
        jobs = self.jobs("box", "--delay", 100000, "--client", "alike")
        for json_too in ([], ["--json"]):
            self.of_each("status", jobs, *json_too)
            self.both("jobs", "--state", "live", "--of", "alike", *json_too)
        self.of_each("cancel", jobs)
        self.of_each("cancel", jobs, code=NEGATIVE)
        self.of_each("wait", jobs, "--json", code=NEGATIVE)
        again = [json.loads(told)["job"] for told in self.of_each("retry", jobs, "--json")]
        self.of_each("wait", again)
        self.of_each("wait", again, "--json")
        self.of_each("status", again)
        files = [json.loads(told)["files"] for told in
                 self.of_each("result", again, "--out", "again", "--force", "--json")]
        self.assertEqual(files[0], files[1])
        self.of_each("explain", again)

    def test_the_pipeline_is_shown(self):
        for words in (["workers"], ["topology"], ["kinds"], ["kinds", "box"], ["snapshot"], ["ping"],
                      ["doctor"]):
            self.both(*words)
            self.both(*words, "--json")
        self.both("snapshot", "--prometheus", only="# TYPE")
        self.assertIn(self.http, self.tallymill("ping")[0])

    def test_what_is_wrong_is_told(self):
        nobody = 10**15
        for command in ("status", "wait", "result", "cancel", "retry", "explain"):
            self.both(command, nobody, code=NOT_FOUND)
            self.both(command, nobody, "--json", code=NOT_FOUND)
        self.both("run", "origami", code=NOT_FOUND)
        self.both("run", "box", "-p", "x_mm=-3", code=USAGE)
        self.both("run", "thumbs", "gone.jpg", code=USAGE)
        self.both("run", "synthetic", "-p", "outcome=fail", code=NEGATIVE)
        self.both("jobs", "--cursor", "nonsense", code=USAGE)

    def test_a_photo_comes_back_as_the_same_engraving(self):
        made = []
        for name, server in (("tcp", self.mill.endpoint), ("http", self.http)):
            self.tallymill("run", "engrave", PHOTO, "-p", "width_mm=60", "-o", name, server=server)
            made.append({path.name: path.read_bytes() for path in (self.folder / name).iterdir()})
        self.assertIn("engraving.png", made[0])
        self.assertEqual(made[0], made[1])

    @unittest.skipUnless(os.geteuid() == 0, "SKIPPED: hiding the blob folder needs root")
    def test_large_files_go_through_it_piece_by_piece(self):
        large = self.folder / "large.jpg"
        large.write_bytes(PHOTO.read_bytes() + bytes(5 << 20))  # what is behind a picture is ignored
        words = ["run", "engrave", large, "-p", "width_mm=150"]
        # Elsewhere the front's folders are not there, and all bytes come by the connection.
        hidden = ["unshare", "--mount", "sh", "-c",
                  f'mount -t tmpfs none {self.mill.folder} && exec "$@"', "sh"]
        self.tallymill(*words, "-o", "near", server=self.mill.endpoint)
        self.tallymill(*words, "-o", "far", before=hidden)
        near, far = ({path.name: path.read_bytes() for path in (self.folder / name).iterdir()}
                     for name in ("near", "far"))
        self.assertGreater(max(map(len, near.values())), 1 << 20)
        self.assertEqual(near, far)

    def test_a_front_that_is_killed_under_a_wait_costs_nothing(self):
        job = int(self.tallymill("submit", "box", "--delay", 3)[0])
        names = self.metric("tallymill_front_client_names")
        waiting = self.start("wait", job)
        # It was welcomed; and once more, so that the welcome has left behind the first answer.
        for _ in range(2):
            until(lambda: self.metric("tallymill_front_client_names") > names, 20, "it waits")
        self.kill_front()
        printed, said = waiting.communicate(timeout=60)
        self.assertEqual((waiting.returncode, printed.split()), (OK, [str(job), "done"]), said)
        self.is_ready()

    def test_a_front_that_is_killed_in_the_middle_of_an_upload_costs_nothing(self):
        large = self.folder / "larger.jpg"
        large.write_bytes(PHOTO.read_bytes() + bytes(48 << 20))
        name = "tallymill_http_received_bytes_total"
        before = self.metric(name)
        running = self.start("run", "engrave", large, "-p", "width_mm=20", "-o", "killed")
        until(lambda: self.metric(name) > before + (4 << 20), 20, "some pieces are there")
        self.kill_front()
        _, said = running.communicate(timeout=90)
        self.assertEqual(running.returncode, OK, said)
        self.tallymill("run", "engrave", PHOTO, "-p", "width_mm=20", "-o", "whole")
        made = [(self.folder / name / "engraving.png").read_bytes() for name in ("killed", "whole")]
        self.assertEqual(made[0], made[1])
        self.is_ready()

    def kill_front(self):
        (front,) = self.mill.children("front")
        os.kill(front, signal.SIGKILL)

    def is_ready(self):
        until(lambda: self.bus.hello(0.5), 30, "the front answers")
        self.mill.ready(self.bus)

    def metric(self, name):
        return float(re.search(rf"^{name} (\S+)$", self.metrics(), re.MULTILINE)[1])

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.mill.http_port, timeout=10)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def test_who_reads_no_more_of_its_output_ends_it(self):
        for server in (self.mill.endpoint, self.http):
            read, write = os.pipe()
            os.close(read)
            process = self.start("kinds", server=server, stdout=write, stderr=subprocess.DEVNULL)
            os.close(write)
            self.assertEqual(process.wait(30), -signal.SIGPIPE)

    def test_another_host_in_the_clear_is_refused_unless_it_is_meant(self):
        for server in ("http://192.0.2.1:7780", "http://mill.example", "http://lo:7780"):
            _, said = self.tallymill("ping", server=server, code=DENIED)
            self.assertIn("--insecure", said)


class AlikeThroughACollector(Alike):
    """All of it once more, by way of a collector that forwards to the front."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        collector = cls.enterClassContext(CollectorProcess(PROGRAMS, cls.folder / "c", cls.mill.http_port))
        cls.http = collector.url


class NoFront(Command):
    def test_nobody_listens(self):
        (port,) = free_ports(1)
        for scheme in ("http", "https"):
            _, said = self.tallymill("ping", server=f"{scheme}://127.0.0.1:{port}", code=AWAY)
            self.assertIn("E_AWAY", said)
            self.assertIn("tallymill up", said)

    def test_it_is_another_server(self):
        class Hello(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"hello")

            def log_message(self, *_):
                pass

        class Banner(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                self.request.recv(1000)

        for server in (http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello),
                       socketserver.ThreadingTCPServer(("127.0.0.1", 0), Banner)):
            with server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                url = f"http://127.0.0.1:{server.server_address[1]}"
                _, said = self.tallymill("ping", server=url, code=AWAY)
                self.assertIn("no front of Tallymill", said)
                server.shutdown()
        _, said = self.tallymill("ping", server=self.mill.endpoint.replace("tcp", "http"), code=AWAY)

    def test_a_server_that_says_nothing_is_given_up(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            self.tallymill("ping", "--timeout", 1, server=url, code=AWAY)

    def test_an_address_that_is_none(self):
        for url in ("http://", "http://a b", "http://x:0", "http://me@127.0.0.1", "http://127.0.0.1/?a=b"):
            _, said = self.tallymill("ping", server=url, code=USAGE)
            self.assertIn("--server", said)


class Tokens(Command):
    @classmethod
    def settings_of_front(cls):
        cls.tokens = {}
        file = cls.folder / "tokens"
        for role in ("read", "submit", "operate"):
            made = subprocess.run([PROGRAMS / "tallymill", "token", f"the-{role}", "--role", role,
                                   "--file", file], capture_output=True, text=True, check=True)
            cls.tokens[role] = made.stdout.strip()
        return f"  http_token_file: {file}\n"

    def as_role(self, role, *words, **how):
        return self.tallymill(*words, environment={"TALLYMILL_TOKEN": self.tokens[role]}, **how)

    def test_a_reader_sees_all_and_changes_nothing(self):
        job = int(self.as_role("submit", "submit", "box", "--delay", 100000)[0])
        for words in (["jobs"], ["workers"], ["topology"], ["kinds"], ["snapshot"], ["ping"],
                      ["status", job]):
            self.as_role("read", *words)
        self.assertIn(f"answers at {self.http}", self.as_role("read", "doctor")[0])
        for words in (["submit", "box"], ["run", "box"], ["cancel", job], ["retry", job],
                      ["run", "thumbs", PHOTO]):
            _, said = self.as_role("read", *words, code=DENIED)
            self.assertIn("E_DENIED", said)
            self.assertIn("role", said)
        self.assertIn("waiting", self.as_role("read", "status", job)[0])
        # One who submits may cancel, and only one who operates may try again.
        self.as_role("submit", "cancel", job)
        self.as_role("submit", "retry", job, code=DENIED)
        self.as_role("operate", "retry", job)

    def test_a_job_is_of_the_name_of_the_token(self):
        ran, _ = self.as_role("submit", "run", "box", "--client", "somebody", "--json", "-o", "named")
        job = json.loads(ran)["jobs"][0]["job"]
        self.assertEqual(json.loads(self.as_role("read", "status", job, "--json")[0])["client"],
                         "the-submit")

    def test_without_a_token_or_with_a_wrong_one_it_is_said_what_to_do(self):
        for environment in ({}, {"TALLYMILL_TOKEN": "tm_" + "a" * 43}):
            for words in (["ping"], ["run", "box"], ["jobs"]):
                _, said = self.tallymill(*words, environment=environment, code=DENIED)
                self.assertIn("E_AUTH", said)
                self.assertIn("--token-file", said)
        told, _ = self.tallymill("doctor", "--json", code=NEGATIVE)
        (front,) = [found for found in json.loads(told)["findings"] if found["check"] == "front"]
        self.assertIn("TALLYMILL_TOKEN", front["mend"])

    def test_the_token_comes_from_a_file(self):
        file = self.folder / "token"
        file.write_text(self.tokens["read"] + "\n")
        self.tallymill("ping", "--token-file", file)
        # The file is what was said last; a variable stands for whoever says nothing.
        self.tallymill("ping", "--token-file", file, environment={"TALLYMILL_TOKEN": "wrong"})
        for text in ("", "two words", "x" * 4096):
            file.write_text(text)
            _, said = self.tallymill("ping", "--token-file", file,
                                     code=DENIED if len(text) == 4096 else USAGE)
        file.write_text("x" * 4097)
        self.tallymill("ping", "--token-file", file, code=USAGE)
        self.tallymill("ping", "--token-file", self.folder / "gone", code=USAGE)

    def test_no_token_is_told(self):
        self.as_role("operate", "run", "box", "-o", "told")
        log = self.mill.last_log(100_000)
        for token in self.tokens.values():
            self.assertNotIn(token, log)


class Tls(Command):
    @classmethod
    def settings_of_front(cls):
        certificate, key = cls.folder / "cert.pem", cls.folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=mill", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
                        certificate], check=True, capture_output=True)
        return f"  http_certificate: {certificate}\n  http_key: {key}\n"

    def test_a_server_that_is_vouched_for_is_believed_and_no_other(self):
        url = self.http.replace("http", "https")
        self.tallymill("run", "engrave", PHOTO, "-p", "width_mm=20", "-o", "tls", "--ca-file",
                       "cert.pem", server=url)
        self.assertTrue((self.folder / "tls" / "engraving.png").exists())
        _, said = self.tallymill("ping", server=url, code=AWAY)
        self.assertIn("certificate", said)
        _, said = self.tallymill("ping", "--ca-file", "cert.pem", code=AWAY,
                                 server=url.replace("127.0.0.1", "localhost"))
        self.tallymill("ping", server=self.http, code=AWAY)
        self.tallymill("ping", "--ca-file", "gone.pem", server=url, code=USAGE)


if __name__ == "__main__":
    unittest.main(verbosity=2)
