"""Operations driven by hand: what they ask, answer by answer, with no server near."""

from collections.abc import Generator
from typing import Any

import pytest

from queuecore import errors
from queuecore.wire.calls import moving, reading, removing, steering
from queuecore.wire.calls.base import NOW, Call, Command, check, pairs, text
from queuecore.wire.keys import Keys

K = Keys("bull", "q")


def drive(operation: Generator[Any, Any, Any], *answers: Any) -> tuple[list[Any], Any]:
    """Every request of *operation*, and what it returns; fails unless *answers* are just enough."""
    requests = []
    try:
        requests.append(next(operation))
        for answer in answers:
            requests.append(operation.send(answer))
    except StopIteration as stop:
        assert len(requests) == len(answers), "answers are left"
        return requests, stop.value
    raise AssertionError(f"it asks on: {requests[-1]}")


def argument(call: Call[Any], index: int) -> Any:
    return list(call.args)[index]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-1, errors.JobNotFound),
        (-2, errors.LockLost),
        (-3, errors.JobNotInState),
        (-4, errors.PendingChildren),
        (-6, errors.LockLost),
        (-8, errors.PendingSchedulerRun),
        (-9, errors.FailedChildren),
        (-77, errors.UnknownCode),
    ],
)
def test_each_code_is_an_error_that_names_job_and_queue(code: int, kind: type) -> None:
    with pytest.raises(kind, match=r"job 7\b.* queue q\b"):
        check(code, queue="q", id="7")


def test_a_code_that_is_none_is_returned() -> None:
    assert check(0, queue="q", id="7") == 0
    assert check(b"-1", queue="q", id="7") == b"-1"


def test_a_wrong_state_is_named() -> None:
    with pytest.raises(errors.JobNotInState, match="job 7 of queue q is not delayed"):
        moving.promote(K, "7").decode(-3)


def test_bytes_of_unknown_origin_stay_visible() -> None:
    assert text(b"caf\xc3\xa9") == "café"
    assert text(b"\xff\x00") == "\\xff\x00"
    assert text("text") == "text"
    assert pairs([b"a", b"1", b"b", b"\xfe"]) == {"a": "1", "b": "\\xfe"}


def test_pausing_and_resuming_go_on_until_all_is_moved() -> None:
    requests, _ = drive(steering.pause(K), 1, 1, 0)
    assert [one.script for one in requests] == ["pause"] * 3
    requests, _ = drive(steering.resume(K), 1, 1, 0, 1)
    assert [one.script for one in requests[:-1]] == ["resume"] * 3
    assert requests[-1].args == ("DEL", K.pause)


def test_draining_takes_no_more_than_was_there_at_first() -> None:
    size = removing.BATCH + 50
    answers = [size, [removing.BATCH, 2], [50, 0], 0, 1, [1, 1], 3, [1, 0], 1, 3, 2, 1]
    requests, deleted = drive(removing.drain(K, delayed=True), *answers)
    assert deleted == size - 2 + 0 + 1 + 3
    calls = [one for one in requests if isinstance(one, Call)]
    # (kind, batch, kept) of each: the second goes on behind the two that the first let stand.
    assert [tuple(call.args)[1:] for call in calls] == [
        ("list", removing.BATCH, 0),
        ("list", 50, 2),
        ("zset", 1, 0),
        ("zset", 3, 0),
        (3, 1),
        (1, 1),
    ]
    sources = [K.wait, K.wait, K.prioritized, K.delayed, *[K.qc("groups")] * 2]
    assert [call.keys[0] for call in calls] == sources


def test_draining_without_delayed_jobs_does_not_look_at_them() -> None:
    requests, deleted = drive(removing.drain(K, delayed=False), 0, 0, 0, 0)
    assert deleted == 0
    assert [one.args for one in requests] == [
        ("LLEN", K.wait),
        ("LLEN", K.paused),
        ("ZCARD", K.prioritized),
        ("EXISTS", K.grouped),
    ]


def test_cleaning_stops_at_its_limit_and_tells_once() -> None:
    requests, ids = drive(
        removing.clean(K, "completed", 1000, 3), [removing.BATCH, 1, "1", "2"], [250, 0, "3"], None
    )
    assert ids == ["1", "2", "3"]
    first, second, event = requests
    assert (argument(first, 4), argument(first, 6)) == (0, 3)
    assert (argument(second, 4), argument(second, 6)) == (1, 1)
    assert event == Command(
        ("XADD", K.events, "*", "event", "cleaned", "count", 3), repeatable=False
    )


def test_cleaning_what_waits_looks_at_both_lists() -> None:
    requests, ids = drive(removing.clean(K, "waiting", 1000, 0), 0, [1, 0, "1"], [0, 0], None)
    assert ids == ["1"]
    assert [one.keys for one in requests[1:3]] == [(K.wait,), (K.paused,)]


