"""Blocking methods within a running event loop: refused, each naming its own twin."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, QueueEvents
from queuecore.errors import SynchronousCall

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "add": ("x",),
    "add_bulk": ([JobSpec("x")],),
    "add_job_log": ("1", "row"),
    "change_delay": (5,),
    "change_priority": (5,),
    "clean": (0,),
    "get_counts_per_priority": ([1],),
    "get_job": ("1",),
    "get_job_logs": ("1",),
    "get_job_state": ("1",),
    "log": ("row",),
    "move_to_delayed": (5,),
    "rate_limit": (5,),
    "set_global_concurrency": (5,),
    "set_global_rate_limit": (5, 5),
    "trim_events": (5,),
    "update_data": ({},),
    "update_job_progress": ("1", 5),
    "update_progress": (5,),
}
# Of a queue and a job alike: `Queue.remove` wants an id.
NEEDS_ID = (Queue, "remove")


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
    arguments = ("1",) if (kind, name) == NEEDS_ID else ARGUMENTS.get(name, ())
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}

    async def call() -> None:
        getattr(owner, name)(*arguments)

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
