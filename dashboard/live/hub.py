"""One hub a web process: reads what somebody looks at, once, and tells all who look.

For each connection that a page is open on, one task reads the topics in question and sleeps until
an event stream has news (or a second has passed, for what has no events). What changed goes to
everybody of the same class of viewers, made once. Nobody looking: nothing is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from queuecore.errors import QueueCoreError
from queuecore.fleet import Fleet
from queuecore.inspect import Inspector, aliases
from queuecore.models import QueueScope

from .fragments import fragments
from .outbox import Outbox
from .rights import Identity, recheck
from .sources import SOURCES, Source, sources_of
from .state import (
    ConnectionState,
    LiveState,
    Patch,
    Topic,
    Viewer,
    connections_status,
    facts_of,
    shows_week,
    take,
    wants_of,
)

logger = logging.getLogger("queuecore_dashboard.live")

#: The shortest time between two reads of a connection, and the longest.
PAUSE_S, PERIOD_S = 0.25, 1.0
#: How often sockets hear how old the data is, and how often their rights are looked at.
#: With the pause behind it and the look itself, less than the five seconds that are promised.
STATUS_S, RIGHTS_S = 3.0, 4.0
#: After so many failures in a row to look at rights, sockets are closed: nobody knows any more.
RIGHTS_TRIES = 2
#: Changes of rights are looked at at once, but not more often than this.
RIGHTS_PAUSE_S = 0.5
#: What somebody opens is read again, but no more often than this.
REREAD_S = 0.5
#: Streams that one read waits on; in larger houses the period alone serves the overview.
MOST_WATCHED = 1_000
#: The longest pause between two tries while a server is away.
LONGEST_PAUSE_S = 2.0
TRY_AGAIN = 4503


@dataclass(eq=False)
class Socket:
    """An open socket: who reads it, what it shows, and what waits to be sent."""

    identity: Identity
    viewer: Viewer
    outbox: Outbox
    topics: dict[Topic, tuple[str, ...]] = field(default_factory=dict)
    paused: bool = False
    #: Set to a code when the socket must be closed.
    closing: asyncio.Future[int] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def close(self, code: int) -> None:
        """Have the socket closed with *code*."""
        if not self.closing.done():
            self.closing.set_result(code)


@dataclass(eq=False)
class _Group:
    """Sockets of one class of viewers that show the same topic with the same ids."""

    topic: Topic
    viewer: Viewer
    ids: tuple[str, ...]
    sockets: set[Socket] = field(default_factory=set)
    sent: dict[str, Patch] = field(default_factory=dict)
    encoded: dict[str, str] = field(default_factory=dict)
    at_ms: int = 0
    #: When somebody came last (the loop's time), and who waits for the first patches since.
    since: float = 0.0
    newcomers: set[Socket] = field(default_factory=set)

    @property
    def whole(self) -> bool:
        """Whether all that it shows is read by a source of its own, in that one's time."""
        source = SOURCES.get(self.topic.kind)
        return source is not None and source.whole

    def concerns(self, alias: str) -> bool:
        return not self.topic.alias or self.topic.alias == alias


