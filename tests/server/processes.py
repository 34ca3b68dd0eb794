"""``manage.py runworker`` in a process of its own, for tests that look at it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from tests.machine import ROOT

Start = Callable[..., "Worker"]
WARNINGS = ("-W", "error::RuntimeWarning")


class Worker:
    """One process of ``runworker``."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def until(self, what: Callable[[], Any], timeout: float = 15) -> Any:
        deadline = time.monotonic() + timeout
        while not (found := what()):
            assert self.process.poll() is None, f"ended with {self.process.poll()}: {self.said}"
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)  # between two looks; the deadline ends it
        return found

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self, timeout: float = 15) -> int:
        """Its exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it lives on after {timeout} s: {self.said}")


def starting(environment: dict[str, str], folder: Path) -> Iterator[Start]:
    """``start("emails", "--burst")`` starts ``runworker``; keywords are WORKER settings."""
    started: list[Worker] = []

    def start(
        *arguments: str,
        command: str = "runworker",
        apps: list[str] | None = None,
        url: str = "",
        tasks: dict[str, Any] | None = None,
        **worker: Any,
    ) -> Worker:
        own = environment | {
            "DJANGO_SETTINGS_MODULE": "tests.server.jobs.settings",
            "QUEUECORE_TEST_WORKER": json.dumps(worker),
        }
        if url:
            own["QUEUECORE_TEST_URL"] = url
        if tasks is not None:
            own["QUEUECORE_TEST_TASKS"] = json.dumps(tasks)
        if apps is not None:
            own["QUEUECORE_TEST_APPS"] = json.dumps(apps)
        log = (folder / f"log-{len(started)}").open("w+")
        process = subprocess.Popen(
            [sys.executable, *WARNINGS, str(ROOT / "manage.py"), command, *arguments],
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )
        started.append(Worker(process, log))
        return started[-1]

    yield start
    for worker in started:
        left = family(worker.process.pid)
        worker.process.kill()
        worker.process.wait()
        worker._log.close()
        # Its children end by themselves, but a moment later: they would write into the next test.
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def family(pid: int) -> list[int]:
    """The children of a process and theirs; none where it has ended."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in map(int, children) for one in (child, *family(child))]
