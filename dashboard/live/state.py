"""What is known right now: topics, viewers, and the values from which fragments are made.

Values only, filled by a page for itself (:func:`read`) or by the hub for all sockets of a process.
Fragments read it and nothing else, so a page and its later patches say the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from queuecore import access
from queuecore.errors import QueueCoreError
from queuecore.history import History, history_of
from queuecore.inspect import (
    STATES,
    Inspector,
    JobDetail,
    JobRow,
    LogPage,
    QueueSnapshot,
    Reading,
    ServerInfo,
    Wants,
    WorkerInfo,
    aliases,
)

#: Seconds after which queues are looked for, workers listed and the server asked again.
NAMES_S, SERVER_S, WORKERS_S = 2.0, 5.0, 10.0
#: The last lines of a job's log that a page shows.
LOG_LINES = 200
#: The most ids on screen that a topic is asked for with, and their length.
IDS, ID_LENGTH = 100, 1_000


@dataclass(frozen=True, slots=True)
class Topic:
    """What a page shows, as it is subscribed to.

    As text: ``overview``, ``queue:<alias>:<name>``, ``jobs:<alias>:<name>:<state>`` or
    ``job:<alias>:<queue>:<id>``; the id is the rest, colons and all.
    """

    kind: str
    alias: str = ""
    queue: str = ""
    state: str = ""
    id: str = ""

    def __str__(self) -> str:
        parts = (self.kind, self.alias, self.queue, self.state or self.id)
        return ":".join(part for part in parts if part)

    @classmethod
    def parse(cls, text: str) -> Topic | None:
        """Read the text of a topic; None if it is none."""
        kind, *names = text.split(":", 3)
        topic = None
        if kind == "overview" and not names:
            topic = cls(kind)
        elif kind == "queue" and len(names) == 2:
            topic = cls(kind, *names)
        elif kind == "jobs" and len(names) == 3 and names[2] in STATES:
            topic = cls(kind, names[0], names[1], state=names[2])
        elif kind == "job" and len(names) == 3:
            topic = cls(kind, names[0], names[1], id=names[2])
        return topic if topic and all(names) else None


@dataclass(frozen=True, slots=True)
class Viewer:
    """A class of viewers: everybody in it gets the same fragments.

    ``payload``: may see data, results, logs and errors of jobs. ``mount``: the path under which
    the dashboard is mounted, for links.
    """

    scope: access.Scope
    payload: bool
    language: str
    mount: str

    def allows(self, alias: str, queue: str) -> bool:
        """Whether the queue may be seen."""
        return self.scope.allows(alias, queue)

    def may_watch(self, topic: Topic) -> bool:
        """Whether the topic exists for this viewer; nobody learns why it does not."""
        if topic.kind == "overview":
            return True
        return topic.alias in aliases() and self.allows(topic.alias, topic.queue)


def viewer_of(user: Any, language: str, mount: str) -> Viewer:
    """The class of viewers that *user* belongs to; asks the database."""
    return Viewer(
        scope=access.scope(user),
        payload=access.can(user, "view_payload"),
        language=language,
        mount=mount,
    )


@dataclass(frozen=True, slots=True)
class Patch:
    """New content of the element with the patch's id: its text, or the whole element as HTML."""

    text: str | None = None
    html: str | None = None


@dataclass(slots=True)
class ConnectionState:
    """What is known of one connection.

    ``read_at`` is the server's time of the last good read; ``error`` a sentence while the server
    is away, and the values are then as old as ``read_at``. A row or job that is None is gone.
    ``newer``: how many jobs stand before the first row of a list, by (queue, state, that id).
    """

    alias: str
    history: History
    queues: dict[str, QueueSnapshot] = field(default_factory=dict)
    workers: list[WorkerInfo] | None = None
    server: ServerInfo | None = None
    read_at: datetime | None = None
    error: str | None = None
    rows: dict[tuple[str, str], JobRow | None] = field(default_factory=dict)
    jobs: dict[tuple[str, str], JobDetail | None] = field(default_factory=dict)
    logs: dict[tuple[str, str], LogPage] = field(default_factory=dict)
    newer: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def take(self, reading: Reading) -> None:
        """Put what was read in the place of what was known."""
        self.error = None
        self.read_at = reading.at
        if reading.names is not None:
            known = reading.names
            # A queue that somebody has its page on stays, even if it is gone.
            self.queues = {name: one for name, one in self.queues.items() if name in known}
        self.queues = dict(sorted((self.queues | reading.queues).items()))
        self.rows |= reading.rows
        self.jobs |= reading.jobs
        self.logs |= reading.logs
        self.newer |= reading.before

    def forget(self) -> None:
        """Forget single jobs: what is still on somebody's screen is about to be read anew."""
        self.rows, self.jobs, self.logs, self.newer = {}, {}, {}, {}

    def fail(self, error: Exception) -> None:
        """Keep what is known, and say that it gets older."""
        self.error = str(error)


class LiveState:
    """What is known of all connections, in the order of the settings."""

    def __init__(self) -> None:
        self.connections = {alias: ConnectionState(alias, history_of(alias)) for alias in aliases()}

    def __getitem__(self, alias: str) -> ConnectionState:
        return self.connections[alias]

    @property
    def at(self) -> datetime:
        """The time of the newest read, by its server; this machine's while there is none."""
        times = [one.read_at for one in self.connections.values() if one.read_at]
        return max(times, default=datetime.now(UTC))


