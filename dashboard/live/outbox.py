"""What one socket has still to be sent.

Patches wait here merged by their ids, so a slow reader gets fewer messages and never a wrong one:
of each element only the newest content is kept. Servers such as daphne take whatever they are
given, however slowly the other side reads; so readers acknowledge, and only so much is on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping

#: Messages that may be under way without an acknowledgement, and seconds until that is too long.
WINDOW = 16
PATIENCE_S = 30.0
#: The longest interval that a reader may ask for.
LONGEST_INTERVAL_S = 60.0
#: What this process has done: messages ``sent``, patches ``merged`` into newer ones before they
#: were sent, sockets that ``stalled``.
COUNTS: Counter[str] = Counter()


class Stalled(Exception):
    """The other side has acknowledged nothing for too long."""


class Outbox:
    """The patches and the one status that wait for a socket.

    *clock* gives the server's time in ms, by which the reader computes how old data is.
    ``interval`` seconds lie between two deliveries.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.interval = 0.0
        self._clock = clock
        self._patches: dict[str, dict[str, str]] = {}
        self._times: dict[str, int] = {}
        self._status: str | None = None
        self._answers: list[str] = []
        self._seq = 0
        self._acknowledged = 0
        self._sent_at = float("-inf")
        self._news = asyncio.Event()

    def put(self, topic: str, at_ms: int, patches: Mapping[str, str]) -> None:
        """Add *patches* (id to JSON) of data read at *at_ms*, each in its predecessor's place."""
        if patches:
            waiting = self._patches.setdefault(topic, {})
            for name, patch in patches.items():
                # Behind the others again: what is sent first has waited longest.
                if waiting.pop(name, None) is not None:
                    COUNTS["merged"] += 1
                waiting[name] = patch
            self._times[topic] = at_ms
            self._news.set()

    def say(self, message: Mapping[str, object]) -> None:
        """Add an answer that is sent as it is, such as that a topic does not exist."""
        self._answers.append(json.dumps(message, separators=(",", ":")))
        self._news.set()

    def status(self, text: str) -> None:
        """Put the newest status (JSON) in the place of the last one."""
        self._status = text
        self._news.set()

    def drop(self, topic: str | None = None) -> None:
        """Forget what waits, of *topic* or of all."""
        if topic is None:
            self._patches.clear()
        else:
            self._patches.pop(topic, None)

    def acknowledge(self, seq: int) -> None:
        """Take the reader's word that it has everything up to *seq*."""
        if self._acknowledged < seq <= self._seq:
            self._acknowledged = seq
            self._news.set()

    async def next(self) -> str:
        """The next message; waits for news, for the interval, and for acknowledgements.

        Raises:
            Stalled: nothing was acknowledged for 30 seconds although a lot is under way.
        """
        blocked_since: float | None = None
        while True:
            self._news.clear()
            if self._answers:
                return self._answers.pop(0)
            if self._status is not None:
                text, self._status = self._status, None
                return text
            rest: float | None = None
            if not self._patches:
                blocked_since = None
            elif self._seq - self._acknowledged < WINDOW:
                blocked_since = None
                rest = self._sent_at + self.interval - time.monotonic()
                if rest <= 0:
                    return self._message()
            else:
                blocked_since = blocked_since or time.monotonic()
                rest = blocked_since + PATIENCE_S - time.monotonic()
                if rest <= 0:
                    COUNTS["stalled"] += 1
                    raise Stalled
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._news.wait()

    def _message(self) -> str:
        topic = next(iter(self._patches))
        patches = self._patches.pop(topic)
        self._seq += 1
        COUNTS["sent"] += 1
        if not self._patches:
            # What belongs to one moment goes out together; the interval begins after it.
            self._sent_at = time.monotonic()
        head = json.dumps(topic)
        at, now = self._times.pop(topic), self._clock()
        body = ",".join(patches.values())
        return f'{{"topic":{head},"seq":{self._seq},"at":{at},"now":{now},"patches":[{body}]}}'
