"""Numbers, durations and hostile names as people read them."""

from datetime import UTC, datetime

import pytest

from dashboard.draw import values


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, ("–", "")),
        (0, ("0", "")),
        (9.14, ("9.1", "")),
        (4327, ("4,327", "")),
        (9999, ("9,999", "")),
        (10_000, ("10.0", "k")),
        (17_630, ("17.6", "k")),
        (120_345, ("120", "k")),
        (1_204_332, ("1.20", "M")),
        (-12_000, ("-12.0", "k")),
    ],
)
def test_numbers_are_shortened_from_ten_thousand(number: float, shown: tuple[str, str]) -> None:
    assert values.short(number) == shown


def test_a_shortened_number_has_its_exact_value() -> None:
    assert values.number(17_630) == '<span title="17,630">17.6<u>k</u></span>'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.2, "200 ms"),
        (0.9999, "1.0 s"),
        (4.5, "4.5 s"),
        (30.12, "30.1 s"),
        (59.96, "1 m 00 s"),
        (2823, "47 m 03 s"),
        (3600, "1 h 00 m"),
        (4271, "1 h 11 m"),
        (86_399, "23 h 59 m"),
        (579_600, "6 d 17 h"),
        (400 * 86_400, "400 d 00 h"),
        (-5, "0 ms"),
    ],
)
def test_durations_have_at_most_two_parts(seconds: float, text: str) -> None:
    assert values.duration_text(seconds) == text


def test_durations_mute_their_units() -> None:
    assert values.duration(2823) == "47<u>m</u> 03<u>s</u>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ntext\twith tab", "plain\ntext\twith tab"),
        ("a\x00b", "a␀b"),
        ("\x1b[31m", "␛[31m"),
        ("\x7f", "␡"),
        ("abc\u202exe.txt", "abc⟨U+202E⟩xe.txt"),
        ("\u2066\u2069\u200b\ufeff", "⟨U+2066⟩⟨U+2069⟩⟨U+200B⟩⟨U+FEFF⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("\r", "␍"),
    ],
)
def test_characters_that_deceive_are_shown(text: str, shown: str) -> None:
    assert values.visible(text) == shown
    values.visible(text).encode()


def test_a_moment_carries_its_exact_time_and_a_text_for_readers_without_a_script() -> None:
    at = datetime(2026, 11, 24, 14, 30, 29, 908000, tzinfo=UTC)
    assert values.moment(at, "age") == (
        '<time datetime="2026-11-24T14:30:29.908000+00:00" data-time="age">14:30:29</time>'
    )
    assert "–" in values.moment(None)


@pytest.mark.parametrize(
    ("name", "letters"),
    [("mara.lindqvist", "ML"), ("admin", "A"), ("Jonas Weber", "JW"), ("", "?"), ("@@", "?")],
)
def test_initials(name: str, letters: str) -> None:
    assert values.initials(name) == letters


@pytest.mark.parametrize(
    ("count", "text"), [(612, "612 bytes"), (18_200, "18.2 KB"), (5_000_000, "5.0 MB")]
)
def test_sizes(count: int, text: str) -> None:
    assert values.size(count) == text
