"""Worker processes that tests start, kill and start again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.ledger import VARIABLE, Ledger
from tests.machine import ROOT


class Fleet:
    """One ``manage.py runworker`` at a time, with all processes that it starts.

    ``command``: another one of ``manage.py``.
    """

    def __init__(
        self,
        environment: dict[str, str],
        ledger: Ledger,
        log: Path,
        command: str = "runworker",
    ) -> None:
        self._command = command
        self._environment = environment | {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            VARIABLE: str(ledger.path),
        }
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str, url: str = "", **worker: Any) -> None:
        """Start ``runworker`` with ``arguments``; ``worker`` are keys of the WORKER setting.

        ``url`` is the server's where it is not the tests' own.
        """
        assert self._process is None
        environment = self._environment | {"QUEUECORE_TEST_WORKER": json.dumps(worker)}
        if url:
            environment["QUEUECORE_TEST_URL"] = url
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), self._command, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until(self, what: Callable[[], object], timeout: float, *, dies: bool = False) -> None:
        """Wait until ``what()`` is true; fails when that takes too long, or when the process ends
        that is not said to die."""
        deadline = time.monotonic() + timeout
        while not what():
            ended = self.exit_code is not None and not dies
            assert not ended, f"runworker ended with {self.exit_code}:\n{self.said()}"
            assert time.monotonic() < deadline, f"not within {timeout} s:\n{self.said()}"
            time.sleep(0.005)  # between two looks; the deadline ends it

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended, else None."""
        assert self._process is not None
        return self._process.poll()

    def pids(self) -> list[int]:
        """The process and all that descend from it."""
        assert self._process is not None
        return tree(self._process.pid)

    def kill(self) -> list[int]:
        """SIGKILL the whole tree, stopped first so that none starts another; the pids killed."""
        pids: list[int] = []
        while new := [pid for pid in self.pids() if pid not in pids]:
            for pid in new:
                send(pid, signal.SIGSTOP)
            pids += new
        for pid in pids:
            send(pid, signal.SIGKILL)
        self._reap(5)
        deadline = time.monotonic() + 5
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < deadline, f"{pids} live on after SIGKILL"
            time.sleep(0.001)  # between two looks; the deadline ends it
        return pids

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the first process."""
        assert self._process is not None
        send(self._process.pid, number)

    def terminate(self, timeout: float) -> tuple[int, float]:
        """SIGTERM the first process; its exit code and how many seconds it took."""
        assert self._process is not None
        pids = self.pids()
        begun = time.monotonic()
        send(self._process.pid, signal.SIGTERM)
        code = self._reap(timeout)
        took = time.monotonic() - begun
        left = [pid for pid in pids if alive(pid)]
        assert not left, f"{left} live on after the exit of their parent"
        return code, took

    def wait(self, timeout: float) -> int:
        """Wait until it ends by itself; its exit code."""
        return self._reap(timeout)

    def _reap(self, timeout: float) -> int:
        assert self._process is not None
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"runworker lives on after {timeout} s:\n{self.said()}") from None
        self._process = None
        return code

    def said(self) -> str:
        """The end of what it wrote so far."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def close(self) -> None:
        if self._process is not None:
            self.kill()


def migrate(environment: dict[str, str]) -> None:
    """Make the tables of the database that processes with this environment have."""
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(command, env=environment, check=True)


def tree(pid: int) -> list[int]:
    """``pid`` and its living descendants, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parent = int(after_name(entry)[1])
            children.setdefault(parent, []).append(int(entry.parent.name))
    found = [pid]
    for one in found:  # grows while it is walked
        found += children.get(one, [])
    return found


def after_name(stat: Path) -> list[str]:
    """What stands in a process's ``stat`` behind its name (which may hold anything)."""
    return stat.read_text().rpartition(")")[2].split()


def alive(pid: int) -> bool:
    """Whether ``pid`` runs; one that has ended but was not waited for does not."""
    try:
        return after_name(Path(f"/proc/{pid}/stat"))[0] not in "ZX"
    except OSError:
        return False


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
