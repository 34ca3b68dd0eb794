"""The read side: queues, jobs, workers and the server, for dashboards, admin and command line.

Queues are taken as they lie in Redis, whoever made them: names and ids need not keep our rules,
hashes may be missing or spoilt. Every answer is bounded, so a list of a million jobs or a payload
of 100 MB costs no more than a small one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from operator import setitem
from typing import Any
from weakref import WeakKeyDictionary

from .census import Census
from .connected import Connected
from .wire.calls import inspecting, paging
from .wire.calls.base import NOW, Call, Command, Operation, text
from .wire.connections import ANSWER_TIMEOUT, Connection, aliases
from .wire.keys import Keys
from .wire.readings import (
    GROUP_STATUSES,
    STATES,
    DeduplicationKey,
    DeduplicationPage,
    GroupPage,
    GroupRow,
    JobDetail,
    JobPage,
    JobRow,
    LogPage,
    Peer,
    Peers,
    QueueSnapshot,
    ServerInfo,
    WorkerInfo,
    moment,
)

__all__ = [
    "GROUP_STATUSES",
    "STATES",
    "DeduplicationKey",
    "DeduplicationPage",
    "GroupPage",
    "GroupRow",
    "Inspector",
    "JobDetail",
    "JobPage",
    "JobRow",
    "LogPage",
    "Peer",
    "Peers",
    "QueueSnapshot",
    "Reading",
    "ServerInfo",
    "Wants",
    "WorkerInfo",
    "aliases",
]


FINISHED = ("completed", "failed")

# Requests in one pipeline: more would keep other clients of the server waiting.
PIPELINE = 500
# The first look into the keyspace may take this many steps at once; later ones go on from there.
FIRST_STEPS, LATER_STEPS, STEP_KEYS = 25, 10, 2000
# So much longer than a look took is the rest after it: a tenth of the server's time until all keys
# were passed once, then a hundredth.
FIRST_REST, LATER_REST = 9, 99
# After so many seconds a queue is read anew though nothing seems to have happened in it.
CENSUS_S = 10.0
# So many queues one command is asked about.
EXISTING = 50
# With so many deduplication keys a page is long enough.
DEDUPLICATION_KEYS = 100


@dataclass(frozen=True, slots=True)
class Wants:
    """What should be read in one go: see :class:`Reading` for the answers.

    ``queues``: names. ``census``: names of queues of which it is enough that their counts are
    right: one in which nothing seems to have happened since this inspector read it is read anew
    only every 10 seconds. With ``discover``, all queues there are belong to those; ``names``: only
    how they are called. ``workers``, ``server``: whether to ask for them. ``rows``: job ids by
    queue. ``jobs``: (queue, id). ``logs``: (queue, id, first line, last line). ``before``: (queue,
    state, id): how many jobs stand before that one; not known for waiting and active ones.
    """

    queues: Sequence[str] = ()
    census: Sequence[str] = ()
    discover: bool = False
    names: bool = False
    workers: bool = False
    server: bool = False
    rows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    jobs: Sequence[tuple[str, str]] = ()
    logs: Sequence[tuple[str, str, int, int]] = ()
    before: Sequence[tuple[str, str, str]] = ()


@dataclass(slots=True)
class Reading:
    """What was read for :class:`Wants`, all at about the server's time *at*.

    A job that is gone is None in ``rows`` and ``jobs``; ``before`` lacks what is not known.
    ``names`` are all queues, if they were asked for.
    """

    at: datetime
    names: list[str] | None = None
    workers: list[WorkerInfo] | None = None
    server: ServerInfo | None = None
    queues: dict[str, QueueSnapshot] = field(default_factory=dict)
    rows: dict[tuple[str, str], JobRow | None] = field(default_factory=dict)
    jobs: dict[tuple[str, str], JobDetail | None] = field(default_factory=dict)
    logs: dict[tuple[str, str], LogPage] = field(default_factory=dict)
    before: dict[tuple[str, str, str], int] = field(default_factory=dict)


class Inspector(Connected):
    """Reads one connection. Every method has an async twin, its name with an ``a`` in front.

    All raise :class:`queuecore.errors.ServerUnavailable` while the server is away.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def __init__(self, alias: str = "default") -> None:
        super().__init__(alias)
        self._census = Census(alias, self.connection.prefix, CENSUS_S)

    def discover(self, *, scan: bool | None = None) -> list[str]:
        """The names of all queues under the connection's prefix, sorted.

        Known at once are queues of our own producers and those that a worker waits on. The others
        are found in the keyspace: the first call in a process looks through some 50,000 keys, each
        further one through 20,000, so paced that it takes the server a tenth of the time until all
        keys were passed, and a hundredth from then on. The collector of the history goes on with it
        by itself; what anybody found is known to all. With *scan* True the first 50,000 are looked
        through now, with False none.
        """
        return self._run(self._discover(scan))

    async def adiscover(self, *, scan: bool | None = None) -> list[str]:
        """See :meth:`discover`."""
        return await self._arun(self._discover(scan))

    def snapshots(
        self,
        names: Sequence[str],
        *,
        since: datetime | None = None,
        event_ids: Mapping[str, str] | None = None,
    ) -> dict[str, QueueSnapshot]:
        """Sizes, limits and ages of queues, each read at one moment.

        With *since*, and the last events known then, ``done`` and ``lost`` count what finished
        since, for queues whose workers keep no metrics.
        """
        return self._run(self._snapshots(names, since, event_ids))

    async def asnapshots(
        self,
        names: Sequence[str],
        *,
        since: datetime | None = None,
        event_ids: Mapping[str, str] | None = None,
    ) -> dict[str, QueueSnapshot]:
        """See :meth:`snapshots`."""
        return await self._arun(self._snapshots(names, since, event_ids))

    def jobs(self, queue: str, state: str, *, offset: int = 0, limit: int = 50) -> JobPage:
        """One page of the jobs in *state*: next to run first, finished ones newest first.

        *limit* is at most 200. Follows BullMQ ``getJobs``.

        Raises:
            ValueError: *state* is none of :data:`STATES`.
        """
        return self._run(self._page(queue, state, offset, limit))

    async def ajobs(self, queue: str, state: str, *, offset: int = 0, limit: int = 50) -> JobPage:
        """See :meth:`jobs`."""
        return await self._arun(self._page(queue, state, offset, limit))

    def rows(self, queue: str, ids: Sequence[str]) -> list[JobRow | None]:
        """What a list shows of *ids*, in their order, in whatever state they are now.

        None for a job that is gone. In a queue with more than 1,000 waiting jobs, a job that is in
        no other state is taken for waiting.
        """
        return self._run(self._rows(queue, ids))

    async def arows(self, queue: str, ids: Sequence[str]) -> list[JobRow | None]:
        """See :meth:`rows`."""
        return await self._arun(self._rows(queue, ids))

    def job(self, queue: str, job_id: str) -> JobDetail | None:
        """Everything about one job; None if there is none of this id (BullMQ ``getJob``)."""
        return self._run(self._job(queue, job_id))

    async def ajob(self, queue: str, job_id: str) -> JobDetail | None:
        """See :meth:`job`."""
        return await self._arun(self._job(queue, job_id))

    def logs(self, queue: str, job_id: str, start: int = 0, end: int = 999) -> LogPage:
        """Lines *start* to *end* (included; at most 1,000) of a job's log, each cut at 4 KB.

        A negative *start* counts from the last line. Follows BullMQ ``getJobLogs``.
        """
        return self._run(self._logs(queue, job_id, start, end))

    async def alogs(self, queue: str, job_id: str, start: int = 0, end: int = 999) -> LogPage:
        """See :meth:`logs`."""
        return await self._arun(self._logs(queue, job_id, start, end))

    def peers(self, queue: str, name: str, most: int = 60) -> Peers:
        """The last *most* finished jobs called *name*, the newest first.

        Among the newest 300 completed and the newest 300 failed jobs of the queue; ``looked`` says
        how many of them were looked at.
        """
        return self._run(self._peers(queue, name, most))

    async def apeers(self, queue: str, name: str, most: int = 60) -> Peers:
        """See :meth:`peers`."""
        return await self._arun(self._peers(queue, name, most))

    def value(
        self, queue: str, job_id: str, field: str, most: int = 2_000_000
    ) -> tuple[str | None, int]:
        """A field of a job's hash whole, and its size in bytes; None if it has more than *most*."""
        return self._run(self._value(queue, job_id, field, most))

    async def avalue(
        self, queue: str, job_id: str, field: str, most: int = 2_000_000
    ) -> tuple[str | None, int]:
        """See :meth:`value`."""
        return await self._arun(self._value(queue, job_id, field, most))

    def count_before(self, queue: str, state: str, before: datetime) -> int | None:
        """How many jobs of *state* finished up to *before*; None for states of unfinished jobs.

        What cleaning would remove, without reading the jobs.
        """
        return self._run(self._count_before(queue, state, before))

    async def acount_before(self, queue: str, state: str, before: datetime) -> int | None:
        """See :meth:`count_before`."""
        return await self._arun(self._count_before(queue, state, before))

    def deduplication(self, queue: str, cursor: str = "") -> DeduplicationPage:
        """The queue's deduplication keys that lie in the next stretch of the keyspace.

        They are nowhere listed, so they are looked for: some 50,000 keys of the server a call, or
        fewer once a hundred of them are found; *cursor* goes on where a page has ended.
        """
        return self._run(self._deduplication(queue, cursor))

    async def adeduplication(self, queue: str, cursor: str = "") -> DeduplicationPage:
        """See :meth:`deduplication`."""
        return await self._arun(self._deduplication(queue, cursor))

    def groups(
        self,
        queue: str,
        *,
        sort: str = "waiting",
        statuses: Sequence[str] = (),
        search: str = "",
        offset: int = 0,
        limit: int = 50,
    ) -> GroupPage:
        """One page of a queue's groups, at most 200 of them.

        Ten thousand groups take the server some 20 ms, in pieces of one, and this process more:
        often enough is every two seconds.

        Args:
            sort: ``waiting``, ``active`` or ``delayed`` (the most jobs first), ``turn`` (the next
                to be served first) or ``id``.
            statuses: only those; none is all (:data:`GROUP_STATUSES`).
            search: a part of the id, whatever the case.

        Raises:
            ValueError: there is no such *sort* or status.
        """
        return self._run(self._groups(queue, sort, statuses, search, offset, limit))

    async def agroups(
        self,
        queue: str,
        *,
        sort: str = "waiting",
        statuses: Sequence[str] = (),
        search: str = "",
        offset: int = 0,
        limit: int = 50,
    ) -> GroupPage:
        """See :meth:`groups`."""
        return await self._arun(self._groups(queue, sort, statuses, search, offset, limit))

    def group(self, queue: str, group_id: str) -> GroupRow | None:
        """One group; None if it has no jobs, no limits and no pause."""
        return self._run(paging.get_one(self._keys(queue), group_id))

    async def agroup(self, queue: str, group_id: str) -> GroupRow | None:
        """See :meth:`group`."""
        return await self._arun(paging.get_one(self._keys(queue), group_id))

    def group_rows(
        self, queue: str, ids: Sequence[str]
    ) -> tuple[list[GroupRow | None], Mapping[str, int]]:
        """Groups by their ids, None for each unknown one; and how many of each status there are.

        For what is on a screen: it costs as much as a page of :meth:`groups` sorted by ``id``.
        """
        return self._run(paging.get_rows(self._keys(queue), ids))

    async def agroup_rows(
        self, queue: str, ids: Sequence[str]
    ) -> tuple[list[GroupRow | None], Mapping[str, int]]:
        """See :meth:`group_rows`."""
        return await self._arun(paging.get_rows(self._keys(queue), ids))

    def place_in_group(self, queue: str, group_id: str, job_id: str) -> int | None:
        """How many jobs of its group run before this one; None if it does not wait there."""
        return self._run(paging.get_place(self._keys(queue), group_id, job_id))

    async def aplace_in_group(self, queue: str, group_id: str, job_id: str) -> int | None:
        """See :meth:`place_in_group`."""
        return await self._arun(paging.get_place(self._keys(queue), group_id, job_id))

    def group_jobs(
        self, queue: str, group_id: str, state: str = "waiting", *, offset: int = 0, limit: int = 50
    ) -> JobPage:
        """One page of a group's jobs, at most 200: waiting, delayed or active ones.

        Their rows tell where they stand for BullMQ: ``waiting-children``, until they run; of
        delayed ones ``due`` is known.

        Raises:
            ValueError: *state* is none of those three.
        """
        return self._run(self._group_jobs(queue, group_id, state, offset, limit))

    async def agroup_jobs(
        self, queue: str, group_id: str, state: str = "waiting", *, offset: int = 0, limit: int = 50
    ) -> JobPage:
        """See :meth:`group_jobs`."""
        return await self._arun(self._group_jobs(queue, group_id, state, offset, limit))

    def workers(self) -> list[WorkerInfo] | None:
        """Connections that wait for jobs; None where the server does not tell (BullMQ getWorkers).

        One costly command for the server: ask at most every 10 seconds.
        """
        return self._run(inspecting.get_workers(self.connection.prefix))

    async def aworkers(self) -> list[WorkerInfo] | None:
        """See :meth:`workers`."""
        return await self._arun(inspecting.get_workers(self.connection.prefix))

    def server(self) -> ServerInfo | None:
        """Version, memory and load of the server; None where it does not tell."""
        return self._run(self._server())

    async def aserver(self) -> ServerInfo | None:
        """See :meth:`server`."""
        return await self._arun(self._server())

    def read(self, wants: Wants) -> Reading:
        """Read all that *wants* names in one go."""
        return self._run(self._read(wants))

    async def aread(self, wants: Wants) -> Reading:
        """See :meth:`read`."""
        return await self._arun(self._read(wants))

    def now_ms(self) -> int:
        """The server's time in milliseconds, by what was last heard of it."""
        return self.connection.clock.now_ms()

    def watch(self) -> Watch:
        """A way to sleep until something happens; belongs to the running event loop."""
        return Watch(self)

    # The operations: one implementation for both twins

    def _discover(self, scan: bool | None) -> Operation[list[str]]:
        workers = yield inspecting.get_workers(self.connection.prefix)
        return (yield from self._names(scan, workers))

    def _names(self, scan: bool | None, workers: list[WorkerInfo] | None) -> Operation[list[str]]:
        prefix = self.connection.prefix
        registered = yield inspecting.get_registered(prefix)
        waited_on = {worker.queue for worker in workers or ()}
        past = _scans.setdefault(self.connection, _Scan())
        if new := (yield from past.look(prefix, scan)) - registered:
            yield inspecting.register(prefix, sorted(new))
        # A queue that was obliterated stays known; it is shown again once it is used again.
        asked = sorted((registered | past.names) - waited_on)
        there = yield from self._there(asked)
        return sorted(waited_on.union(there))

    def _there(self, names: Sequence[str]) -> Operation[list[str]]:
        """Those of *names* that exist; one command for many, since mostly all of them do."""
        some = [names[start : start + EXISTING] for start in range(0, len(names), EXISTING)]
        counts = yield from _in_pipelines(
            [inspecting.exist([self._keys(name) for name in few]) for few in some]
        )
        found: list[str] = []
        for few, count in zip(some, counts, strict=True):
            if count == len(few):
                found += few
            elif count:
                each = yield from _in_pipelines(
                    [inspecting.exist([self._keys(name)]) for name in few]
                )
                found += [name for name, exists in zip(few, each, strict=True) if exists]
        return found

    def explore(self, least: float) -> Operation[tuple[bool, float]]:
        """Go on through the keyspace, if it is time; whether new queues were met, and the rest.

        *least*: the shortest rest once everything was passed.
        """
        prefix = self.connection.prefix
        past = _scans.setdefault(self.connection, _Scan())
        before = set(past.names)
        met = yield from past.look(prefix, None)
        if met:
            yield inspecting.register(prefix, sorted(met))
        return not met <= before, max(past.rest, least if past.passed else 0.01)

    def _snapshots(
        self,
        names: Sequence[str],
        since: datetime | None,
        event_ids: Mapping[str, str] | None,
    ) -> Operation[dict[str, QueueSnapshot]]:
        now = yield NOW
        start = None if since is None else round(since.timestamp() * 1000)
        known = event_ids or {}
        calls = [
            inspecting.get_queue_snapshot(
                self.alias, self._keys(name), now, start, known.get(name, "")
            )
            for name in names
        ]
        found = yield from _in_pipelines(calls)
        return {snapshot.name: snapshot for snapshot in found}

    def _page(self, queue: str, state: str, offset: int, limit: int) -> Operation[JobPage]:
        if state not in STATES:
            raise ValueError(f"{state!r} is no state of jobs: use one of {', '.join(STATES)}")
        limit = min(max(limit, 1), inspecting.MOST_ROWS)
        # Redis counts with 64 bits; nobody has a billion pages.
        offset = min(max(offset, 0), 10**12)
        page: JobPage = yield inspecting.get_job_page(self._keys(queue), state, offset, limit)
        return page

    def _rows(self, queue: str, ids: Sequence[str]) -> Operation[list[JobRow | None]]:
        reading = yield from self._read(Wants(rows={queue: ids}))
        return [reading.rows[queue, job_id] for job_id in ids]

    def _job(self, queue: str, job_id: str) -> Operation[JobDetail | None]:
        reading = yield from self._read(Wants(jobs=[(queue, job_id)]))
        return reading.jobs[queue, job_id]

    def _logs(self, queue: str, job_id: str, start: int, end: int) -> Operation[LogPage]:
        reading = yield from self._read(Wants(logs=[(queue, job_id, start, end)]))
        return reading.logs[queue, job_id]

    def _peers(self, queue: str, name: str, most: int) -> Operation[Peers]:
        count = min(max(most, 1), inspecting.MOST_ROWS)
        found: Peers = yield inspecting.get_peers(self._keys(queue), name, count)
        return found

    def _value(
        self, queue: str, job_id: str, field: str, most: int
    ) -> Operation[tuple[str | None, int]]:
        if not inspecting.is_job_id(job_id):
            return "", 0
        size: int = yield inspecting.get_size(self._keys(queue), job_id, field)
        if size > most:
            return None, size
        value: str = yield inspecting.get_value(self._keys(queue), job_id, field)
        return value, size

    def _count_before(self, queue: str, state: str, before: datetime) -> Operation[int | None]:
        if state not in FINISHED:
            return None
        until = round(before.timestamp() * 1000)
        count: int | None = yield inspecting.count_finished(self._keys(queue), state, until)
        return count

    def _deduplication(self, queue: str, cursor: str) -> Operation[DeduplicationPage]:
        keys = self._keys(queue)
        place = cursor if cursor.isascii() and cursor.isdigit() and len(cursor) <= 20 else "0"
        met: dict[str, None] = {}
        for _ in range(FIRST_STEPS):
            place, found = yield inspecting.scan_deduplication(keys, place, STEP_KEYS)
            met |= dict.fromkeys(found)
            if place == "0" or len(met) >= DEDUPLICATION_KEYS:
                break
        asked = [inspecting.get_deduplication(keys, name) for name in met]
        answers = yield from _in_pipelines([one for pair in asked for one in pair])
        held = [
            DeduplicationKey(name, job_id, ttl if ttl >= 0 else None)
            for name, job_id, ttl in zip(met, answers[::2], answers[1::2], strict=True)
            if ttl != -2  # it has ended meanwhile
        ]
        return DeduplicationPage(held, "" if place == "0" else place)

    def _groups(
        self, queue: str, sort: str, statuses: Sequence[str], search: str, offset: int, limit: int
    ) -> Operation[GroupPage]:
        for kind, one, known in (
            ("order", sort, paging.SORTS),
            *(("status", one, GROUP_STATUSES) for one in statuses),
        ):
            if one not in known:
                raise ValueError(f"{one!r} is no {kind} of groups: use one of {', '.join(known)}")
        limit = min(max(limit, 1), inspecting.MOST_ROWS)
        page: GroupPage = yield from paging.get_page(
            self._keys(queue), sort, statuses, search, max(offset, 0), limit
        )
        return page

    def _group_jobs(
        self, queue: str, group_id: str, state: str, offset: int, limit: int
    ) -> Operation[JobPage]:
        if state not in paging.JOBS:
            raise ValueError(f"{state!r} is no state here: use one of {', '.join(paging.JOBS)}")
        limit = min(max(limit, 1), inspecting.MOST_ROWS)
        offset = min(max(offset, 0), 10**12)
        page: JobPage = yield from paging.get_jobs(
            self._keys(queue), group_id, state, offset, limit
        )
        return page

    def _server(self) -> Operation[ServerInfo | None]:
        asked = time.perf_counter()
        info: ServerInfo | None = yield inspecting.get_server_info()
        latency = (time.perf_counter() - asked) * 1000
        return None if info is None else replace(info, latency_ms=round(latency, 2))

    def _read(self, wants: Wants) -> Operation[Reading]:
        now = yield NOW
        at = moment(now)
        assert at is not None, f"the server's clock says {now} ms"
        reading = Reading(at=at)
        if wants.workers:
            reading.workers = yield inspecting.get_workers(self.connection.prefix)
        if wants.server:
            reading.server = yield from self._server()
        if wants.discover or wants.names:
            reading.names = yield from self._names(None, reading.workers)
        counted = {*wants.census, *((reading.names or ()) if wants.discover else ())}
        if counted := counted - set(wants.queues):
            count = yield from self._census.count(sorted(counted))
            self._census.keep(count)
            reading.queues |= count.queues
        questions = list(self._questions(wants, now, reading))
        answers = yield from _in_pipelines([request for request, _ in questions])
        for (_, put), answer in zip(questions, answers, strict=True):
            put(answer)
        return reading

    def _questions(self, wants: Wants, now: int, reading: Reading) -> Iterator[_Question]:
        """Each request, with the function that puts its answer into *reading*."""
        for name in dict.fromkeys(wants.queues):
            snapshot = inspecting.get_queue_snapshot(self.alias, self._keys(name), now)
            yield snapshot, partial(setitem, reading.queues, name)
        for queue, ids in wants.rows.items():
            reading.rows.update(dict.fromkeys(((queue, job_id) for job_id in ids), None))
            real = list(filter(inspecting.is_job_id, ids))
            for start in range(0, len(real), inspecting.MOST_ROWS):
                some = real[start : start + inspecting.MOST_ROWS]
                yield (
                    inspecting.get_job_rows(self._keys(queue), some),
                    partial(_put_rows, reading.rows, queue, some),
                )
        for queue, job_id in wants.jobs:
            reading.jobs[queue, job_id] = None
            if inspecting.is_job_id(job_id):
                job = inspecting.get_job(self._keys(queue), job_id)
                yield job, partial(setitem, reading.jobs, (queue, job_id))
        for queue, job_id, first, last in wants.logs:
            reading.logs[queue, job_id] = LogPage(lines=[], start=first, total=0)
            if inspecting.is_job_id(job_id):
                lines = inspecting.get_job_logs(self._keys(queue), job_id, first, last)
                yield lines, partial(setitem, reading.logs, (queue, job_id))
        for queue, state, job_id in wants.before:
            if state in inspecting.COUNTED:
                count = inspecting.count_before(self._keys(queue), state, job_id)
                yield count, partial(_put_known, reading.before, (queue, state, job_id))

    def _keys(self, queue: str) -> Keys:
        return Keys(self.connection.prefix, queue)


