"""Class processors with a method for each name: one instance, its services, its hooks."""

import asyncio
from typing import Any

import pytest

from queuecore import Job, JobSpec, Processor, Queue, Worker, named, processor, processors, provide
from queuecore.callables import entries_for
from queuecore.errors import ConfigurationError
from queuecore.processors import Registry
from queuecore.services import override
from tests.server.working import finished, until, working


class Mailer:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, what: str) -> int:
        self.sent.append(what)
        return len(self.sent)


class Mails(Processor):
    made: list["Mails"] = []  # noqa: RUF012

    def __init__(self, mailer: Mailer = provide(Mailer)) -> None:
        self.mailer = mailer
        self.told: list[tuple[Any, ...]] = []
        self.made.append(self)

    def setup(self) -> None:
        self.told.append(("setup",))

    def teardown(self) -> None:
        self.told.append(("teardown",))

    @named("welcome")
    def welcome(self, job: Job) -> int:
        job.update_progress(50)
        return self.mailer.send(job.name)

    @named("bye")
    @named("farewell")
    async def bye(self, job: Job) -> int:
        return self.mailer.send(job.name)

    @named("endless", timeout=0.05)
    async def endless(self, job: Job) -> None:
        await asyncio.Event().wait()

    async def process(self, job: Job) -> str:
        raise LookupError(job.name)

    def on_active(self, job: Job) -> None:
        self.told.append(("active", job.name))

    def on_completed(self, job: Job, result: Any) -> None:
        self.told.append(("completed", job.name, result))

    async def on_failed(self, job: Job, error: BaseException) -> None:  # type: ignore[override]
        self.told.append(("failed", job.name, str(error)))

    def on_progress(self, job: Job, progress: Any) -> None:
        self.told.append(("progress", job.name, progress))


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty registry."""
    registry = Registry()
    monkeypatch.setattr(processors, "registry", registry)
    monkeypatch.setattr(Mails, "made", [])
    return registry


async def test_each_name_has_its_method_and_all_one_instance(
    queue: Queue, registry: Registry
) -> None:
    processor("q", timeout=30)(Mails)
    assert Mails.made == []  # not before a worker needs it
    fake = Mailer()
    jobs = [JobSpec(name) for name in ("welcome", "farewell", "bye", "other")]
    with override(Mailer, fake):
        await queue.aadd_bulk(jobs)
        async with working(registry.queues["default", "q"]):
            await finished(queue, 4)
            late = await queue.aadd("endless")
            await until(late.ais_failed)
            await until(lambda: len(Mails.made[0].told) >= 12)
    (mails,) = Mails.made
    assert mails.mailer is fake
    assert sorted(fake.sent) == ["bye", "farewell", "welcome"]
    assert mails.told[0] == ("setup",)
    assert mails.told[-1] == ("teardown",)
    assert {
        ("active", "welcome"),
        ("progress", "welcome", 50),
        ("failed", "other", "other"),
        ("failed", "endless", "the job ran longer than its timeout of 0.05 s"),
    } <= set(mails.told)
    assert {one[1] for one in mails.told if one[0] == "completed"} == set(fake.sent)


async def test_a_class_without_a_default_hands_other_names_back(queue: Queue) -> None:
    class One(Processor):
        @named("one")
        async def one(self, job: Job) -> int:
            return 1

    one, other = await queue.aadd_bulk([JobSpec("one"), JobSpec("other")])
    async with working(One):
        assert await one.aresult(20) == 1
        await until(other.ais_delayed)


async def test_an_instance_and_a_subclass_do(queue: Queue) -> None:
    class Special(Mails):
        def welcome(self, job: Job) -> int:  # keeps the name of what it replaces
            return 100 + super().welcome(job)

    made = Special(Mailer())
    job = await queue.aadd("welcome")
    async with working(made):
        assert await job.aresult(20) == 101
    assert ("completed", "welcome", 101) in made.told


def refused(make: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return str(caught.value)


def test_two_methods_for_one_name_are_both_named() -> None:
    class Twice(Processor):
        @named("a")
        def first(self, job: Job) -> None: ...

        @named("a")
        def second(self, job: Job) -> None: ...

    said = refused(lambda: processor("q")(Twice))
    assert said.startswith("two methods of Twice take jobs named 'a': ")
    assert said.count(f"{__file__}:") == 2

    @processor("q", name="a")
    def taken(job: Job) -> None: ...

    class Once(Processor):
        @named("a")
        def first(self, job: Job) -> None: ...

    said = refused(lambda: processor("q")(Once))
    assert said.startswith("two processors take jobs named 'a' of queue 'q': ")
    assert said.count(f"{__file__}:") == 2


def test_methods_that_cannot_be_called_are_named() -> None:
    class Odd(Processor):
        @named("a")
        def first(self) -> None: ...

    class Long(Processor):
        def process(self, job: Job, more: int) -> None: ...  # type: ignore[override]

    def none() -> None: ...

    for target in (Odd, Long, none):
        said = refused(lambda target=target: entries_for(target))
        assert "a processor is called with the job and nothing else" in said
        assert f"{__file__}:" in said

    class Needy(Processor):
        def __init__(self, mailer: Mailer) -> None: ...

        def process(self, job: Job) -> None: ...

    said = refused(lambda: processor("q")(Needy))
    assert "missing a required argument: 'mailer'); say who makes them" in said
    assert entries_for(Needy(Mailer()))  # made by hand

    class Empty(Processor):
        pass

    assert "or one of @named(...)" in refused(lambda: processor("q")(Empty))
    assert "leave out name='b'" in refused(lambda: processor("q", name="b")(Mails))
    assert '@named("welcome")' in refused(lambda: named(lambda self, job: None))  # type: ignore[arg-type]


def test_two_types_for_one_processor_are_refused() -> None:
    def work(job: Job[int]) -> None: ...

    said = refused(lambda: processor("q", payload=str)(work))
    assert "disagree; leave one of them out" in said

    def later(job: "Job[Nowhere]") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    said = refused(lambda: processor("q")(later))
    assert "not only under TYPE_CHECKING, or give payload=" in said
    assert "annotate its parameter" in refused(
        lambda: Worker("q", entries_for, sandbox=True, payload=int)
    )


def test_a_name_for_a_function_is_said_by_its_processor() -> None:
    @named("welcome")
    def welcome(job: Job) -> None: ...

    with pytest.raises(
        ConfigurationError, match=r"test_named_methods\.py:\d+: @named is for methods"
    ):
        processor("named")(welcome)


def test_hooks_that_cannot_be_called_are_named() -> None:
    class Deaf(Processor):
        def process(self, job: Job) -> None: ...

        def on_completed(self, job: Job) -> None: ...  # type: ignore[override]

    said = refused(lambda: entries_for(Deaf))
    assert f"{__file__}:" in said
    assert "on_completed of Deaf is called as on_completed(self, job, result), but its" in said

    class Wide(Processor):
        def process(self, job: Job) -> None: ...

        def on_failed(self, *told: Any, **more: Any) -> None: ...

        @staticmethod
        def on_drained() -> None: ...

    assert entries_for(Wide)
