"""What worker processes say of themselves, and what they are told, as values.

Like everything that is read, records are taken for hostile: what cannot be understood becomes
nothing, an empty text or 0; texts are cut, numbers bounded, lists counted out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from .calls.base import text
from .codec import dumps
from .readings import decoded, integer, json_integer, moment

Health = Literal["ok", "late", "lost"]
State = Literal["running", "paused", "draining", "closing"]
Verb = Literal["pause", "resume", "drain", "cancel"]

Kind = Literal["coroutine", "thread", "sandbox", ""]

KINDS: tuple[Kind, ...] = ("coroutine", "thread", "sandbox")
STATES: tuple[State, ...] = ("running", "paused", "draining", "closing")
VERBS: tuple[Verb, ...] = ("pause", "resume", "drain", "cancel")
#: After so many heartbeats that did not come a process is late, and lost.
LATE_BEATS, LOST_BEATS = 5, 15
#: Milliseconds between two heartbeats: what a record may claim.
SHORTEST_MS, LONGEST_MS = 100, 30_000

MOST_WORKERS, MOST_JOBS, MOST_MINUTES, MOST_ANSWERS = 500, 100, 60, 20
MOST_SEATS, MOST_QUEUES = 200, 500
#: So many deaths in a row, and a place counts as one in which nothing lives.
UNSTEADY = 3
_HOST, _NAME, _ID, _VERSION = 200, 300, 1_000, 40
#: Characters of why a job is cancelled; runs that one order cancels.
MOST_REASON, MOST_RUNS = 500, 50
_ID_PATTERN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class FleetJob:
    """A job that a worker runs, and since when.

    ``kind``: what its processor is, empty where that is not known. ``pid``: of its sandbox.
    ``batch``: how many jobs are worked with it by one call, itself among them; 0 without batches.
    ``timeout_s``: how long its processor may take; ``until``: when that is over. ``told``: it was
    told to end, by a timeout or because somebody cancelled it.
    """

    id: str
    name: str
    since: datetime | None
    kind: Kind = ""
    pid: int = 0
    batch: int = 0
    timeout_s: float | None = None
    until: datetime | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class FleetWorker:
    """One worker: one queue in one process.

    ``process``: its process's id. ``busy``: jobs that run; ``jobs`` are the longest of them.
    ``done``, ``failed``: since it began, and in the last minute. ``client_id``: of its connection
    in the server's CLIENT LIST, 0 if it has none yet. ``group``: what it lets each group of the
    queue do: concurrency, jobs and milliseconds, with commas between; empty without limits.
    ``dead_letter``: the queue that gets letters of what fails here, empty without.
    """

    id: str
    process: str
    queue: str
    name: str
    state: State
    concurrency: int
    busy: int
    jobs: tuple[FleetJob, ...]
    done: int
    failed: int
    done_per_minute: int
    failed_per_minute: int
    client_id: int
    group: str = ""
    dead_letter: str = ""


@dataclass(frozen=True, slots=True)
class FleetPlace:
    """The place of a process among those of one supervisor.

    ``fleet``: the id of all of them; ``pid``: the supervisor's; ``number``: 1 to ``size``.
    ``restarts``, ``recycles``: how often the fleet had replaced a process that died, or one that
    had worked enough, when this one was started.
    """

    fleet: str
    pid: int
    number: int
    size: int
    restarts: int
    recycles: int


@dataclass(frozen=True, slots=True)
class FleetSeat:
    """One place of a fleet, which its supervisor keeps taken.

    ``state``: ``running``, ``waiting`` to be taken again at ``until`` since the process there died,
    or ``ended``. ``pid``: of the process there, or of the last one. ``restarts``, ``recycles``: how
    often it was taken anew. ``failures``: processes that died there one after another, none of
    which lived for long. ``why``, ``at``: the last process's end, in words, and when that was.
    """

    number: int
    state: Literal["running", "waiting", "ended"]
    pid: int
    until: datetime | None
    restarts: int
    recycles: int
    failures: int
    why: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class FleetSupervisor:
    """The supervisor of a fleet, ``runworker --processes``, as it last described itself.

    ``id``: that of the places of its processes. ``queues``: what they work on this connection.
    """

    id: str
    host: str
    pid: int
    health: Health
    heartbeat: datetime | None
    age_s: float
    started: datetime | None
    restarts: int
    recycles: int
    queues: tuple[str, ...]
    seats: tuple[FleetSeat, ...]

    @property
    def unsteady(self) -> tuple[FleetSeat, ...]:
        """Places where one process after another dies."""
        return tuple(one for one in self.seats if one.failures >= UNSTEADY)


@dataclass(frozen=True, slots=True)
class FleetProcess:
    """One process that works queues of a connection, as it last described itself.

    ``health``: ``ok``, ``late`` or ``lost``, by the age of its last ``heartbeat``; ``age_s``: that
    age at the time of reading. ``memory``: resident bytes. ``cpu``: cores in use lately. ``lag_ms``
    and ``worst_lag_ms``: how long its event loop made a call wait, the last time and the worst of
    a minute. ``answers``: orders that it has carried out, by id, and how each ended.
    ``place``: among the processes of a supervisor, None without one.
    """

    id: str
    host: str
    pid: int
    health: Health
    heartbeat: datetime | None
    age_s: float
    every_s: float
    started: datetime | None
    memory: int
    cpu: float
    lag_ms: int
    worst_lag_ms: int
    queuecore: str
    python: str
    django: str
    workers: tuple[FleetWorker, ...]
    answers: dict[str, str]
    place: FleetPlace | None = None


@dataclass(frozen=True, slots=True)
class FleetMinute:
    """One minute of a worker and its process; ``busy``: the most jobs that ran at a time."""

    at: datetime
    done: int
    failed: int
    busy: int
    memory: int
    cpu: float
    lag_ms: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs a job: the worker of ours whose lock it has, as it last described itself.

    ``token``: the lock's, empty where nobody holds one. Without a ``worker`` it is held by one of
    another library, or by one of ours that nobody hears of. ``run``: the job as that worker tells
    of it, None where it tells of others only.
    """

    token: str
    process: FleetProcess | None
    worker: FleetWorker | None
    run: FleetJob | None

    @property
    def reached(self) -> bool:
        """Whether it hears an order."""
        return self.process is not None and self.process.health != "lost"

    @property
    def ours(self) -> bool:
        """Whether the lock is one of ours, by its form."""
        return is_id(self.token.rpartition(":")[0])


