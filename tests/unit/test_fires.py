"""Fires: the same moments as the engine's own next_run, in both directions and on odd nights."""

import json
import time
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from queuecore import fires
from queuecore.cron import next_run
from queuecore.repeat import Repeat
from tests.settings import QUEUECORE
from tests.unit.test_cron import SHARES, some

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "cron-vectors.json").read_text())
# Its clocks change by half an hour, which BullMQ's parser does not know.
LORD_HOWE = "Australia/Lord_Howe"
DAY = 86_400_000


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


PATTERNS = [
    "0 * * * *",
    "*/10 * * * *",
    "30 2 * * *",
    "0 0,3,23 * * *",
    "15 1-4 * * *",
    "*/20 30 2,3 * * *",
    "0 8 * * 1-5",
    "0 0 L * *",
    "30 9 * * 5L",
    "0 12 * * 1#2",
    "0 6 1,15 * mon",
    "@weekly",
    "0 0 29 2 *",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_the_engine_says(pattern: str, tz: str) -> None:
    count = 5 if "29 2" in pattern or "L" in pattern else 12
    for start in (ms(2026, 3, 28, 22, 7), ms(2026, 10, 24, 21), ms(2026, 4, 4, 11)):
        forward = list(islice(fires.walk(pattern, tz, start), count))
        expected = []
        moment: int | None = start
        while moment is not None and len(expected) < count:
            moment = next_run(pattern, tz, moment)
            expected.append(moment)
        assert forward == expected
        # Backwards from the last one: the same moments, the latest first.
        back = list(islice(fires.walk(pattern, tz, forward[-1] + 1, back=True), count))
        assert back == forward[::-1]


@SHARES
def test_the_vectors_of_bullmqs_own_parser(share: int) -> None:
    checked = 0
    for case in some(VECTORS["cases"], share):
        expected = case["runs_ms"]
        spoken = isinstance(expected, str) or not all(isinstance(one, int) for one in expected)
        if spoken or case["tz"] == LORD_HOWE:
            continue
        after = round(datetime.fromisoformat(case["after"]).timestamp() * 1000)
        found = list(islice(fires.walk(case["pattern"], case["tz"], after), len(expected)))
        assert found == expected, case
        checked += 1
    assert checked > 100 / share


def test_what_never_comes_ends() -> None:
    begun = time.monotonic()
    assert list(fires.walk("0 0 30 2 *", None, ms(2026, 1, 1))) == []
    assert list(fires.walk("0 0 30 2 *", None, ms(2026, 1, 1), back=True)) == []
    assert time.monotonic() - begun < 5


def test_the_nearest_of_very_many() -> None:
    at = ms(2026, 1, 1, 23, 59, 59)
    assert list(islice(fires.walk("* * * * * *", None, at), 2)) == [at + 1000, at + 2000]
    assert next(fires.walk("* * * * * *", None, at, back=True)) == at - 1000


def test_every_counts_from_its_next_run() -> None:
    repeat = Repeat(every=10_000)
    assert list(islice(fires.upcoming(repeat, "n", 100_000, 100_500), 3)) == [
        100_500,
        110_500,
        120_500,
    ]
    assert list(islice(fires.past(repeat, 100_000, 100_500), 2)) == [90_500, 80_500]
    assert fires.between(repeat, "n", 80_500, 100_501, 100_500) == [80_500, 90_500, 100_500]
    # One that is overdue goes on from now.
    assert next(fires.upcoming(repeat, "n", 200_000, 100_500)) == 200_500


def test_a_new_every() -> None:
    now = 100_000
    assert list(islice(fires.upcoming(Repeat(every=60_000), "n", now), 2)) == [100_001, 160_001]
    shifted = Repeat(every=60_000, offset=5_000)
    assert list(islice(fires.upcoming(shifted, "n", now), 2)) == [125_000, 185_000]
    later = Repeat(every=60_000, start=500_000)
    assert next(fires.upcoming(later, "n", now)) == 500_000


def test_dates_bound_it() -> None:
    start, end = ms(2026, 1, 2), ms(2026, 1, 4)
    repeat = Repeat(pattern="0 0 * * *", start=start, end=end)
    days = [start, start + DAY, end]
    assert list(fires.upcoming(repeat, "n", ms(2025, 1, 1))) == days
    assert list(fires.past(repeat, ms(2026, 1, 4, 1))) == days[::-1]
    assert fires.between(repeat, "n", ms(2025, 1, 1), ms(2027, 1, 1)) == days
    # With every, the run that is due next when the end comes is the last.
    last = Repeat(every=DAY, end=start + 1)
    assert list(fires.upcoming(last, "n", start, start)) == [start + DAY]


def workday(after: datetime, repeat: Any, name: str) -> datetime:
    return after.replace(hour=9, minute=0, second=0, microsecond=0).replace(day=after.day + 1)


@override_settings(QUEUECORE={**QUEUECORE, "REPEAT_STRATEGY": "tests.unit.test_fires.workday"})
def test_a_strategy_of_ones_own_knows_the_future_only() -> None:
    repeat = Repeat(pattern="workday")
    found = list(islice(fires.upcoming(repeat, "n", ms(2026, 1, 1)), 2))
    assert found == [ms(2026, 1, 2, 9), ms(2026, 1, 3, 9)]
    assert list(fires.past(repeat, ms(2026, 1, 1))) == []
