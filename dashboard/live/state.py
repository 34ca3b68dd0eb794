"""What is known right now: topics, viewers, and the values from which fragments are made.

Values only, filled by a page for itself (:func:`read`) or by the hub for all sockets of a process.
Fragments read it and nothing else, so a page and its later patches say the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from queuecore import access
from queuecore.errors import QueueCoreError
from queuecore.fleet import (
    Fleet,
    FleetProcess,
    FleetSupervisor,
    FleetWorker,
    connections_of,
)
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

from ..notices import Notices
from .sources import SOURCES, sources_of

#: The newest jobs of a list by which those that are new are counted.
COUNTED_FROM = 3
#: Seconds after which queues are looked for, the server asked, workers listed and what
#: our own can do counted again.
NAMES_S, SERVER_S, WORKERS_S, CREWS_S = 2.0, 5.0, 10.0, 5.0
#: Jobs run and nobody is known to run them: after so many seconds it is asked again who works, at
#: most so many times. A connection that is known to be of ours is that for so long.
SOON_S, TRIES, REMEMBER_S = 2.0, 3, 30.0
#: The last lines of a job's log that a page shows.
LOG_LINES = 200
#: The most ids on screen that a topic is asked for with, and their length.
IDS, ID_LENGTH = 100, 1_000


#: The topics there are, and the parts of their texts; the last part is the rest, colons and all.
FORMS: dict[str, tuple[str, ...]] = {
    "overview": (),
    "queue": ("alias", "queue"),
    "jobs": ("alias", "queue", "state"),
    "job": ("alias", "queue", "id"),
    "groups": ("alias", "queue"),
    "group": ("alias", "queue", "id"),
    "schedulers": (),
    "scheduler": ("alias", "queue", "id"),
    "workers": (),
    "worker": ("alias", "id"),
    "operations": (),
    "operation": ("id",),
    "system": ("alias",),
    "audit": (),
}
#: Topics about every queue there is.
_WIDE = ("overview", "schedulers", "workers", "system")


def joined(*parts: str) -> str:
    """Join *parts* by colons, so that :func:`parted` finds them again; the last is as it is."""
    *before, last = parts
    return ":".join([*(one.replace("%", "%25").replace(":", "%3A") for one in before), last])


def parted(text: str, most: int) -> list[str]:
    """Undo :func:`joined` for *most* parts before the last."""
    *before, last = text.split(":", most)
    return [*(one.replace("%3A", ":").replace("%25", "%") for one in before), last]


@dataclass(frozen=True, slots=True)
class Topic:
    """What a page shows, as it is subscribed to.

    As text the kind and its parts, joined by colons: ``overview``, ``queue:<alias>:<name>``,
    ``jobs:<alias>:<name>:<state>``, ``job:<alias>:<queue>:<id>``; see :data:`FORMS`. A name with
    a colon in it is written by :func:`joined`.
    """

    kind: str
    alias: str = ""
    queue: str = ""
    state: str = ""
    id: str = ""

    def __str__(self) -> str:
        return joined(self.kind, *(getattr(self, name) for name in FORMS[self.kind]))

    @classmethod
    def parse(cls, text: str) -> Topic | None:
        """Read the text of a topic; None if it is none."""
        kind = text.partition(":")[0]
        form = FORMS.get(kind)
        if form is None:
            return None
        parts = parted(text, len(form))[1:]
        if len(parts) != len(form) or not all(parts) or (not form and text != kind):
            return None
        topic = cls(kind, **dict(zip(form, parts, strict=True)))
        return topic if not topic.state or topic.state in STATES else None


@dataclass(frozen=True, slots=True)
class Viewer:
    """A class of viewers: everybody in it gets the same fragments.

    ``payload``: may see data, results, logs and errors of jobs; ``audit``: what was done by whom.
    ``mount``: the path under which the dashboard is mounted, for links.
    """

    scope: access.Scope
    payload: bool
    language: str
    mount: str
    audit: bool = False

    def allows(self, alias: str, queue: str) -> bool:
        """Whether the queue may be seen."""
        return self.scope.allows(alias, queue)

    def may_watch(self, topic: Topic) -> bool:
        """Whether the topic exists for this viewer; nobody learns why it does not."""
        if topic.kind == "audit":
            return self.audit
        if topic.kind == "system":
            # The server belongs to nobody's queue: it is shown to those who see every queue.
            return topic.alias in aliases() and self.scope.patterns is None
        if topic.alias and topic.alias not in aliases():
            return False
        return not topic.queue or self.allows(topic.alias, topic.queue)


def viewer_of(user: Any, language: str, mount: str) -> Viewer:
    """The class of viewers that *user* belongs to; asks the database."""
    return Viewer(
        scope=access.scope(user),
        payload=access.can(user, "view_payload"),
        language=language,
        mount=mount,
        audit=access.can(user, "view_audit"),
    )


@dataclass(frozen=True, slots=True)
class Patch:
    """New content of the element with the patch's id: its text, or the whole element as HTML."""

    text: str | None = None
    html: str | None = None