@dataclass(frozen=True, slots=True)
class Cancellation:
    """That somebody asked for the end of a run, and what came of it.

    ``state``: ``asked``, and the worker has not heard it yet; ``told``, and the run has not ended
    yet; ``missed``, since nobody heard it in time; ``late``, since the run had ended before.
    """

    job: str
    state: Literal["asked", "told", "missed", "late"]
    at: datetime | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """What is kept of a cancellation; times in ms."""

    token: str
    process: str
    order: str
    at: int
    until: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Order:
    """What *workers* of one process are to do, until the server's time *until* (ms).

    To cancel is of single *runs*, each a job's id and the token that its lock holds, and they fail
    with the *reason*.
    """

    id: str
    verb: Verb
    workers: tuple[str, ...]
    until: int = 0
    runs: tuple[tuple[str, str], ...] = ()
    reason: str = ""


def is_id(value: str) -> bool:
    """Whether *value* can be the id of a process, a worker or an order: 32 hex digits."""
    return bool(_ID_PATTERN.fullmatch(value))


def heartbeats(answer: Sequence[Any] | None) -> list[tuple[str, int]]:
    """Decode the index: process ids and times (ms)."""
    flat = answer or ()
    found = []
    for member, score in zip(flat[::2], flat[1::2], strict=False):
        at, id = integer(score), text(member)
        if is_id(id) and at is not None:
            found.append((id, at))
    return found


def process(id: str, beat: int, now: int, record: bytes) -> FleetProcess | None:
    """Decode the record of process *id*, last heard at *beat*; None where it is none."""
    value = decoded(record)
    if not isinstance(value, dict):
        return None
    every = min(max(_count(value, "every"), SHORTEST_MS), LONGEST_MS)
    age = max(now - beat, 0)
    late = age > every * LATE_BEATS
    answers = {
        order: _cut(answer, _VERSION)
        for order, answer in _pairs(value.get("answers"))
        if is_id(order) and isinstance(answer, str)
    }
    workers = (_worker(id, one) for one in _list(value, "workers", MOST_WORKERS))
    return FleetProcess(
        id=id,
        host=_text(value, "host", _HOST),
        pid=_count(value, "pid"),
        health="lost" if age > every * LOST_BEATS else "late" if late else "ok",
        heartbeat=moment(beat),
        age_s=age / 1000,
        every_s=every / 1000,
        started=_moment(value.get("started")),
        memory=_count(value, "memory"),
        cpu=_share(value.get("cpu")),
        lag_ms=_count(value, "lag"),
        worst_lag_ms=_count(value, "worst_lag"),
        queuecore=_text(value, "queuecore", _VERSION),
        python=_text(value, "python", _VERSION),
        django=_text(value, "django", _VERSION),
        workers=tuple(one for one in workers if one is not None),
        answers=answers,
        place=_place(value.get("place")),
    )


