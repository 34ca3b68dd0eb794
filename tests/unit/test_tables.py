"""Tables and words of the command line: as wide as the terminal, hostile texts harmless."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta

import pytest

from queuecore.management.queues.tables import Cell, Column, breadth, cut, lay_out
from queuecore.management.queues.words import duration, iso, iso_ms, read_duration, until, whole

COLUMNS = [Column("QUEUE", least=6), Column("WAITING", right=True), Column("NOTE", spare=1)]
ROWS = [["emails", "1,234", "note"], ["ひらがなのキュー", "5", Cell("bad", str.upper)]]


def test_columns_line_up_by_what_a_terminal_shows() -> None:
    assert lay_out(COLUMNS, ROWS) == [
        "QUEUE             WAITING  NOTE",
        "emails              1,234  note",
        "ひらがなのキュー        5  BAD",
    ]


@pytest.mark.parametrize("width", [40, 25, 16])
def test_a_narrow_terminal_gets_fewer_and_narrower_columns(width: int) -> None:
    lines = lay_out(COLUMNS, ROWS, width)
    assert all(breadth(line) <= width for line in lines)
    assert all("1,234" in line or "5" in line for line in lines[1:])
    assert ("NOTE" in lines[0]) == (width > 20)
    assert ("…" in lines[2]) == (width < 40)


def test_nothing_in_a_cell_steers_the_terminal() -> None:
    evil = "a\x1b[31m\r\n\t\x07\u202e\ud800\x9b2J"
    (_, line) = lay_out([Column("X")], [[evil]])
    assert line == "a␛[31m␍␊␉␇⟨U+202E⟩⟨U+D800⟩⟨U+009B⟩2J"


def test_a_combining_mark_takes_no_room() -> None:
    assert breadth("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut("日本語", 6) == "日本語"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("7d", 604800), ("4w", 2419200), ("2.5", 2.5)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert read_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "x", "5y", "-1s", "1h x", "٣s"])
def test_what_is_no_duration_is_explained(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="write 90s, 15m"):
        read_duration(text)
    with pytest.raises(ArgumentTypeError, match="no whole number from 1 on"):
        whole(1)("0")


def test_durations_and_times_are_written() -> None:
    values = [0.34, 47, 723, 11_100, 187_000]
    assert [duration(one) for one in values] == ["340ms", "47s", "12m 03s", "3h 05m", "2d 03h"]
    at = datetime(2026, 11, 25, 13, 30, 29, 123_456, UTC)
    assert iso(at) == iso_ms(1795613429123) == "2026-11-25T13:30:29.123Z"
    assert until(at, at - timedelta(minutes=5)) == "in 5m 00s"
    assert until(at, at) == "now"
