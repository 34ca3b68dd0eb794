"""What the read side gets: frozen values, decoded from whatever lies in Redis.

Anybody may have written there, so nothing is trusted: a field may be missing, of another type, no
UTF-8, no number, no JSON or far too long. What cannot be understood becomes None or an empty text;
nothing here raises because of what it reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .calls.base import text
from .codec import loads

STATES = (
    "waiting",
    "prioritized",
    "active",
    "delayed",
    "waiting-children",
    "completed",
    "failed",
)

#: What a group can be: the first four are BullMQ Pro's (something waits there, or it is paused); of
#: those in which nothing waits some have jobs that run, or are due later, or just limits.
GROUP_STATUSES = ("waiting", "limited", "maxed", "paused", "active", "delayed", "idle")

NAME_LENGTH = 300
REASON_LENGTH = 300
PREVIEW_LENGTH = 400
#: The limit that BullMQ writes when somebody limits a queue by hand.
MANUAL_LIMIT = 9007199254740991
# 253402300799999 is the last millisecond that a datetime knows.
_LATEST_MS = 253_402_300_799_000


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a queue is paused, as :meth:`queuecore.Queue.pause` was told; ``until``: when it ends."""

    since: datetime | None
    reason: str
    by: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """One queue at the moment *at* (the server's time).

    ``counts``: jobs by state. ``oldest_wait``: when the oldest job known to wait was added.
    ``next_delayed``: when the next delayed job is due. ``limiter_ttl_ms``: how long the rate limit
    still holds, 0 if it does not. ``completed_total``, ``failed_total``: by BullMQ's metrics, None
    where the queue's workers keep none. ``event_id``: the last entry of the event stream, empty if
    there can be none. ``done``, ``lost``: jobs completed and failed within the window that was
    asked for, where there are no metrics. ``pause``: what is known of a pause, None if it was not
    one of ours. ``groups``: how many groups have jobs that wait for their turn; they are counted
    among the ``waiting-children``, and of their ages that of the next group's is known.
    """

    alias: str
    name: str
    counts: Mapping[str, int]
    paused: bool
    concurrency: int | None
    limit_max: int | None
    limit_duration_ms: int | None
    limiter_ttl_ms: int
    oldest_wait: datetime | None
    next_delayed: datetime | None
    completed_total: int | None
    failed_total: int | None
    version: str
    event_id: str
    at: datetime
    done: int = 0
    lost: int = 0
    pause: Pause | None = None
    groups: int = 0

    @property
    def waiting(self) -> int:
        """Jobs that a worker could take: waiting and prioritized."""
        return self.counts["waiting"] + self.counts["prioritized"]

    @property
    def exists(self) -> bool:
        """Whether anybody has ever used the queue: of nothing all is zeros."""
        return bool(
            any(self.counts.values())
            or self.version
            or self.event_id not in ("", "0-0")
            or self.paused
            or self.completed_total is not None
        )


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as a list shows it. ``attempts_made`` and the like are 0 where nothing is stored.

    ``delay_ms`` is the delay that still applies, ``initial_delay_ms`` the one it was added with.
    ``progress`` and ``data_preview`` are the beginnings of JSON texts, ``failed_reason`` of a text;
    they are empty where the whole is longer than 64 KB (``data_size``, ``reason_size`` in bytes).
    ``group``: the group that its options name; in ``waiting-children`` it waits for its turn there.
    ``timeout_ms``, ``expires_ms``: those of its own options, 0 without.
    """

    id: str
    name: str
    state: str
    timestamp: datetime | None
    processed_on: datetime | None
    finished_on: datetime | None
    due: datetime | None
    delay_ms: int
    initial_delay_ms: int
    priority: int
    attempts_made: int
    attempts_started: int
    max_attempts: int | None
    progress: str
    failed_reason: str
    reason_size: int
    processed_by: str
    stalled_count: int
    data_preview: str
    data_size: int
    parent_key: str
    scheduler_id: str
    group: str = ""
    timeout_ms: int = 0
    expires_ms: int = 0

    @property
    def expires(self) -> datetime | None:
        """Until when it must have been started; None where it need not, or was."""
        if self.expires_ms <= 0 or self.timestamp is None or self.attempts_started > 0:
            return None
        at = round(self.timestamp.timestamp() * 1000) + self.initial_delay_ms + self.expires_ms
        return moment(at)


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of the jobs of a state: *total* in all, ``orphans`` are ids without a job hash."""

    rows: list[JobRow]
    total: int
    offset: int
    limit: int
    orphans: list[str]


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group as a list shows it: *status* is one of :data:`GROUP_STATUSES`.

    ``waiting``, ``delayed``, ``active``: its jobs. ``concurrency``, ``limit_max`` and
    ``limit_duration_ms`` are its own limits, None where what workers say for all groups counts.
    ``limit_ttl_ms``: how long a rate limit still holds it, 0 if none does. ``next_due``: when its
    next delayed job is due.
    """

    id: str
    status: str
    waiting: int
    delayed: int
    active: int
    concurrency: int | None
    limit_max: int | None
    limit_duration_ms: int | None
    limit_ttl_ms: int
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One page of a queue's groups: *total* that were asked for, ``counts`` of all by status."""

    rows: list[GroupRow]
    total: int
    offset: int
    limit: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class JobDetail:
    """Everything stored about one job.

    ``data``, ``returnvalue``, ``opts`` are raw JSON texts, cut at 64 KB; with their ``_size`` in
    bytes; empty where longer than 16 MB. ``fields`` is the raw hash, each value cut at 2 KB.
    ``lock_ttl_ms`` is None where the job is not locked.
    """

    row: JobRow
    data: str
    data_size: int
    returnvalue: str
    returnvalue_size: int
    opts: str
    opts_size: int
    failed_reason: str
    failed_reason_size: int
    stacktrace: list[str]
    fields: dict[str, str]
    field_sizes: dict[str, int]
    lock_ttl_ms: int | None
    log_count: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines *start* and following of a job's log, each cut at 4 KB; *total* in all."""

    lines: list[str]
    start: int
    total: int


