"""Blocking methods within a running event loop: refused, each naming its own twin."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, QueueEvents
from queuecore.errors import SynchronousCall

# What parameters without a default are given, by their names; all others take an id.
ARGUMENTS: dict[str, Any] = {
    "concurrency": 5,
    "data": {},
    "delay": 5,
    "duration": 5,
    "grace": 5,
    "jobs": [JobSpec("x")],
    "length": 5,
    "max": 5,
    "priorities": [1],
    "priority": 5,
    "progress": 5,
    "when": 5,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "change_job_scheduler": {"every": 60},
    "upsert_job_scheduler": {"every": 60},
}


def arguments(method: Callable[..., Any]) -> list[Any]:
    needed = [
        one.name
        for one in inspect.signature(method).parameters.values()
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
    ]
    return [ARGUMENTS.get(name, "1") for name in needed]


def blocking(kind: type) -> list[str]:
    """The methods that have a twin."""
    return [name for name in dir(kind) if inspect.iscoroutinefunction(getattr(kind, f"a{name}", 0))]


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in (Queue, Job) for name in blocking(kind)]
)
def test_a_blocking_method_names_its_twin(
    queue: Queue, redis_client: redis.Redis, kind: type, name: str
) -> None:
    owner: Any = queue if kind is Queue else queue.add("x")
    method = getattr(owner, name)
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}

    async def call() -> None:
        method(*arguments(method), **OPTIONS.get(name, {}))

    with pytest.raises(SynchronousCall, match=rf"^{name}\(\) would block .* await a{name}\(\)"):
        asyncio.run(call())
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


@pytest.mark.parametrize("kind", [Queue, Job])
def test_a_twin_takes_the_same_arguments(kind: type) -> None:
    names = blocking(kind)
    assert len(names) > 10
    for name in names:
        method, twin = getattr(kind, name), getattr(kind, f"a{name}")
        assert inspect.signature(method) == inspect.signature(twin), name


def refused(act: Callable[[], Any]) -> str:
    async def call() -> None:
        act()

    with pytest.raises(SynchronousCall) as caught:
        asyncio.run(call())
    return str(caught.value)


def test_events_are_iterated_over_with_async_for(queue: Queue) -> None:
    assert "iterate with async for" in refused(lambda: next(iter(QueueEvents("q"))))


def test_a_commit_belongs_to_the_thread_of_its_transaction(queue: Queue) -> None:
    words = refused(lambda: queue.add_on_commit("x"))
    assert "sync_to_async" in words
    assert "await aadd()" in words
