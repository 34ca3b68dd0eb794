"""The launcher of the embedded server: one small detached process that owns the server alone.

:func:`queuecore.wire.embedded.ensure` starts it as a script, with the standard library only. It

1. takes ``server.lock`` exclusively and keeps it for its life; where another launcher has it, it
   leaves at once;
2. adopts a server that already answers on the socket, else starts one;
3. watches the server and the users. Users hold ``users.lock`` shared; once the launcher gets it
   exclusively nobody is left, so it ends the server cleanly, waits until it has ended, and leaves.

When the server ends by itself the launcher leaves too, and the next user starts another: one
launcher, one life of a server. When the launcher is killed, the kernel ends its server (Linux);
elsewhere the next launcher adopts it. ``data.lock`` is inherited by the server process and so
outlives its launcher: two servers never write one append-only file.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

POLL = 0.2  # seconds between two looks at the users; the server's end is noticed at once
END_TIMEOUT = 10.0  # seconds for a clean end, then the server is killed
LOG_LIMIT = 1_000_000  # bytes; a larger log is set aside at the next start
PR_SET_PDEATHSIG = 1


class Place:
    """Where the embedded server of one project lives: its folder, its locks and its socket."""

    def __init__(self, project_dir: str | os.PathLike[str]) -> None:
        self.folder = Path(os.path.realpath(project_dir)) / ".queuecore"
        # A socket's path ends at 108 bytes (104 on macOS), so it cannot lie in the project; and a
        # fixed /tmp, since TMPDIR may differ between two processes of the same project.
        name = hashlib.sha256(f"{os.geteuid()}:{self.folder}".encode()).hexdigest()[:16]
        self.socket_dir = Path("/tmp") / f"queuecore-{name}"
        self.socket = self.socket_dir / "server.sock"
        self.server_lock = self.folder / "server.lock"
        self.users_lock = self.folder / "users.lock"
        self.data_lock = self.folder / "data.lock"
        self.log = self.folder / "logs" / "server.log"

    def prepare(self) -> None:
        """Make what is missing; raise PermissionError where the socket's directory is not safe."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        try:
            self.socket_dir.mkdir(mode=0o700)
        except FileExistsError:
            found = self.socket_dir.lstat()
            safe = stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o777 == 0o700
            if not safe or found.st_uid != os.geteuid():
                raise PermissionError(
                    f"{self.socket_dir} must be a directory (no link) of this user with mode "
                    f"0700, but it has mode {found.st_mode:o} and owner {found.st_uid}; whoever "
                    f"can write there could pose as the server. Look at it and remove it."
                ) from None


def lock(path: Path, kind: int) -> int | None:
    """Return a descriptor that holds the lock file *path*, or None where others hold it.

    The lock lives as long as a process has the descriptor open. Closing gives it back without
    unlocking what a forked process inherited, so nothing here ever calls ``LOCK_UN``.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        if is_current(fd, path):
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def is_current(fd: int, path: Path) -> bool:
    """Tell whether *path* still is the file behind *fd*: false once its folder was removed."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def ask(path: Path, command: bytes = b"PING", timeout: float = 1.0) -> str | None:
    """Return the first line of the server's answer, or None where none answers in time.

    Any answer shows a live server: ``+PONG``, ``-LOADING ...``, ``-BUSY ...``, ``-MISCONF ...``.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(path))
            connection.sendall(command + b"\r\n")
            return connection.recv(512).decode(errors="replace").strip() or None
        except OSError:
            return None


def is_loading(answer: str | None) -> bool:
    """Tell whether a live server is still reading its append-only file."""
    return answer is not None and answer.startswith("-LOADING")


class Server:
    """The server that this launcher owns: a child of its own, or an adopted one."""

    def __init__(self, place: Place, child: subprocess.Popen[bytes] | None) -> None:
        self.place = place
        self.child = child

    def ended(self) -> bool:
        """Tell whether the process is gone; an adopted one shows it by its lock and silence."""
        if self.child is not None:
            return self.child.poll() is not None
        fd = lock(self.place.data_lock, fcntl.LOCK_EX)
        if fd is not None:
            os.close(fd)
        return fd is not None and ask(self.place.socket) is None

    def end(self) -> None:
        """End it cleanly and wait for that; kill a child that does not end in time."""
        if self.child is not None:
            self.child.terminate()
        else:
            ask(self.place.socket, b"SHUTDOWN", timeout=END_TIMEOUT)
        deadline = time.monotonic() + END_TIMEOUT
        while not self.ended():
            if time.monotonic() > deadline:
                if self.child is not None:
                    self.child.kill()
                    self.child.wait()
                return
            time.sleep(0.01)


def end_with_parent() -> Callable[[], None]:
    """A ``preexec_fn``: the child is told to end (SIGTERM) when this process dies. Linux only.

    The signal comes when the *thread* that starts the child ends, so that must be the main thread.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None)

    def ask_for_signal() -> None:
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before the call
                os._exit(1)

    return ask_for_signal


