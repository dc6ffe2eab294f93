"""`tallymill collector` as a process of its own, for tests."""

import json
import pathlib
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from mill import free_ports, until


class CollectorProcess:
    """A collector in a folder; by `with` it ends with the block. Of a front, when its HTTP port is given."""

    def __init__(self, programs, folder, front_port=None, flags=()):
        self.programs, self.folder = pathlib.Path(programs).absolute(), pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.flags = [*flags, *(["--front-http", f"127.0.0.1:{front_port}"] if front_port else [])]
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self, wait=True):
        with open(self.folder / "collector.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "tallymill-collector", "--data", self.folder / "samples", "--http",
                 f"127.0.0.1:{self.port}", *self.flags], stderr=log)
        if wait:
            until(lambda: self.ask("/readyz")[0] == 200, 30, "the collector is ready")
        return self

    def ask(self, path, body=None, headers=None, timeout=30):
        """(status, body); (0, b"") when nobody answers."""
        request = urllib.request.Request(self.url + path, body, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def json(self, path):
        status, body = self.ask(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def import_text(self, text):
        status, body = self.ask("/api/v1/import/prometheus", text.encode(), {"Content-Type": "text/plain"})
        assert status == 204, body

    def query(self, query, at=None):
        form = {"query": query} | ({"time": at} if at is not None else {})
        return self.json("/api/v1/query?" + urllib.parse.urlencode(form))["data"]["result"]

    def metric(self, name):
        return sum(float(line.split()[-1]) for line in self.ask("/metrics")[1].decode().splitlines()
                   if line.startswith(name))

    def memory_kb(self):
        """Resident, and not of files."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0])

    def end(self, how=signal.SIGTERM):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)

    def __enter__(self):
        return self.start()

    def __exit__(self, *failure):
        self.end()
        if failure[0] is not None:
            print((self.folder / "collector.log").read_text(errors="replace")[-4000:])
