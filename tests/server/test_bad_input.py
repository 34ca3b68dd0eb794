"""Bad input: a clear error each time and nothing stored half, with orjson and without it."""

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User

from queuecore import JobSpec, Queue, QueueEvents
from queuecore.errors import (
    ConfigurationError,
    InvalidOption,
    JobNotFound,
    NotSerializable,
    QueueCoreError,
)
from queuecore.wire import codec
from queuecore.wire.keys import SUFFIXES
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


@pytest.fixture(params=["orjson", "stdlib"], autouse=True)
def json_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for end, way in (("_dumps", "_write_by_"), ("_loads", "_read_by_")):
        monkeypatch.setattr(codec, end, getattr(codec, way + request.param))


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = {"deeper": value}
    return value


PAYLOADS = {
    "NaN": (math.nan, r"data is nan, which JSON does not know"),
    "NaN inside": ({"rows": [1, math.inf]}, r"data\['rows'\]\[1\] is inf"),
    "bytes": ({"file": b"PK"}, r"data\['file'\] is bytes; .* base64 or a file's key"),
    "a model instance": (User(username="x"), r"data is a User instance; pass its key \(obj.pk\)"),
    "a set": ({"ids": {1}}, r"data\['ids'\] is of type set"),
    "a key that is no text": ({7: 1}, r"data has the key 7 of type int; keys must be str"),
    "a lone surrogate": ("\ud83d", r"data holds a lone surrogate"),
    "a huge integer": (10**30, r"data is an integer of more than 64 bits; send it as str"),
    "200 levels": (deep(200), r"data is nested deeper than 100 levels; store it flatter"),
}
OPTIONS = {
    "a negative priority": ({"priority": -1}, r"priority must be a whole number of 0 \(none\)"),
    "too high a priority": ({"priority": 2_097_152}, r"to 2097151, not 2097152"),
    "a priority that is none": ({"priority": math.nan}, r"priority must be a whole number"),
    "a negative delay": ({"delay": -5}, r"delay must be at least 0 seconds and finite, not -5"),
    "an endless delay": ({"delay": math.inf}, r"delay must be at least 0 seconds and finite"),
    "an id that is a number": ({"job_id": "7"}, r"job_id '7' looks like one of the queue's own"),
    "an id with a colon": ({"job_id": "a:b"}, r"job_id 'a:b' holds ':'"),
    "an empty id": ({"job_id": ""}, r"job_id must be a text that is not empty"),
    "an id that is no text": ({"job_id": 7}, r"job_id must be a text"),
    "an id that is no valid text": ({"job_id": "\udc00"}, r"job_id holds a lone surrogate"),
    "an unknown option": ({"prioritty": 1}, r"no job option 'prioritty'; did you mean 'priority'"),
    "data beyond its limit": ({"size_limit": 2}, r"data has 12 bytes as JSON, more than .* of 2"),
} | {
    f"an id that is the key {suffix}": ({"job_id": suffix}, r"name of one of the queue's own keys")
    for suffix in sorted(SUFFIXES)
}


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_payload_that_no_peer_could_read(
    do: Do, queue: Queue, redis_client: redis.Redis, what: str
) -> None:
    payload, words = PAYLOADS[what]
    with pytest.raises(NotSerializable, match=words):
        do(queue.add, "x", payload)
    with pytest.raises(NotSerializable, match=f"job 1 of 'q': {words}"):
        do(queue.add_bulk, [JobSpec("x"), JobSpec("x", payload), JobSpec("x")])
    assert redis_client.keys("*") == []
    job = do(queue.add, "x", {"n": 1})
    with pytest.raises(NotSerializable, match=words):
        do(job.update_data, payload)
    with pytest.raises(NotSerializable, match=words.replace("data", "the progress")):
        do(job.update_progress, payload)
    fresh = do(queue.get_job, "1")
    assert (fresh.data, fresh.progress) == ({"n": 1}, 0)


