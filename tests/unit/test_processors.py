"""@processor and the registry: one processor a place, and errors that name both files."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from queuecore import Job, Processor, RateLimit, Worker, processor
from queuecore import processors as module
from queuecore.callables import entries_for
from queuecore.errors import ConfigurationError, InvalidOption, QueueCoreError
from queuecore.processors import Registry


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty registry."""
    registry = Registry()
    monkeypatch.setattr(module, "registry", registry)
    return registry


def work(job: Job) -> None:
    pass


async def awork(job: Job) -> None:
    pass


class Plain(Processor):
    def process(self, job: Job) -> None:
        pass


class Awaiting(Processor):
    async def process(self, job: Job) -> None:
        pass


class Callable_:
    def __call__(self, job: Job) -> None:
        pass


class AsyncCallable:
    async def __call__(self, job: Job) -> None:
        pass

    async def method(self, job: Job) -> None:
        pass


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def inner(job: Job) -> Any:
        return await function(job)

    return inner


@pytest.mark.parametrize(
    ("target", "is_async"),
    [
        (work, False),
        (awork, True),
        (lambda job: None, False),
        (functools.partial(work), False),
        (functools.partial(awork), True),
        (functools.partial(functools.partial(awork)), True),
        (wrapped(awork), True),
        (Plain, False),
        (Awaiting, True),
        (Plain(), False),
        (Callable_(), False),
        (AsyncCallable(), True),
        (AsyncCallable().method, True),
        (functools.partial(AsyncCallable()), True),
    ],
)
def test_what_is_a_processor(target: Any, is_async: bool) -> None:
    entry = entries_for(target)[None]
    assert entry.is_async is is_async
    made = isinstance(target, Processor) or inspect.isclass(target)
    assert (entry.instance is not None or entry.owner is not None) is made


def generator(job: Job) -> Iterator[int]:
    yield 1


async def agenerator(job: Job) -> AsyncIterator[int]:
    yield 1


