"""Filters of jobs: their text is read, written back, stored, and pinned to a moment."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuecore.matching import Filter, InvalidFilter

NOON = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("id:7", {"id": "7"}),
        ('name:"two words"', {"name": "two words"}),
        ("name:send-*", {"name": "send-*"}),
        ("welcome", {"name": "*welcome*"}),
        (r'error:"a \"quoted\" word"', {"error": 'a "quoted" word'}),
        ("priority:5", {"priority_least": 5, "priority_most": 5}),
        ("priority:1..5", {"priority_least": 1, "priority_most": 5}),
        ("priority:..5", {"priority_most": 5}),
        ("attempts>2", {"attempts_least": 3}),
        ("attempts>=2 attempts<7", {"attempts_least": 2, "attempts_most": 6}),
        ("age>1h", {"added_before": timedelta(hours=1)}),
        ("age<7d ended>30m", {"added_after": timedelta(7), "finished_before": timedelta(0, 1800)}),
        ("added>1970-01-02", {"added_after": 86_400_000}),
        ("finished<1970-01-01T00:00:01.500Z", {"finished_before": 1500}),
        ("scheduler:nightly parent:bull:q:8", {"scheduler": "nightly", "parent": "bull:q:8"}),
    ],
)
def test_a_text_is_read(text, fields):
    read = Filter.parse("failed", text)
    assert read == Filter("failed", **fields)
    assert Filter.parse("failed", str(read)) == read
    assert Filter.from_dict(read.as_dict()) == read


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nmae:x", "did you mean 'name'"),
        ("id>7", "with a colon"),
        ("id:", "needs a value"),
        ("age:7", "write age>7 or age<7"),
        ("age>7y", "90s, 15m"),
        ("added<yesterday", "2026-11-24"),
        ("priority>high", "no whole number"),
        ('name:"open', "not closed"),
        ("x" * 501, "at most 500"),
        ("name:\ud800", "surrogate"),
    ],
)
def test_a_word_that_is_not_understood_is_named(text, told):
    with pytest.raises(InvalidFilter, match=told):
        Filter.parse("failed", text)


def test_an_unknown_state_is_named():
    with pytest.raises(InvalidFilter, match="did you mean 'failed'"):
        Filter.parse("faild")
    with pytest.raises(InvalidFilter):
        Filter.from_dict("no filter")


any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
whole = st.none() | st.integers(0, 10**9)
moment = st.none() | st.integers(0, NOON) | st.integers(0, 10**6).map(lambda s: timedelta(0, s))


@given(any_text, any_text, whole, whole, moment, moment)
def test_what_is_written_is_read_back(name, error, least, most, after, before):
    made = Filter(
        "failed",
        name=name,
        error=error,
        attempts_least=least,
        attempts_most=most,
        added_after=after,
        finished_before=before,
    )
    assert Filter.parse("failed", str(made)) == made


def test_how_long_ago_becomes_a_moment_for_ever():
    pinned = Filter.parse("failed", "age>1h ended<2h").pinned(NOON)
    assert pinned.added_before == NOON - 3_600_000
    assert pinned.finished_after == NOON - 7_200_000
    assert pinned.pinned(NOON + 1) == pinned


def test_a_bound_is_never_put_off():
    earlier = Filter.parse("failed", "ended>1h").pinned(NOON)
    assert earlier.until(NOON).finished_before == NOON - 3_600_000
    assert Filter("failed").until(NOON).finished_before == NOON
    assert Filter("delayed").until(NOON).added_before == NOON


def test_what_scores_say_is_not_read_from_each_job():
    search = Filter.parse("failed", "finished<1970-01-01T00:00:02Z").search(NOON)
    assert (search.conditions, search.window) == ([], ("-inf", "2000"))
    search = Filter.parse("prioritized", "priority:3").search(NOON)
    assert (search.conditions, search.window) == ([], (str(3 * 2**32), str(4 * 2**32 - 1)))
    search = Filter.parse("waiting", "priority:3 finished<1970-01-01").search(NOON)
    assert [one[0] for one in search.conditions] == ["priority", "priority", "finishedOn"]


def test_only_what_an_error_says_reveals_payloads():
    assert Filter.parse("failed", "error:x").reveals
    assert not Filter.parse("failed", "name:x attempts>2").reveals


@pytest.mark.parametrize(
    "text", ["name:a name:b", "id:1 id:2", "attempts>2 attempts>4", "age>1h age>2h", "send mail"]
)
def test_words_that_one_job_cannot_both_fit_are_refused(text: str) -> None:
    """An action on all that match must not quietly mean only one of them."""
    with pytest.raises(InvalidFilter, match="one job cannot be both"):
        Filter.parse("failed", text)


def test_bounds_and_repetitions_go_together() -> None:
    filter = Filter.parse("failed", "attempts>2 attempts<9 name:a name:a")
    assert (filter.attempts_least, filter.attempts_most, filter.name) == (3, 8, "a")
