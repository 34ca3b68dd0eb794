"""A worker of ours, of quick jobs, in a process of its own.

Arguments of ``python -m tests.interop.limited_worker``: the queue, how many seconds each job takes,
and options of ``Worker`` as JSON, where ``limiter`` is ``[max, duration]``. It ends with SIGTERM.
"""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.machine import ROOT


@contextmanager
def processes(
    count: int, queue: str, environment: dict[str, str], seconds: float = 0, **options: Any
) -> Iterator[None]:
    """So many processes with a worker each, named ``ours 1``, ``ours 2``, ..."""
    with ExitStack() as stack:
        for number in range(1, count + 1):
            given = json.dumps({"name": f"ours {number}"} | options)
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, queue, str(seconds), given],
                env=environment,
                cwd=ROOT,
            )
            stack.callback(_end, process)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(20) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def main(queue: str, seconds: str, given: str) -> None:
    import django

    django.setup()
    from queuecore import Job, RateLimit, Worker

    async def work(job: Job) -> None:
        if seconds != "0":
            await asyncio.sleep(float(seconds))

    options = json.loads(given)
    if limiter := options.pop("limiter", None):
        options["limiter"] = RateLimit(*limiter)
    Worker(queue, work, **options).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
