"""A client of the HTTP face for tests, which holds every answer against the OpenAPI document.

It is made of the standard library alone, so that the tests do not trust what they test.
"""

import base64
import hashlib
import http.client
import json
import os
import re
import uuid

import jsonschema


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.type = response.headers.get("Content-Type", "").split(";")[0]
        self.body = body

    def json(self):
        return json.loads(self.body)


def form(fields, files):
    """(content type, body) of a multipart form; files: (field, name, type, bytes)."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, text in fields.items():
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode())
    for field, name, kind, data in files:
        parts.append(f'Content-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
                     f"Content-Type: {kind}\r\n\r\n".encode() + data)
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


class Http:
    """One server; a connection for each question, or kept by `with`."""

    def __init__(self, port, token=None, document=None):
        """`document`: of a server that forwards to the one that has it."""
        self.port = port
        self.token = token
        self.document = document or self.raw("GET", "/openapi.json").json()
        self.checked = set()  # (operation, status)

    def raw(self, method, path, body=None, headers=(), timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers)
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    def ask(self, method, path, value=None, headers=(), **more):
        """As raw(), with a JSON body, and the answer checked."""
        headers = dict(headers)
        if value is not None:
            headers["Content-Type"] = "application/json"
            more["body"] = json.dumps(value)
        answer = self.raw(method, path, headers=headers, **more)
        self.check(method, path, answer)
        return answer

    def check(self, method, path, answer):
        operation = self.operation(method, path.split("?")[0])
        replies = operation["responses"]
        reply = replies.get(str(answer.status))
        if answer.status >= 400 and reply is None:
            reply = replies["default"]
        assert reply is not None, f"{method} {path}: {answer.status} is not in the document"
        if answer.status in (204, 304) or method == "HEAD":
            return
        contents = reply.get("content", {})
        if "application/octet-stream" in contents:
            return  # of its own type
        assert answer.type in contents, f"{method} {path}: {answer.type}, not {list(contents)}"
        schema = contents[answer.type].get("schema", {})
        if answer.type.endswith("json") and schema:
            whole = {**schema, "components": self.document["components"]}
            jsonschema.Draft202012Validator(whole).validate(answer.json())
        self.checked.add((operation["operationId"], answer.status))

    def operation(self, method, path):
        found = []
        for pattern, methods in self.document["paths"].items():
            expression = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern))
            if re.fullmatch(expression, path):
                found.append((pattern.count("{"), methods))
        assert found, f"{path} is not in the document"
        methods = min(found, key=lambda pair: pair[0])[1]
        return methods["get" if method == "HEAD" else method.lower()]


class Events:
    """A stream of Server-Sent Events, read as they come."""

    def __init__(self, port, path="/v1/events", last=None, timeout=20):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.connection.request("GET", path, headers={"Last-Event-ID": last} if last else {})
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.read()
        assert self.response.headers["Content-Type"] == "text/event-stream"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.response.close()
        self.connection.close()

    def __iter__(self):
        """(id or None, what, value) of each."""
        fields = {}
        while line := self.response.readline():
            line = line.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                yield fields.get("id"), fields["event"], json.loads(fields["data"])
                fields = {}


class Socket:
    """A WebSocket of JSON messages, read as they come; pings are answered."""

    def __init__(self, port, path="/v1/ws", timeout=20):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self.connection.request("GET", path, headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key, "Sec-WebSocket-Protocol": "tallymill.v1"})
        socket = self.connection.sock
        # http.client gives up the socket with an answer that has no length: kept, and read from here.
        self.stream = socket.makefile("rb")
        self.send = socket.sendall
        status = self.stream.readline()
        fields = http.client.parse_headers(self.stream)
        assert b" 101 " in status, (status, fields.items())
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        wanted = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
        assert fields["Sec-WebSocket-Accept"] == wanted, fields["Sec-WebSocket-Accept"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.connection.close()

    def exactly(self, n):
        data = self.stream.read(n)
        if len(data) < n:
            raise ConnectionError("the socket ended")
        return data

    def frame(self):
        """(opcode, whether it is the last of its message, payload)."""
        first, second = self.exactly(2)
        assert not second & 0x80, "a server masks nothing"
        length = second & 0x7F
        if length >= 126:
            length = int.from_bytes(self.exactly(2 if length == 126 else 8), "big")
        return first & 0x0F, bool(first & 0x80), self.exactly(length)

    def __iter__(self):
        message = b""
        while True:
            opcode, last, payload = self.frame()
            if opcode == 8:
                return
            if opcode == 9:
                mask = os.urandom(4)
                self.send(bytes((0x8A, 0x80 | len(payload))) + mask +
                          bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))
            if opcode in (0, 1):
                message += payload
                if last:
                    yield json.loads(message)
                    message = b""
