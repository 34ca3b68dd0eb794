"""Jobs are found by a filter: in every state, page by page, while others come and go."""

import os
import random

import pytest
import redis

from queuecore import Queue, matching
from queuecore.inspect import Inspector
from queuecore.matching import Filter, Tally
from queuecore.wire.calls import matching as calls
from queuecore.wire.calls.base import NOW, Rest
from queuecore.wire.connections import get_connection
from tests.server.test_inspect import put_job

LISTS = ("waiting", "active")
SETS = ("prioritized", "delayed", "waiting-children", "completed", "failed")
KEYS = {"waiting": "wait"}


def put(client: redis.Redis, job_id: str, state: str, score: float = 0, **fields: object) -> None:
    if state in ("completed", "failed"):
        fields.setdefault("finishedOn", round(score))
    put_job(client, job_id, KEYS.get(state, state), score, queue="q", **fields)


def pages(queue: Queue, state: str, text: str = "", limit: int = 50, **options) -> list[list[str]]:
    """The ids of each page."""
    cursor, found = "", []
    while True:
        page = matching.match(queue, Filter.parse(state, text), cursor, limit, **options)
        found.append(page.ids)
        cursor = page.cursor
        if not cursor:
            return found


def ids(queue: Queue, state: str, text: str = "", **options) -> list[str]:
    return [one for page in pages(queue, state, text, **options) for one in page]