@dataclass(frozen=True, slots=True)
class Peer:
    """A finished job of the same name as another; ``ran_ms`` is None where nobody knows."""

    id: str
    state: str
    finished_on: datetime | None
    ran_ms: int | None
    attempts_made: int


@dataclass(frozen=True, slots=True)
class Peers:
    """The last finished jobs of one name, the newest first, among *looked* jobs of the queue."""

    jobs: list[Peer]
    looked: int


@dataclass(frozen=True, slots=True)
class LostJob:
    """A job that is active without a lock. ``stalled_count``: how often that happened before."""

    queue: str
    id: str
    name: str
    since: datetime | None
    processed_by: str
    stalled_count: int


@dataclass(frozen=True, slots=True)
class PeerJob:
    """A job that a worker of another library runs.

    ``processed_by``: the worker's name, where it has one. ``holder``: what tells its jobs from
    those of other workers: the id with which it locks them.
    """

    id: str
    name: str
    since: datetime | None
    processed_by: str
    holder: str


@dataclass(frozen=True, slots=True)
class PeerJobs:
    """What workers of other libraries run of one queue: ``count`` of them, ``jobs`` the longest."""

    queue: str
    count: int
    jobs: tuple[PeerJob, ...]


@dataclass(frozen=True, slots=True)
class DeduplicationKey:
    """An id under which a job is added once; ``ttl_ms`` None: until the job has ended."""

    id: str
    job_id: str
    ttl_ms: int | None


@dataclass(frozen=True, slots=True)
class DeduplicationPage:
    """Some deduplication keys of a queue, those that were met between two cursors.

    ``cursor``: where to go on, empty at the end of the keyspace.
    """

    keys: list[DeduplicationKey]
    cursor: str


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One connection on which a worker waits for jobs; *name* is empty where it gave none."""

    queue: str
    name: str
    address: str
    client_id: int
    age_s: int
    idle_s: int
    library: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server behind a connection; *info* is the raw answer of ``INFO``."""

    kind: str
    version: str
    role: str
    uptime_s: int
    used_memory: int
    max_memory: int
    eviction_policy: str
    clients: int
    blocked_clients: int
    ops_per_second: int
    append_only: bool
    latency_ms: float
    info: Mapping[str, str]


def snapshot(alias: str, name: str, now: int, answer: Sequence[Any]) -> QueueSnapshot:
    """Decode the answer of ``get_queue_snapshot``."""
    wait, stopped, prioritized, active, delayed, children, completed, failed = answer[:8]
    paused, concurrency, most, duration, version, limit, limit_ttl = answer[8:15]
    oldest, due, done_total, failed_total, event_id, done, lost, pause, groups = answer[15:24]
    limit_max, used = integer(most), integer(limit)
    limited = used is not None and (used >= MANUAL_LIMIT or (limit_max and used >= limit_max))
    return QueueSnapshot(
        alias=alias,
        name=name,
        counts={
            "waiting": wait + stopped,
            "prioritized": prioritized,
            "active": active,
            "delayed": delayed,
            "waiting-children": children,
            "completed": completed,
            "failed": failed,
        },
        paused=paused is not None,
        concurrency=integer(concurrency),
        limit_max=limit_max,
        limit_duration_ms=integer(duration),
        limiter_ttl_ms=max(limit_ttl, 0) if limited else 0,
        oldest_wait=moment(integer(oldest)),
        next_delayed=due_moment(due),
        completed_total=integer(done_total),
        failed_total=integer(failed_total),
        version=text(version or b""),
        event_id=text(event_id or b""),
        at=_now(now),
        done=done,
        lost=lost,
        pause=_pause(pause) if pause else None,
        groups=groups,
    )