@pytest.mark.parametrize("what", OPTIONS)
def test_an_option_out_of_range(do: Do, queue: Queue, redis_client: redis.Redis, what: str) -> None:
    options, words = OPTIONS[what]
    with pytest.raises(InvalidOption, match=words):
        do(queue.add, "x", {"some": "x"}, **options)
    with pytest.raises(InvalidOption, match=f"job 1 of 'q': .*{words}"):
        do(queue.add_bulk, [JobSpec("x"), JobSpec("x", {"some": "x"}, **options)])
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("name", ["", None, 7, "\ud800"])
def test_a_job_without_a_name(do: Do, queue: Queue, redis_client: redis.Redis, name: Any) -> None:
    with pytest.raises(InvalidOption, match="the name of a job"):
        do(queue.add, name)
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("name", ["a:b", "", None, "bull:q:wait", "\ud800"])
def test_a_queue_name_that_is_none(name: Any) -> None:
    with pytest.raises(InvalidOption, match="queue"):
        Queue(name)


@pytest.mark.parametrize("alias", ["nowhere", None, 7, ["default"]])
def test_a_connection_that_is_not_configured(alias: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere|None|7|default"):
        Queue("q", connection=alias)


CALLS: dict[str, tuple[Callable[[Queue, Any], tuple[Any, ...]], str]] = {
    "a state": (lambda q, v: (q.get_jobs, v), "jobs have no state"),
    "one of the states": (lambda q, v: (q.get_jobs, ["failed", v]), "jobs have no state"),
    "a state to count": (lambda q, v: (q.get_job_counts, v), "jobs have no state"),
    "a start": (lambda q, v: (q.get_jobs, "waiting", v), "start must be a whole number"),
    "an end": (lambda q, v: (q.get_jobs, "waiting", 0, v), "end must be a whole number"),
    "a row": (lambda q, v: (q.get_job_logs, "1", v), "start must be a whole number"),
    "a minute": (lambda q, v: (q.get_metrics, "failed", 0, v), "end must be a whole number"),
    "a state with metrics": (lambda q, v: (q.get_metrics, v), "metrics of completed and failed"),
    "priorities": (lambda q, v: (q.get_counts_per_priority, v), "priorit"),
    "a state to clean": (lambda q, v: (q.clean, 0, 0, v), "cannot be cleaned"),
    "a state to retry": (lambda q, v: (q.retry_jobs, v), "can be retried"),
    "rows to keep": (lambda q, v: (q.add_job_log, "1", "row", v), "keep_logs must be a whole"),
    "jobs to add": (lambda q, v: (q.add_bulk, v), "the jobs to add are a list|job 0 of 'q' is of"),
    "a job to add": (lambda q, v: (q.add_bulk, [JobSpec("x"), v]), "job 1 of 'q' is of type"),
}


@pytest.mark.parametrize("value", [math.nan, 1.5, ..., b"x", [[]], True, "\ud800"], ids=repr)
@pytest.mark.parametrize("what", CALLS)
def test_an_argument_that_is_none(
    do: Do, queue: Queue, redis_client: redis.Redis, what: str, value: Any
) -> None:
    make, words = CALLS[what]
    before = do(queue.add, "x").id
    with pytest.raises(InvalidOption, match=words):
        do(*make(queue, value))
    assert do(queue.get_job_logs, before) == ([], 0)
    assert redis_client.get("bull:q:id") == before


@pytest.mark.parametrize("name", ["", None, 7, b"q", "\ud800"])
def test_a_queue_of_others_whose_name_is_none(name: Any) -> None:
    for make in (Queue.existing, QueueEvents):
        with pytest.raises(InvalidOption, match="name of a queue"):
            make(name)


@pytest.mark.parametrize("event_id", ["", "newest", 5.5, "1-2-3", "\ud800", "$"])
def test_an_event_id_that_is_none(event_id: Any) -> None:
    with pytest.raises(InvalidOption, match="last_event_id must be the id of an event"):
        QueueEvents("q", last_event_id=event_id)


def test_events_without_a_wait_are_read_all_the_same(queue: Queue) -> None:
    """On the server a wait of 0 is one without an end."""
    events = iter(QueueEvents("q", last_event_id="0", blocking_timeout=0))
    threading.Timer(0.3, queue.add, ("x",)).start()
    assert next(events).event == "added"


def test_a_queue_that_nobody_made(do: Do, redis_client: redis.Redis) -> None:
    queue = Queue("unknown")
    assert set(do(queue.get_job_counts).values()) == {0}
    assert do(queue.get_jobs) == []
    assert do(queue.get_job, "1") is None
    assert do(queue.get_job_state, "1") == "unknown"
    assert do(queue.get_job_logs, "1") == ([], 0)
    assert do(queue.remove, "1") is False
    assert (do(queue.drain), do(queue.retry_jobs), do(queue.promote_jobs)) == (0, 0, 0)
    assert do(queue.remove_orphaned_jobs) == 0
    assert not do(queue.is_paused)
    with pytest.raises(JobNotFound, match="no job 1 in queue unknown"):
        do(queue.update_job_progress, "1", 5)
    assert redis_client.keys("*") == []


MALFORMED = ["", None, b"1", 1.5, True, "\ud800"]
STRANGE = [
    "..",
    "a/b",
    "a b",
    "<script>",
    "*",
    "\x00",
    "x" * 10_000,
    "wait",
    "meta",
    "1:lock",
    "%00",
]


@pytest.mark.parametrize("job_id", MALFORMED, ids=repr)
def test_what_can_be_no_id(do: Do, queue: Queue, redis_client: redis.Redis, job_id: Any) -> None:
    for method in (queue.get_job, queue.get_job_state, queue.get_job_logs, queue.remove):
        with pytest.raises(InvalidOption, match="a job id"):
            do(method, job_id)
    assert redis_client.keys("*") == []


@pytest.mark.parametrize("job_id", STRANGE, ids=lambda id: repr(id)[:12])
def test_an_id_that_nobody_has(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis, job_id: str
) -> None:
    queue.add("x")
    hands.claim()
    queue.add("x")
    before = {key: redis_client.dump(key) for key in redis_client.keys("*")}
    assert do(queue.get_job, job_id) is None
    assert do(queue.get_job_state, job_id) == "unknown"
    assert do(queue.remove, job_id) is False
    for method, value in ((queue.update_job_progress, 5), (queue.add_job_log, "row")):
        with pytest.raises(JobNotFound):
            do(method, job_id, value)
    assert {key: redis_client.dump(key) for key in redis_client.keys("*")} == before


MARKUP = "<script>alert(1)</script>"


def test_markup_is_text_like_any_other(do: Do, hands: Hands, redis_client: redis.Redis) -> None:
    queue = Queue(MARKUP)
    job = do(queue.add, MARKUP, {MARKUP: MARKUP}, job_id=MARKUP)
    assert do(job.get_state) == "waiting"
    found = do(queue.get_job, MARKUP)
    assert (found.id, found.name, found.data) == (MARKUP, MARKUP, {MARKUP: MARKUP})
    do(found.log, MARKUP)
    assert do(found.get_logs) == ([MARKUP], 1)
    invariants.check(redis_client, MARKUP)


@pytest.mark.parametrize("text", ["", "\x00", "ü\U0001f600", "line\r\nline", '"\\', "\u2028"])
def test_text_comes_back_as_it_went(do: Do, queue: Queue, text: str) -> None:
    do(queue.add, "x", {"text": text, text: [text]})
    assert do(queue.get_job, "1").data == {"text": text} | {text: [text]}


def test_five_megabytes(do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis) -> None:
    data = {"text": "ü" * 2_500_000}
    do(queue.add, "x", data)
    (job,) = hands.claim()
    assert job.data == data
    hands.complete(job, data["text"])
    assert do(job.result) == data["text"]
    invariants.check(redis_client, "q")


def test_a_hundred_levels_and_data_that_is_not_there(do: Do, queue: Queue) -> None:
    do(queue.add, "x", deep(99))
    do(queue.add, "x")
    do(queue.add, "x", 0)
    do(queue.add, "x", [])
    found = [job.data for job in do(queue.get_jobs, "waiting", asc=True)]
    assert found == [deep(99), {}, 0, []]


def test_what_others_wrote_badly_is_shown_and_can_be_removed(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    redis_client.hset(
        "bull:q:1",
        mapping={"name": b"\xff", "data": "{", "opts": "[", "timestamp": "x", "progress": "{"},
    )
    redis_client.lpush("bull:q:wait", "1")
    (job,) = do(queue.get_jobs, "waiting")
    assert (job.name, job.opts, job.timestamp, job.progress) == ("\\xff", {}, None, 0)
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the decoder's own
        _ = job.data
    assert do(job.remove) is True


def test_every_refusal_is_of_one_family(queue: Queue) -> None:
    for wrong in (
        lambda: queue.add(""),
        lambda: queue.add("x", b""),
        lambda: queue.add("x", priority=-1),
        lambda: Queue("a:b"),
        lambda: Queue("q", connection="nowhere"),
    ):
        with pytest.raises(QueueCoreError):
            wrong()
