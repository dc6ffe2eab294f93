"""A redis and a PostgreSQL of Debian as processes of their own, for tests: on free ports of loopback, with a password, in
folders that go with them."""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess

from mill import free_ports, until

PASSWORD = "pa55-of-the-test"


def answers(port):
    with socket.socket() as tried:
        tried.settimeout(1)
        return tried.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """By `with` it ends with the block, also when it was stopped."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        (self.port,) = free_ports(1)
        self.process = None

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        until(lambda: answers(self.port), 30, f"{type(self).__name__} takes connections")
        return self

    def end(self, signal_number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal_number)
            self.process.wait(30)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.end()


class Redis(Server):
    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]


class Postgres(Server):
    """Of a user that is not root, whom it refuses."""

    def __init__(self, folder):
        super().__init__(folder)
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        self.programs = found[-1].parent
        self.data = self.folder / "data"
        self.data.mkdir()
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            for path in (self.folder, self.data):
                shutil.chown(path, user.pw_uid, user.pw_gid)
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o644)
        subprocess.run([*self.as_user(), self.programs / "initdb", "-D", self.data, "-U", "mill", "-A", "scram-sha-256",
                        "--pwfile", password, "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)

    def as_user(self):
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []

    def command(self):
        return [*self.as_user(), self.programs / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1",
                "-c", "unix_socket_directories=", "-c", "fsync=off"]

    def dsn(self, password=PASSWORD):
        return f"host=127.0.0.1 port={self.port} user=mill dbname=postgres password={password}"

    def end(self, signal_number=signal.SIGINT):  # fast: who is connected is hung up on
        super().end(signal_number)