def supervisor(id: str, beat: int, now: int, record: bytes) -> FleetSupervisor | None:
    """Decode the record of a supervisor, last heard at *beat*; None where it is none."""
    value = decoded(record)
    if not isinstance(value, dict):
        return None
    every = min(max(_count(value, "every"), SHORTEST_MS), LONGEST_MS)
    age = max(now - beat, 0)
    late = age > every * LATE_BEATS
    queues = (one for one in _list(value, "queues", MOST_QUEUES) if isinstance(one, str) and one)
    seats = (_seat(one) for one in _list(value, "seats", MOST_SEATS) if isinstance(one, dict))
    return FleetSupervisor(
        id=id,
        host=_text(value, "host", _HOST),
        pid=_count(value, "pid"),
        health="lost" if age > every * LOST_BEATS else "late" if late else "ok",
        heartbeat=moment(beat),
        age_s=age / 1000,
        started=_moment(value.get("started")),
        restarts=_count(value, "restarts"),
        recycles=_count(value, "recycles"),
        queues=tuple(one[:_ID] for one in queues),
        seats=tuple(seats),
    )


def _seat(value: dict[str, Any]) -> FleetSeat:
    state = value.get("state")
    return FleetSeat(
        number=_count(value, "number"),
        state=state if state in ("waiting", "ended") else "running",
        pid=_count(value, "pid"),
        until=_moment(value.get("until")),
        restarts=_count(value, "restarts"),
        recycles=_count(value, "recycles"),
        failures=_count(value, "failures"),
        why=_text(value, "why", _NAME),
        at=_moment(value.get("at")),
    )


def _place(value: Any) -> FleetPlace | None:
    if not isinstance(value, dict) or not is_id(fleet := _text(value, "fleet", _ID)):
        return None
    figures = ("pid", "number", "size", "restarts", "recycles")
    return FleetPlace(fleet, *(_count(value, one) for one in figures))


def _worker(process: str, value: Any) -> FleetWorker | None:
    if not isinstance(value, dict):
        return None
    id, queue, state = value.get("id"), value.get("queue"), value.get("state")
    if not (isinstance(id, str) and is_id(id) and isinstance(queue, str) and queue):
        return None
    return FleetWorker(
        id=id,
        process=process,
        queue=queue[:_ID],
        name=_text(value, "name", _NAME),
        state=state if state in STATES else "running",
        concurrency=_count(value, "concurrency"),
        busy=_count(value, "busy"),
        jobs=tuple(
            _job(one)
            for one in _list(value, "jobs", MOST_JOBS)
            if isinstance(one, list) and len(one) >= 3 and isinstance(one[0], str) and one[0]
        ),
        done=_count(value, "done"),
        failed=_count(value, "failed"),
        done_per_minute=_count(value, "done_minute"),
        failed_per_minute=_count(value, "failed_minute"),
        client_id=_count(value, "client"),
        group=_text(value, "group", _VERSION),
        dead_letter=_text(value, "dead_letter", _ID),
    )


def note(record: bytes | None) -> Note | None:
    """Decode the note of a cancellation; None where it is none."""
    value = decoded(record or b"")
    if not isinstance(value, dict):
        return None
    process, order = _text(value, "process", _ID), _text(value, "order", _ID)
    if not (is_id(process) and is_id(order)):
        return None
    by, reason = _text(value, "by", MOST_REASON), _text(value, "reason", MOST_REASON)
    at, until = _count(value, "at"), _count(value, "until")
    return Note(_text(value, "token", _ID), process, order, at, until, by, reason)


