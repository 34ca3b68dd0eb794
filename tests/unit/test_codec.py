"""JSON as every BullMQ client can read it, the same by orjson and by the standard library."""

import json
import math
import uuid
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from hypothesis import given
from hypothesis import strategies as st

from queuecore.errors import NotSerializable
from queuecore.wire import codec

BOTH = {
    "orjson": (codec._write_by_orjson, codec._read_by_orjson),
    "stdlib": (codec._write_by_stdlib, codec._read_by_stdlib),
}


@pytest.fixture(params=BOTH, autouse=True)
def one_of_both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    writer, reader = BOTH[request.param]
    monkeypatch.setattr(codec, "_dumps", writer)
    monkeypatch.setattr(codec, "_loads", reader)
    return request.param


@dataclass
class Point:
    x: int
    when: date


class Colour(Enum):
    RED = "red"


class Word(StrEnum):
    YES = "yes"


class Number(IntEnum):
    ONE = 1


Pair = namedtuple("Pair", "a b")

WRITTEN = [
    ({"a": [1, 2.5, None, True, "ü", "\x00\x1f"]}, None),
    (None, None),
    ("", None),
    (2**64 - 1, None),
    (-(2**63), None),
    (1e300, None),
    (-0.0, None),
    ((1, (2, 3)), [1, [2, 3]]),
    (Pair(1, 2), [1, 2]),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (datetime(2026, 3, 1, 12, 30, 0, 5, UTC), "2026-03-01T12:30:00.000005+00:00"),
    (datetime(2026, 3, 1, 12, 30), "2026-03-01T12:30:00"),
    (date(2026, 3, 1), "2026-03-01"),
    (time(12, 30), "12:30:00"),
    (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    (Decimal("1.10"), "1.10"),
    (Colour.RED, "red"),
    (Word.YES, "yes"),
    (Number.ONE, 1),
    (Point(1, date(2026, 3, 1)), {"x": 1, "when": "2026-03-01"}),
    ({"<script>": "</script>"}, None),
    ("\U0001f600", None),
]


@pytest.mark.parametrize(("value", "read"), WRITTEN, ids=lambda v: repr(v)[:40])
def test_written_and_read_again(value: Any, read: Any) -> None:
    text = codec.dumps(value)
    assert isinstance(text, bytes)
    back = codec.loads(text)
    assert back == (value if read is None else read)
    assert json.loads(text) == back
    assert codec.loads(text.decode()) == back


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


REFUSED = [
    (math.nan, r"data is nan"),
    ({"a": [1, {"b": -math.inf}]}, r"data\['a'\]\[1\]\['b'\] is -inf"),
    (b"abc", "data is bytes; send text"),
    ({"a": bytearray(b"x")}, r"data\['a'\] is bytes"),
    ({1: 2}, "has the key 1 of type int; keys must be str"),
    ({None: 2}, "has the key None of type NoneType"),
    ({"a": {("x",): 1}}, r"data\['a'\] has the key"),
    ("\ud800", "data holds a lone surrogate"),
    ({"\udfff": 1}, r"lone surrogate"),
    ({"a": ["ok", "x\ud800y"]}, r"data\['a'\]\[1\] holds a lone surrogate"),
    (2**64, "more than 64 bits; send it as str"),
    (-(2**63) - 1, "more than 64 bits"),
    ({1, 2}, "data is of type set"),
    ({"a": object()}, r"data\['a'\] is of type object"),
    (Point, "is of type type"),
    (1 + 2j, "of type complex"),
    (deep(200), "nested deeper than 100 levels"),
    (deep(100_000), "nested deeper than 100 levels"),
    (circle(), "nested deeper than 100 levels"),
    (User(username="x"), r"data is a User instance; pass its key \(obj.pk\)"),
    ({"user": User(username="x")}, r"data\['user'\] is a User instance"),
]


@pytest.mark.parametrize(("value", "words"), REFUSED, ids=range(len(REFUSED)))
def test_refused_with_its_place(value: Any, words: str) -> None:
    with pytest.raises(NotSerializable, match=words):
        codec.dumps(value)


def test_the_value_is_named() -> None:
    with pytest.raises(NotSerializable, match=r"^the result\[0\] is bytes"):
        codec.dumps([b""], "the result")


def test_a_hundred_levels_are_allowed() -> None:
    assert codec.loads(codec.dumps(deep(100))) == deep(100)


READ = [
    ("123456789012345678901234567890", 1.2345678901234568e29),
    ("18446744073709551615", 18446744073709551615),
    ("18446744073709551616", 1.8446744073709552e19),
    ("-9223372036854775808", -9223372036854775808),
    ("-9223372036854775809", -9.223372036854776e18),
    (r'"cut in two: \ud83d"', "cut in two: \ufffd"),
    (r'{"\uDE00": [" \udfff\ud800 "]}', {"\ufffd": [" \ufffd\ufffd "]}),
    (r'"whole: \ud83d\ude00 and \\ud83d"', "whole: \U0001f600 and \\ud83d"),
    (r'"a\/b"', "a/b"),
    ('{"a":1,"a":2}', {"a": 2}),
]


@pytest.mark.parametrize(("text", "value"), READ, ids=range(len(READ)))
def test_what_others_write_is_read_liberally(text: str, value: Any) -> None:
    for one in (text, text.encode()):
        read = codec.loads(one)
        assert read == value
        assert type(read) is type(value)
    codec.dumps(codec.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "-Infinity",
        "[1,]",
        "{'a': 1}",
        "1e400",
        "9" * 5000,
        "\ufeff1",
        '"\t"',
        "[" * 100_000 + "]" * 100_000,
        b"\xff",
        b'"\xff"',
    ],
    ids=range(12),
)
def test_what_is_no_json_is_a_value_error(text: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the decoder's own
        codec.loads(text)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(ANYTHING)
def test_both_agree_on_anything(value: Any) -> None:
    answers = []
    for writer, reader in BOTH.values():
        try:
            answers.append(reader(writer(value, "data")))
        except NotSerializable as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


@given(st.text() | st.binary())
def test_both_agree_on_any_text(text: str | bytes) -> None:
    answers = []
    for _, reader in BOTH.values():
        try:
            answers.append(reader(text))
        except ValueError:
            answers.append(ValueError)
    assert answers[0] == answers[1]


def test_orjson_is_used_where_it_is_installed() -> None:
    assert codec.orjson is orjson


def test_many_short_texts_share_their_memory() -> None:
    held = [codec.dumps({"n": n}) for n in range(1000)]
    pages = {id(text) // 4096 for text in held}
    assert len(pages) < len(held) / 4