_Question = tuple[Call[Any] | Command[Any], Callable[[Any], object]]


def _put_rows(
    into: dict[tuple[str, str], JobRow | None],
    queue: str,
    ids: list[str],
    rows: list[JobRow | None],
) -> None:
    into.update(zip(((queue, job_id) for job_id in ids), rows, strict=True))


def _put_known(into: dict[Any, int], key: Any, count: int | None) -> None:
    if count is not None:
        into[key] = count


def _in_pipelines(requests: Sequence[Call[Any] | Command[Any]]) -> Operation[list[Any]]:
    answers: list[Any] = []
    for start in range(0, len(requests), PIPELINE):
        answers += yield list(requests[start : start + PIPELINE])
    return answers


class _Scan:
    """Where this process stands in its walk through one connection's keyspace.

    ``names`` is for servers on which we may not write; ``passed``: once it was all the way through.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.passed = False
        self._cursor = "0"
        self._begun = self._looking = False
        self._rest_until = 0.0

    @property
    def rest(self) -> float:
        """For how many seconds it must not go on."""
        return max(0.0, self._rest_until - time.monotonic())

    def look(self, prefix: str, scan: bool | None) -> Operation[set[str]]:
        """Go on a little, unless it is time to rest; the names met on this stretch."""
        met: set[str] = set()
        if scan:
            self._cursor = "0"
        elif scan is False or self._looking or time.monotonic() < self._rest_until:
            return met
        steps = LATER_STEPS if self._begun and not scan else FIRST_STEPS
        took: list[float] = []
        self._begun = self._looking = True
        try:
            for _ in range(steps):
                begun = time.monotonic()
                self._cursor, found = yield inspecting.scan_queues(prefix, self._cursor, STEP_KEYS)
                took.append(time.monotonic() - begun)
                met |= found
                if self._cursor == "0":
                    break
        finally:
            self._looking = False
            # What the server needs for a step, as the quickest tells: others waited for their turn.
            rest = LATER_REST if self.passed else FIRST_REST
            self._rest_until = time.monotonic() + rest * len(took) * min(took, default=0.0)
        self.passed = self.passed or self._cursor == "0"
        self.names |= met
        return met


_scans: WeakKeyDictionary[Connection, _Scan] = WeakKeyDictionary()


class Watch:
    """Sleeps on the event streams of queues, on a socket of its own."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._link = inspector.connection.link("queuecore:dashboard")

    async def changes(self, event_ids: Mapping[str, str], timeout: float) -> set[str]:
        """Wait until a queue has an event behind the one given, at most *timeout* seconds.

        Returns the names of those queues, empty where the time ran out. Only says that something
        happened: the events themselves are not read through.

        Raises:
            ServerUnavailable: the server went away.
        """
        watched = {name: seen for name, seen in event_ids.items() if seen}
        if not watched:
            await asyncio.sleep(timeout)
            return set()
        keys = {self._inspector._keys(name).events: name for name in watched}
        request: Command[set[str]] = Command(
            (
                *("XREAD", "COUNT", 1, "BLOCK", max(round(timeout * 1000), 1), "STREAMS"),
                *keys,
                *watched.values(),
            ),
            lambda answer: {keys[text(key)] for key, _ in answer or ()},
            tolerant=True,
        )
        begun = time.monotonic()
        changed = await self._link.send(request, timeout + ANSWER_TIMEOUT)
        if not changed:
            # An answer before its time is an error of the command: one key is no stream.
            await asyncio.sleep(max(timeout - (time.monotonic() - begun), 0))
        return changed

    async def close(self) -> None:
        """Close the socket."""
        await self._link.close()
