"""What a processor returns: kept as JSON, or refused without a second run."""

import itertools
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import redis
from django.contrib.auth.models import Group

from queuecore import Job, Queue
from tests import invariants
from tests.server.working import fields, finished, working


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


def circle() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


def deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


class Treacherous:
    """Its attributes raise when they are looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hands off")


@dataclass
class Broken:
    kind: str

    def __getattribute__(self, name: str) -> Any:
        if name == "kind":
            raise RuntimeError("hands off")
        return super().__getattribute__(name)


async def never_awaited() -> None:
    pass


def coroutine() -> Any:
    found = never_awaited()
    found.close()
    return found


# What is returned, and what the reason says of it.
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "object": (object, "of type object"),
    "nan": (lambda: math.nan, "nan, which JSON does not know"),
    "infinity": (lambda: {"ratio": -math.inf}, "the result['ratio'] is -inf"),
    "bytes": (lambda: b"raw", "is bytes"),
    "set": (lambda: {1, 2}, "of type set"),
    "generator": (lambda: (n for n in range(3)), "of type generator"),
    "iterator": (lambda: itertools.count(), "of type count"),
    "circular": (circle, "nested deeper than 100 levels"),
    "deep": (lambda: deep(200), "nested deeper than 100 levels"),
    "int beyond 64 bits": (lambda: 2**64, "more than 64 bits"),
    "int keys": (lambda: {1: "one"}, "the key 1 of type int"),
    "lone surrogate": (lambda: "\udc80", "lone surrogate"),
    "exception": (lambda: ValueError("returned"), "of type ValueError"),
    "model instance": (lambda: Group(name="g"), "Group instance"),
    "lock": (threading.Lock, "of type lock"),
    "coroutine": (coroutine, "of type coroutine"),
    "100 MB": (lambda: "x" * (100 * 2**20), "100.0 MB of JSON, more than 32 MB"),
    "treacherous": (Treacherous, "RuntimeError: hands off"),
    "broken property": (lambda: Broken("x"), "RuntimeError: hands off"),
}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("refused", REFUSED)
async def test_a_result_that_is_no_json_fails_the_job_at_once(
    queue: Queue, redis_client: redis.Redis, refused: str, kind: str
) -> None:
    make, says = REFUSED[refused]
    runs: list[str] = []

    def function(job: Job) -> Any:
        runs.append(job.id)
        return make() if job.name == "bad" else "fine"

    async def coroutine(job: Job) -> Any:
        return function(job)

    # A further try would repeat what the job did, only to end here again.
    bad, good = await queue.aadd("bad", attempts=5), await queue.aadd("good")
    async with working(function if kind == "sync" else coroutine):
        counts = await finished(queue, 2, 10)
    assert (counts["active"], counts["completed"], counts["failed"]) == (0, 1, 1)
    assert sorted(runs) == [bad.id, good.id]
    stored = await fields(queue, bad.id)
    assert says in stored["failedReason"]
    assert stored["failedReason"].startswith("the result")
    assert stored["atm"] == "1"
    assert "returnvalue" not in stored
    invariants.check(redis_client, "q", idle=True)


KEPT: dict[str, tuple[Any, Any]] = {
    "none": (None, None),
    "zero": (0, 0),
    "empty": ({}, {}),
    "text": ("é\u2028\x00", "é\u2028\x00"),
    "nested": ({"a": [1, 2.5, {"b": None}]}, {"a": [1, 2.5, {"b": None}]}),
    "tuple": ((1, 2), [1, 2]),
    "large int": (2**63 - 1, 2**63 - 1),
    "datetime": (datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "2030-01-02T03:04:05+00:00"),
    "date": (date(2030, 1, 2), "2030-01-02"),
    "decimal": (Decimal("1.10"), "1.10"),
    "uuid": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "enum": (Colour.RED, "red"),
    "dataclass": (Point(1, 2), {"x": 1, "y": 2}),
    "one megabyte": ("x" * 2**20, "x" * 2**20),
}


@pytest.mark.parametrize("kept", KEPT)
async def test_a_result_is_kept(queue: Queue, redis_client: redis.Redis, kept: str) -> None:
    value, wire = KEPT[kept]

    async def work(job: Job) -> Any:
        return value

    job = await queue.aadd("x")
    async with working(work):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert stored.returnvalue == wire
    # Every BullMQ client reads it, and the event tells the same.
    raw = redis_client.hget(f"bull:q:{job.id}", "returnvalue")
    assert json.loads(raw) == wire
    told = [one for _, one in redis_client.xrange("bull:q:events") if one["event"] == "completed"]
    assert [one["returnvalue"] for one in told] == [raw]
