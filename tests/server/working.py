"""A worker in the test's own event loop, and the waiting for what it does."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from queuecore import Queue, Worker
from queuecore.wire.connections import get_connection

# Shorter than the worker's drain delay: a wake-up that was lost is a failure, not a wait.
PATIENCE = 4.0


@asynccontextmanager
async def working(
    processor: Any, queue: str = "q", *, timeout: float = 5, **options: Any
) -> AsyncIterator[Worker]:
    """A worker on *queue* until the block ends; then it is closed, with *timeout* seconds."""
    worker = Worker(queue, processor, **options)
    task = asyncio.create_task(worker.arun())
    try:
        yield worker
    finally:
        await worker.close(timeout)
        try:
            await asyncio.wait_for(task, timeout + 5)
        finally:
            for connection in {worker.queue.connection, get_connection()}:
                await connection.aclose()


async def until(what: Callable[[], Any], timeout: float = PATIENCE) -> Any:
    """Wait until ``what()`` is true, or awaits to something true; its value."""
    async with asyncio.timeout(timeout):
        while True:
            found = what()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.005)  # between two looks; the deadline ends it


async def finished(queue: Queue, count: int, timeout: float = PATIENCE) -> dict[str, int]:
    """Wait until *count* jobs are completed or failed; all counts."""

    async def enough() -> dict[str, int] | None:
        counts = await queue.aget_job_counts()
        return counts if counts["completed"] + counts["failed"] >= count else None

    found: dict[str, int] = await until(enough, timeout)
    return found


def told(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> list[str]:
    """What the worker said of itself; how jobs failed has a logger of its own."""
    return [
        one.getMessage()
        for one in caplog.records
        if one.name == "queuecore.worker" and one.levelno >= level
    ]


async def fields(queue: Queue, id: str) -> dict[str, str]:
    """The hash of a job as it stands in the server."""
    flat = await queue.connection.arun(_hash(queue, id))
    return {name.decode(): value.decode() for name, value in flat}


def _hash(queue: Queue, id: str) -> Any:
    from queuecore.wire.calls.base import Command

    return Command(
        ("HGETALL", queue.keys.job(id)),
        lambda flat: list(zip(flat[::2], flat[1::2], strict=True)),
    )
