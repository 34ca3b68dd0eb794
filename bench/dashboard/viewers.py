"""Open pages without browsers: sockets that say what ``live.js`` says, and note what they hear."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from bench.dashboard.site import SOCKETS
from bench.trials import BenchError

_PATCHES = re.compile(rb'\{"topic":"[^"]*","seq":(\d+),"at":(\d+),')
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Viewer(asyncio.Protocol):
    """One socket on one topic."""

    def __init__(self, audience: Audience, head: bytes) -> None:
        self._audience, self._head = audience, head
        self._buffer = bytearray()
        self._open = False
        self._acknowledged, self._acknowledged_at = 0, 0.0
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._head)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the socket was closed")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self._buffer[:64]:
                self._fail(f"the socket was refused: {bytes(self._buffer[:64])!r}")
                return
            del self._buffer[: end + 4]
            self._open = True
            self.say(self._audience.subscription)
        while self._frame():
            pass

    def say(self, text: str) -> None:
        """Send one message."""
        self._send(_TEXT, text.encode())

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.close()

    def _frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        kind, size, begin = buffer[0] & 15, buffer[1] & 127, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(buffer) < 2 + wide:
                return False
            begin = 2 + wide
            size = int.from_bytes(buffer[2:begin], "big")
        if len(buffer) < begin + size:
            return False
        body = bytes(buffer[begin : begin + size])
        del buffer[: begin + size]
        if kind == _TEXT:
            self._hear(body)
        elif kind == _PING:
            self._send(_PONG, body)
        elif kind == _CLOSE:
            self._fail(f"the socket was closed with {int.from_bytes(body[:2], 'big')}")
        return True

    def _hear(self, body: bytes) -> None:
        found = _PATCHES.match(body)
        if found is None:
            return
        sequence, now = int(found[1]), time.perf_counter()
        if not self.first.done():
            self.first.set_result(None)
        self._audience.heard(self, int(found[2]), now)
        # As live.js does.
        if sequence - self._acknowledged >= 4 or now - self._acknowledged_at > 1:
            self._acknowledged, self._acknowledged_at = sequence, now
            self.say(f'{{"type":"ack","seq":{sequence}}}')

    def _send(self, kind: int, body: bytes) -> None:
        assert self._transport is not None
        size = len(body)
        head = bytes([0x80 | kind, 0x80 | size if size < 126 else 0xFE])
        if size >= 126:
            head += size.to_bytes(2, "big")
        # A mask of zeros masks nothing, and is allowed.
        self._transport.write(head + b"\0\0\0\0" + body)

    def _fail(self, why: str) -> None:
        if not self.first.done():
            self.first.set_exception(BenchError(why))
        self._audience.lost(self, why)


class Audience:
    """So many sockets on one topic; :meth:`all_hear` waits until all know of a moment."""

    def __init__(self, url: str, cookies: Sequence[str], topic: str, ids: Sequence[str]) -> None:
        self._url, self._cookies = url, cookies
        self._host, _, port = urlsplit(url).netloc.partition(":")
        self._port = int(port)
        self.subscription = json.dumps({"type": "subscribe", "topic": topic, "ids": list(ids)})
        self.viewers: list[Viewer] = []
        self._missing: set[Viewer] = set()
        self._moment = 0
        self._told: asyncio.Future[float] | None = None
        self._closing = False

    async def gather(self, count: int) -> None:
        """Open so many sockets, and wait until each has had its first patches."""
        for begin in range(0, count, 50):
            some = [await self._open(n) for n in range(begin, min(begin + 50, count))]
            await asyncio.wait_for(asyncio.gather(*(one.first for one in some)), 60)

    async def all_hear(self, since_ms: int, patience: float = 30) -> float:
        """When (``perf_counter``) the last of them had patches that were read since *since_ms*."""
        self._moment = since_ms
        self._missing = set(self.viewers)
        self._told = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(self._told, patience)

    def heard(self, viewer: Viewer, at_ms: int, now: float) -> None:
        if at_ms >= self._moment and viewer in self._missing:
            self._missing.discard(viewer)
            if not self._missing and self._told is not None and not self._told.done():
                self._told.set_result(now)

    def lost(self, viewer: Viewer, why: str) -> None:
        if not self._closing and self._told is not None and not self._told.done():
            self._told.set_exception(BenchError(why))

    def close(self) -> None:
        """Everybody leaves."""
        self._closing = True
        for one in self.viewers:
            one.close()

    async def _open(self, number: int) -> Viewer:
        head = (
            "GET /ws/?lang=en HTTP/1.1\r\n"
            f"Host: {self._host}:{self._port}\r\nOrigin: {self._url}\r\n"
            f"Cookie: {self._cookies[number // SOCKETS]}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        ).encode()
        loop = asyncio.get_running_loop()
        _, viewer = await loop.create_connection(lambda: Viewer(self, head), self._host, self._port)
        self.viewers.append(viewer)
        return viewer