def test_cleaning_steps_carefully_over_a_long_list_of_young_jobs() -> None:
    operation = removing.clean(K, "waiting", 1000, 0)
    assert next(operation).args == ("EXISTS", K.grouped)
    first = operation.send(0)
    second = operation.send([removing.BATCH, 100_000])
    assert argument(first, 3) == removing.BATCH
    assert argument(second, 3) == 1


def test_promoting_all_means_those_that_are_there() -> None:
    requests, moved = drive(moving.promote_jobs(K, None), 301, [300, 1], [1, 1], 1, 1, [1, 1])
    assert moved == 302
    assert [argument(call, 2) for call in requests[1:3]] == [300, 1]
    assert argument(requests[5], 1) == 1
    _, moved = drive(moving.promote_jobs(K, 5), 301, [5, 1], 1, 9)
    assert moved == 5
    _, moved = drive(moving.promote_jobs(K, 5), 0, 0)
    assert moved == 0


def test_retrying_goes_on_while_there_are_more() -> None:
    requests, moved = drive(moving.move_jobs_to_wait(K, "failed", 99, None), [300, 1], [12, 0])
    assert moved == 312
    assert [argument(call, 3) for call in requests] == [99, 99]


@pytest.mark.parametrize(
    ("answer", "error"), [(-1, errors.QueueNotPaused), (-2, errors.QueueHasActiveJobs)]
)
def test_obliterating_says_why_it_cannot(answer: int, error: type) -> None:
    operation = removing.obliterate(K, force=False)
    assert next(operation).script == "pause"
    call = operation.send(0)
    with pytest.raises(error):
        call.decode(answer)


def test_a_locked_job_is_not_removed() -> None:
    with pytest.raises(errors.JobIsLocked, match="job 7 of queue q is running"):
        removing.remove_job(K, "7", False).decode(0)
    with pytest.raises(errors.JobIsLocked, match="or one of its children"):
        removing.remove_job(K, "7", True).decode(0)
    with pytest.raises(errors.PendingSchedulerRun):
        removing.remove_job(K, "7", True).decode(-8)
    assert removing.remove_job(K, "7", True).decode(1) is True
    assert removing.remove_job(K, "7", True).decode(2) is False


def test_orphans_are_looked_for_page_by_page_and_checked_again_by_the_script() -> None:
    keys = [b"bull:q:7", b"bull:q:7:lock", b"bull:q:8:logs", b"bull:q:", b"bull:q:9"]
    in_completed = [None] * 5
    ids = ["7", "7:lock", "8:logs", "8", "", "9"]
    known = [one for id in ids for one in ([b"5", *[None] * 4] if id == "9" else in_completed)]
    page = [f"w{n}" for n in range(removing.PAGE)]
    answers = [page, ["7:lock"], [], [], [b"12", keys], known, [b"8"], [b"0", []], []]
    requests, removed = drive(removing.remove_orphaned_jobs(K), *answers)
    assert removed == 1
    assert [one.args[1:3] for one in requests[:4]] == [
        (K.wait, 0),
        (K.wait, removing.PAGE),
        (K.paused, 0),
        (K.active, 0),
    ]
    assert list(requests[6].args) == [K.base, "7", "8:logs", "8"]
    assert requests[7].args[1] == b"12"


def test_a_range_of_a_list_counts_from_the_end_that_runs_next() -> None:
    def ask(state: str, start: int, end: int, ascending: bool) -> list[Any]:
        return [c.args for c in next(reading.get_ids(K, state, start, end, ascending))]

    assert ask("active", 0, 9, True) == [("LRANGE", K.active, -10, -1)]
    assert ask("active", 0, -1, True) == [("LRANGE", K.active, 0, -1)]
    assert ask("active", 0, 9, False) == [("LRANGE", K.active, 0, 9)]
    assert ask("failed", 0, 9, False) == [("ZREVRANGE", K.failed, 0, 9)]
    assert ask("failed", 0, 9, True) == [("ZRANGE", K.failed, 0, 9)]
    assert ask("waiting", 0, 9, False) == [("LRANGE", K.wait, 0, 9), ("LRANGE", K.paused, 0, 9)]


def test_only_a_hash_with_a_timestamp_is_a_job() -> None:
    decode = reading.get_job(K, "7").decode
    assert decode([b"name", b"x", b"timestamp", b"1"]) == {b"name": b"x", b"timestamp": b"1"}
    assert decode([b"opts.maxLenEvents", b"10000"]) is None
    assert decode([]) is None
    assert decode(None) is None, "a key of another type"


def test_jobs_in_the_paused_list_of_bullmq_5_are_waiting_ones() -> None:
    call = reading.get_counts(K, ["waiting", "active"])
    assert call.decode([3, 4, 1]) == {"waiting": 7, "active": 1}


@pytest.mark.parametrize(
    ("value", "number"), [(b"12", 12), ("12", 12), (b"1e3", 1000), (b"many", None), (None, None)]
)
def test_numbers_in_meta_are_read_liberally(value: Any, number: int | None) -> None:
    assert steering.number(value) == number


def test_now_says_what_it_is() -> None:
    assert repr(NOW) == "NOW"
