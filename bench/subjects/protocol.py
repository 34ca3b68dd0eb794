"""What a measured process and the bench say to each other. Standard library only: peers import it.

One JSON object a line. The bench sends the task; the process prepares everything that is not to be
measured and says ``ready``; the bench says ``go``; a producer answers with what it measured when it
is done, a worker when the bench says ``stop``.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def read_task() -> dict[str, Any]:
    """The task, from the first line of standard input."""
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    return task


def say_ready() -> None:
    """Say that all is prepared, and wait until the bench says go."""
    print("ready", flush=True)
    sys.stdin.readline()


def wait_for_stop() -> None:
    """Wait until the bench has seen the end of the work (or has gone away)."""
    sys.stdin.readline()


def answer(**result: Any) -> None:
    """Tell the bench what was measured."""
    print(json.dumps(result), flush=True)


def peak_memory() -> int:
    """The most memory that this process has held at once, in bytes."""
    try:
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        # Elsewhere; on Linux it begins with what the process that started this one had.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Measure a block: ``seconds`` by the clock, ``cpu`` seconds of this process, all threads."""
    result: dict[str, float] = {}
    cpu, begun = time.process_time(), time.monotonic()
    yield result
    result["seconds"] = time.monotonic() - begun
    result["cpu"] = time.process_time() - cpu


class Notes:
    """What a worker notes of its jobs.

    The work begins when its first processor is called, and ends when the server has acknowledged
    its last job; the same for every implementation. Monotonic seconds, one clock for all processes
    of a machine.
    """

    def __init__(self) -> None:
        self.begun = 0.0
        self.ended = 0.0
        self.jobs = 0
        self.waits: list[float] = []
        self._cpu = 0.0

    def start(self) -> None:
        """A processor was called."""
        if not self.begun:
            self.begun = time.monotonic()
            self._cpu = time.process_time()

    def pick_up(self, sent: int) -> None:
        """A processor was called for a job that was sent at *sent* (monotonic nanoseconds)."""
        self.waits.append((time.monotonic_ns() - sent) / 1e6)

    def acknowledge(self, jobs: int = 1) -> None:
        """The server has acknowledged the outcome of *jobs*."""
        if jobs:
            self.jobs += jobs
            self.ended = time.monotonic()

    def tell(self, **more: Any) -> None:
        """Answer with the notes, and *more*."""
        answer(
            begun=self.begun,
            ended=self.ended,
            jobs=self.jobs,
            cpu=time.process_time() - self._cpu,
            waits=self.waits,
            rss=peak_memory(),
            **more,
        )
