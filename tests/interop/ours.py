"""Our worker beside a test: in a thread with an event loop of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from queuecore import Worker


@contextmanager
def working(queue: str, processor: Callable[..., Any], **options: Any) -> Iterator[Worker]:
    """Work ``queue`` while the block lasts, then shut the worker down; raises what it died of."""
    worker = Worker(queue, processor, **options)
    loops: list[asyncio.AbstractEventLoop] = []
    errors: list[BaseException] = []
    begun = threading.Event()

    async def work() -> None:
        loops.append(asyncio.get_running_loop())
        begun.set()
        try:
            await worker.arun()
        finally:
            await worker.queue.connection.aclose()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name=f"worker of {queue}")
    thread.start()
    begun.wait()
    try:
        yield worker
    finally:
        if thread.is_alive():
            asyncio.run_coroutine_threadsafe(worker.close(), loops[0])
        thread.join(60)
        assert not thread.is_alive(), "the worker did not end"
    if errors:
        raise errors[0]
