"""Processes that are measured: what they use, and who asks them over HTTP."""

from __future__ import annotations

import http.client
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.operations import PROBE
from bench.trials import BenchError
from tests import machine
from tests.servers import Server

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """What the process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_mib(pid: int, kind: str = "VmRSS") -> float:
    """Its resident memory; with ``VmHWM`` the most it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 1024
    raise BenchError(f"no {kind} of process {pid}")


@dataclass(frozen=True)
class Usage:
    """What a span of *seconds* cost: commands a second of the server, cores of a process.

    ``parts``: the commands a second of each part of the span, where it was measured in parts.
    """

    seconds: float
    commands: float
    cores: float
    mib: float
    parts: Sequence[float] = ()


class Meter:
    """Takes the :class:`Usage` between its making and :meth:`read`."""

    def __init__(self, client: Any, pid: int) -> None:
        self._client, self._pid = client, pid
        self._cpu, self._begun = cpu_seconds(pid), time.perf_counter()
        self._counts = [(self._begun, self._count())]

    def part(self) -> None:
        """End a part of the span here, and begin the next."""
        self._counts.append((time.perf_counter(), self._count()))

    def read(self) -> Usage:
        cpu = cpu_seconds(self._pid) - self._cpu
        self.part()
        parts = [
            # One of the two questions for a part counts in it.
            (after - before - 1) / (ended - begun)
            for (begun, before), (ended, after) in pairwise(self._counts)
        ]
        (begun, first), (ended, last) = self._counts[0], self._counts[-1]
        seconds = ended - begun
        commands = (last - first - len(parts)) / seconds
        return Usage(seconds, commands, cpu / seconds, memory_mib(self._pid), parts)

    def _count(self) -> int:
        return int(self._client.info("stats")["total_commands_processed"])


class Child:
    """A process that is measured: ``pid``. :meth:`close` ends it."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=machine.ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self, patience: float = 30) -> str:
        """The next line it says."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], patience)
        line = self._process.stdout.readline().strip() if ready else ""
        if not line:
            raise BenchError(f"a measured process says nothing: {self.log()}")
        return line

    def log(self) -> str:
        return self._log.read_text()[-2000:]

    def gone(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


class Visitor:
    """One connection that is kept, as a browser keeps it."""

    def __init__(self, url: str, cookie: str = "", patience: float = 60) -> None:
        address = urlsplit(url).netloc
        self._connection = http.client.HTTPConnection(address, timeout=patience)
        self._headers = {"Cookie": cookie} if cookie else {}

    def ask(self, path: str, method: str = "GET") -> bytes:
        self._connection.request(method, path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise BenchError(f"{method} {path} was answered with {answer.status}: {body[-500:]!r}")
        return body

    def times(self, path: str, count: int) -> list[float]:
        """Milliseconds from the request to the last byte of its answer, *count* times."""
        took = []
        self.ask(path)
        for _ in range(count):
            begun = time.perf_counter()
            self.ask(path)
            took.append((time.perf_counter() - begun) * 1000)
        return took

    def close(self) -> None:
        self._connection.close()


class Probe:
    """Another client of the server, which asks ``GET`` every 2 ms and notes what it waits."""

    def __init__(self, server: Server) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROBE, str(server.socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def read(self) -> tuple[float, float, float]:
        """End it: the median, the 99th percentile and the longest wait, in ms."""
        said, _ = self._process.communicate("x")
        median, p99, longest = (float(one) for one in said.split())
        return median, p99, longest
