"""Typed payloads: bad data is refused where it is added, and fails at once where it runs."""

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec
import pydantic
import pytest

from queuecore import (
    Batch,
    FlowJob,
    FlowProducer,
    InvalidPayload,
    Job,
    JobSpec,
    Processor,
    Queue,
    processor,
    processors,
)
from queuecore.processors import Registry
from queuecore.wire import codec
from tests.server import boxed
from tests.server.conftest import Do
from tests.server.working import finished, working


@dataclasses.dataclass
class Item:
    price: float


@dataclasses.dataclass
class Order:
    user_id: int
    items: list[Item] = dataclasses.field(default_factory=list)


class Struct(msgspec.Struct):
    user_id: int


class Model(pydantic.BaseModel):
    user_id: int


GOOD, BAD = {"user_id": 7}, {"user_id": 7, "items": [{"price": 1}, {"price": "much"}]}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The processors of this process: those of ``order`` jobs of ``q`` declare a type."""
    registry = Registry()
    monkeypatch.setattr(processors, "registry", registry)

    @processor("q", name="order", payload=Order)
    async def order(job: Job) -> Any:
        return job.payload.user_id

    return registry


def put(queue: Queue, data: Any, **options: Any) -> Job:
    """Add a job as a process does that knows no processors."""
    known, processors.registry = processors.registry, Registry()
    try:
        return queue.add("order", data, **options)
    finally:
        processors.registry = known


def test_bad_data_is_not_added(do: Do, queue: Queue, registry: Registry) -> None:
    for add in (
        lambda: do(queue.add, "order", BAD),
        lambda: do(queue.add_bulk, [JobSpec("order", GOOD), JobSpec("order", BAD)]),
        lambda: do(FlowProducer().add, FlowJob("order", BAD, queue="q")),
        lambda: do(queue.upsert_job_scheduler, "nightly", every=3600, name="order", data=BAD),
        lambda: do(queue.upsert_job_scheduler, "order", every=3600),
    ):
        with pytest.raises(InvalidPayload, match=r"items\[1\].price must be float|is missing"):
            add()
    assert sum(queue.get_job_counts().values()) == 0
    assert queue.get_job_schedulers() == []
    with pytest.raises(InvalidPayload, match=r"^job 1 of 'q': the data of job 'order'"):
        queue.add_bulk([JobSpec("order", GOOD), JobSpec("order", BAD)])
    do(queue.add, "another", BAD)  # no type was declared for these


def test_an_instance_is_sent_as_json(do: Do, queue: Queue, registry: Registry) -> None:
    job = do(queue.add, "order", Order(7, [Item(1)]))
    assert job.data == {"user_id": 7, "items": [{"price": 1}]}
    assert job.payload == Order(7, [Item(1)])
    found = queue.get_job(job.id)
    assert (found.data, found.payload) == (job.data, job.payload)
    with pytest.raises(InvalidPayload, match="user_id must be int, not str"):
        do(queue.add, "order", Order("seven"))  # type: ignore[arg-type]
    assert do(queue.add, "another", Item(2)).payload == {"price": 2}


def test_data_is_changed_to_good_data_alone(do: Do, queue: Queue, registry: Registry) -> None:
    job = do(queue.add, "order", Order(7))
    assert job.payload.user_id == 7
    with pytest.raises(InvalidPayload, match="price must be float"):
        do(job.update_data, BAD)
    do(job.update_data, {"user_id": 8})
    assert job.payload == Order(8)
    assert queue.get_job(job.id).data == {"user_id": 8}


async def test_bad_data_of_others_fails_at_once(queue: Queue, registry: Registry) -> None:
    bad = await asyncio.to_thread(put, queue, BAD, attempts=5)
    good = await queue.aadd("order", Order(7))
    async with working(registry.queues["default", "q"]):
        await finished(queue, 2)
    await bad.arefresh()
    assert (await bad.aget_state(), bad.attempts_made) == ("failed", 1)
    assert "items[1].price must be float, not str" in bad.failed_reason
    assert "much" not in bad.failed_reason + bad.stacktrace[0]
    with pytest.raises(InvalidPayload):
        _ = bad.payload
    assert await good.aresult() == 7


@pytest.mark.parametrize("type_", [Order, Struct, Model])
async def test_threads_get_the_object_too(queue: Queue, type_: Any) -> None:
    def work(job: Job) -> list[Any]:
        return [type(job.payload).__name__, job.payload.user_id, job.data]

    job = await queue.aadd("x", type_(user_id=3))
    bad = await queue.aadd("x", {"user_id": None})
    async with working(work, payload=type_):
        await finished(queue, 2)
    assert (await job.aresult())[:2] == [type_.__name__, 3]
    assert await bad.aget_state() == "failed"


async def test_the_annotation_says_it_too(queue: Queue) -> None:
    async def work(job: "Job[Order]") -> int:
        return job.payload.user_id

    class Works(Processor):
        def process(self, job: Job[Order]) -> int:
            return job.payload.user_id

    for made in (work, Works):
        job = await queue.aadd("x", Order(4))
        bad = await queue.aadd("x", {})
        async with working(made):
            assert await job.aresult(20) == 4
            await finished(queue, 1)
            assert "user_id is missing" in (await _ended(bad)).failed_reason


async def _ended(job: Job) -> Job:
    while await job.aget_state() != "failed":  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    await job.arefresh()
    return job


async def test_one_of_a_batch_fails_alone(queue: Queue) -> None:
    async def work(jobs: list[Job[Order]]) -> list[int]:
        return [job.payload.user_id for job in jobs]

    specs = [JobSpec("x", {"user_id": n if n != 3 else "three"}) for n in range(6)]
    jobs = await queue.aadd_bulk(specs)
    async with working(work, batch=Batch(10), concurrency=20):
        await finished(queue, 6)
    assert [await job.aget_state() for job in jobs].count("failed") == 1
    assert await jobs[5].aresult() == 5


async def test_a_rule_that_fails_for_another_reason_is_tried_again(queue: Queue) -> None:
    tries: list[int] = []

    @dataclasses.dataclass
    class Checked:
        n: int

        def __post_init__(self) -> None:
            tries.append(self.n)
            if len(tries) == 1:
                raise ConnectionError("the shop's database is away")

    async def work(job: Job) -> int:
        return job.payload.n

    job = await queue.aadd("x", {"n": 1}, attempts=2)
    async with working(work, payload=Checked):
        assert await job.aresult(20) == 1
    await job.arefresh()
    assert job.attempts_made == 2


async def test_in_a_sandbox(
    queue: Queue, child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in child_environment.items():
        monkeypatch.setenv(name, value)
    good = await queue.aadd("letter", boxed.Letter("jane", 2))
    bad = await queue.aadd("letter", {"too": "jane"}, attempts=3)
    fax = await queue.aadd("fax", 5)
    async with working(boxed.Office, sandbox=True, concurrency=1):
        assert await good.aresult(60) == ["jane", 2, True]
        assert await fax.aresult(60) == "fax 5"
        failed = await _ended(bad)
    assert failed.attempts_made == 1
    assert "to is missing; too is no field; did you mean 'to'?" in failed.failed_reason


def test_nothing_is_read_where_no_type_is_declared(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = queue.add("x", {"n": 1})
    monkeypatch.setattr(codec, "loads", lambda text: pytest.fail("decoded for nothing"))
    queue.add("x", {"n": 1})
    assert job.id == "1"