class Unfinished(Processor):
    pass


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (5, "5 is no processor"),
        ("emails", "'emails' is no processor"),
        (None, "None is no processor"),
        (dict, "is no processor"),
        (generator, "is a generator function: its body would never run"),
        (agenerator, "is a generator function: its body would never run"),
        (Unfinished, "Unfinished needs a method process"),
        (Unfinished(), "Unfinished needs a method process"),
    ],
)
def test_what_is_none(target: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        entries_for(target)[None]


def test_the_decorator_gives_its_target_back(registry: Registry) -> None:
    assert processor("q")(work) is work
    assert processor("q", name="class")(Plain) is Plain
    found = registry.queues["default", "q"]
    assert found.default is not None
    assert found.default.function is work
    assert [entry.is_async for entry in found.entries()] == [False, False]


def test_the_decorator_without_a_queue_says_what_it_takes(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r'@processor\("emails"\), not <function work'):
        processor(work)  # type: ignore[arg-type]  # without parentheses
    assert not registry.queues


def test_names_choose_the_processor(registry: Registry) -> None:
    processor("q")(work)
    processor("q", name="welcome")(awork)
    found = registry.queues["default", "q"]
    assert found.find("welcome").function is awork
    assert found.find("other").function is work
    assert found.find("").function is work


def test_a_queue_without_a_default_takes_only_its_names(registry: Registry) -> None:
    processor("q", name="welcome")(awork)
    assert registry.queues["default", "q"].find("other") is None


def test_queues_of_two_connections_are_two_queues(registry: Registry) -> None:
    processor("q")(work)
    processor("q", connection="other")(awork)
    assert set(registry.queues) == {("default", "q"), ("other", "q")}


def test_the_same_function_twice_is_no_clash() -> None:
    """A module may be imported again (by a reloader, or under a second name)."""
    processor("q")(work)
    processor("q")(work)


@pytest.mark.parametrize(
    ("name", "what"), [(None, "all jobs of"), ("welcome", "jobs named 'welcome' of")]
)
def test_a_clash_names_both_places(name: str | None, what: str) -> None:
    processor("q", name=name)(work)
    with pytest.raises(ConfigurationError) as caught:
        processor("q", name=name)(awork)
    text = str(caught.value)
    assert f"two processors take {what} queue 'q'" in text
    assert text.count("test_processors.py:") == 2


def test_concurrency_belongs_to_the_queue(registry: Registry) -> None:
    processor("q", concurrency=5)(work)
    processor("q", name="a")(awork)
    processor("q", name="b", concurrency=5)(lambda job: None)
    assert registry.queues["default", "q"].concurrency == 5
    with pytest.raises(ConfigurationError, match=r"=5 at .*:\d+ and concurrency=6 at .*:\d+"):
        processor("q", name="c", concurrency=6)(lambda job: 1)
    assert registry.queues["default", "q"].find("c").function is work


def test_named_limits_belong_to_the_queue(registry: Registry, settings: Any) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {"LIMITS": {"api": {}, "db": {}}}
    processor("q", limits=["api", "db", "api"])(work)
    processor("q", name="a", limits=["api", "db"])(awork)
    assert registry.queues["default", "q"].limits == ("api", "db")
    with pytest.raises(ConfigurationError, match="set it once"):
        processor("q", name="b", limits=[])(lambda job: None)
    with pytest.raises(ConfigurationError, match="did you mean 'api'"):
        processor("r", limits=["apy"])
    with pytest.raises(ConfigurationError, match="list of names"):
        processor("r", limits="api")


@pytest.mark.parametrize("concurrency", [0, -1, 2.5, "5", True])
def test_a_concurrency_that_is_none(concurrency: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number of at least 1"):
        processor("q", concurrency=concurrency)


@pytest.mark.parametrize("queue", ["", "a:b", 5, None])
def test_a_queue_name_that_is_none(queue: Any) -> None:
    with pytest.raises(InvalidOption):
        processor(queue)(work)


@pytest.mark.parametrize("name", ["", 5])
def test_a_job_name_that_is_none(name: Any) -> None:
    with pytest.raises(QueueCoreError, match="name"):
        processor("q", name=name)(work)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"concurrency": 0}, "concurrency must be"),
        ({"concurrency": -3}, "concurrency must be"),
        ({"concurrency": 1.5}, "concurrency must be"),
        ({"lock_duration": 0}, "lock_duration must be"),
        ({"lock_duration": float("nan")}, "lock_duration must be"),
        ({"lock_duration": "30"}, "lock_duration must be"),
        ({"lock_duration": 1, "lock_renew_time": 2}, "lock_renew_time must be"),
        ({"drain_delay": 0}, "drain_delay must be"),
        ({"max_stalled_count": None}, "max_stalled_count must be"),
        ({"lock_duratoin": 5}, "did you mean 'lock_duration'"),
        ({"backoff_strategy": "nowhere.to.be_found"}, "cannot be imported"),
        ({"backoff_strategy": "os"}, "cannot be imported"),
        ({"connection": "nowhere"}, "no 'nowhere'"),
    ],
)
def test_a_worker_refuses_what_it_cannot_work_with(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Worker("q", work, **options)


def test_a_limiter_belongs_to_the_queue(registry: Registry) -> None:
    limiter = RateLimit(100, 1)
    processor("q", limiter=limiter)(work)
    processor("q", name="other", limiter=RateLimit(100, 1))(awork)  # the same again
    assert registry.queues["default", "q"].limiter == limiter
    with pytest.raises(ConfigurationError, match=r"max=5.* it belongs to the queue: set it once"):
        processor("q", name="third", limiter=RateLimit(5, 1))(Plain)


@pytest.mark.parametrize("wrong", [5, (5, 1), {"max": 5, "duration": 1}])
def test_what_is_no_limiter(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"limiter must be a RateLimit\(max, duration\)"):
        processor("q", limiter=wrong)


def test_a_worker_takes_the_limiter_of_its_queue(registry: Registry) -> None:
    processor("q", limiter=RateLimit(7, 2))(work)
    options = Worker("q", registry.queues["default", "q"])._options
    assert (options.limiter_max, options.limiter_duration) == (7, 2000)
    options = Worker("q", registry.queues["default", "q"], limiter=RateLimit(1, 1))._options
    assert (options.limiter_max, options.limiter_duration) == (1, 1000)
