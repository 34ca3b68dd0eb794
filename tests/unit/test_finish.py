"""Outcomes: what a processor returned or raised, as the finish script takes it."""

import json
from typing import Any

import pytest

from queuecore import Backoff, Job, Keep, Queue, RateLimitError, UnrecoverableError
from queuecore.errors import NotSerializable
from queuecore.wire.calls.working import Outcome
from queuecore.worker import finish
from queuecore.worker.finish import Retention, rule

KEEP_ALL = Retention("", "")
BOOM = ValueError("boom")


def job(*, made: int = 0, stack: list[str] | None = None, **opts: Any) -> Job:
    fields = {
        b"name": b"x",
        b"opts": json.dumps(opts).encode(),
        b"atm": b"%d" % made,
        b"stacktrace": json.dumps(stack or []).encode(),
    }
    return Job(Queue("q"), "7", fields, "w:3")


def fail(one: Job, error: BaseException = BOOM, **arguments: Any) -> Outcome:
    values = {"kept": KEEP_ALL, "strategy": None} | arguments
    return finish.failed(one, 3, error, **values)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (None, ""),
        (True, "0"),
        (False, ""),
        (0, "0"),
        (5, "5,,"),
        (5.9, "5,,"),
        (0.5, "0"),
        (-1, ""),  # BullMQ: keep all
        ({"count": 5}, "5,,"),
        ({"age": 60}, ",60,"),
        ({"count": 5, "age": 60, "limit": 9}, "5,60,9"),
        ({"count": 0}, "0"),
        ({"count": 0, "age": 60}, "0"),
        ({"count": "5"}, ""),
        ({"count": -1}, ""),
        ({}, ""),
        ({"unknown": 1}, ""),
        ("5", ""),
        ([5], ""),
        (float("nan"), ""),
        (float("inf"), ""),
    ],
)
def test_retention_rules(keep: Any, expected: str) -> None:
    assert rule(keep) == expected


def test_retention_of_the_settings() -> None:
    assert Retention.of(Keep(count=10, age=60), True) == Retention("10,60,", "0")
    assert Retention.of({"count": 3}, 100) == Retention("3,,", "100,,")
    assert Retention.of(None, False) == Retention("", "")


def test_the_jobs_own_retention_goes_before_the_settings() -> None:
    settings = Retention("1,,", "2,,")
    assert finish.completed(job(), 3, None, settings).rule == "1,,"
    assert finish.completed(job(removeOnComplete=9), 3, None, settings).rule == "9,,"
    assert finish.completed(job(removeOnComplete=False), 3, None, settings).rule == ""
    assert fail(job(), kept=settings).rule == "2,,"
    assert fail(job(removeOnFail=True), kept=settings).rule == "0"


def test_a_completion() -> None:
    told = finish.completed(job(made=2), 3, {"a": 1}, KEEP_ALL)
    assert (told.job_id, told.number, told.kind) == ("7", 3, "c")
    assert (told.value, told.attempts) == (b'{"a":1}', "3")


@pytest.mark.parametrize(("value", "text"), [(None, b"null"), (0, b"0"), ("", b'""'), ([], b"[]")])
def test_empty_results(value: Any, text: bytes) -> None:
    assert finish.completed(job(), 3, value, KEEP_ALL).value == text


def test_a_result_that_is_no_json() -> None:
    with pytest.raises(NotSerializable, match=r"the result\['x'\] is bytes"):
        finish.completed(job(), 3, {"x": b""}, KEEP_ALL)


@pytest.mark.parametrize(
    ("made", "attempts", "kind", "told"),
    [
        (0, None, "f", "1!"),
        (0, 1, "f", "1!"),
        (0, 2, "r", "1"),
        (1, 2, "f", "2!"),
        (5, 2, "f", "6!"),
        (0, "3", "f", "1!"),  # malformed: one attempt
        (0, -4, "f", "1!"),
        (0, True, "f", "1!"),
        (0, 1e300, "f", "1!"),
    ],
)
def test_how_often_it_is_tried(made: int, attempts: Any, kind: str, told: str) -> None:
    outcome = fail(job(made=made, **({} if attempts is None else {"attempts": attempts})))
    assert (outcome.kind, outcome.attempts) == (kind, told)


def test_an_unrecoverable_failure_is_final_but_not_exhausted() -> None:
    outcome = fail(job(attempts=3), UnrecoverableError("no use"))
    assert (outcome.kind, outcome.attempts, outcome.value) == ("f", "1", "no use")


def test_a_result_that_is_no_json_is_final() -> None:
    assert fail(job(attempts=3), NotSerializable("the result is bytes")).kind == "f"


def test_a_retry_after_a_while_and_one_at_once() -> None:
    later = fail(job(attempts=3, backoff=Backoff.fixed(2).wire()))
    assert (later.kind, later.rule, later.attempts) == ("d", "2000", "1")
    assert (fail(job(attempts=3)).kind, fail(job(attempts=3)).rule) == ("r", "")
    assert fail(job(attempts=3, lifo=True)).rule == "lifo"


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), LookupError("no row")])
def test_a_strategy_that_raises_does_not_hide_the_jobs_own_error(error: BaseException) -> None:
    def strategy(*_: Any) -> float:
        raise error

    outcome = fail(job(attempts=3, backoff={"type": "mine"}), strategy=strategy)
    assert outcome.kind == "f"
    assert str(outcome.value).startswith("boom (no further try: ")


def test_stack_traces_are_kept_up_to_their_limit() -> None:
    kept = [f"trace {n}" for n in range(20)]
    told = json.loads(fail(job(stack=kept)).stacktrace)
    assert (len(told), told[:9]) == (10, kept[11:])
    assert told[9] == "ValueError: boom\n"
    assert len(json.loads(fail(job(stack=kept, stackTraceLimit=3)).stacktrace)) == 3
    assert fail(job(stack=kept, stackTraceLimit=0)).stacktrace == b"[]"


def test_a_stack_trace_that_a_peer_wrote_is_cut_too() -> None:
    told = json.loads(fail(job(stack=["x" * 100_000])).stacktrace)
    assert len(told[0]) <= 32 * 1024
    assert "... cut ..." in told[0]


@pytest.mark.parametrize(
    "error", [RateLimitError(), Exception("bullmq:rateLimitExceeded"), RateLimitError("mine")]
)
def test_rate_limit_errors(error: Exception) -> None:
    assert finish.is_rate_limit(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bullmq:rateLimitExceeded"),
        Exception(),
        Exception("bullmq:rateLimitExceeded", 5),
        Exception(5),
    ],
)
def test_no_rate_limit_errors(error: Exception) -> None:
    assert not finish.is_rate_limit(error)


def test_runs_that_were_none() -> None:
    back, later = finish.put_back(job(), 3), finish.postponed(job(), 3, 30)
    assert (back.kind, later.kind, later.rule) == ("w", "p", "30000")
    limited = finish.limited(job(), 3)
    assert (limited.kind, limited.rule, back.rule) == ("w", "limited", "")
    assert back.attempts == later.attempts == limited.attempts == ""


@pytest.mark.parametrize("text", ["", "short", "x" * 8192, "x" * 8193, "\U0001f600" * 3000])
def test_reasons_fit(text: str) -> None:
    told = finish.reason(ValueError(text))
    assert len(told.encode()) <= 8192
    if len(text.encode()) <= 8192:
        assert told == (text or "ValueError")
    else:
        assert "... cut ..." in told
        assert told.startswith(text[:50])
        assert told.endswith(text[-50:])