@dataclass(slots=True)
class Crew:
    """Our own workers of a queue: how many there are, and how many jobs they can run at once.

    ``lost``: workers whose process says nothing any more, and the jobs that it was running.
    ``members``: all of them, each with its process.
    """

    workers: int = 0
    slots: int = 0
    lost: int = 0
    lost_jobs: int = 0
    members: list[tuple[FleetProcess, FleetWorker]] = field(default_factory=list)


@dataclass(slots=True)
class ConnectionState:
    """What is known of one connection.

    ``read_at`` is the server's time of the last good read; ``error`` a sentence while the server is
    away, and the values are then as old as ``read_at``. A row or job that is None is gone.
    ``newer``: how many jobs stand before the first row of a list, by (queue, state, that id).
    ``crews``: what our own workers of each queue can do. ``supervisors``: those of fleets.
    ``ours``: the server's ids of their connections. ``unexplained``: queues in which jobs run
    though no worker is known, which may be since it has just begun. ``notices``: late schedulers
    and mutes. ``extra``: what a topic's own source has read, by the topic's kind (:mod:`.sources`).
    ``judged``: what :mod:`..health` made of the queues, kept until something new is read.
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
    crews: Mapping[str, Crew] = field(default_factory=dict)
    supervisors: Sequence[FleetSupervisor] = ()
    notices: Notices = field(default_factory=Notices)
    ours: Collection[int] = frozenset()
    unexplained: Collection[str] = frozenset()
    extra: dict[str, Any] = field(default_factory=dict)
    judged: dict[Any, Any] = field(default_factory=dict)

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
    """What is known of all connections, in the order of the settings.

    ``extra``: what sources have read that belong to no connection, by the kind of topic.
    """

    def __init__(self) -> None:
        self.extra: dict[str, Any] = {}
        self.connections = {alias: ConnectionState(alias, history_of(alias)) for alias in aliases()}

    def __getitem__(self, alias: str) -> ConnectionState:
        return self.connections[alias]

    @property
    def at(self) -> datetime:
        """The time of the newest read, by its server; this machine's while there is none."""
        times = [one.read_at for one in self.connections.values() if one.read_at]
        return max(times, default=datetime.now(UTC))

    @property
    def nothing(self) -> str | None:
        """Why nothing at all is known: the words of the first connection that is away."""
        errors = [one.error for one in self.connections.values() if one.error]
        known = any(one.read_at for one in self.connections.values())
        return errors[0] if errors and not known else None