def cancellation(
    note: Note, process: FleetProcess | None, job: str, token: str, now: int
) -> Cancellation | None:
    """What came of *note*, by the *process* that was told and the *token* that holds *job* now.

    None where the run that it is about has ended since, as it should.
    """
    answer = process.answers.get(note.order, "") if process is not None else ""
    state: Literal["asked", "told", "missed", "late"]
    if token != note.token:
        if token or answer != "ended before":
            return None
        state = "late"
    elif answer == "done" or (process is not None and _is_told(process, note.token, job)):
        state = "told"
    else:
        state = "asked" if not answer and now < note.until else "missed"
    return Cancellation(job, state, moment(note.at), note.by, note.reason)


def _is_told(process: FleetProcess, token: str, job: str) -> bool:
    id = token.rpartition(":")[0]
    return any(
        one.told for worker in process.workers if worker.id == id
        for one in worker.jobs if one.id == job
    )  # fmt: skip


def _job(value: list[Any]) -> FleetJob:
    more = value[3] if len(value) > 3 and isinstance(value[3], dict) else {}
    kind, timeout = more.get("kind"), _count(more, "timeout")
    return FleetJob(
        _cut(value[0], _ID),
        _cut(value[1], _NAME),
        _moment(value[2]),
        kind=kind if kind in KINDS else "",
        pid=_count(more, "pid"),
        batch=_count(more, "batch"),
        timeout_s=timeout / 1000 if timeout else None,
        until=_moment(more.get("until")),
        told=more.get("told") == 1,
    )


def minutes(worker: str, record: bytes) -> list[FleetMinute]:
    """Decode the last minutes of *worker* from its process's record of them, oldest first."""
    value = decoded(record)
    found = []
    for one in value[-MOST_MINUTES:] if isinstance(value, list) else ():
        if not isinstance(one, dict) or (at := _moment(one.get("at"))) is None:
            continue
        own = one["workers"].get(worker) if isinstance(one.get("workers"), dict) else None
        if isinstance(own, list) and len(own) == 3:
            done, failed, busy = (max(json_integer(figure) or 0, 0) for figure in own)
            memory, lag = _count(one, "memory"), _count(one, "lag")
            cpu = _share(one.get("cpu"))
            found.append(FleetMinute(at, done, failed, busy, memory, cpu, lag))
    return found


def encoded(order: Order) -> bytes:
    """*order* as it lies in the list of a process."""
    return dumps(
        {
            "id": order.id,
            "verb": order.verb,
            "workers": list(order.workers),
            "until": order.until,
        }
        | (
            {"runs": [list(one) for one in order.runs], "reason": order.reason}
            if order.verb == "cancel"
            else {}
        )
    )


def orders(answer: Sequence[Any] | None) -> list[Order]:
    """Decode the orders of a process; what is none is passed over."""
    found = []
    for one in answer or ():
        value = decoded(one) if isinstance(one, bytes) and len(one) < 64 * 1024 else None
        if not isinstance(value, dict):
            continue
        id, verb, until = value.get("id"), value.get("verb"), json_integer(value.get("until"))
        if isinstance(id, str) and is_id(id) and verb in VERBS and until is not None:
            named = _list(value, "workers", MOST_WORKERS)
            workers = tuple(one for one in named if isinstance(one, str))
            found.append(
                Order(
                    id,
                    verb,
                    workers,
                    until,
                    runs=tuple(
                        (one[0], one[1])
                        for one in _list(value, "runs", MOST_RUNS)
                        if isinstance(one, list) and len(one) == 2 and all(map(_is_text, one))
                    ),
                    reason=_cut(value.get("reason"), MOST_REASON),
                )
            )
    return found


def _list(value: dict[str, Any], name: str, most: int) -> list[Any]:
    found = value.get(name)
    return found[:most] if isinstance(found, list) else []


def _pairs(value: Any) -> list[tuple[str, Any]]:
    return list(value.items())[-MOST_ANSWERS:] if isinstance(value, dict) else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _text(value: dict[str, Any], name: str, most: int) -> str:
    return _cut(value.get(name), most)


def _cut(value: Any, most: int) -> str:
    if not isinstance(value, str):
        return ""
    return value if len(value) <= most else value[: most - 1] + "…"


def _count(value: dict[str, Any], name: str) -> int:
    return max(json_integer(value.get(name)) or 0, 0)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10_000:
        return 0.0
    return round(float(value), 3)


def _moment(value: Any) -> datetime | None:
    return moment(json_integer(value))