class Hub:
    """Holds the state and the sockets of one event loop; :func:`get_hub` gives it."""

    def __init__(self) -> None:
        self.state = LiveState()
        self.sockets: set[Socket] = set()
        self._groups: dict[tuple[Topic, Viewer, tuple[str, ...]], _Group] = {}
        self._followers: dict[str, _Follower] = {}
        self._guard: asyncio.Task[None] | None = None
        self._rights_changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def add(self, socket: Socket) -> None:
        """Take a socket in; it shows nothing yet."""
        self.sockets.add(socket)
        if self._guard is None or self._guard.done():
            self._guard = asyncio.create_task(self._watch_rights())

    def remove(self, socket: Socket) -> None:
        """Let a socket go."""
        self._leave_all(socket)
        self.sockets.discard(socket)
        if not self.sockets and self._guard is not None:
            self._guard.cancel()
            self._guard = None

    def subscribe(self, socket: Socket, topic: Topic, ids: tuple[str, ...]) -> bool:
        """Show *topic* on *socket*; answered with every patch. False if the viewer has no such."""
        if not socket.viewer.may_watch(topic):
            return False
        self.unsubscribe(socket, topic)
        socket.topics[topic] = ids
        if not socket.paused:
            self._join(socket, topic, ids)
        return True

    def unsubscribe(self, socket: Socket, topic: Topic) -> None:
        """Show *topic* no more."""
        ids = socket.topics.pop(topic, None)
        if ids is not None:
            self._leave(socket, topic, ids)
            socket.outbox.drop(str(topic))

    def pause(self, socket: Socket) -> None:
        """Send nothing until :meth:`resume`; nothing is made for this socket meanwhile."""
        if not socket.paused:
            self._leave_all(socket)
            socket.paused = True
            socket.outbox.drop()

    def resume(self, socket: Socket) -> None:
        """Go on, with every patch of what the socket shows."""
        if not socket.paused:
            self._leave_all(socket)
        socket.paused = False
        for topic, ids in socket.topics.items():
            self._join(socket, topic, ids)

    def rights_changed(self) -> None:
        """Look at the rights of all sockets now; may be called from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rights_changed.set)

    async def close(self) -> None:
        """End all tasks."""
        tasks = [one.task for one in self._followers.values()]
        self._followers.clear()
        await _end([*tasks, self._guard] if self._guard else tasks)

    def groups(self, alias: str) -> list[_Group]:
        """What is shown of *alias* now."""
        return [group for group in self._groups.values() if group.concerns(alias)]

    def tell(self, groups: Iterable[_Group], connection: ConnectionState) -> None:
        """Make the patches of *groups* and put what changed into the outboxes."""
        read_at = connection.read_at
        for group in groups:
            try:
                patches = fragments(self.state, group.topic, group.viewer, group.ids)
            except Exception:
                # One page's mistake must not stop the others.
                logger.exception("the fragments of %s could not be made", group.topic)
                continue
            changed = {
                name: _encode(name, patch)
                for name, patch in patches.items()
                if group.sent.get(name) != patch
            }
            group.sent |= patches
            group.encoded |= changed
            group.at_ms = round(read_at.timestamp() * 1000) if read_at else 0
            for socket in group.sockets:
                told = group.encoded if socket in group.newcomers else changed
                socket.outbox.put(str(group.topic), group.at_ms, told)
            group.newcomers.clear()

    def tell_status(self, alias: str) -> None:
        """Tell everybody who looks at *alias* how old its data is, and whether it is away."""
        for socket in {socket for group in self.groups(alias) for socket in group.sockets}:
            shown = {topic.alias for topic in socket.topics}
            known = aliases() if "" in shown else shown
            socket.outbox.status(self.status(alias for alias in known))

    def status(self, shown: Iterable[str]) -> str:
        """The status of some connections as a message."""
        known = connections_status(self.state[alias] for alias in shown)
        message = {"type": "status", "now": self.now_ms(), "connections": known}
        return json.dumps(message, separators=(",", ":"))

    def now_ms(self) -> int:
        """The server's time."""
        return Inspector().now_ms()

    def _join(self, socket: Socket, topic: Topic, ids: tuple[str, ...]) -> None:
        key = (topic, socket.viewer, ids)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(topic, socket.viewer, ids)
        elif group.encoded and group.whole:
            group.newcomers.add(socket)  # its page is younger than what was read last
        elif group.encoded:
            socket.outbox.put(str(topic), group.at_ms, group.encoded)
        group.since = self._loop.time()
        group.sockets.add(socket)
        for alias in [topic.alias] if topic.alias else aliases():
            follower = self._followers.get(alias)
            if follower is None or not follower.runs:
                follower = self._followers[alias] = _Follower(self, alias)
            follower.look_soon()

    def _leave(self, socket: Socket, topic: Topic, ids: tuple[str, ...]) -> None:
        key = (topic, socket.viewer, ids)
        group = self._groups.get(key)
        if group is not None:
            group.sockets.discard(socket)
            group.newcomers.discard(socket)
            if not group.sockets:
                del self._groups[key]

    def _leave_all(self, socket: Socket) -> None:
        if not socket.paused:
            for topic, ids in socket.topics.items():
                self._leave(socket, topic, ids)

    async def _watch_rights(self) -> None:
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RIGHTS_S):
                    await self._rights_changed.wait()
            self._rights_changed.clear()
            sockets = list(self.sockets)
            try:
                found = await database_sync_to_async(recheck)({s.identity for s in sockets})
            except Exception:
                failures += 1
                logger.exception("the rights of open sockets could not be looked at")
                if failures >= RIGHTS_TRIES:
                    for socket in sockets:
                        socket.close(TRY_AGAIN)
            else:
                failures = 0
                for socket in sockets:
                    self._apply(socket, found[socket.identity])
            await asyncio.sleep(RIGHTS_PAUSE_S)

    def _apply(self, socket: Socket, now: Viewer | int) -> None:
        if isinstance(now, int):
            self._leave_all(socket)
            socket.topics.clear()
            socket.outbox.drop()
            socket.close(now)
        elif now != socket.viewer:
            self._leave_all(socket)
            socket.outbox.drop()
            socket.viewer = now
            for topic, ids in list(socket.topics.items()):
                if not now.may_watch(topic):
                    del socket.topics[topic]
                    socket.outbox.say({"topic": str(topic), "gone": True})
                elif not socket.paused:
                    self._join(socket, topic, ids)


