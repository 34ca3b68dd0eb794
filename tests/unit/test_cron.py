"""Cron: held to what BullMQ's own parser gives, and every pattern that it refuses is refused."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from queuecore.cron import ALIASES, checked_pattern, next_run, time_zone
from queuecore.errors import InvalidOption
from queuecore.fires import between
from queuecore.repeat import Repeat

CASES = json.loads((Path(__file__).parents[1] / "data/cron-vectors.json").read_text())["cases"]
# Its clocks change by half an hour, which BullMQ's parser does not know: it skips runs or throws.
LORD_HOWE = "Australia/Lord_Howe"


def ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return round(moment.timestamp() * 1000)


def run(pattern: str, tz: str, after: int) -> int | str | None:
    try:
        return next_run(pattern, tz, after)
    except InvalidOption:
        return "ERR"


def some(cases: list[dict[str, Any]], share: int) -> list[dict[str, Any]]:
    """One of so many cases, others in each run (a run's seed says which)."""
    return random.sample(cases, -(-len(cases) // share))


SHARES = pytest.mark.parametrize(
    "share", [pytest.param(10, id="a tenth"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)


@SHARES
@pytest.mark.parametrize("tz", sorted({case["tz"] for case in CASES} - {LORD_HOWE}))
def test_each_run_is_that_of_bullmqs_parser(tz: str, share: int) -> None:
    compared = 0
    for case in some([case for case in CASES if case["tz"] == tz], share):
        after = ms(case["after"])
        for expected in case["runs_ms"]:
            found = run(case["pattern"], tz, after)
            if isinstance(expected, str):
                assert found == "ERR", case["pattern"]
                break
            assert found == expected, (case["pattern"], after)
            after = expected
            compared += 1
    assert compared > (3000 if share == 1 else 0)


@SHARES
def test_half_hours_of_lord_howe(share: int) -> None:
    same, different = 0, []
    for case in some([case for case in CASES if case["tz"] == LORD_HOWE], share):
        after = ms(case["after"])
        for expected in case["runs_ms"]:
            found = run(case["pattern"], LORD_HOWE, after)
            if found == expected or (isinstance(expected, str) and found == "ERR"):
                same += 1
            else:
                different.append((case["pattern"], found, expected))
            if isinstance(expected, str):
                break
            after = expected
    assert same > (5000 if share == 1 else 0)
    # Ours is never later: the other parser skips what lies beside the change, or throws.
    assert len(different) < 50
    assert different or share > 1
    assert all(isinstance(e, str) or found < e for _, found, e in different), different


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", "must be a cron pattern"),
        ("   ", "must be a cron pattern"),
        (7, "must be a cron pattern"),
        ("* * * *", "has 4 fields"),
        ("nonsense", "has 1 fields"),
        ("@midnight", "has 1 fields"),
        ("0 0 1 1 * 2026 *", "has 7 fields"),
        ("60 * * * *", "the minute '60'"),
        ("* 24 * * *", "the hour '24'"),
        ("* * 0 * *", "the day of the month '0'"),
        ("* * 32 * *", "outside of 1 to 31"),
        ("* * * 13 *", "the month '13'"),
        ("* * * * 8", "the day of the week '8'"),
        ("0 22-2 * * *", "runs backwards"),
        ("*/0 * * * *", "step of 0"),
        ("1,,2 * * * *", "cannot be read"),
        ("* * 15W * *", "cannot be read"),
        ("* * * foo *", "cannot be read"),
        ("* * * * 1#6", "cannot be read"),
        ("* * * * 1#1,2", "cannot be read"),
        ("* * * * 1,5L,1-3", "something twice"),
        ("0 9,9 * * *", "something twice"),
        ("* * * * 0,7", "something twice"),
        ("H * * * *", "holds 'H'"),
        ("-1 * * * *", "cannot be read"),
        ("1-2-3 * * * *", "cannot be read"),
        ("\u0661 * * * *", "cannot be read"),
        ("* * * * *" + " " * 1100, "at most 1024"),
    ],
)
def test_a_wrong_pattern_is_named(pattern: object, text: str) -> None:
    with pytest.raises(InvalidOption, match=text.replace("(", r"\(")):
        checked_pattern(pattern)


@pytest.mark.parametrize("pattern", [*ALIASES, "0 0 L * 5L", "* * * JAN-mar Sun", "0 0 1,L * *"])
def test_a_right_pattern(pattern: str) -> None:
    assert checked_pattern(pattern) == pattern
    assert next_run(pattern, None, 0) is not None


@pytest.mark.parametrize(
    ("pattern", "days"),
    [
        ("0 0 10 6 5L", [10, 27]),
        ("0 0 10,11 6 2#1", [3, 10, 11]),
        ("0 0 * 6 1,5L", [2, 9, 16, 23, 27, 30]),
        ("0 0 28 6 1,5L", [2, 9, 16, 23, 27, 28, 30]),
    ],
)
def test_either_day_is_enough(pattern: str, days: list[int]) -> None:
    found, after = [], ms("2025-06-01T00:00:00Z") - 1
    while (after := next_run(pattern, "UTC", after) or 0) < ms("2025-07-01T00:00:00Z"):
        found.append(datetime.fromtimestamp(after / 1000, UTC).day)
    assert found == days
    first, last = ms("2025-06-01T00:00:00Z"), ms("2025-07-01T00:00:00Z")
    assert len(between(Repeat(pattern=pattern, tz="UTC"), "n", first, last)) == len(days)


@pytest.mark.parametrize(
    ("field", "possible"),
    [
        ("H", range(60)),
        ("H(10-12)", range(10, 13)),
        ("H(10-12)/7", range(10, 13)),
        ("5,H(50-59)", [5, *range(50, 60)]),
    ],
)
def test_a_peer_s_h_is_one_number(field: str, possible: Sequence[int]) -> None:
    after, found = 0, set()
    for _ in range(6):
        due = next_run(f"{field} * * * *", "UTC", after)
        assert due is not None
        found.add(due // 60_000 % 60)
        after = due
    assert found <= set(possible)
    assert len(found) == field.count("H") + field.count("5,")


def test_a_peer_s_h_in_steps() -> None:
    first = next_run("H/15 * * * *", "UTC", 0)
    assert first is not None
    assert next_run("H/15 * * * *", "UTC", first) == first + 15 * 60_000
    with pytest.raises(InvalidOption, match="backwards"):
        next_run("H(12-10) * * * *", "UTC", 0)
    with pytest.raises(InvalidOption, match="step of 0"):
        next_run("H/0 * * * *", "UTC", 0)


def test_what_never_comes() -> None:
    assert next_run("0 0 30 2 *", "UTC", 0) is None


def test_fewer_fields_of_a_peer() -> None:
    # BullMQ takes the missing ones from the front: second 0 of every minute, hour ...
    assert next_run("5 1 *", None, 0) == next_run("0 * * 5 1 *", None, 0)


@pytest.mark.parametrize(
    ("tz", "hours"), [(None, 0), ("UTC", 0), ("utc", 0), ("UTC+2", 2), ("UTC-3:30", -3.5)]
)
def test_offsets(tz: str | None, hours: float) -> None:
    assert time_zone(tz).utcoffset(None) == timedelta(hours=hours)


@pytest.mark.parametrize("tz", ["Europe/Atlantis", "", "../etc/passwd", "UTC+99", "Berlin\x00"])
def test_no_such_time_zone(tz: str) -> None:
    with pytest.raises(InvalidOption, match="no time zone"):
        next_run("* * * * *", tz, 0)


def test_croniter_is_imported_only_when_needed() -> None:
    code = "import sys, queuecore.cron; sys.exit('croniter' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
