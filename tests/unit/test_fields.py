"""A job's hash as others may have written it: what cannot be read is empty, never an accident."""

from datetime import UTC, datetime
from typing import Any

import pytest

from queuecore.job.fields import Fields


def fields(**written: Any) -> Fields:
    return Fields(
        {k.encode(): v if isinstance(v, bytes) else v.encode() for k, v in written.items()}
    )


def test_a_whole_job() -> None:
    job = fields(
        name="welcome",
        data='{"a":1}',
        opts='{"attempts":3}',
        timestamp="1700000000000",
        processedOn="1700000000500",
        finishedOn="1700000001000",
        delay="1500",
        priority="4",
        atm="2",
        ats="3",
        stc="1",
        progress='{"done":5}',
        returnvalue='{"sent":true}',
        failedReason="boom",
        stacktrace='["a","b"]',
        pb="worker-1",
        defa="why",
        parentKey="bull:p:1",
        parent='{"id":"1","queueKey":"bull:p"}',
        rjk="daily",
        deid="once",
    )
    assert (job.name, job.data, job.opts) == ("welcome", {"a": 1}, {"attempts": 3})
    assert job.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (job.finished_on - job.processed_on).total_seconds() == 0.5
    assert (job.delay, job.priority) == (1.5, 4)
    assert (job.attempts_made, job.attempts_started, job.stalled_counter) == (2, 3, 1)
    assert (job.progress, job.returnvalue) == ({"done": 5}, {"sent": True})
    assert (job.failed_reason, job.stacktrace) == ("boom", ["a", "b"])
    assert (job.processed_by, job.deferred_failure) == ("worker-1", "why")
    assert job.parent == {"id": "1", "queueKey": "bull:p"}
    assert (job.parent_key, job.repeat_job_key, job.deduplication_id) == (
        "bull:p:1",
        "daily",
        "once",
    )


def test_an_empty_hash() -> None:
    job = fields()
    assert (job.name, job.data, job.opts) == ("", None, {})
    assert (job.timestamp, job.processed_on, job.finished_on) == (None, None, None)
    assert (job.delay, job.priority, job.attempts_made, job.attempts_started) == (0.0, 0, 0, 0)
    assert (job.progress, job.returnvalue, job.failed_reason, job.stacktrace) == (0, None, None, [])
    assert (job.parent, job.parent_key, job.processed_by) == (None, None, None)


@pytest.mark.parametrize("garbage", ["{", "\x00", "[1,2", b"\xff\xfe", "nan", "-", "9" * 400])
def test_garbage_is_as_good_as_nothing(garbage: Any) -> None:
    names = [
        "opts",
        "timestamp",
        "processedOn",
        "finishedOn",
        "delay",
        "priority",
        "atm",
        "ats",
        "stc",
        "progress",
        "returnvalue",
        "stacktrace",
        "parent",
    ]
    job = fields(**dict.fromkeys(names, garbage))
    assert (job.opts, job.stacktrace, job.parent) == ({}, [], None)
    assert (job.timestamp, job.processed_on, job.finished_on) == (None, None, None)
    assert isinstance(job.priority, int)
    assert job.progress == 0
    assert job.returnvalue is None


def test_data_that_is_no_json_is_an_error_when_it_is_read() -> None:
    job = fields(name="x", data="{")
    assert job.name == "x"
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the decoder's own
        _ = job.data


def test_json_of_another_shape_is_as_good_as_nothing() -> None:
    job = fields(opts="[1]", stacktrace='"text"', parent="7")
    assert (job.opts, job.stacktrace, job.parent) == ({}, [], None)
    assert fields(stacktrace="[1,null]").stacktrace == ["1", "None"]


def test_text_that_is_no_utf_8_stays_visible() -> None:
    assert fields(name=b"caf\xe9").name == "caf\\xe9"


def test_the_old_name_of_the_attempts_counts_first() -> None:
    assert fields(attemptsMade="3", atm="1").attempts_made == 3


def test_data_is_decoded_once() -> None:
    job = fields(data="[1]")
    assert job.data is job.data