def _pause(answer: Sequence[Any]) -> Pause:
    since, reason, by, until = answer
    return Pause(moment(integer(since)), whole(reason), whole(by), moment(integer(until) or None))


def row(answer: Sequence[Any]) -> JobRow | None:
    """Decode one row of ``includes/read_row``; None for a job without a hash."""
    if len(answer) == 1:
        return None
    job_id, state, score, data_size, reason_size = answer[:5]
    name, timestamp, processed, finished, delay, priority, made, made_old, started = answer[5:14]
    stalled, progress, reason, processed_by, parent, scheduler, opts, data = answer[14:22]
    state = text(state)
    options = decoded(opts)
    if not isinstance(options, dict):
        options = {}
    return JobRow(
        id=text(job_id),
        name=cut(name, NAME_LENGTH),
        state=state,
        timestamp=moment(integer(timestamp)),
        processed_on=moment(integer(processed)),
        finished_on=moment(integer(finished)),
        due=due_moment(score) if state == "delayed" else None,
        delay_ms=integer(delay) or 0,
        initial_delay_ms=json_integer(options.get("delay")) or 0,
        priority=integer(priority) or 0,
        attempts_made=integer(made_old if made_old is not None else made) or 0,
        attempts_started=integer(started) or 0,
        max_attempts=json_integer(options.get("attempts")),
        progress=cut(progress, PREVIEW_LENGTH),
        failed_reason=cut(reason, REASON_LENGTH),
        reason_size=reason_size,
        processed_by=cut(processed_by, NAME_LENGTH),
        stalled_count=integer(stalled) or 0,
        data_preview=cut(data, PREVIEW_LENGTH),
        data_size=data_size,
        parent_key=cut(parent, NAME_LENGTH),
        scheduler_id=cut(scheduler, NAME_LENGTH),
        group=_group(options.get("group")),
        timeout_ms=max(json_integer(options.get("timeout")) or 0, 0),
        expires_ms=max(json_integer(options.get("expires")) or 0, 0),
    )


def _group(told: Any) -> str:
    """The id of a group, as the scripts read it: Node takes numbers, too."""
    id = told.get("id") if isinstance(told, dict) else None
    if isinstance(id, int | float) and not isinstance(id, bool):
        return f"{id:.14g}" if abs(id) < 1e300 else ""
    return id if isinstance(id, str) else ""


def page(answer: Sequence[Any], offset: int, limit: int) -> JobPage:
    """Decode the answer of ``get_job_page``."""
    rows, orphans = [], []
    for one in answer[1:]:
        found = row(one)
        if found is None:
            orphans.append(text(one[0]))
        else:
            rows.append(found)
    return JobPage(rows=rows, total=answer[0], offset=offset, limit=limit, orphans=orphans)


def detail(answer: Sequence[Any] | None) -> JobDetail | None:
    """Decode the answer of ``get_job``."""
    if not answer:
        return None
    found = row(answer[0])
    assert found is not None, "get_job answers nothing for a job without a hash"
    data, data_size, value, value_size, opts, opts_size, reason, reason_size = answer[3:11]
    stack = decoded(answer[11])
    rest = answer[13:]
    names = [text(name) for name in rest[::3]]
    return JobDetail(
        row=found,
        data=whole(data),
        data_size=data_size,
        returnvalue=whole(value),
        returnvalue_size=value_size,
        opts=whole(opts),
        opts_size=opts_size,
        failed_reason=whole(reason),
        failed_reason_size=reason_size,
        stacktrace=[str(one) for one in stack] if isinstance(stack, list) else _lines(answer[11]),
        fields=dict(zip(names, map(whole, rest[2::3]), strict=True)),
        field_sizes=dict(zip(names, rest[1::3], strict=True)),
        lock_ttl_ms=answer[1] if answer[1] >= 0 else None,
        log_count=answer[2],
    )


