"""A private Postgres for tests: a cluster in a folder of its own, reached by a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg

from tests.machine import find_postgres
from tests.servers import private_folder

START_SECONDS = 60

# As tests/servers.py has it: Postgres ends with the process that started it. It becomes its account
# first, which may not be allowed to read this Python, and would forget the signal.
LAUNCHER = """
import ctypes, os, signal, sys
if sys.argv[2]:
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[2]))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[4], sys.argv[4:])
"""


class Postgres:
    """One cluster: ``url`` as DATABASE_URL takes it; start, restart, close.

    Postgres refuses to run as root, so that there it runs as ``postgres`` or ``nobody``.
    """

    def __init__(self) -> None:
        programs = find_postgres()
        if programs is None:
            raise RuntimeError("No Postgres found: `make test-slow` brings it (apt-get install)")
        self._programs = programs
        self.folder = private_folder()
        self.url = f"postgres:///postgres?host={self.folder}&user=qc"
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = _account()
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        subprocess.run(
            [programs / "initdb", "-D", self.folder / "data", "-U", "qc", "-A", "trust", "-N"],
            check=True,
            capture_output=True,
            cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            **self._as,
        )

    def start(self) -> "Postgres":
        """Start it and wait until it takes connections."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "fsync": "off",  # nothing in it has to outlive a power cut
            "log_destination": "stderr",
        }
        command = [sys.executable, "-IS", "-c", LAUNCHER, str(os.getpid())]
        command += [str(self._as.get(name, "")) for name in ("user", "group")]
        command += [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.ask("SELECT 1")
                return self
            except psycopg.OperationalError:
                time.sleep(0.05)  # between two tries; the deadline ends it
        raise RuntimeError(f"Postgres does not start:\n{(self.folder / 'log').read_text()}")

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """The rows that answer *question*, over a connection of its own."""
        with psycopg.connect(
            host=str(self.folder), user="qc", dbname="postgres", autocommit=True
        ) as connection:
            cursor = connection.execute(question.encode())
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """End it as an operator does in a hurry: running transactions are broken off."""
        self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """End it and remove its files."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("Postgres cannot run as root, and there is neither postgres nor nobody")
