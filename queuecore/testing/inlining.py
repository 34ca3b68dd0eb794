"""Inline mode: a job runs at once, in the thread that adds it, before the add returns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from asgiref.sync import sync_to_async

from ..errors import JobNotFound
from ..flow import JobNode
from ..job import Job
from ..wire.calls.base import Call
from ..wire.connections import Connection
from .draining import drain_all, working
from .fake_clock import clock
from .server import private_server

# What may make a job ready to run.
_SCRIPTS = {
    *("add_jobs", "add_richer_jobs", "add_flow", "upsert_job_scheduler", "resume", "promote"),
    *("promote_chunk", "promote_grouped", "retry_chunk", "reprocess_job", "move_jobs_to_wait"),
    *("change_delay", "remove_child_dependency", "remove_job", "remove_unprocessed_children"),
}


@contextmanager
def inline(*, raise_errors: bool = True) -> Iterator[None]:
    """Run each job at once where it is added, with the jobs that it adds, for a block.

    Its data goes through JSON and the server, its tries are made one after another without their
    backoff, and the jobs that an add returns know their results. A delayed job waits until the
    clock is moved on: :meth:`FakeClock.advance` runs what comes due.

    Args:
        raise_errors: let the error of a job that fails for good be raised by the add.
    """
    pending: list[bool] = []

    def settle(end: int | None = None) -> None:
        while True:
            with working() as free:
                if not free:
                    return  # whoever works now finds it
                pending.clear()
                drain_all(raise_errors=raise_errors, end=end)
            if not pending:
                return

    def noticed(request: Any) -> None:
        requests = request if isinstance(request, list) else [request]
        if any(isinstance(one, Call) and one.script in _SCRIPTS for one in requests):
            pending.append(True)

    run, arun = Connection.run, Connection.arun
    exchange, aexchange = Connection.exchange, Connection.aexchange

    def run_inline(self: Connection, operation: Any) -> Any:
        result = run(self, operation)
        if pending:
            settle()
            _refresh(result)
        return result

    async def arun_inline(self: Connection, operation: Any) -> Any:
        result = await arun(self, operation)
        if pending:
            await sync_to_async(settle)()
            await sync_to_async(_refresh)(result)
        return result

    def noticing(self: Connection, request: Any) -> Any:
        noticed(request)
        return exchange(self, request)

    async def anoticing(self: Connection, request: Any) -> Any:
        noticed(request)
        return await aexchange(self, request)

    with (
        private_server(),
        patch.object(Connection, "run", run_inline),
        patch.object(Connection, "arun", arun_inline),
        patch.object(Connection, "exchange", noticing),
        patch.object(Connection, "aexchange", anoticing),
        patch.object(clock, "_moved", settle),
    ):
        yield


def _refresh(result: Any) -> None:
    """Let the jobs that an add returned know what became of them."""
    for job in _jobs(result):
        with suppress(JobNotFound):
            job.refresh()


def _jobs(result: Any) -> Iterable[Job]:
    if isinstance(result, Job):
        yield result
    elif isinstance(result, JobNode):
        yield result.job
        yield from _jobs(result.children)
    elif isinstance(result, list):
        for one in result:
            yield from _jobs(one)