def shows_week(ids: Iterable[str]) -> bool:
    """Whether a page with *ids* on screen shows a week of history, which is read for it only."""
    return any(id in ("period:7d", "table:7d") for id in ids)


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
        self.crews: Mapping[str, Crew] = {}
        self.supervisors: Sequence[FleetSupervisor] = ()
        self.notices = Notices()
        self._ours: dict[int, float] = {}
        # By queue: how often the workers were listed since somebody works there whom nobody knows.
        self._unexplained: dict[str, int] = {}
        self._until = {"names": 0.0, "workers": 0.0, "server": 0.0, "crews": 0.0}

    def due(self) -> dict[str, bool]:
        """Which of ``names``, ``workers``, ``server`` and ``crews`` should be asked for now."""
        now = time.monotonic()
        due = {fact: until <= now for fact, until in self._until.items()}
        if self.unexplained:
            for fact, period in (("workers", WORKERS_S), ("crews", CREWS_S)):
                due[fact] = self._until[fact] <= now + period - SOON_S
        return due

    @property
    def ours(self) -> Collection[int]:
        """Connections of our own workers, also of those that have just ended."""
        return self._ours.keys()

    @property
    def unexplained(self) -> Collection[str]:
        """Queues in which jobs run, and it is worth asking again who runs them."""
        return {name for name, tries in self._unexplained.items() if tries < TRIES}

    def take(self, wants: Wants, reading: Reading) -> None:
        """Remember the answers to *wants*."""
        now = time.monotonic()
        if reading.names is not None:
            self.names = reading.names
            self._until["names"] = now + NAMES_S
        if wants.workers:
            self.workers = reading.workers
            self._until["workers"] = now + WORKERS_S
            self._unexplained = {name: n + 1 for name, n in self._unexplained.items()}
        if wants.server:
            self.server = reading.server
            self._until["server"] = now + SERVER_S
        listed = {worker.queue for worker in self.workers or ()}
        for name, found in reading.queues.items():
            if (
                self.workers is None
                or name in listed
                or name in self.crews
                or not found.counts.get("active")
            ):
                self._unexplained.pop(name, None)
            else:
                self._unexplained.setdefault(name, 0)

    def count(
        self, processes: Iterable[FleetProcess], supervisors: Sequence[FleetSupervisor] = ()
    ) -> None:
        """Remember what the workers of each queue can do, and how the fleets are."""
        self.supervisors = supervisors
        now = time.monotonic()
        crews: dict[str, Crew] = {}
        processes = list(processes)
        self._ours = {id: until for id, until in self._ours.items() if until > now}
        self._ours |= dict.fromkeys(connections_of(processes), now + REMEMBER_S)
        for process in processes:
            for worker in process.workers:
                crew = crews.setdefault(worker.queue, Crew())
                crew.members.append((process, worker))
                if process.health == "lost":
                    crew.lost += 1
                    crew.lost_jobs += worker.busy
                else:
                    crew.workers += 1
                    crew.slots += worker.concurrency
        self.crews = crews
        self._until["crews"] = now + CREWS_S


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
        if topic.kind in _WIDE:
            everything = everything or topic.alias in ("", alias)
        elif topic.alias == alias and topic.queue:
            queues.add(topic.queue)
            if topic.kind == "jobs" and ids:
                rows.setdefault(topic.queue, {}).update(dict.fromkeys(ids))
                # The first may leave the state: what stands before the next is new then.
                before |= {(topic.queue, topic.state, id): None for id in ids[:COUNTED_FROM]}
            elif topic.kind == "job":
                jobs[topic.queue, topic.id] = None
    if only is not None:
        queues |= only if everything else set()
        return Wants(queues=sorted(queues), **_jobs(rows, jobs, before))
    due = facts.due()
    discover = everything and (fresh or due["names"])
    every: set[str] = set()
    if everything:
        every |= {worker.queue for worker in facts.workers or ()}
        every.update(() if discover else facts.names)
    return Wants(
        queues=sorted(queues),
        census=sorted(every),
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
    sources = {name: SOURCES[name] for name in sources_of(topic.kind)}
    for connection in _concerned(state, topic):
        facts = facts_of(connection.alias)
        wants = wants_of(connection.alias, [(topic, ids)], facts, fresh=True)
        try:
            reading = Inspector(connection.alias).read(wants)
            if facts.due()["crews"]:
                fleet = Fleet(connection.alias)
                facts.count(fleet.processes(), fleet.supervisors())
            connection.history.refresh(quarters=shows_week(ids))
            take(connection, facts, wants, reading)
            for name, source in sources.items():
                if source.by_connection:
                    connection.extra[name] = source.read(connection.alias, [(topic, ids)])
        except QueueCoreError as error:
            connection.fail(error)
    for name, source in sources.items():
        if not source.by_connection:
            state.extra[name] = source.read("", [(topic, ids)])
    return state


def take(connection: ConnectionState, facts: Facts, wants: Wants, reading: Reading) -> None:
    """Put the answer to *wants* where pages and fragments find it."""
    facts.take(wants, reading)
    connection.take(reading)
    connection.workers, connection.server = facts.workers, facts.server
    connection.crews, connection.ours = facts.crews, facts.ours
    connection.supervisors = facts.supervisors
    connection.unexplained, connection.notices = facts.unexplained, facts.notices


def _concerned(state: LiveState, topic: Topic) -> list[ConnectionState]:
    if topic.kind in _WIDE and not topic.alias:
        return list(state.connections.values())
    return [state[topic.alias]] if topic.alias in state.connections else []
