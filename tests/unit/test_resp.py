"""RESP2: packing commands and reading answers, with hiredis and without, byte by byte."""

import builtins
import importlib.util
import random
from types import ModuleType
from typing import Any

import pytest
import redis

from queuecore.wire import resp

ERROR = redis.ResponseError


def plain() -> ModuleType:
    """The module as it is where hiredis is not installed."""
    original = builtins.__import__

    def importing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "hiredis":
            raise ImportError(name)
        return original(name, *arguments, **options)

    assert resp.__spec__ is not None
    assert resp.__spec__.origin is not None
    spec = importlib.util.spec_from_file_location("queuecore.wire.resp", resp.__spec__.origin)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    builtins.__import__ = importing
    try:
        spec.loader.exec_module(module)
    finally:
        builtins.__import__ = original
    return module


@pytest.fixture(params=["hiredis", "plain"])
def wire(request: pytest.FixtureRequest) -> ModuleType:
    module = resp if request.param == "hiredis" else plain()
    assert module._FAST is (request.param == "hiredis")
    return module


COMMANDS: list[tuple[tuple[Any, ...], bytes]] = [
    (("PING",), b"*1\r\n$4\r\nPING\r\n"),
    (("SET", "k", b"\x00\xff\r\n"), b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\x00\xff\r\n\r\n"),
    (("X", "é"), b"*2\r\n$1\r\nX\r\n$2\r\n\xc3\xa9\r\n"),
    (("X", 5, -1), b"*3\r\n$1\r\nX\r\n$1\r\n5\r\n$2\r\n-1\r\n"),
    (("X", 0.5, ""), b"*3\r\n$1\r\nX\r\n$3\r\n0.5\r\n$0\r\n\r\n"),
    (("X", 2**53), b"*2\r\n$1\r\nX\r\n$16\r\n9007199254740992\r\n"),
]


@pytest.mark.parametrize(("words", "packed"), COMMANDS)
def test_commands(wire: ModuleType, words: tuple[Any, ...], packed: bytes) -> None:
    assert wire.pack(words) == packed
    assert wire.pack(list(words)) == packed


ANSWERS: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", b"OK"),
    (b"+\r\n", b""),
    (b":42\r\n", 42),
    (b":-7\r\n", -7),
    (b"$3\r\nabc\r\n", b"abc"),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*2\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n", [1, [b"a", None]]),
    (b"*1\r\n*1\r\n*1\r\n*0\r\n", [[[[]]]]),
    (b"$2\r\n\xff\x00\r\n", b"\xff\x00"),
]


@pytest.mark.parametrize(("raw", "answer"), ANSWERS)
def test_answers(wire: ModuleType, raw: bytes, answer: Any) -> None:
    reader = wire.reader()
    assert reader.gets() is wire.INCOMPLETE
    reader.feed(raw)
    assert reader.gets() == answer
    assert reader.gets() is wire.INCOMPLETE


@pytest.mark.parametrize(("raw", "answer"), ANSWERS)
def test_answers_in_pieces(wire: ModuleType, raw: bytes, answer: Any) -> None:
    reader = wire.reader()
    for byte in raw[:-1]:
        reader.feed(bytes([byte]))
        assert reader.gets() is wire.INCOMPLETE
    reader.feed(raw[-1:])
    assert reader.gets() == answer


@pytest.mark.parametrize(
    "text", ["ERR no", "NOSCRIPT No matching script", "OOM full \xe9", "WRONGTYPE"]
)
def test_errors_are_answers(wire: ModuleType, text: str) -> None:
    reader = wire.reader()
    reader.feed(b"-%b\r\n" % text.encode())
    answer = reader.gets()
    assert isinstance(answer, ERROR)
    assert str(answer).startswith(text.split(" ")[0])
    reader.feed(b"*2\r\n:1\r\n-ERR inside\r\n")
    first, inside = reader.gets()
    assert (first, type(inside), str(inside)) == (1, ERROR, "ERR inside")


def test_many_answers_cut_anywhere(wire: ModuleType) -> None:
    random.seed(5)
    chosen = [random.choice(ANSWERS) for _ in range(300)]
    stream = b"".join(raw for raw, _ in chosen)
    reader, found = wire.reader(), []
    while stream:
        size = random.randint(1, 40)
        reader.feed(stream[:size])
        stream = stream[size:]
        while (answer := reader.gets()) is not wire.INCOMPLETE:
            found.append(answer)
    assert found == [answer for _, answer in chosen]


def test_a_large_answer_in_many_pieces(wire: ModuleType) -> None:
    """Reading must not begin anew with each piece: that would take minutes here."""
    items = [b"x" * 1000] * 20_000
    raw = b"*%d\r\n" % len(items) + b"".join(b"$1000\r\n%b\r\n" % item for item in items)
    reader = wire.reader()
    for start in range(0, len(raw), 65536):
        assert reader.gets() is wire.INCOMPLETE
        reader.feed(raw[start : start + 65536])
    assert reader.gets() == items


def test_what_is_no_resp(wire: ModuleType) -> None:
    reader = wire.reader()
    reader.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(Exception, match=r"(?i)resp|protocol"):
        reader.gets()