def logs(answer: Sequence[Any], start: int) -> LogPage:
    """Decode the answer of ``get_job_logs``."""
    return LogPage(lines=[whole(line) for line in answer[1:]], start=start, total=answer[0])


def peers(answer: Sequence[Any]) -> Peers:
    """Decode the answer of ``get_peers``."""
    found = []
    rest = answer[1:]
    for state, job_id, finished, started, made in zip(*[iter(rest)] * 5, strict=True):
        end, start = integer(finished), integer(started)
        known = end is not None and start is not None and end >= start
        found.append(
            Peer(
                id=text(job_id),
                state="completed" if state == 1 else "failed",
                finished_on=moment(end),
                ran_ms=end - start if known else None,  # type: ignore[operator]
                attempts_made=integer(made) or 0,
            )
        )
    return Peers(found, answer[0])


def server(answer: Any, latency_ms: float) -> ServerInfo:
    """Decode the text of ``INFO``."""
    lines = text(answer or b"").splitlines()
    info = dict(line.split(":", 1) for line in lines if ":" in line and line[0] != "#")

    def number(name: str) -> int:
        return integer(info.get(name)) or 0

    kinds = {"valkey_version": "Valkey", "dragonfly_version": "Dragonfly"}
    version, kind = next(
        ((name, kind) for name, kind in kinds.items() if name in info), ("redis_version", "Redis")
    )
    return ServerInfo(
        kind=kind,
        version=info.get(version, ""),
        role=info.get("role", ""),
        uptime_s=number("uptime_in_seconds"),
        used_memory=number("used_memory"),
        max_memory=number("maxmemory"),
        eviction_policy=info.get("maxmemory_policy", ""),
        clients=number("connected_clients"),
        blocked_clients=number("blocked_clients"),
        ops_per_second=number("instantaneous_ops_per_sec"),
        append_only=info.get("aof_enabled") == "1",
        latency_ms=latency_ms,
        info=info,
    )


def lost_job(queue: str, answer: Sequence[Any]) -> LostJob:
    """Decode one answer of ``get_lost_jobs``."""
    id, name, since, processed_by, stalled = answer
    return LostJob(
        queue,
        text(id),
        cut(name, NAME_LENGTH),
        moment(integer(since)),
        cut(processed_by, NAME_LENGTH),
        max(integer(stalled) or 0, 0),
    )


def peer_jobs(queue: str, answer: Sequence[Any]) -> PeerJobs:
    """Decode the answer of ``get_peer_jobs``."""
    count, *rows = answer
    jobs = tuple(
        PeerJob(
            text(id),
            cut(name, NAME_LENGTH),
            moment(integer(since)),
            cut(processed_by, NAME_LENGTH),
            text(holder),
        )
        for id, name, since, processed_by, holder in rows
    )
    return PeerJobs(queue, int(count), jobs)


def integer(value: Any) -> int | None:
    """*value* as a whole number of at most 18 digits; None if it is none."""
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        try:
            number = int(float(value))
        except (ValueError, OverflowError):
            return None
    return number if abs(number) < 10**18 else None


def json_integer(value: Any) -> int | None:
    """A number from JSON as a whole one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return integer(value) if math.isfinite(value) else None


def moment(ms: int | None) -> datetime | None:
    """Milliseconds since the epoch as a time; None outside of the years 1970 to 9999."""
    return _now(ms) if ms is not None and 0 < ms < _LATEST_MS else None


def _now(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def due_moment(score: Any) -> datetime | None:
    """When a job of `delayed` is due; its score is the time in ms, times 4096, plus its place."""
    due = integer(score)
    return moment(due // 4096) if due is not None else None


def decoded(value: bytes | None) -> Any:
    """JSON of unknown origin; None where it is none."""
    try:
        return loads(value) if value else None
    except (ValueError, RecursionError):
        return None


def cut(value: bytes | None, length: int) -> str:
    """At most *length* characters of *value*, an ellipsis for the rest."""
    shown = whole(value)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def whole(value: bytes | None) -> str:
    """*value* as text, without the first bytes of a character that was cut at its end."""
    if not value:
        return ""
    for back in range(1, min(4, len(value)) + 1):
        byte = value[-back]
        if byte & 0xC0 == 0x80:
            continue
        if byte >= 0xC0:
            needs = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            if back < needs:
                value = value[:-back]
        break
    return text(value)


def _lines(value: bytes | None) -> list[str]:
    """A stack trace that is no JSON array (or too long a one) as one text."""
    return [whole(value)] if value else []
