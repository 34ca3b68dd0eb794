"""A worker of ours in a process of its own, to be killed: ``python -m tests.interop.workers``."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.machine import ROOT


@contextmanager
def child_worker(queue: str, environment: dict[str, str], **options: Any) -> Iterator[int]:
    """A process whose worker claims jobs of ``queue`` and never finishes one; its pid."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.interop.workers", queue, json.dumps(options)],
        env=environment,
        cwd=ROOT,
    )
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def main(queue: str, options: str) -> None:
    import django

    django.setup()
    from queuecore import Job, Worker

    async def hold(job: Job) -> None:
        await asyncio.Event().wait()

    Worker(queue, hold, concurrency=5, **json.loads(options)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
