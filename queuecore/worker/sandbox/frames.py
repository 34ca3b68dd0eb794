"""Frames: what a worker and its sandbox say to each other on a socket: a mark, a length, JSON.

From the worker: ``begin`` (once), ``run``, ``cancel``, ``stop``. From the sandbox: ``ready`` or
``broken`` (once), ``progress``, ``done``, ``failed``, each with the number of its run.
Fields of jobs are bytes of anybody: they travel as Latin-1 text.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import Any

# What somebody else writes into the socket must not be taken for a length.
_MARK = b"\xf1QC\n"
_HEAD = struct.Struct(">4sI")
# The data of a job may be as large as a server takes it, a result no larger than 32 MB; twice as
# much for what JSON writes with two bytes.
LONGEST = 2**30


class Garbage(Exception):
    """What came is no frame: somebody else writes to the socket."""


def pack(kind: str, **values: Any) -> bytes:
    """One frame, ready to be sent.

    Raises:
        ValueError: it is longer than a frame may be.
    """
    body = json.dumps({"kind": kind, **values}, ensure_ascii=False, separators=(",", ":"))
    encoded = body.encode("utf-8", "surrogatepass")
    if len(encoded) > LONGEST:
        raise ValueError(f"{len(encoded)} bytes are too many for a sandbox")
    return _HEAD.pack(_MARK, len(encoded)) + encoded


def unpack(body: bytes) -> dict[str, Any]:
    """The values of a frame, with its ``kind``.

    Raises:
        Garbage: it is none.
    """
    try:
        values = json.loads(body.decode("utf-8", "surrogatepass"))
        if isinstance(values["kind"], str):
            return dict(values)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise Garbage("what is no frame")


async def read(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next frame.

    Raises:
        Garbage: what comes is none.
        EOFError: the other side has closed the socket.
    """
    return unpack(await reader.readexactly(_length(await reader.readexactly(_HEAD.size))))


def receive(sock: socket.socket) -> dict[str, Any]:
    """The next frame, waited for in this thread.

    Raises:
        Garbage, EOFError: as :func:`read`.
    """
    return unpack(_exactly(sock, _length(_exactly(sock, _HEAD.size))))


def _length(head: bytes) -> int:
    mark, length = _HEAD.unpack(head)
    if mark != _MARK or length > LONGEST:
        raise Garbage("what is no frame")
    return int(length)


def _exactly(sock: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = sock.recv(min(count - len(parts), 2**20))
        if not part:
            raise EOFError("the other side has closed the socket")
        parts += part
    return bytes(parts)
