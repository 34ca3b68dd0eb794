"""An idle fleet: what it asks of the server, what it uses, and how fast it wakes up."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.dashboard.processes import Child, cpu_seconds, memory_mib
from bench.fleet import QUEUES
from bench.trials import PATIENCE, BenchError
from queuecore.wire.scripts import load
from tests import machine

SCRIPTS = machine.ROOT / "queuecore" / "lua"


@dataclass(frozen=True)
class Idle:
    """What an idle fleet cost over *seconds*, and its pickup of *jobs* jobs before.

    ``by``: commands a second that clients sent, by their name; ``inner``: those that scripts
    called. ``cores``, ``mib``: of each process. ``server``: the server's own cores.
    """

    seconds: float
    by: dict[str, float]
    inner: float
    server: float
    cores: list[float]
    mib: list[float]
    supervisor: float | None
    jobs: int
    median_ms: float
    p99_ms: float
    longest_ms: float

    @property
    def commands(self) -> float:
        """Commands a second sent by clients."""
        return sum(self.by.values())


class Fleet:
    """*size* worker processes; *supervised*: started by one, each of them working all queues."""

    def __init__(self, client: Any, folder: Path, size: int, *, supervised: bool) -> None:
        self._client = client
        self._queues = QUEUES[:size]
        command = [sys.executable, str(machine.ROOT / "manage.py"), "runworker"]
        if supervised:
            commands = [[*command, *self._queues, "--processes", str(size)]]
        else:
            commands = [[*command, queue] for queue in self._queues]
        self._children = [
            Child(one, dict(os.environ), folder / f"log-{supervised}-{number}")
            for number, one in enumerate(commands)
        ]
        self._supervised = supervised
        try:
            self._wait_for(size * (size if supervised else 1))
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """The worker processes."""
        if not self._supervised:
            return [one.pid for one in self._children]
        (supervisor,) = self._children
        found = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def measure(self, jobs: int, seconds: float, settle: float) -> Idle:
        """Give it so many jobs, one by one, and after *settle* seconds let it idle for so long."""
        waits = self._pick_up(jobs)
        time.sleep(settle)
        pids = self.pids
        supervisor = self._children[0].pid if self._supervised else None
        before = [cpu_seconds(pid) for pid in pids]
        above = cpu_seconds(supervisor) if supervisor else 0.0
        server, begun = self._server_cpu(), time.perf_counter()
        by, inner = commands(self._client, seconds)
        took = time.perf_counter() - begun
        idle = (self._server_cpu() - server) / took
        cores = [(cpu_seconds(pid) - cpu) / took for pid, cpu in zip(pids, before, strict=True)]
        above = (cpu_seconds(supervisor) - above) / took if supervisor else 0.0
        return Idle(
            took,
            {name: count / took for name, count in by.items()},
            inner / took,
            idle,
            cores,
            [memory_mib(pid) for pid in pids],
            above if supervisor else None,
            jobs,
            statistics.median(waits),
            waits[math.ceil(len(waits) * 0.99) - 1],
            waits[-1],
        )

    def close(self) -> None:
        for one in self._children:
            one.close()

    def _wait_for(self, blocked: int) -> None:
        self._until(
            lambda: self._client.info("clients")["blocked_clients"] >= blocked,
            "not all of the fleet's workers wait for jobs",
        )

    def _pick_up(self, jobs: int) -> list[float]:
        """The ms from the add to the processor, in order; the queues take turns."""
        from queuecore import Queue

        queues = [Queue(name) for name in self._queues]
        added = []
        for number in range(jobs):
            queue = queues[number % len(queues)]
            job = queue.add("job", {"sent": time.monotonic_ns()})
            added.append((queue, job.id))
            key = f"bull:{queue.name}:completed"
            want = number // len(queues) + 1
            self._until(
                lambda key=key, want=want: self._client.zcard(key) >= want,
                "a job was not done",
            )
            time.sleep(0.003)  # not in step with anything
        values = (self._client.hget(f"bull:{one.name}:{id}", "returnvalue") for one, id in added)
        return sorted(int(value) / 1e6 for value in values)

    def _until(self, what: Callable[[], bool], failing: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            for one in self._children:
                if one.gone():
                    raise BenchError(f"a process of the fleet has ended: {one.log()}")
            if time.monotonic() > deadline:
                raise BenchError(failing)
            time.sleep(0.002)

    def _server_cpu(self) -> float:
        used: dict[str, float] = self._client.info("cpu")
        return used["used_cpu_user"] + used["used_cpu_sys"]


def commands(client: Any, seconds: float) -> tuple[Counter[str], int]:
    """What clients send in so many seconds, by name (scripts by theirs), and how much scripts call.

    From MONITOR, which tells the two apart.
    """
    names = {load(one.stem).sha: one.stem for one in SCRIPTS.glob("*.lua")}
    sent: Counter[str] = Counter()
    inner = 0
    with client.monitor() as monitor:
        until = time.time() + seconds
        for one in monitor.listen():
            if one["time"] >= until:
                break
            name, _, rest = str(one["command"]).partition(" ")
            if one["client_type"] == "lua":
                inner += 1
            else:
                sent[names.get(rest.partition(" ")[0], name.upper())] += 1
    return sent, inner
