"""Job options: what is refused, with which words, and how the rest stands on the wire."""

import json
import math
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

import pytest

from queuecore.errors import InvalidOption
from queuecore.options import (
    MAX_PRIORITY,
    Backoff,
    JobSpec,
    Keep,
    checked_id,
    checked_job_name,
    checked_queue_name,
    milliseconds,
    wire_options,
)
from queuecore.wire.keys import SUFFIXES

AT = datetime(2026, 3, 1, tzinfo=UTC)


def wire(**options: Any) -> Any:
    return wire_options(options, SUFFIXES)


def test_without_options_only_attempts_are_written() -> None:
    assert json.loads(wire().encoded) == {"attempts": 0}


@pytest.mark.parity(
    "JobOptions.delay", "JobOptions.timestamp", "JobOptions.sizeLimit", "JobOptions.keepLogs"
)
@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"attempts": 3}, {"attempts": 3}),
        ({"delay": 1.5}, {"delay": 1500}),
        ({"delay": timedelta(minutes=1)}, {"delay": 60_000}),
        ({"delay": 0}, {}),
        ({"priority": 2}, {"priority": 2}),
        ({"priority": 0}, {}),
        ({"lifo": True}, {"lifo": True}),
        ({"lifo": False}, {}),
        ({"job_id": "order-7"}, {"jobId": "order-7"}),
        ({"job_id": None}, {}),
        ({"backoff": 2}, {"backoff": {"type": "fixed", "delay": 2000}}),
        (
            {"backoff": Backoff.exponential(0.5, jitter=0.5)},
            {"backoff": {"type": "exponential", "delay": 500, "jitter": 0.5}},
        ),
        ({"backoff": Backoff.custom("mine")}, {"backoff": {"type": "mine", "delay": 0}}),
        ({"remove_on_complete": True}, {"removeOnComplete": True}),
        ({"remove_on_fail": 5}, {"removeOnFail": 5}),
        ({"remove_on_fail": Keep(3, 1.2, 9)}, {"removeOnFail": {"count": 3, "age": 2, "limit": 9}}),
        ({"remove_on_fail": {"age": timedelta(days=1)}}, {"removeOnFail": {"age": 86400}}),
        ({"keep_logs": 4}, {"kl": 4}),
        ({"stack_trace_limit": 0}, {"stackTraceLimit": 0}),
        ({"size_limit": 99}, {"sizeLimit": 99}),
        ({"timestamp": AT}, {"timestamp": 1772323200000}),
    ],
    ids=lambda v: repr(v)[:50],
)
def test_an_option_on_the_wire(options: dict[str, Any], written: dict[str, Any]) -> None:
    made = json.loads(wire(**options).encoded)
    assert made == {"attempts": 0} | written
    assert next(iter(made)) == "attempts"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize("name", ["priority", "attempts", "size_limit"])
def test_a_number_of_an_enum_is_a_plain_one(name: str) -> None:
    """Only a plain one is packed for the server, and printed, as digits."""
    made = wire(**{name: Level.HIGH})
    assert b"3" in made.encoded
    assert type(made.priority) is int
    assert type(made.size_limit or 0) is int


@pytest.mark.parametrize("name", ["remove_on_complete", "remove_on_fail"])
def test_no_retention_is_not_written(name: str) -> None:
    """A BullMQ worker takes a null for an object and cannot finish the job."""
    assert wire(**{name: None}).encoded == b'{"attempts":0}'