@pytest.mark.parametrize("state", [*LISTS, *SETS])
def test_every_job_of_a_state_is_met_once_and_in_the_order_of_its_pages(
    queue: Queue, redis_client: redis.Redis, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "SLICE", 7)
    for number in range(60):
        # Many of them share a score, as jobs of one batch do.
        put(redis_client, os.urandom(3).hex(), state, number // 25)
    shown = [row.id for row in Inspector().jobs("q", state, limit=200).rows]
    for limit in (1, 5, 50):
        assert ids(queue, state, limit=limit) == shown
    if state in ("completed", "failed"):
        assert ids(queue, state, limit=5, oldest_first=True) == shown[::-1]
    page = matching.match(queue, Filter(state), limit=20)
    assert (page.looked, page.passed, page.total) == (20, 20, 60)
    page = matching.match(queue, Filter(state), page.cursor, limit=20)
    assert (page.looked, page.passed, page.total) == (20, 40, 60)


@pytest.mark.parametrize("state", [*LISTS, *SETS])
def test_a_jump_into_a_list_goes_on_behind_as_many_jobs(
    queue: Queue, redis_client: redis.Redis, state: str
) -> None:
    for number in range(40):
        put(redis_client, f"j{number:02}", state, number // 7)
    if state == "waiting":  # a queue paused by BullMQ 5, resumed only halfway
        for number in range(5):
            put_job(redis_client, f"p{number}", "paused", queue="q")
    everything = ids(queue, state)
    for passed in (1, 20, 39, 40, 43):
        cursor = matching.cursor_at(queue, state, passed)
        page = matching.match(queue, Filter(state), cursor, limit=10)
        if passed < len(everything):
            assert page.ids == everything[passed : passed + 10]
            assert page.passed == passed + len(page.ids)
        else:
            assert cursor == ""
    for none in (0, -1, 10**12):
        assert matching.cursor_at(queue, state, none) == ""
    if state in ("completed", "failed"):
        cursor = matching.cursor_at(queue, state, 30, oldest_first=True)
        page = matching.match(queue, Filter(state), cursor, oldest_first=True)
        assert page.ids == everything[9::-1]


async def test_the_async_jump_is_the_same(queue: Queue, redis_client: redis.Redis) -> None:
    for number in range(5):
        put(redis_client, f"j{number}", "failed", number)
    cursor = await matching.acursor_at(queue, "failed", 2)
    assert (await matching.amatch(queue, Filter("failed"), cursor)).ids == ["j2", "j1", "j0"]


def test_the_words_of_a_filter_are_its_text() -> None:
    filter = Filter.parse("failed", 'timed attempts>2 error:"no route" age>1h')
    assert filter.words == ("name:*timed*", 'error:"no route"', "attempts:3..", "age>1h")
    assert Filter.parse("failed", " ".join(filter.words)) == filter


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("state", SETS)
def test_places_among_scores_do_not_drift(
    queue: Queue,
    redis_client: redis.Redis,
    state: str,
    oldest_first: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calls, "SLICE", 9)
    dice = random.Random(7)
    names = [f"{dice.randrange(10**6):06}" for _ in range(120)]
    scores = {name: dice.randrange(4) for name in names}
    for name, score in scores.items():
        put(redis_client, name, state, score)
    cursor, found, gone = "", [], set()
    while True:
        page = matching.match(queue, Filter(state), cursor, 5, oldest_first=oldest_first)
        found += page.ids
        cursor = page.cursor
        if not cursor:
            break
        # Some go, the last one seen always, and some come: nothing else moves.
        lost = {page.ids[-1], dice.choice(names)}
        gone |= lost
        redis_client.zrem(f"bull:q:{state}", *lost)
        put(redis_client, f"new{len(found)}", state, dice.randrange(4))
    old = [one for one in found if not one.startswith("new")]
    assert len(set(found)) == len(found)
    assert set(names) - set(old) <= gone


def test_a_list_that_grows_and_shrinks_hides_no_job(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "SLICE", 6)
    for number in range(100):
        put(redis_client, str(number), "waiting")
    cursor, found, taken = "", set(), set()
    while True:
        page = matching.match(queue, Filter("waiting"), cursor, 4)
        found |= set(page.ids)
        cursor = page.cursor
        if not cursor:
            break
        taken |= {redis_client.rpop("bull:q:wait") for _ in range(3)}
        redis_client.lpush("bull:q:wait", *(f"new{len(found)}-{i}" for i in range(2)))
    assert {str(number) for number in range(100)} <= found | taken


def test_both_lists_of_a_queue_in_the_hands_of_bullmq_5(
    queue: Queue, redis_client: redis.Redis
) -> None:
    for number in range(3):
        put(redis_client, f"w{number}", "waiting")
        put(redis_client, f"p{number}", "paused")
    assert pages(queue, "waiting", limit=2) == [["w0", "w1"], ["w2", "p0"], ["p1", "p2"]]
    assert matching.match(queue, Filter("waiting"), limit=2).total == 6
    assert matching.count(queue, Filter("waiting")) == Tally(6, 6, 6)


WORDS = [
    ("id:b", ["b"]),
    ("id:nowhere", []),
    ("id:b*", ["b", "bc"]),
    ("id:*c", ["bc"]),
    ("name:send-mail", ["a"]),
    ("name:send-*", ["a", "b"]),
    ("name:*-SMS", []),
    ("name:*-sms", ["b"]),
    ("SMS", ["b"]),
    ("name:*", ["a", "b", "bc"]),
    ("error:TIMED", ["a"]),
    ('error:"timed out" name:send-mail', ["a"]),
    ("error:timed name:send-sms", []),
    ("priority:3", ["b"]),
    ("priority:0", ["a", "bc"]),
    ("attempts>1", ["b", "bc"]),
    ("attempts:1", ["a"]),
    ("scheduler:nightly", ["bc"]),
    ("parent:bull:p:1", ["a"]),
    ("added<1970-01-01T00:00:02Z", ["a", "b"]),
    ("added>1970-01-01T00:00:02Z", ["b", "bc"]),
    ("age>1h", ["a", "b", "bc"]),
    ("age<1h", []),
]


@pytest.mark.parametrize(("text", "found"), WORDS)
@pytest.mark.parametrize("state", ["failed", "waiting", "delayed"])
def test_each_word_of_a_filter(
    queue: Queue, redis_client: redis.Redis, state: str, text: str, found: list[str]
) -> None:
    put(
        redis_client, "a", state, 30, name="send-mail", timestamp=1000, atm=1, ats=1,
        failedReason="ConnectionError: timed out", parentKey="bull:p:1",
    )  # fmt: skip
    # An older peer wrote `attemptsMade`; a reason may be of any length.
    put(
        redis_client, "b", state, 20, name="send-sms", timestamp=2000, attemptsMade=2,
        priority=3, failedReason="y" * 100_000,
    )  # fmt: skip
    put(redis_client, "bc", state, 10, name="report", timestamp=3000, atm=5, rjk="nightly")
    assert sorted(ids(queue, state, text)) == found
    tally = matching.count(queue, Filter.parse(state, text))
    assert (tally.count, tally.complete, tally.estimate) == (len(found), True, len(found))


def test_scores_bound_what_is_looked_at(queue: Queue, redis_client: redis.Redis) -> None:
    for second in range(100):
        put(redis_client, str(second), "failed", second * 1000)
    filter = Filter.parse("failed", "finished<1970-01-01T00:00:09Z finished>1970-01-01T00:00:05Z")
    page = matching.match(queue, filter)
    assert page.ids == ["9", "8", "7", "6", "5"]
    assert (page.looked, page.passed, page.total) == (5, 5, 5)
    assert matching.match(queue, filter, limit=2, oldest_first=True).ids == ["5", "6"]
    for priority in (1, 2, 3):
        put(redis_client, f"p{priority}", "prioritized", priority * 2**32 + 5, priority=priority)
    assert ids(queue, "prioritized", "priority>1") == ["p2", "p3"]
    assert matching.count(queue, Filter.parse("prioritized", "priority:2")) == Tally(1, 1, 1)


def test_a_search_ends_in_time_and_goes_on_where_it_was(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "SLICE", 10)
    for number in range(50):
        put(redis_client, str(number), "failed", number, name="x" if number == 3 else "y")
    page = matching.match(queue, Filter.parse("failed", "name:x"), seconds=0)
    assert (page.ids, page.looked, page.passed, page.total) == ([], 10, 10, 50)
    assert page.cursor
    assert ids(queue, "failed", "name:x", seconds=0) == ["3"]
    tally = matching.count(queue, Filter.parse("failed", "name:y"), seconds=0)
    assert (tally.count, tally.complete, tally.estimate) == (10, False, 50)


def test_a_search_leaves_the_server_to_others_half_of_the_time(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1_000):
        put(redis_client, str(number), "failed", number)
    clock, busy, rested = [0.0], 0.0, 0.0
    monkeypatch.setattr(matching.time, "monotonic", lambda: clock[0])
    operation = matching.matches(queue, Filter.parse("failed", "name:nobody"), seconds=60)
    request, asked = next(operation), 0
    found = None
    while found is None:
        answer = None
        if isinstance(request, Rest):
            rested += request.seconds
            clock[0] += request.seconds
        elif request is NOW:
            answer = 0
        else:
            answer = get_connection().run(request)
            asked += 1
            busy += 0.002
            clock[0] += 0.002
        try:
            request = operation.send(answer)
        except StopIteration as stop:
            found = stop.value
    assert found.looked == 1_000
    # A slice each, with a rest between two.
    assert asked == 1_000 // calls.SLICE
    assert rested == pytest.approx(busy * (asked - 1) / asked)


def test_hostile_hashes_and_ids_stop_nothing(queue: Queue, redis_client: redis.Redis) -> None:
    put(redis_client, "a", "failed", 3)
    redis_client.zadd("bull:q:failed", {"orphan": 2, b"\xff\xfe": 1, "": 0})
    redis_client.set("bull:q:text", "no hash")
    redis_client.zadd("bull:q:failed", {"text": 5})
    assert ids(queue, "failed", limit=1) == ["text", "a", "orphan", "\\xff\\xfe", ""]
    assert ids(queue, "failed", "name:welcome", limit=1) == ["a"]
    redis_client.set("bull:q:delayed", "no set")
    redis_client.hset("bull:q:wait", "no", "list")
    assert ids(queue, "delayed") == []
    assert ids(queue, "waiting") == []
    assert matching.count(queue, Filter("delayed")) == Tally(0, 0, 0)


@pytest.mark.parametrize(
    "cursor", ["x", "0", "9~1~", "0~x~", "0~1", "-1~1~", "0~1~é", "²~1~", "0~nan~", "0~1_0~"]
)
def test_a_cursor_that_is_none_is_refused(queue: Queue, server, cursor: str) -> None:
    with pytest.raises(ValueError, match=r"no (cursor|place)"):
        matching.match(queue, Filter("failed"), cursor)
    with pytest.raises(ValueError, match=r"no (cursor|place)"):
        matching.match(queue, Filter("waiting"), f"{cursor}1e3~")


async def test_the_async_twins(queue: Queue, redis_client: redis.Redis) -> None:
    for number in range(5):
        put(redis_client, str(number), "failed", number)
    page = await matching.amatch(queue, Filter("failed"), limit=3)
    assert page.ids == ["4", "3", "2"]
    page = await matching.amatch(queue, Filter("failed"), page.cursor, limit=3)
    assert (page.ids, page.cursor) == (["1", "0"], "")
    assert await matching.acount(queue, Filter.parse("failed", "id:2")) == Tally(1, 1, 1)
    await get_connection().aclose()
