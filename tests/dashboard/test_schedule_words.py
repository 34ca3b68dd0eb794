"""Schedules in words: five languages, and what nobody can read."""

import pytest
from django.utils import translation

from dashboard.draw import schedule_words as words
from queuecore.schedulers import JobScheduler


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("0 * * * *", "Every hour"),
        ("*/30 * * * *", "Every 30 minutes"),
        ("0 7 * * *", "At 07:00"),
        ("30 8 * * 2", "At 08:30, only on Tuesday"),
        ("0 6 * * 1-5", "At 06:00, Monday through Friday"),
        ("*/5 18-22 * * *", "Every 5 minutes, between 18:00 and 22:59"),
        ("0 2 1 * *", "At 02:00, on day 1 of the month"),
        ("0 0 * * 5L", "At 00:00, on the last Friday of the month"),
        ("0 0 1 1 *", "At 00:00, on day 1 of the month, only in January"),
        ("*/10 * * * * *", "Every 10 seconds"),
        ("0 0 12 1 1 *", "At 12:00, on day 1 of the month, only in January"),
        ("@daily", "At 00:00"),
        ("0 9 * * MON-THU", "At 09:00, only on Monday, Tuesday, Wednesday, and Thursday"),
    ],
)
def test_patterns(pattern: str, said: str) -> None:
    assert words.pattern(pattern) == said


@pytest.mark.parametrize("pattern", ["", "x", "61 * * * *", "* " * 600, "<b>"])
def test_what_cannot_be_read_is_shown_as_it_is(pattern: str) -> None:
    scheduler = JobScheduler("s", "n", None, pattern=pattern or None)
    assert words.words(scheduler) in ("Unknown", pattern, "Every minute")
    assert pattern in ("",) or words.pattern(pattern) is None


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de", "Um 08:30, nur am Dienstag"),
        ("fr", "À 08:30, uniquement le mardi"),
        ("es", "A las 08:30, sólo el martes"),
        ("ja", "08:30、火曜日 にのみ"),
        ("pt-br", "At 08:30, only on terça-feira"),
    ],
)
def test_languages(language: str, said: str) -> None:
    with translation.override(language):
        found = words.pattern("30 8 * * 2")
    assert found is not None
    assert found.lower() == said.lower()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (86_400, "Every day"),
        (7_200, "Every 2 hours"),
        (600, "Every 10 minutes"),
        (90, "Every 90 seconds"),
        (0.25, "Every 250 ms"),
    ],
)
def test_every(seconds: float, said: str) -> None:
    assert words.every(seconds) == said


def test_as_it_is_written() -> None:
    assert words.written(JobScheduler("s", "n", None, pattern="0 7 * * *", tz="Asia/Tokyo")) == (
        "0 7 * * * · Asia/Tokyo"
    )
    assert words.written(JobScheduler("s", "n", None, every=600, offset=5)) == "every 600 s"