def good_ids(ids: Any) -> bool:
    """Whether *ids*, from a browser, may stand beside a topic."""
    return (
        isinstance(ids, list)
        and len(ids) <= IDS
        and all(isinstance(one, str) and len(one) <= ID_LENGTH for one in ids)
    )


def connections_status(shown: Iterable[ConnectionState]) -> dict[str, dict[str, Any]]:
    """How old the data of some connections is, as browsers are told."""
    return {
        one.alias: {
            "at": round(one.read_at.timestamp() * 1000) if one.read_at else None,
            "error": one.error,
        }
        for one in shown
    }


class Facts:
    """What changes slowly about a connection, asked once for all pages of this process."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.workers: list[WorkerInfo] | None = None
        self.server: ServerInfo | None = None
        self._until = {"names": 0.0, "workers": 0.0, "server": 0.0}

    def due(self) -> dict[str, bool]:
        """Which of ``names``, ``workers`` and ``server`` should be asked for now."""
        now = time.monotonic()
        return {fact: until <= now for fact, until in self._until.items()}

    def take(self, wants: Wants, reading: Reading) -> None:
        """Remember the answers to *wants*."""
        now = time.monotonic()
        if reading.names is not None:
            self.names = reading.names
            self._until["names"] = now + NAMES_S
        if wants.workers:
            self.workers = reading.workers
            self._until["workers"] = now + WORKERS_S
        if wants.server:
            self.server = reading.server
            self._until["server"] = now + SERVER_S


_facts: dict[str, Facts] = {}
_lock = threading.Lock()


def facts_of(alias: str) -> Facts:
    """This process's slowly changing facts about *alias*."""
    with _lock:
        return _facts.setdefault(alias, Facts())


def wants_of(
    alias: str,
    asked: Iterable[tuple[Topic, Sequence[str]]],
    facts: Facts,
    only: set[str] | None = None,
    fresh: bool = False,
) -> Wants:
    """All that must be read of *alias* for these topics with the ids on screen.

    With *only*, the queues in which something happened: what concerns no other. With *fresh* the
    names of the queues are asked for again: a page must show the queue that was just made.
    """
    queues: set[str] = set()
    rows: dict[str, dict[str, None]] = {}
    jobs: dict[tuple[str, str], None] = {}
    before: dict[tuple[str, str, str], None] = {}
    everything = False
    for topic, ids in asked:
        if topic.kind == "overview":
            everything = True
        elif topic.alias == alias:
            queues.add(topic.queue)
            if topic.kind == "jobs" and ids:
                rows.setdefault(topic.queue, {}).update(dict.fromkeys(ids))
                before[topic.queue, topic.state, ids[0]] = None
            elif topic.kind == "job":
                jobs[topic.queue, topic.id] = None
    if only is not None:
        queues |= only if everything else set()
        return Wants(queues=sorted(queues), **_jobs(rows, jobs, before))
    due = facts.due()
    discover = everything and (fresh or due["names"])
    if everything:
        queues |= {worker.queue for worker in facts.workers or ()}
        queues.update(() if discover else facts.names)
    return Wants(
        queues=sorted(queues),
        discover=discover,
        workers=due["workers"],
        server=due["server"],
        **_jobs(rows, jobs, before),
    )


def _jobs(
    rows: dict[str, dict[str, None]],
    jobs: dict[tuple[str, str], None],
    before: dict[tuple[str, str, str], None],
) -> dict[str, Any]:
    return {
        "rows": {queue: list(ids) for queue, ids in rows.items()},
        "jobs": list(jobs),
        "logs": [(queue, job_id, -LOG_LINES, -1) for queue, job_id in jobs],
        "before": list(before),
    }


def read(topic: Topic, ids: Sequence[str] = ()) -> LiveState:
    """Read what *topic* shows; a connection that is away says so in its ``error``."""
    state = LiveState()
    for connection in _concerned(state, topic):
        facts = facts_of(connection.alias)
        wants = wants_of(connection.alias, [(topic, ids)], facts, fresh=True)
        try:
            reading = Inspector(connection.alias).read(wants)
            connection.history.refresh()
        except QueueCoreError as error:
            connection.fail(error)
        else:
            take(connection, facts, wants, reading)
    return state


async def aread(topic: Topic, ids: Sequence[str] = ()) -> LiveState:
    """See :func:`read`."""
    state = LiveState()
    for connection in _concerned(state, topic):
        facts = facts_of(connection.alias)
        wants = wants_of(connection.alias, [(topic, ids)], facts, fresh=True)
        try:
            reading = await Inspector(connection.alias).aread(wants)
            await connection.history.arefresh()
        except QueueCoreError as error:
            connection.fail(error)
        else:
            take(connection, facts, wants, reading)
    return state


def take(connection: ConnectionState, facts: Facts, wants: Wants, reading: Reading) -> None:
    """Put the answer to *wants* where pages and fragments find it."""
    facts.take(wants, reading)
    connection.take(reading)
    connection.workers, connection.server = facts.workers, facts.server


def _concerned(state: LiveState, topic: Topic) -> list[ConnectionState]:
    if topic.kind == "overview":
        return list(state.connections.values())
    return [state[topic.alias]] if topic.alias in state.connections else []