def test_what_the_script_needs_stands_beside_the_json() -> None:
    made = wire(
        delay=2, priority=7, lifo=True, job_id="own", timestamp=AT, size_limit=9, attempts=4
    )
    assert (made.delay_ms, made.priority, made.lifo, made.job_id) == (2000, 7, True, "own")
    assert (made.timestamp_ms, made.size_limit) == (1772323200000, 9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"priority": -1}, "priority must be a whole number of 0 .* not -1"),
        ({"priority": MAX_PRIORITY + 1}, f"to {MAX_PRIORITY}, not {MAX_PRIORITY + 1}"),
        ({"priority": 1.5}, "not 1.5"),
        ({"priority": "1"}, "not '1'"),
        ({"priority": True}, "not True"),
        ({"delay": -1}, "delay must be at least 0 seconds"),
        ({"delay": math.nan}, "delay must be at least 0 seconds and finite"),
        ({"delay": math.inf}, "finite"),
        ({"delay": "1"}, "delay must be seconds or a timedelta, not '1'"),
        ({"delay": True}, "not True"),
        ({"attempts": -1}, "attempts must be a whole number"),
        ({"attempts": 2.0}, "attempts must be a whole number"),
        ({"attempts": 2**53}, "attempts must be a whole number"),
        ({"backoff": "fast"}, "or a Backoff, such as Backoff.exponential"),
        ({"backoff": {"type": "fixed"}}, "or a Backoff, such as Backoff.exponential"),
        ({"remove_on_complete": -1}, "remove_on_complete must be True, False, a number"),
        ({"remove_on_complete": "all"}, "remove_on_complete must be True"),
        ({"remove_on_fail": {"counts": 1}}, "keys count, age and limit, not"),
        ({"remove_on_fail": 2**53}, "remove_on_fail must be True"),
        ({"remove_on_complete": {"count": 2**53}}, "Keep.count=.* whole number"),
        ({"lifo": "no"}, "lifo must be True or False, not 'no'"),
        ({"lifo": 1}, "lifo must be True or False, not 1"),
        ({"timestamp": datetime(1960, 1, 1, tzinfo=UTC)}, "timestamp must lie after 1970"),
        ({"timestamp": datetime(1970, 1, 1, tzinfo=UTC)}, "timestamp must lie after 1970"),
        ({"keep_logs": None}, "keep_logs must be a whole number"),
        ({"timestamp": 5}, "timestamp must be an aware datetime, not 5"),
        ({"timestamp": datetime(2026, 1, 1)}, "timestamp must be an aware datetime"),
        ({"prioritty": 1}, "no job option 'prioritty'; did you mean 'priority'"),
        ({"jobId": "x"}, "no job option 'jobId'; did you mean 'job_id'"),
    ],
    ids=lambda v: repr(v)[:50],
)
def test_a_wrong_option_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        wire(**options)


@pytest.mark.parity("JobOptions.jobId")
@pytest.mark.parametrize("job_id", ["order-7", "a:b:c", "ü", "7a", "-", "repeat-7", "1.5", "<b>"])
def test_ids_that_are_allowed(job_id: str) -> None:
    assert checked_id(job_id, SUFFIXES) == job_id


@pytest.mark.parametrize(
    ("job_id", "words"),
    [
        ("", "not empty"),
        (7, "must be a text"),
        (b"x", "must be a text"),
        ("7", "one of the queue's own numbers; .* such as 'order-7'"),
        ("-12", "own numbers"),
        ("0", "own numbers"),
        ("0:x", "holds ':'"),
        ("0:x:y", "holds ':'"),
        ("a:b", "holds ':'.* use '-'"),
        ("a:b:c:d", "holds ':'"),
        ("\ud800", "lone surrogate"),
        *((suffix, "one of the queue's own keys") for suffix in sorted(SUFFIXES)),
        ("repeat:s:5", "one of the queue's own keys"),
        ("de:x:y", "one of the queue's own keys"),
    ],
)
def test_ids_that_are_refused(job_id: Any, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        checked_id(job_id, SUFFIXES)


@pytest.mark.parametrize("name", ["emails", "with space", "{tag}", "<script>", "ü", "*"])
def test_queue_names_that_are_allowed(name: str) -> None:
    assert checked_queue_name(name) == name


@pytest.mark.parametrize("name", ["", "a:b", ":", None, 7, b"emails", "\udc00"])
def test_queue_names_that_are_refused(name: Any) -> None:
    with pytest.raises(InvalidOption, match="queue"):
        checked_queue_name(name)


@pytest.mark.parametrize("name", ["", None, 7, "\udc00"])
def test_job_names_that_are_refused(name: Any) -> None:
    with pytest.raises(InvalidOption, match="name of a job"):
        checked_job_name(name)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Keep(count=-1),
        lambda: Keep(count=1.5),
        lambda: Keep(limit=True),
        lambda: Keep(age=-1),
        lambda: Keep(age="day"),
        lambda: Keep(count=2**53),
        lambda: Backoff("", 1),
        lambda: Backoff.custom("\ud800"),
        lambda: Backoff.fixed(-1),
        lambda: Backoff.fixed(1, jitter=2),
        lambda: Backoff.exponential(1, jitter="half"),
    ],
)
def test_values_are_checked_when_they_are_made(made: Any) -> None:
    with pytest.raises(InvalidOption):
        made()


def test_milliseconds_are_rounded() -> None:
    assert milliseconds(0.0014, "x") == 1
    assert milliseconds(timedelta(microseconds=1500), "x") == 2


def test_a_spec_shows_its_name_and_not_its_data() -> None:
    assert (
        repr(JobSpec("welcome", {"secret": 1}, delay=3)) == "JobSpec('welcome', options=['delay'])"
    )
