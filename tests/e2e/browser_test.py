"""The HTTP face in a real browser: the page to try the API does a whole session, and a hostile page
achieves nothing.

usage: browser_test.py PROGRAMS
"""

import http.server
import json
import pathlib
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest

from browser import Browser
from http_client import Http
from mill import Client, Mill, until

PROGRAMS = sys.argv.pop(1)
PHOTO = pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg"
BOX = {"kind": "box", "params": {"x_mm": 80, "y_mm": 60, "z_mm": 40}}


def opened_mill(test, **more):
    mill = test.enterClassContext(Mill(PROGRAMS, **more))
    bus = Client(mill.endpoint, "browser")
    until(lambda: bus.hello(0.5), 30, "the front answers")
    mill.ready(bus)
    return mill


class Form:
    """One operation's form of the page."""

    def __init__(self, browser, operation):
        self.browser = browser
        self.place = f"#{operation}"
        browser.run(f"document.querySelector('{self.place}').open = true")

    def fill(self, name, text):
        field = f"{self.place} [name='{name}']"
        self.browser.run(f"document.querySelector(`{field}`).value = ''")
        if text:
            self.browser.type(field, text)

    def choose(self, name, value):
        self.browser.run("const field = document.querySelector(arguments[0]); field.value = arguments[1];"
                         "field.dispatchEvent(new Event('change'))", f"{self.place} [name='{name}']", value)

    def send(self):
        """(status, text) of the answer, when it is there."""
        self.browser.run(f"document.querySelector('{self.place} form').requestSubmit()")
        return self.answer()

    def answer(self):
        until(lambda: self.status() not in ("", "…"), 60, f"{self.place} is answered")
        until(lambda: self.browser.run(
            f"return document.querySelector('{self.place} button[type=button]').hidden"), 60, "it is whole")
        return self.status(), self.shown()

    def status(self):
        return self.browser.run(f"return document.querySelector('{self.place} .status')?.textContent ?? ''")

    def shown(self):
        return self.browser.run(f"return [...document.querySelectorAll('{self.place} pre')].at(-1)?.textContent ?? ''")


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = opened_mill(cls)
        cls.browser = cls.enterClassContext(Browser())
        cls.browser.open(f"http://127.0.0.1:{cls.mill.http_port}/")
        until(lambda: cls.browser.run("return document.querySelectorAll('details').length > 0"), 20, "forms")

    def test_a_photo_is_given_followed_fetched_another_cancelled_and_one_repeated_by_its_key(self):
        events = Form(self.browser, "followEventsBySocket")
        self.browser.run("document.querySelector('#followEventsBySocket form').requestSubmit()")
        until(lambda: events.status() == "open", 20, "the socket is open")
        stream = Form(self.browser, "followEvents")
        self.browser.run("document.querySelector('#followEvents form').requestSubmit()")
        until(lambda: "hello" in stream.shown(), 20, "the stream has begun")

        give = Form(self.browser, "submitJob")
        give.choose("kind", "engrave")
        give.fill("params", json.dumps({"width_mm": 40}))
        self.browser.type("#submitJob [name='files']", PHOTO.absolute())
        give.fill("Prefer", "wait=30")
        give.fill("Idempotency-Key", "from-a-page")
        status, text = give.send()
        self.assertEqual(status, "200", text)
        job = json.loads(text)
        self.assertEqual(job["state"], "done")
        self.assertEqual(json.loads(text), Http(self.mill.http_port).ask("GET", f"/v1/jobs/{job['job']}").json())
        for follower in (events, stream):
            until(lambda: f'"job":{job["job"]}' in follower.shown() and '"done"' in follower.shown(), 20,
                  "its end is shown")

        result = Form(self.browser, "getResult")
        result.fill("id", str(job["job"]))
        files = json.loads(result.send()[1])["files"]
        picture = next(n for n, file in enumerate(files) if file["media_type"].startswith("image/"))
        file = Form(self.browser, "getResultFile")
        file.fill("id", str(job["job"]))
        file.fill("file", str(picture))
        self.assertEqual(file.send()[0], "200")
        until(lambda: self.browser.run("return document.querySelector('#getResultFile img')?.naturalWidth > 0"),
              20, "the engraving is seen")

        again = json.loads(give.send()[1])
        self.assertEqual(again["job"], job["job"])

        later = Http(self.mill.http_port).ask("POST", "/v1/jobs", {**BOX, "delay_s": 600}).json()["job"]
        cancel = Form(self.browser, "cancelJob")
        cancel.fill("id", str(later))
        status, text = cancel.send()
        self.assertEqual((status, json.loads(text)["state"]), ("200", "cancelled"))
        status, text = cancel.send()
        self.assertEqual((status, json.loads(text)["code"]), ("409", "E_STATE"))
        self.browser.run("document.querySelector('#followEvents button[type=button]').click()")

    def test_it_holds_to_its_own_policy_and_fits_a_telephone(self):
        page = Http(self.mill.http_port).raw("GET", "/")
        self.assertEqual(page.headers["X-Content-Type-Options"], "nosniff")
        self.assertNotIn("unsafe", page.headers["Content-Security-Policy"])
        self.assertEqual(self.browser.run(
            "const script = document.createElement('script'); script.textContent = 'window.inline = 1';"
            "document.head.append(script); return window.inline ?? 0"), 0)
        with Browser(width=360, height=800) as narrow:
            narrow.open(f"http://127.0.0.1:{self.mill.http_port}/#submitJob")
            until(lambda: narrow.run("return document.querySelector('#submitJob')?.open"), 20, "the form")
            self.assertEqual(narrow.run("return [innerWidth, document.documentElement.scrollWidth]"), [360, 360])