def _encode(name: str, patch: Patch) -> str:
    content = {"text": patch.text} if patch.text is not None else {"html": patch.html}
    return json.dumps({"id": name, **content}, separators=(",", ":"))


class _Follower:
    """Reads one connection for as long as somebody looks at it."""

    def __init__(self, hub: Hub, alias: str) -> None:
        self.alias = alias
        self._hub = hub
        self._inspector = Inspector(alias)
        self._watch = self._inspector.watch()
        self._connection = hub.state[alias]
        self._changed: set[str] = set()
        self._sources = _Sources(hub, alias, self.look_at)
        self._wake = asyncio.Event()
        self._read = asyncio.Event()
        self._kinds: set[str] = set()
        self._everything = True
        self._event_ids: dict[str, str] = {}
        #: Whether it still reads; it ends when nobody looks any more.
        self.runs = True
        self.task = asyncio.create_task(self._run())

    def look_soon(self) -> None:
        """Read everything that is shown now, for somebody who has just come."""
        self._everything = True
        self._wake.set()

    def look_at(self, kind: str) -> None:
        """Tell what the source of *kind* has read."""
        self._kinds.add(kind)
        self._wake.set()

    async def _run(self) -> None:
        sleeper = asyncio.create_task(self._sleep_on_events())
        loop = asyncio.get_running_loop()
        pause = PAUSE_S
        read_all = told = float("-inf")
        try:
            while groups := self._hub.groups(self.alias):
                begun = loop.time()
                everything = self._everything or begun - read_all >= PERIOD_S
                changed, self._changed = self._changed, set()
                kinds, self._kinds = self._kinds, set()
                self._everything = False
                if everything:
                    read_all = begun
                was_away = self._connection.error
                self._sources.read(groups)
                concerned = [
                    group for group in groups if self._fits(group, everything, changed, kinds)
                ]
                if concerned:
                    await self._look(concerned, None if everything else changed)
                    self._hub.tell(concerned, self._connection)
                    pause = min(pause * 2, LONGEST_PAUSE_S) if self._connection.error else PAUSE_S
                if self._connection.error != was_away or loop.time() - told >= STATUS_S:
                    told = loop.time()
                    self._hub.tell_status(self.alias)
                self._read.set()
                await asyncio.sleep(max(begun + pause - loop.time(), 0))
                if not self._everything and not self._connection.error:
                    await self._rest(read_all + PERIOD_S - loop.time())
        finally:
            # Before the first wait: who comes from now on needs another one.
            self.runs = False
            await _end([sleeper, *self._sources.tasks.values()])
            await self._watch.close()

    def _fits(self, group: _Group, everything: bool, changed: set[str], kinds: set[str]) -> bool:
        told = bool(kinds.intersection(sources_of(group.topic.kind)))
        if group.whole:
            # Not what was read before its page was made: that would put an action back.
            young = self._sources.read_at(group.topic.kind) >= group.since
            return young and (told or not group.sent or bool(group.newcomers))
        if told:
            return True
        return everything or (bool(changed) and group.topic.queue in ({""} | changed))

    async def _rest(self, seconds: float) -> None:
        if seconds > 0:
            # Not wait_for: on Python 3.11 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        self._wake.clear()

    async def _look(self, groups: list[_Group], only: set[str] | None) -> None:
        facts = facts_of(self.alias)
        asked = [(group.topic, group.ids) for group in groups]
        wants = wants_of(self.alias, asked, facts, only)
        try:
            reading = await self._inspector.aread(wants)
            if only is None and facts.due()["crews"]:
                fleet = Fleet(self.alias)
                facts.count(await fleet.aprocesses(), await fleet.asupervisors())
            week = any(shows_week(ids) for _topic, ids in asked)
            await self._connection.history.arefresh(quarters=week)
        except QueueCoreError as error:
            self._connection.fail(error)
            return
        if only is None:
            self._connection.forget()
        take(self._connection, facts, wants, reading)
        if only is None:
            # What nobody looks at any more need not be slept on either.
            known = self._connection.queues
            self._event_ids = {n: id for n, id in self._event_ids.items() if n in known}
        # The stream's end was read together with the snapshot: what comes later is news.
        self._event_ids |= {name: one.event_id for name, one in reading.queues.items()}

    async def _sleep_on_events(self) -> None:
        """Note which queues have news, and wake the reader; it never reads the events."""
        while True:
            await self._read.wait()
            self._read.clear()
            if self._connection.error:
                continue
            shown = {group.topic.queue for group in self._hub.groups(self.alias)}
            names = self._event_ids if "" in shown else shown & self._event_ids.keys()
            watched = {name: self._event_ids[name] for name in list(names)[:MOST_WATCHED]}
            try:
                news = await self._watch.changes(watched, PERIOD_S)
            except QueueCoreError:
                # The reader finds out by itself, and says so.
                continue
            if news:
                self._changed |= news
                self._wake.set()
            else:
                self._read.set()


