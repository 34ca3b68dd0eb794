"""The wait before the next try, by BullMQ's formulas."""

import random
from datetime import timedelta
from typing import Any

import pytest

from queuecore.backoff import UnknownBackoff, delay_ms

ERROR = ValueError("boom")


def wait(backoff: Any, made: int = 1, strategy: Any = None) -> int:
    return delay_ms(backoff, made, ERROR, "the job", strategy)


@pytest.mark.parametrize("backoff", [None, 0, "", False, True, [], {"type": "fixed"}])
def test_no_backoff_is_at_once(backoff: Any) -> None:
    assert wait(backoff) == 0


def test_fixed_is_the_same_each_time() -> None:
    assert [wait({"type": "fixed", "delay": 700}, made) for made in (1, 2, 9)] == [700] * 3


def test_a_bare_number_is_fixed() -> None:
    assert [wait(250, made) for made in (1, 2, 9)] == [250] * 3


def test_exponential_doubles() -> None:
    backoff = {"type": "exponential", "delay": 100}
    assert [wait(backoff, made) for made in (1, 2, 3, 4)] == [100, 200, 400, 800]


def test_a_fraction_is_rounded_as_javascript_does() -> None:
    assert wait({"type": "exponential", "delay": 0.5}, 1) == 1
    assert wait({"type": "exponential", "delay": 2.5}, 1) == 3


@pytest.mark.parametrize("kind", ["fixed", "exponential"])
def test_jitter_takes_away_at_most_its_part(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backoff = {"type": kind, "delay": 1000, "jitter": 0.25}
    monkeypatch.setattr(random, "random", lambda: 0.0)
    assert wait(backoff) == 750
    monkeypatch.setattr(random, "random", lambda: 0.999999)
    assert wait(backoff) == 999


def test_full_jitter_is_anything_below() -> None:
    random.seed(7)
    waits = [wait({"type": "fixed", "delay": 1000, "jitter": 1}) for _ in range(300)]
    assert min(waits) < 50
    assert 950 < max(waits) < 1000


def test_jitter_above_one_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)
    assert wait({"type": "fixed", "delay": 1000, "jitter": 5}) == 0


@pytest.mark.parametrize("delay", ["100", None, -5, float("nan"), True, [1]])
def test_a_delay_that_is_no_number_is_none(delay: Any) -> None:
    assert wait({"type": "fixed", "delay": delay}) == 0
    assert wait({"type": "exponential", "delay": delay}) == 0


@pytest.mark.parametrize("made", [64, 1000, 10**9])
def test_a_huge_wait_stays_a_number_that_redis_takes(made: int) -> None:
    assert wait({"type": "exponential", "delay": 1000}, made) == 2**43
    assert wait({"type": "fixed", "delay": 1e300}) == 2**43


def test_a_strategy_is_asked_for_other_types() -> None:
    asked: list[Any] = []

    def strategy(*arguments: Any) -> float:
        asked.append(arguments)
        return 1.5

    assert wait({"type": "mine"}, 3, strategy) == 1500
    assert asked == [(3, "mine", ERROR, "the job")]


def test_a_strategy_may_answer_with_a_timedelta() -> None:
    assert wait({"type": "mine"}, strategy=lambda *_: timedelta(seconds=2)) == 2000


@pytest.mark.parametrize(("seconds", "ms"), [(0, 0), (-1, -1), (-1.0, -1), (-5, 0), (1e300, 2**43)])
def test_what_a_strategy_answers(seconds: float, ms: int) -> None:
    assert wait({"type": "mine"}, strategy=lambda *_: seconds) == ms


@pytest.mark.parametrize("answer", [None, "5", float("nan"), [1]])
def test_a_strategy_that_answers_with_no_number_is_an_error_that_says_so(answer: Any) -> None:
    with pytest.raises(TypeError, match="backoff strategy must return seconds"):
        wait({"type": "mine"}, strategy=lambda *_: answer)


def test_a_strategy_is_not_asked_for_bullmqs_own_types() -> None:
    def strategy(*_: Any) -> float:
        raise AssertionError("asked")

    assert wait({"type": "fixed", "delay": 5}, strategy=strategy) == 5


@pytest.mark.parametrize("kind", ["mine", None, "Fixed", 5, "x" * 1000])
def test_an_unknown_type_is_an_error_that_names_it(kind: Any) -> None:
    with pytest.raises(UnknownBackoff, match="BACKOFF_STRATEGY") as caught:
        wait({"type": kind})
    assert repr(str(kind)[:80]) in str(caught.value)
