"""A job's story: an axis on which every stretch can be read, and the same in words."""

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard.draw import story

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY, MS = 86_400.0, 0.001


def row(state: str, *, wait: float, ran: float | None, tries: int = 1, **more: Any) -> Any:
    """A job added so long ago that it ends now: it waited, then ran."""
    start = NOW - timedelta(seconds=ran or 0)
    given = {
        "state": state,
        "timestamp": start - timedelta(seconds=wait),
        "processed_on": start if ran is not None else None,
        "finished_on": NOW if state in ("completed", "failed") else None,
        "due": None,
        "delay_ms": 0,
        "initial_delay_ms": 0,
        "attempts_made": tries,
        "attempts_started": tries,
        "failed_reason": "",
        "group": "",
        "timeout_ms": 0,
        "expires": None,
    }
    return SimpleNamespace(**given | more)


def widths(text: str, kind: str) -> list[float]:
    found = re.findall(rf'<rect[^>]* width="([\d.]+)%"[^>]* class="{kind}[ "]', text)
    return [float(one) for one in found]


@pytest.mark.parametrize(("wait", "ran"), [(3 * DAY, 50 * MS), (50 * MS, 3 * DAY), (1, 12)])
def test_a_stretch_that_would_hide_the_other_is_broken(wait: float, ran: float) -> None:
    text = str(story.story(row("completed", wait=wait, ran=ran), NOW))
    (waiting,), (active,) = widths(text, "fill-waiting"), widths(text, "fill-active")
    assert min(waiting, active) >= 8  # wide enough for its time
    assert (waiting > active) == (wait > ran)
    assert text.count('class="break"') == 2  # on the bar and on the axis
    assert "The axis is broken" in text


def test_even_stretches_stand_to_scale() -> None:
    text = str(story.story(row("completed", wait=10, ran=30), NOW))
    assert widths(text, "fill-waiting") == [25]
    assert widths(text, "fill-active") == [75]
    assert "break" not in text


def test_all_of_three_very_uneven_stretches_are_readable() -> None:
    delayed = row("completed", wait=3 * DAY, ran=50 * MS, initial_delay_ms=(3 * DAY - 70) * 1000)
    text = str(story.story(delayed, NOW))
    every = [widths(text, f"fill-{lane}")[0] for lane in ("delayed", "waiting", "active")]
    assert every == sorted(every, reverse=True)
    assert every[-1] >= 7
    assert text.count('class="break"') == 4


def test_the_axis_tells_days_and_fractions_apart() -> None:
    text = str(story.story(row("completed", wait=3 * DAY, ran=50 * MS), NOW))
    # A phone shows the first and the last alone, so both have theirs.
    assert text.count("data-day") == 3
    short = str(story.story(row("completed", wait=0.02, ran=0.03), NOW))
    assert "data-day" not in short
    assert short.count("data-fine") >= 2


def test_earlier_attempts_are_loops_and_their_times_are_not_made_up() -> None:
    text = str(story.story(row("failed", wait=500, ran=30, tries=5), NOW))
    assert text.count('class="unknown-run"') == 4
    assert text.count('class="knob"') == 5
    assert "the times of the last one alone are kept" in text
    stalled = row("completed", wait=500, ran=30, tries=1, attempts_started=3)
    text = str(story.story(stalled, NOW))
    assert text.count('class="unknown-run"') == 2
    assert 'class="knob"' not in text  # nobody knows that they failed
    many = str(story.story(row("failed", wait=500, ran=30, tries=40), NOW))
    assert "unknown-run" not in many
    assert "39 earlier attempts" in many


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (row("completed", wait=5, ran=2), ["Waited 5.0 s.", "Attempt 1 ran 2.0 s."]),
        (row("completed", wait=0, ran=0), ["Attempt 1 ran 0 ms."]),
        (row("active", wait=5, ran=2), ["Waited 5.0 s.", "Attempt 1 has run 2.0 s so far."]),
        (row("waiting", wait=5, ran=None, tries=0), ["Has waited 5.0 s so far."]),
        (
            row("failed", wait=9, ran=1, tries=2),
            [
                "1 earlier attempt within 9.0 s; when it ran was not kept.",
                "Attempt 2 ran 1.0 s and failed.",
            ],
        ),
    ],
)
def test_it_is_told_in_words_to_who_does_not_see_it(job: Any, told: list[str]) -> None:
    text = str(story.story(job, NOW))
    lines = re.findall(r"<li><time [^>]*>[^<]*</time> ([^<]*)</li>", text)
    assert lines == told
    assert 'class="lines"' not in text.partition('class="story" aria-hidden="true"')[0]


def test_a_job_that_is_due_later_in_its_group_is_delayed() -> None:
    later = {"group": "acme", "delay_ms": 60_000, "initial_delay_ms": 60_000}
    told = story.spans(row("waiting-children", wait=10, ran=None, tries=0, **later), NOW)
    assert [(one.lane, one.seconds, one.open) for one in told] == [("delayed", 60, True)]
