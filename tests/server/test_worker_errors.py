"""Whatever a processor raises ends its run, and only that: the worker lives and takes the next."""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Job, Queue
from tests import invariants
from tests.server.working import fields, finished, working

LONG = 5 * 1024 * 1024


def recurse(n: int = 0) -> int:
    return recurse(n + 1) + 1


def chain(depth: int) -> None:
    """A traceback of so many frames, without Python's own limit."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth * 4 + 1000)
    try:
        deeper(depth)
    finally:
        sys.setrecursionlimit(limit)


def deeper(depth: int) -> None:
    if depth == 0:
        raise ValueError("far down")
    deeper(depth - 1)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message for you")


class Leaving(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class NoText(Exception):
    def __str__(self) -> Any:
        return 5


class Unequal(Exception):
    """One whose arguments refuse to be compared, hashed and shown."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")


def cyclic() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


def secret() -> None:
    password = "correct horse battery staple"
    raise ValueError(f"wrong password of {len(password)} letters")


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


# What is raised, and how the reason begins.
RAISED: dict[str, tuple[Callable[[], Any], str]] = {
    "exception": (raising(ValueError("plain")), "plain"),
    "without a message": (raising(ValueError()), "ValueError"),
    "key error": (lambda: {}["user"], "KeyError: 'user'"),
    "system exit": (lambda: sys.exit(1), "1"),
    "system exit 0": (lambda: sys.exit(), "SystemExit"),
    "keyboard interrupt": (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
    "cancelled": (raising(asyncio.CancelledError()), "CancelledError"),
    "generator exit": (raising(GeneratorExit()), "GeneratorExit"),
    "recursion": (recurse, "maximum recursion depth"),
    "memory": (raising(MemoryError()), "MemoryError"),
    "stop iteration": (raising(StopIteration(5)), "5"),
    "stop async iteration": (raising(StopAsyncIteration()), "StopAsyncIteration"),
    "timeout": (raising(TimeoutError()), "TimeoutError"),
    "group": (raising(ExceptionGroup("many", [ValueError("a"), KeyError("b")])), "many (2 sub"),
    "base group": (raising(BaseExceptionGroup("all", [SystemExit(1)])), "all (1 sub"),
    "base exception": (raising(BaseException("bare")), "bare"),
    "str raises": (raising(Silent()), "Silent (its message cannot be read)"),
    "str exits": (raising(Leaving()), "Leaving (its message cannot be read)"),
    "str is no str": (raising(NoText()), "NoText (its message cannot be read)"),
    "not to be compared": (raising(Exception(Unequal())), "Exception"),
    "huge message": (raising(ValueError("x" * 10 * LONG)), "xxxx"),
    "huge message of wide letters": (raising(ValueError("\U0001f600" * LONG)), "\U0001f600" * 9),
    "lone surrogates": (raising(ValueError("bad \udc80\ud800")), "bad \\udc80\\ud800"),
    "huge message of surrogates": (raising(ValueError("\udc80" * LONG)), "\\udc80" * 9),
    "bytes": (raising(ValueError(b"\xff\x00raw")), "b'\\xff\\x00raw'"),
    "control letters": (raising(ValueError("a\x00b\x1b[31m")), "a\x00b\x1b[31m"),
    "cyclic cause": (cyclic, "first"),
    "ten thousand frames": (lambda: chain(10_000), "far down"),
    "secret in a local variable": (secret, "wrong password of 28 letters"),
}
# A coroutine function may not raise these: Python makes RuntimeErrors of them.
TRANSLATED = {
    "stop iteration": "coroutine raised StopIteration",
}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("raised", RAISED)
async def test_the_run_fails_with_a_reason_and_the_worker_lives(
    queue: Queue, redis_client: redis.Redis, raised: str, kind: str
) -> None:
    act, reason = RAISED[raised]

    def function(job: Job) -> Any:
        return act() if job.name == "bad" else "fine"

    async def coroutine(job: Job) -> Any:
        return act() if job.name == "bad" else "fine"

    if kind == "async":
        reason = TRANSLATED.get(raised, reason)
    bad = await queue.aadd("bad", attempts=2)
    good = await queue.aadd("good")
    async with working(function if kind == "sync" else coroutine, concurrency=2):
        await finished(queue, 2, 20)
        after = await queue.aadd("after")
        await finished(queue, 3)
    stored = await fields(queue, bad.id)
    assert stored["failedReason"].startswith(reason)
    assert len(stored["failedReason"].encode()) <= 8 * 1024
    assert stored["atm"] == stored["ats"] == "2"
    traces = json.loads(stored["stacktrace"])
    assert len(traces) == 2
    assert all(len(trace.encode()) <= 32 * 1024 for trace in traces)
    assert "correct horse" not in "".join(traces)
    for job in (good, after):
        assert (await queue.aget_job(job.id)).returnvalue == "fine"
    invariants.check(redis_client, "q", idle=True)


async def test_the_stack_trace_shows_where(queue: Queue) -> None:
    async def work(job: Job) -> None:
        try:
            {}["inner"]
        except KeyError as error:
            raise ValueError("outer") from error

    job = await queue.aadd("x")
    async with working(work):
        await finished(queue, 1)
    (trace,) = (await queue.aget_job(job.id)).stacktrace
    assert 'test_worker_errors.py", line' in trace
    assert "The above exception was the direct cause" in trace
    assert trace.rstrip().endswith("ValueError: outer")
    assert "/queuecore/" not in trace.replace("\\", "/"), "the worker's own frames say nothing"