class WithTokens(unittest.TestCase):
    def test_the_page_asks_for_a_token_once_and_keeps_it_in_the_tab(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        token = subprocess.run([pathlib.Path(PROGRAMS) / "tallymill", "token", "page", "--role", "read", "--file",
                                folder / "tokens"], check=True, capture_output=True, text=True).stdout.strip()
        mill = opened_mill(self, front_keys=(f"http_token_file: {folder / 'tokens'}", "http_access_log: true"))
        browser = self.enterContext(Browser())
        address = f"http://127.0.0.1:{mill.http_port}/"
        browser.open(address)
        until(lambda: browser.run("return document.querySelector('#token').hidden === false"), 20, "it asks")
        browser.type("#secret", token)
        browser.click("#token button")
        until(lambda: "In use" in browser.run("return document.querySelector('#token-state').textContent"), 20,
              "it is taken")
        self.assertEqual(browser.run("return document.querySelector('#secret').value"), "")
        browser.open(address)  # again, in the same tab
        until(lambda: "In use" in browser.run("return document.querySelector('#token-state').textContent"), 20,
              "it is kept")
        self.assertEqual(Form(browser, "listWorkers").send()[0], "200")
        stream = Form(browser, "followEvents")
        browser.run("document.querySelector('#followEvents form').requestSubmit()")
        until(lambda: "hello" in stream.shown(), 20, "the stream is read with the token")
        events = Form(browser, "followEventsBySocket")
        browser.run("document.querySelector('#followEventsBySocket form').requestSubmit()")
        until(lambda: events.status() == "open", 20, "the socket takes the token")
        self.assertEqual(Form(browser, "submitJob").send()[0], "403")
        self.assertEqual(browser.run("return document.cookie + JSON.stringify(localStorage)"), "{}")
        self.assertNotIn(token, browser.run("return document.documentElement.outerHTML + location.href"))
        self.assertNotIn(token[3:], mill.log_since(0))


class Hostile(unittest.TestCase):
    """A page of another origin, and one whose name was bound to our address after it was loaded."""

    @classmethod
    def setUpClass(cls):
        cls.mill = opened_mill(cls)
        cls.http = Http(cls.mill.http_port)
        cls.evil = Evil(cls.mill.http_port)
        cls.addClassCleanup(cls.evil.close)
        cls.browser = cls.enterClassContext(Browser({"evil.example": "127.0.0.1"}))
        cls.waiting = cls.http.ask("POST", "/v1/jobs", {**BOX, "delay_s": 600}).json()["job"]

    def setUp(self):
        self.before = self.accepted()

    def tearDown(self):
        self.assertEqual(self.accepted(), self.before, "a hostile page gave a job")
        self.assertEqual(self.http.ask("GET", f"/v1/jobs/{self.waiting}").json()["state"], "waiting")

    def accepted(self):
        return self.http.ask("GET", "/v1/snapshot").json()["jobs"]["accepted"]

    def visit(self, origin):
        self.browser.open(f"{origin}/evil")

    def attempt(self, script):
        """What the page got out of it: text that it could read, or why not."""
        return self.browser.run(
            "const front = arguments[0];"
            f"return (async () => {{ {script} }})().catch(error => `refused: ${{error}}`)", self.front())

    def front(self):
        return f"http://127.0.0.1:{self.mill.http_port}"

    def origins(self):
        return (f"http://evil.example:{self.evil.port}", f"http://localhost:{self.evil.port}",
                f"http://127.0.0.1:{self.evil.port}")

    def test_nothing_is_read_or_written_across_origins_by_fetch(self):
        job = json.dumps(BOX)
        for origin in self.origins():
            self.visit(origin)
            for init in ("{}", "{credentials: 'include'}", "{method: 'DELETE'}",
                         f"{{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: '{job}'}}",
                         f"{{method: 'POST', headers: {{'Content-Type': 'text/plain'}}, body: '{job}'}}"):
                with self.subTest(origin=origin, init=init):
                    path = f"/v1/jobs/{self.waiting}" if "DELETE" in init else "/v1/jobs"
                    got = self.attempt(f"return (await fetch(front + '{path}', {init})).text()")
                    self.assertRegex(got, "^refused: TypeError")
            for body in (f"'{job}'", f"new URLSearchParams({{kind: 'box'}})",
                         "(() => { const form = new FormData(); form.append('kind', 'box');"
                         f" form.append('params', '{json.dumps(BOX['params'])}'); return form }})()"):
                with self.subTest(origin=origin, body=body):
                    # no-cors sends it, as a form would; nothing may come of it, nor be read.
                    got = self.attempt(f"const said = await fetch(front + '/v1/jobs', {{method: 'POST', mode: 'no-cors',"
                                       f" body: {body}}}); return said.type + await said.text()")
                    self.assertIn(got.split(":")[0], ("refused", "opaque"))

    def test_plain_forms_give_no_job(self):
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
            with self.subTest(kind=kind):
                self.visit(self.origins()[0])
                self.browser.run(
                    "const [action, type, params] = arguments; const form = document.createElement('form');"
                    "Object.assign(form, {action, method: 'post', enctype: type});"
                    "for (const [name, value] of [['kind', 'box'], ['params', params]]) {"
                    "  const field = document.createElement('input'); Object.assign(field, {name, value});"
                    "  form.append(field) }"
                    "document.body.append(form); form.submit()",
                    self.front() + "/v1/jobs", kind, json.dumps(BOX["params"]))
                until(lambda: self.browser.run("return location.href").startswith(self.front()), 20, "it was sent")
                self.assertIn("E_DENIED", self.browser.run("return document.body.innerText"))

    def test_no_websocket_opens(self):
        for origin in self.origins():
            self.visit(origin)
            for path in ("/v1/ws", "/v1/wire"):
                with self.subTest(origin=origin, path=path):
                    got = self.attempt(
                        "return await new Promise(done => { const socket = new WebSocket("
                        f"front.replace('http', 'ws') + '{path}', ['tallymill.v1']);"
                        "socket.onopen = () => done('open'); socket.onerror = () => done('refused') })")
                    self.assertEqual(got, "refused")

    def test_what_is_served_cannot_be_used_as_a_part_of_a_page(self):
        self.visit(self.origins()[0])
        for tag, path in (("script", "/v1/kinds"), ("img", "/v1/snapshot"), ("script", "/try.js"),
                          ("link", "/try.css")):
            with self.subTest(tag=tag, path=path):
                got = self.attempt(
                    f"return await new Promise(done => {{ const node = document.createElement('{tag}');"
                    f"node.onload = () => done('loaded'); node.onerror = () => done('refused');"
                    f"if ('{tag}' === 'link') {{ node.rel = 'stylesheet'; node.href = front + '{path}' }}"
                    f"else node.src = front + '{path}'; document.head.append(node) }})")
                self.assertEqual(got, "refused")
        # A frame that may not be framed loads an error page, which is of another origin.
        got = self.attempt("return await new Promise(done => { const frame = document.createElement('iframe');"
                           "frame.onload = () => { try { done(frame.contentDocument ? 'blank' : 'refused') }"
                           " catch { done('refused') } };"
                           "frame.src = front + '/'; document.body.append(frame) })")
        self.assertEqual(got, "refused")

    def test_a_name_that_is_rebound_to_our_address_gets_421(self):
        self.visit(f"http://evil.example:{self.evil.port}")
        self.evil.rebind()
        try:
            for init in ("{}", "{method: 'POST', headers: {'Content-Type': 'application/json'},"
                               f" body: '{json.dumps(BOX)}'}}"):
                got = self.attempt(f"const said = await fetch('/v1/jobs', {init});"
                                   "return said.status + await said.text()")
                self.assertRegex(got, "^421.*E_DENIED")
            got = self.attempt("return await new Promise(done => { const socket = new WebSocket("
                               "location.origin.replace('http', 'ws') + '/v1/ws', ['tallymill.v1']);"
                               "socket.onopen = () => done('open'); socket.onerror = () => done('refused') })")
            self.assertEqual(got, "refused")
        finally:
            self.evil.rebind(False)


class Evil:
    """A server of hostile pages, which after rebind() passes all bytes to the front: what a browser
    sees when the page's name is bound to the front's address."""

    def __init__(self, front_port):
        self.front_port = front_port
        self.rebound = False
        evil = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = b"<!doctype html><title>evil</title><body>hello"
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def handle(self):
                # A browser connects ahead of time: what counts is when it asks.
                self.connection.recv(1, socket.MSG_PEEK)
                if not evil.rebound:
                    return super().handle()
                with socket.create_connection(("127.0.0.1", evil.front_port)) as front:
                    back = threading.Thread(target=pump, args=(front, self.connection), daemon=True)
                    back.start()
                    pump(self.connection, front)
                    back.join(20)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def rebind(self, to_front=True):
        self.rebound = to_front

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def pump(source, target):
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of the two is gone


if __name__ == "__main__":
    unittest.main()