def arguments(place: Place, binary: str) -> list[str]:
    """The server's command line: append-only, on its socket alone, never a port."""
    return [
        *(binary, "--port", "0", "--unixsocket", str(place.socket), "--unixsocketperm", "700"),
        *("--dir", str(place.folder), "--appendonly", "yes", "--appendfsync", "everysec"),
        *("--save", "", "--daemonize", "no", "--maxmemory-policy", "noeviction"),
    ]


def start(place: Place, binary: str, data_lock: int, say: Callable[[str], None]) -> Server | None:
    """Start a server and wait until it has read its data; None (and why, said) where it ended."""
    if place.log.exists() and place.log.stat().st_size > LOG_LIMIT:
        place.log.replace(place.log.with_suffix(".log.1"))
    with place.log.open("ab") as log:
        begin = log.tell()
        try:
            child = subprocess.Popen(
                arguments(place, binary),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=place.folder,
                pass_fds=(data_lock,),
                preexec_fn=end_with_parent(),
            )
        except OSError as error:
            say(f"error {binary} cannot be run: {error}")
            return None
    os.close(data_lock)  # the server's copy is the one that counts from here on
    said = time.monotonic()
    while True:
        answer = ask(place.socket)
        if answer is not None and not is_loading(answer):
            return Server(place, child)
        if child.poll() is not None:
            with place.log.open("rb") as written:
                written.seek(begin)
                lines = written.read().decode(errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
            say(f"error {binary} ended at its start (code {child.returncode}): {last}")
            return None
        if is_loading(answer) and time.monotonic() - said > 1:
            said = time.monotonic()
            say("loading")
        time.sleep(0.01)


def watch(server: Server, wake: int) -> None:
    """Return when the server has ended: by itself, or because its last user left."""
    place = server.place
    users = os.open(place.users_lock, os.O_RDWR | os.O_CREAT, 0o600)
    stop: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    while not server.ended():
        nobody = lock(place.users_lock, fcntl.LOCK_EX)
        # A removed folder is nobody's too: its data is gone, and new users need a new server.
        if nobody is not None or stop or not is_current(users, place.users_lock):
            server.end()
            # Users wait for the lock meanwhile. It is given back when this process ends; the
            # launcher's own lock goes first (main), so the next launcher is not turned away.
            if nobody is not None and place.socket_dir.exists():
                remove(place)
            return
        if select.select([wake], [], [], POLL)[0]:
            os.read(wake, 512)


def remove(place: Place) -> None:
    """Leave nothing in /tmp."""
    place.socket.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody put a file there: not ours to remove
        place.socket_dir.rmdir()


def own(place: Place, binary: str, say: Callable[[str], None], wake: int) -> None:
    """Adopt or start the server, then watch it to its end."""
    while True:
        nobody = lock(place.users_lock, fcntl.LOCK_EX)
        if nobody is not None:
            os.close(nobody)
            return  # whoever started this launcher is gone already
        if ask(place.socket) is not None:
            server: Server | None = Server(place, None)
            break
        data_lock = lock(place.data_lock, fcntl.LOCK_EX)
        if data_lock is not None:
            server = start(place, binary, data_lock, say)
            break
        time.sleep(0.02)  # a server whose launcher was killed is writing its file to the end
    if server is not None:
        say("up")
        watch(server, wake)


def main(project_dir: str, binary: str) -> None:
    """Detach, own the server, and tell the starter on standard output: held, up or error ..."""
    if os.fork():
        os._exit(0)  # the starter reaps this one, so that no zombie is left to it
    place = Place(project_dir)

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # the starter may be gone
            os.write(1, line.encode() + b"\n")

    server_lock = lock(place.server_lock, fcntl.LOCK_EX)
    if server_lock is None:
        say("held")
        return
    os.ftruncate(server_lock, 0)
    os.write(server_lock, f"{os.getpid()}\n".encode())
    # A signal, the child's end above all, wakes the select of watch().
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    own(place, binary, say, wake)
    os.close(server_lock)


if __name__ == "__main__":
    main(*sys.argv[1:])
