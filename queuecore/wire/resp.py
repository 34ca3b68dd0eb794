"""RESP2, the server's protocol: packing a command, reading an answer.

hiredis does both where the `speed` extra is installed; otherwise the same in Python.
"""

from __future__ import annotations

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
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._buffer += data

    def gets(self) -> Any:
        """The next answer, an error as a `redis.ResponseError`, or ``INCOMPLETE``."""
        try:
            answer, end = _parse(self._buffer, 0)
        except IndexError:
            return INCOMPLETE
        self._buffer = self._buffer[end:]
        return answer


def _parse(buffer: bytes, at: int) -> tuple[Any, int]:
    """The answer at *at* and where it ends.

    Raises:
        IndexError: the buffer ends before it.
    """
    end = buffer.find(b"\r\n", at)
    if end < 0:
        raise IndexError
    kind, line, end = buffer[at : at + 1], buffer[at + 1 : end], end + 2
    if kind == b"+":
        return line, end
    if kind == b":":
        return int(line), end
    if kind == b"-":
        return redis.ResponseError(line.decode("utf-8", "replace")), end
    size = int(line)
    if size < 0:
        return None, end
    if kind == b"$":
        if len(buffer) < end + size + 2:
            raise IndexError
        return buffer[end : end + size], end + size + 2
    if kind != b"*":
        raise OSError(f"the server sent no RESP: {kind!r}")
    items = []
    for _ in range(size):
        item, end = _parse(buffer, end)
        items.append(item)
    return items, end


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
