"""Debian's Prometheus as a process of a test: fed by remote write, asked over HTTP."""

import json
import pathlib
import struct
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from mill import free_ports, until

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def varint(n):
    n &= (1 << 64) - 1  # a negative one is as long as it gets
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def write_request(rows):
    body = b""
    for labels, samples in rows:
        one = b"".join(field(1, field(1, name.encode()) + field(2, value.encode()))
                       for name, value in sorted(labels.items()))
        for t, value in samples:
            one += field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(t))
        body += field(1, one)
    out = varint(len(body))  # snappy, of literals alone
    for at in range(0, len(body), 65536):
        piece = body[at:at + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(piece) - 1) + piece
    return out


def is_stale(value):
    return struct.pack("<d", value) == struct.pack("<d", STALE)


def in_order(rows, slice_ms=600_000):
    """[(labels, [(t_ms, value)])] in batches that go forward in time, which the head of Prometheus wants."""
    times = [t for _, samples in rows for t, _ in samples]
    at = [0] * len(rows)
    for until_ms in range(min(times), max(times) + 2 * slice_ms, slice_ms):
        batch = []
        for n, (labels, samples) in enumerate(rows):
            end = at[n]
            while end < len(samples) and samples[end][0] < until_ms:
                end += 1
            if end > at[n]:
                batch.append((labels, samples[at[n]:end]))
            at[n] = end
        if batch:
            yield batch


def push(url, rows):
    for batch in in_order(rows):
        request = urllib.request.Request(url + "/api/v1/write", write_request(batch), {
            "Content-Encoding": "snappy", "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status in (200, 204), answer.status


def asked(url, path, pairs=(), post=True):
    """What a server of the API answers: its status, and its body as JSON, or as text when it is none."""
    form = urllib.parse.urlencode(list(pairs.items()) if isinstance(pairs, dict) else list(pairs))
    if not post and form:
        path += "?" + form
    request = urllib.request.Request(url + path, form.encode() if post else None)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    try:
        return status, json.loads(body)
    except ValueError:
        return status, body.decode(errors="replace")


class Prometheus:
    """On a free port, with what it keeps in a folder of its own."""

    def __init__(self, folder=None, config="", flags=()):
        self.temporary = None
        if folder is None:
            self.temporary = tempfile.TemporaryDirectory(prefix="tallymill-prometheus-")
            folder = self.temporary.name
        folder = pathlib.Path(folder)
        (port,) = free_ports(1)
        (folder / "prometheus.yml").write_text(config)
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver", "--log.level=error",
             *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.ready, 30, "Prometheus is ready")

    def ready(self):
        try:
            return urllib.request.urlopen(self.url + "/-/ready", timeout=2).status == 200
        except OSError:
            return False

    def push(self, rows):
        push(self.url, rows)

    def asked(self, path, pairs=(), post=True):
        return asked(self.url, path, pairs, post)

    def ask(self, start, end, step, query):
        """A query at `start`, or one of a range when there is a step: {"result": ...} or {"error": ...}."""
        form = {"query": query, "time": start / 1000}
        if step:
            form = {"query": query, "start": start / 1000, "end": end / 1000, "step": step / 1000}
        _, body = self.asked("/api/v1/query_range" if step else "/api/v1/query", form)
        if body["status"] != "success":
            return {"error": body["error"], "type": body["errorType"]}
        data = body["data"]
        if data["resultType"] == "scalar":
            return {"result": [[{}, [data["result"]]]]}
        if data["resultType"] == "string":
            return {"result": data["result"][1]}
        return {"result": [[one["metric"], one.get("values") or [one["value"]]] for one in data["result"]]}

    def stop(self):
        self.process.terminate()
        self.process.wait()
        if self.temporary:
            self.temporary.cleanup()
