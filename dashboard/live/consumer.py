"""A browser's socket: it subscribes and listens; whatever changes something is a POST elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from .hub import TRY_AGAIN, Hub, Socket, get_hub
from .outbox import LONGEST_INTERVAL_S, Outbox, Stalled
from .rights import identify
from .state import ID_LENGTH, Topic, good_ids

logger = logging.getLogger("queuecore_dashboard.live")

#: What one socket may send and hold, and how many sockets one user may have.
MESSAGE_BYTES, TOPICS, SOCKETS = 16 * 1024, 20, 10
#: Messages a second, and how many may come at once.
RATE, BURST = 10.0, 30.0
#: Why a socket is closed. Codes below 3000 are the protocol's own: Daphne sends none of them but
#: 1000, and the socket would stay open.
POLICY, TOO_BIG, TOO_MANY, STALLED = 4400, 4413, 4429, 4408


class LiveConsumer(AsyncWebsocketConsumer):
    """One open page."""

    # No such layer: Channels would open one of the host's for every socket, and we need none.
    channel_layer_alias = "queuecore_dashboard without a layer"

    hub: Hub
    socket: Socket | None = None
    sender: asyncio.Task[None] | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle a message; Channels' own would ask a thread about the database each time."""
        handlers = {
            "websocket.connect": self.websocket_connect,
            "websocket.receive": self.websocket_receive,
            "websocket.disconnect": self.websocket_disconnect,
        }
        await handlers[message["type"]](message)

    async def connect(self) -> None:
        """Accept, and close at once whoever has no right: before accepting, a code gets lost."""
        request, mount = self.scope["queuecore_dashboard"]
        found = await database_sync_to_async(identify)(request, mount)
        await self.accept()
        if isinstance(found, int):
            await self.close(found)
            return
        identity, viewer = found
        self.hub = get_hub()
        mine = [one for one in self.hub.sockets if one.identity.user_pk == identity.user_pk]
        if len(mine) >= SOCKETS:
            await self.close(TOO_MANY)
            return
        self.allowance, self.heard_at = BURST, time.monotonic()
        self.socket = Socket(identity, viewer, Outbox(self.hub.now_ms))
        self.hub.add(self.socket)
        self.sender = asyncio.create_task(self._send_all(self.socket))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one message of the page."""
        socket = self.socket
        if socket is None or socket.closing.done():
            return
        if text_data is None or len(text_data.encode()) > MESSAGE_BYTES:
            socket.close(TOO_BIG if text_data else POLICY)
            return
        now = time.monotonic()
        self.allowance = min(self.allowance + (now - self.heard_at) * RATE, BURST) - 1
        self.heard_at = now
        if self.allowance < 0:
            socket.close(POLICY)
            return
        try:
            message = json.loads(text_data)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict):
            self._take(socket, message)

    async def disconnect(self, code: int) -> None:
        """Let go of everything."""
        if self.socket is not None:
            self.hub.remove(self.socket)
        if self.sender is not None:
            self.sender.cancel()
            await asyncio.gather(self.sender, return_exceptions=True)

    def _take(self, socket: Socket, message: dict[str, Any]) -> None:
        """Do what *message* says; what is no message of ours is passed over."""
        kind = message.get("type")
        if kind == "subscribe":
            self._subscribe(socket, message.get("topic"), message.get("ids", []))
        elif kind == "unsubscribe":
            topic = Topic.parse(str(message.get("topic")))
            if topic is not None:
                self.hub.unsubscribe(socket, topic)
        elif kind == "pause":
            self.hub.pause(socket)
        elif kind == "resume":
            self.hub.resume(socket)
        elif kind == "interval":
            seconds = message.get("seconds")
            if isinstance(seconds, int | float) and 0 <= seconds <= LONGEST_INTERVAL_S:
                socket.outbox.interval = float(seconds)
        elif kind == "ack" and isinstance(message.get("seq"), int):
            socket.outbox.acknowledge(message["seq"])

    def _subscribe(self, socket: Socket, text: Any, ids: Any) -> None:
        topic = Topic.parse(text) if isinstance(text, str) else None
        room = topic in socket.topics or len(socket.topics) < TOPICS
        # One answer for what does not exist and for what is not for this viewer.
        if (
            topic is None
            or not room
            or not good_ids(ids)
            or not self.hub.subscribe(socket, topic, tuple(ids))
        ):
            socket.outbox.say({"topic": str(text)[:ID_LENGTH], "gone": True})

    async def _send_all(self, socket: Socket) -> None:
        """Send what waits until the socket must be closed."""
        code = TRY_AGAIN
        try:
            code = await self._send_until_closing(socket)
        except Stalled:
            code = STALLED
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("a socket of user %s broke", socket.identity.user_pk)
        self.hub.remove(socket)
        with contextlib.suppress(Exception):  # the other side may be gone already
            await self.close(code)

    async def _send_until_closing(self, socket: Socket) -> int:
        while True:
            waiting = asyncio.ensure_future(socket.outbox.next())
            try:
                await asyncio.wait({waiting, socket.closing}, return_when=asyncio.FIRST_COMPLETED)
                if socket.closing.done():
                    return socket.closing.result()
            finally:
                waiting.cancel()  # where it still waits: the socket closes, or has gone
            await self.send(text_data=waiting.result())