class _Sources:
    """Reads what open topics need beyond queues, each in its own time and in no other's way."""

    def __init__(self, hub: Hub, alias: str, told: Callable[[str], None]) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._hub = hub
        self._alias = alias
        self._told = told
        self._due: dict[str, float] = {}
        self._read_at: dict[str, float] = {}
        self._known: dict[str, set[tuple[Topic, tuple[str, ...]]]] = {}

    def read_at(self, kind: str) -> float:
        """When the reading began whose answer is shown now."""
        return self._read_at.get(kind, float("-inf"))

    def read(self, groups: Iterable[_Group]) -> None:
        """Begin to read what is due, and at once what somebody has just opened."""
        opened: dict[str, float] = {}
        asked: dict[str, set[tuple[Topic, tuple[str, ...]]]] = {}
        for group in groups:
            for name in sources_of(group.topic.kind):
                if SOURCES[name].by_connection or self._alias == aliases()[0]:
                    asked.setdefault(name, set()).add((group.topic, group.ids))
                    if group.whole:
                        opened[name] = max(opened.get(name, 0.0), group.since)
        for kind in self._known.keys() - asked.keys():
            del self._known[kind], self._due[kind]
        now = asyncio.get_running_loop().time()
        for kind, topics in asked.items():
            if kind not in self._known:
                # Read for somebody who is gone: the page of who comes now is younger.
                self._place(kind).extra.pop(kind, None)
            running = kind in self.tasks and not self.tasks[kind].done()
            new = not topics <= self._known.get(kind, set())
            old = self.read_at(kind)
            new = new or (opened.get(kind, 0.0) > old and now - old >= REREAD_S)
            if not running and (new or self._due.get(kind, 0.0) <= now):
                self._due[kind] = now + SOURCES[kind].period
                self._known[kind] = topics
                self.tasks[kind] = asyncio.create_task(self._ask(kind, SOURCES[kind], topics))

    def _place(self, kind: str) -> ConnectionState | LiveState:
        state = self._hub.state
        return state[self._alias] if SOURCES[kind].by_connection else state

    async def _ask(
        self, kind: str, source: Source, topics: set[tuple[Topic, tuple[str, ...]]]
    ) -> None:
        alias = self._alias if source.by_connection else ""
        begun = asyncio.get_running_loop().time()
        try:
            self._place(kind).extra[kind] = await source.aread(alias, list(topics))
        except QueueCoreError:
            return  # the server is away, as the reader finds out by itself
        except Exception:
            logger.exception("what %s shows could not be read", kind)
            return
        self._read_at[kind] = begun
        self._told(kind)


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *tasks* until they have ended: connecting can swallow a cancellation."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.1)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def get_hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub


def sockets_open() -> int:
    """How many sockets this process has open now."""
    return sum(len(hub.sockets) for hub in list(_hubs.values()))


def _rights_changed(**kwargs: object) -> None:
    # What was written is seen by others after the commit; outside of a transaction that is now.
    transaction.on_commit(_look_at_rights)


def _look_at_rights() -> None:
    for hub in list(_hubs.values()):
        hub.rights_changed()


def connect_signals() -> None:
    """Have rights looked at as soon as something about them changes in this process."""
    user = get_user_model()
    name = "queuecore_dashboard.live"
    user_logged_out.connect(_rights_changed, dispatch_uid=name)
    for sender in (user, Group, QueueScope):
        post_save.connect(_rights_changed, sender=sender, dispatch_uid=name)
        post_delete.connect(_rights_changed, sender=sender, dispatch_uid=name)
    through = [Group.permissions.through]
    through += [
        getattr(user, relation).through
        for relation in ("groups", "user_permissions")
        if hasattr(user, relation)
    ]
    for sender in through:
        m2m_changed.connect(_rights_changed, sender=sender, dispatch_uid=name)
