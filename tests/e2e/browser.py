"""Debian's Chromium for tests, driven over the WebDriver protocol by the standard library alone."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request


class Failed(Exception):
    """What the driver says."""


class Browser:
    """One Chromium with a profile of its own; `hosts`: names that it takes for an address.

    with Browser({"evil.example": "127.0.0.1"}) as browser:
        browser.open("http://evil.example:8000/")
        browser.run("return document.title")
    """

    def __init__(self, hosts=None, width=1440, height=900):
        self.folder = tempfile.TemporaryDirectory(prefix="tallymill-browser-", ignore_cleanup_errors=True)
        self.flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                      "--disable-background-networking", "--disable-component-update", "--disable-sync",
                      "--disable-dev-shm-usage", f"--window-size={width},{height}",
                      f"--user-data-dir={self.folder.name}/profile"]
        # A window is at least 500 wide; a telephone is not.
        self.telephone = {"width": width, "height": height, "pixelRatio": 1} if width < 500 else None
        if hosts:
            rules = ", ".join(f"MAP {name} {address}" for name, address in hosts.items())
            self.flags.append(f"--host-resolver-rules={rules}")
        self.driver = None
        self.session = None

    def __enter__(self):
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        assert chromium and driver, "chromium and chromium-driver are needed (packaging/apt.txt)"
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT, text=True)
        for line in self.driver.stdout:
            if found := re.search(r"successfully on port (\d+)", line):
                self.address = f"http://127.0.0.1:{found[1]}"
                break
        options = {"binary": chromium, "args": self.flags}
        if self.telephone:
            options["mobileEmulation"] = {"deviceMetrics": self.telephone}
        made = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "timeouts": {"script": 60_000, "pageLoad": 60_000}}}})
        self.session = f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *_):
        if self.session:
            self.ask("DELETE", self.session)
        self.driver.terminate()
        self.driver.wait(20)
        self.driver.stdout.close()
        self.folder.cleanup()

    def ask(self, method, path, value=None):
        body = json.dumps(value).encode() if value is not None else None
        request = urllib.request.Request(self.address + path, body, {"Content-Type": "application/json"},
                                         method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise Failed(json.load(error)["value"]["message"].splitlines()[0]) from None

    def open(self, url):
        self.ask("POST", self.session + "/url", {"url": url})

    def run(self, script, *values):
        """Of a function's body; a promise that it returns is waited for."""
        return self.ask("POST", self.session + "/execute/sync", {"script": script, "args": list(values)})

    def find(self, selector):
        found = self.ask("POST", self.session + "/element", {"using": "css selector", "value": selector})
        return next(iter(found.values()))

    def type(self, selector, text):
        """Into a field, by the keyboard; a path into a field of files."""
        self.ask("POST", f"{self.session}/element/{self.find(selector)}/value", {"text": str(text)})

    def click(self, selector):
        self.ask("POST", f"{self.session}/element/{self.find(selector)}/click", {})

    def picture(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.ask("GET", self.session + "/screenshot")))
