"""Bull Board, npm's dashboard, over the same queues: its server, and what its page asks of it."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.dashboard.fill import BIG, others
from bench.dashboard.processes import Child, Meter, Probe, Usage, Visitor, cpu_seconds, memory_mib
from bench.trials import BenchError
from tests import machine
from tests.servers import Server

FOLDER = machine.PEERS / "bull-board"
SCRIPT = machine.ROOT / "tests" / "interop" / "bull_board.mjs"
#: Its page asks so often (``pollingInterval`` in the settings of its UI; 5 s until somebody changes
#: them) and shows so many jobs (``jobsPerPage``).
POLL_S, PER_PAGE = 5.0, 10
OVERVIEW = f"/api/queues?page=1&jobsPerPage={PER_PAGE}"


def jobs_page(page: int) -> str:
    """What it asks for on a page of failed jobs."""
    return f"/api/queues?activeQueue={BIG}&status=failed&page={page}&jobsPerPage={PER_PAGE}"


@dataclass(frozen=True)
class Retried:
    """What a retry of all came to: jobs, seconds, what others waited, and what it cost."""

    jobs: int
    seconds: float
    waits: tuple[float, float, float]
    cores: float
    mib: float
    finished: bool = True


class Board(Child):
    """Its server over so many queues: ``url``."""

    def __init__(self, server: Server, node: Path, queues: int, log: Path) -> None:
        connection = json.dumps({"path": str(server.socket)})
        names = [BIG, *others(queues)]
        command = [str(node), str(SCRIPT), str(FOLDER), connection, *names]
        super().__init__(command, os.environ | {"NODE_ENV": "production"}, log)
        self.url = self.line()
        self._server = server

    def viewers(self, client: Any, count: int, seconds: float) -> Usage:
        """So many of its pages open on the overview for a while, none at the same moment."""
        ending = threading.Event()
        errors: list[Exception] = []

        def look(number: int) -> None:
            visitor = Visitor(self.url)
            if ending.wait(number * POLL_S / count):
                return
            try:
                while True:
                    begun = time.monotonic()
                    visitor.ask(OVERVIEW)
                    if ending.wait(max(begun + POLL_S - time.monotonic(), 0)):
                        return
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=look, args=(n,)) for n in range(count)]
        meter = Meter(client, self.pid)
        for one in threads:
            one.start()
        ending.wait(seconds)
        used = meter.read()
        ending.set()
        for one in threads:
            one.join()
        if errors:
            raise BenchError(f"Bull Board: {errors[0]}")
        return used

    def retry_all(self, client: Any, limit: float) -> Retried:
        """Have it retry all failed jobs, and stop it after *limit* seconds."""
        there = client.zcard(f"bull:{BIG}:failed")
        visitor = Visitor(self.url, patience=limit)
        asking = threading.Thread(target=_quietly, args=(visitor,), daemon=True)
        probe = Probe(self._server)
        cpu, begun = cpu_seconds(self.pid), time.perf_counter()
        asking.start()
        asking.join(limit)
        seconds = time.perf_counter() - begun
        left = client.zcard(f"bull:{BIG}:failed")
        used = (cpu_seconds(self.pid) - cpu) / seconds
        return Retried(
            there - left, seconds, probe.read(), used, memory_mib(self.pid, "VmHWM"), not left
        )


def _quietly(visitor: Visitor) -> None:
    # It is stopped in the middle where it takes too long.
    try:
        visitor.ask(f"/api/queues/{BIG}/retry/failed", "PUT")
    except (OSError, BenchError):
        return
