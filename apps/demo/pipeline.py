"""`tallymill up` in a folder of the demo's own, and the commands that talk to it.

The sockets lie in a folder with a short name: a socket's path may have 107 bytes, and no port is
taken, so that another pipeline on this machine is not disturbed, nor disturbs.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_PDEATHSIG = 1
WORKERS_WITHIN_S = 30
STOPPED_WITHIN_S = 30
JOB_WITHIN_S = 120


class CannotRun(Exception):
    """A reason outside of the demo: exit 70."""


def end_with_parent(parent):
    """In the child: a demo that is killed leaves no pipeline behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def as_json(text):
    """{} for what is none."""
    try:
        return json.loads(text)
    except ValueError:
        return {}


class Pipeline:
    def __init__(self, programs, folder):
        self.programs, self.folder = pathlib.Path(programs), folder
        self.launcher = str(self.programs / "tallymill")
        self.sockets = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-demo-"))
        self.server = f"ipc://{self.sockets}/jobs.sock"
        self.log_path = folder / "up.log"
        self.up = None

    def __enter__(self):
        listen, results, control = (f"ipc://{self.sockets}/front-{door}.sock"
                                    for door in ("listen", "results", "control"))
        # What the user has set for his own pipeline is not meant for this one.
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TALLYMILL_")}
        parent = os.getpid()
        with open(self.log_path, "wb") as log:
            self.up = subprocess.Popen(
                [self.launcher, "up", "--run-dir", self.sockets, "--data-dir", self.folder / "data",
                 "--front.listen", listen, "--front.results", results, "--front.control", control,
                 "--front.http", "off", "--collector.http", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True, preexec_fn=lambda: end_with_parent(parent))
        try:
            self.wait_for_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.up.poll() is None:
            self.up.send_signal(signal.SIGTERM)
            try:
                self.up.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.up.send_signal(signal.SIGTERM)  # the second one ends all at once
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.up.wait(5)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def wait_for_workers(self):
        end = time.monotonic() + WORKERS_WITHIN_S
        while True:
            if self.up.poll() is not None:
                raise CannotRun(f"`tallymill up` ended at once:\n{self.last_log()}")
            answer = self.ask("workers", "--timeout", 2)
            self.workers = [w for w in answer.get("workers", []) if w["open"]]
            if {w["stage"] for w in self.workers} >= {"compute", "image"}:
                return
            if time.monotonic() > end:
                raise CannotRun(f"no workers within {WORKERS_WITHIN_S} s:\n{self.last_log()}")
            time.sleep(0.05)

    def last_log(self):
        lines = self.log_path.read_text(errors="replace").splitlines()[-8:]
        return "\n".join("  " + line for line in lines)

    def command(self, *words):
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TALLYMILL_")}
        return subprocess.run([self.launcher, *map(str, words), "--server", self.server],
                              capture_output=True, text=True, env=environment)

    def ask(self, *words):
        """The JSON that a command answers; {} when it has none."""
        return as_json(self.command(*words, "--json").stdout)

    def run(self, kind, params, folder, photo=None):
        """One job to its end, as `tallymill run --json` says it: with `files`, or `code`."""
        files = [photo] if photo else []
        answer = self.command("run", kind, *files, "--params", json.dumps(params), "--out", folder,
                              "--timeout", JOB_WITHIN_S, "--json")
        jobs = as_json(answer.stdout).get("jobs")
        if jobs:
            return jobs[0]
        error = as_json(answer.stderr).get("error") or {"code": "?", "message": answer.stderr.strip()}
        return {"state": "refused", **error}

    def timeline(self, job):
        """Where its time went, once the front has stored the whole of it."""
        end = time.monotonic() + 10
        while True:
            timeline = self.ask("explain", job)
            if timeline.get("whole_ns") or time.monotonic() > end:
                return timeline
            time.sleep(0.05)

    def show(self, *words):
        """A command's own words, as it would draw them here."""
        sys.stdout.flush()
        subprocess.run([self.launcher, *map(str, words), "--server", self.server], check=False)
