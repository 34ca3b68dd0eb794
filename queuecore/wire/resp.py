"""RESP2, the server's protocol: packing a command, reading an answer.

hiredis does both where the `speed` extra is installed; otherwise the same in Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import redis

try:
    import hiredis
except ImportError:  # the `speed` extra is not installed
    _FAST = False
else:
    _FAST = True

# What `gets` returns while an answer has not arrived whole. None is an answer.
INCOMPLETE: Any = object()

_BEGUN: Any = object()
_STRING, _ERROR, _INTEGER, _BULK, _ARRAY = b"+-:$*"
_SIZED = (_INTEGER, _BULK, _ARRAY)
_NUMBER = re.compile(rb"-?\d+")


def _pack(words: Iterable[str | bytes | int | float]) -> bytes:
    parts = []
    for word in words:
        if isinstance(word, bytes):
            encoded = word
        elif isinstance(word, str):
            encoded = word.encode()
        else:
            encoded = repr(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(encoded), encoded))
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


class PlainReader:
    """The reader in Python: feed it bytes, get answers."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        # Arrays that have begun, outermost first: (items, how many there will be). They are kept,
        # so that an answer in many pieces is read once.
        self._open: list[tuple[list[Any], int]] = []

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        del self._buffer[: self._at]
        self._at = 0
        self._buffer += data

    def gets(self) -> Any:
        """The next answer, an error as a `redis.ResponseError`, or ``INCOMPLETE``.

        Raises:
            OSError: what arrived is no RESP.
        """
        while True:
            value = self._next()
            if value is INCOMPLETE:
                return INCOMPLETE
            if value is _BEGUN:
                value, size = self._open[-1]
                if size:
                    continue
                self._open.pop()
            while self._open:
                items, size = self._open[-1]
                items.append(value)
                if len(items) < size:
                    break
                value = self._open.pop()[0]
            else:
                return value

    def _next(self) -> Any:
        """The next value, ``_BEGUN`` where an array begins, or ``INCOMPLETE``."""
        end = self._buffer.find(b"\r\n", self._at)
        if end < 0:
            return INCOMPLETE
        kind, line, end = self._buffer[self._at], bytes(self._buffer[self._at + 1 : end]), end + 2
        value: Any
        if kind == _STRING:
            value = line
        elif kind == _ERROR:
            value = redis.ResponseError(line.decode("utf-8", "replace"))
        elif kind not in _SIZED or not _NUMBER.fullmatch(line):
            raise OSError(f"the server sent no RESP: {chr(kind)!r} {line[:40]!r}")
        elif kind == _INTEGER:
            value = int(line)
        elif (size := int(line)) < 0:
            value = None
        elif kind == _ARRAY:
            self._open.append(([], size))
            value = _BEGUN
        else:
            start, end = end, end + size + 2
            if len(self._buffer) < end:
                return INCOMPLETE
            value = bytes(self._buffer[start : end - 2])
        self._at = end
        return value


if _FAST:

    def pack(words: Iterable[str | bytes | int | float]) -> bytes:
        """The bytes of one command."""
        return hiredis.pack_command(tuple(words))  # type: ignore[no-any-return,arg-type]

    def reader() -> Any:
        """A new reader: ``feed(data)`` and ``gets()``."""
        return hiredis.Reader(replyError=redis.ResponseError, notEnoughData=INCOMPLETE)

else:

    def pack(words: Iterable[str | bytes | int | float]) -> bytes:
        """The bytes of one command."""
        return _pack(words)

    def reader() -> Any:
        """A new reader: ``feed(data)`` and ``gets()``."""
        return PlainReader()
