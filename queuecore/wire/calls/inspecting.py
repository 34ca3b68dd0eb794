"""What a dashboard asks of the server. Every answer is bounded, whatever lies there."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .. import readings
from ..keys import SUFFIXES, Keys, connection_key
from .base import Call, Command, text

# The most ids or rows of one call, lines and bytes of a log, and bytes of values.
MOST_ROWS = 200
MOST_LINES = 1_000
LINE_BYTES = 4_096
LOG_BYTES = 512 * 1024
VALUE_BYTES = 64 * 1024
FIELD_BYTES = 2_048
# Longer values are not even read: the server would have to copy them.
LONGEST_READ = 16 * 1024 * 1024
# How many events of a second are read for queues whose jobs leave no other trace.
MOST_EVENTS = 500
# So many active jobs of a queue are looked at for their locks, and at most so many are told.
LOCKS, LOST_JOBS = 200, 20
# So many finished jobs of each state are looked at for those of one name.
PEERS_LOOKED_AT = 300
# A state is looked for in a list of at most this many ids.
DEEP = 1_000

_KINDS = {
    "waiting": "list",
    "active": "list",
    "prioritized": "rising",
    "delayed": "rising",
    "waiting-children": "rising",
    "completed": "falling",
    "failed": "falling",
}

COUNTED = frozenset(state for state, kind in _KINDS.items() if kind != "list")


def get_queue_snapshot(
    alias: str, keys: Keys, now: int, since: int | None = None, event_id: str = ""
) -> Call[readings.QueueSnapshot]:
    """Sizes, limits and ages of one queue; with *since* also what finished from then to *now*."""
    return Call(
        "get_queue_snapshot",
        (
            keys.wait,
            keys.paused,
            keys.prioritized,
            keys.active,
            keys.delayed,
            keys.waiting_children,
            keys.completed,
            keys.failed,
            keys.meta,
            keys.limiter,
            keys.metrics("completed"),
            keys.metrics("failed"),
            keys.events,
            keys.pause,
        ),
        (keys.base, "" if since is None else since, now, event_id, MOST_EVENTS),
        lambda answer: readings.snapshot(alias, keys.name, now, answer),
        repeatable=True,
    )


def get_sized_snapshot(
    alias: str, keys: Keys, now: int, since: int | None = None, event_id: str = ""
) -> Call[tuple[readings.QueueSnapshot, Sequence[int]]]:
    """A snapshot, and the sizes of its states one by one, for :func:`find_news`."""
    call = get_queue_snapshot(alias, keys, now, since, event_id)

    def decode(answer: Sequence[Any]) -> tuple[readings.QueueSnapshot, Sequence[int]]:
        return call.decode(answer), answer[:8]

    return replace(call, decode=decode)  # type: ignore[arg-type, return-value]


def find_news(known: Sequence[tuple[Keys, str, Sequence[int]]]) -> Call[list[int]]:
    """Which of some queues may have changed, by their place in *known*.

    *known*: the keys, the last event's id and the sizes that :func:`get_sized_snapshot` gave.
    """
    places: list[str] = []
    facts: list[str | int] = []
    for keys, event_id, sizes in known:
        held = (
            *(keys.wait, keys.paused, keys.prioritized, keys.active, keys.delayed),
            *(keys.waiting_children, keys.completed, keys.failed),
        )
        full = [(key, size) for key, size in zip(held, sizes, strict=True) if size]
        lists = [pair for pair in full if pair[0] in (keys.wait, keys.paused, keys.active)]
        sets = [pair for pair in full if pair not in lists]
        places += [keys.events, *(key for key, _ in (*lists, *sets))]
        facts += [event_id, len(lists), len(sets), *(size for _, size in (*lists, *sets))]
    return Call(
        "find_news",
        places,
        facts,
        lambda answer: [place - 1 for place in answer],
        repeatable=True,
    )


def get_job_page(keys: Keys, state: str, offset: int, limit: int) -> Call[readings.JobPage]:
    """Rows *offset* and following of the jobs in *state*, in BullMQ's order of its getters."""
    jobs = [keys.wait, keys.paused] if state == "waiting" else [keys[state]]
    return Call(
        "get_job_page",
        jobs,
        (keys.base, state, _KINDS[state], offset, limit),
        lambda answer: readings.page(answer, offset, limit),
        repeatable=True,
    )


def get_job_rows(keys: Keys, ids: Sequence[str]) -> Call[list[readings.JobRow | None]]:
    """What a list shows of *ids*; None for each job that is gone."""
    return Call(
        "get_job_rows",
        (
            keys.completed,
            keys.failed,
            keys.delayed,
            keys.prioritized,
            keys.waiting_children,
            keys.active,
            keys.wait,
            keys.paused,
        ),
        (keys.base, DEEP, *ids),
        lambda answer: [readings.row(one) for one in answer],
        repeatable=True,
    )


def get_job(keys: Keys, job_id: str) -> Call[readings.JobDetail | None]:
    """Everything about one job; None if there is none of this id."""
    return Call(
        "get_job",
        (keys.job(job_id), keys.lock(job_id), keys.logs(job_id)),
        (keys.base, job_id, LONGEST_READ, VALUE_BYTES, FIELD_BYTES),
        readings.detail,
        repeatable=True,
    )


def get_peers(keys: Keys, name: str, most: int) -> Call[readings.Peers]:
    """The last *most* finished jobs called *name*, among the newest of the queue."""
    return Call(
        "get_peers",
        (keys.completed, keys.failed),
        (keys.base, name, most, PEERS_LOOKED_AT),
        readings.peers,
        repeatable=True,
    )


def get_size(keys: Keys, job_id: str, field: str) -> Command[int]:
    """How many bytes a field of a job's hash has."""
    return Command(("HSTRLEN", keys.job(job_id), field), lambda answer: answer or 0, tolerant=True)


def get_value(keys: Keys, job_id: str, field: str) -> Command[str]:
    """A field of a job's hash, whole."""
    return Command(
        ("HGET", keys.job(job_id), field),
        lambda answer: readings.whole(answer),
        tolerant=True,
    )


def get_lost_jobs(keys: Keys) -> Call[list[readings.LostJob]]:
    """Jobs that are active without a lock, among those that run longest."""
    return Call(
        "get_lost_jobs",
        (keys.active,),
        (keys.base, LOCKS, LOST_JOBS),
        lambda answer: [readings.lost_job(keys.name, one) for one in answer],
        repeatable=True,
    )


def get_peer_jobs(keys: Keys) -> Call[readings.PeerJobs]:
    """Jobs that workers of other libraries hold, among those that run longest."""
    return Call(
        "get_peer_jobs",
        (keys.active,),
        (keys.base, LOCKS, LOST_JOBS),
        lambda answer: readings.peer_jobs(keys.name, answer),
        repeatable=True,
    )


def is_job_id(job_id: str) -> bool:
    """Whether a job may have this id: not if it would be another key of the queue."""
    return bool(job_id) and len(job_id) <= 1_000 and job_id not in SUFFIXES


def get_job_logs(keys: Keys, job_id: str, start: int, stop: int) -> Call[readings.LogPage]:
    """Lines *start* to *stop* of a job's log, both included; the first is 0."""
    return Call(
        "get_job_logs",
        (keys.logs(job_id),),
        (start, min(stop, start + MOST_LINES - 1), LINE_BYTES, LOG_BYTES),
        lambda answer: readings.logs(answer, start),
        repeatable=True,
    )


def count_before(keys: Keys, state: str, job_id: str) -> Command[int | None]:
    """How many jobs stand before *job_id* on the pages of *state*; None if it is not there.

    Only for the states in :data:`COUNTED`: in a list, counting means to walk it.
    """
    command = "ZRANK" if _KINDS[state] == "rising" else "ZREVRANK"
    return Command((command, keys[state], job_id), tolerant=True)


def count_finished(keys: Keys, state: str, until_ms: int) -> Command[int | None]:
    """How many jobs of *state*, completed or failed, finished up to *until_ms*."""
    return Command(("ZCOUNT", keys[state], "-inf", until_ms), tolerant=True)


def get_registered(prefix: str) -> Command[set[str]]:
    """The names of queues that our own producers and collectors have seen."""
    return Command(
        ("SMEMBERS", connection_key(prefix, "queues")),
        lambda names: {text(name) for name in names or ()},
        tolerant=True,
    )


def register(prefix: str, names: Sequence[str]) -> Command[object]:
    """Remember *names*, so that nobody has to look for them; not where writing is refused."""
    return Command(("SADD", connection_key(prefix, "queues"), *names), tolerant=True)


def exist(some: Sequence[Keys]) -> Command[int]:
    """How many of the queues are there: BullMQ gives each one a ``meta``."""
    return Command(("EXISTS", *(keys.meta for keys in some)), int)


def scan_queues(prefix: str, cursor: str, count: int) -> Command[tuple[str, set[str]]]:
    """One step through the keyspace: the next cursor and the queues it met."""
    head, tail = f"{prefix}:", ":meta"

    def decode(answer: list[object]) -> tuple[str, set[str]]:
        after, found = answer
        assert isinstance(found, list)
        names = (text(key)[len(head) : -len(tail)] for key in found)
        # Exactly one segment: an empty one or a longer name is another program's key.
        return text(after), {name for name in names if name and ":" not in name}

    pattern = escaped(head) + "*" + tail
    return Command(("SCAN", cursor, "MATCH", pattern, "COUNT", count, "TYPE", "hash"), decode)


def scan_deduplication(keys: Keys, cursor: str, count: int) -> Command[tuple[str, list[str]]]:
    """One step through the keyspace: the next cursor and the deduplication ids it met."""
    head = keys.deduplication("")

    def decode(answer: list[object]) -> tuple[str, list[str]]:
        after, found = answer
        assert isinstance(found, list)
        return text(after), [text(key)[len(head) :] for key in found]

    pattern = escaped(head) + "*"
    return Command(("SCAN", cursor, "MATCH", pattern, "COUNT", count, "TYPE", "string"), decode)


def get_deduplication(keys: Keys, name: str) -> tuple[Command[str], Command[int]]:
    """The job that holds a deduplication id, and for how many ms: -1 is until it ends."""
    key = keys.deduplication(name)
    return (
        Command(("GETRANGE", key, 0, FIELD_BYTES), lambda answer: readings.whole(answer)),
        Command(("PTTL", key), int),
    )


def escaped(literal: str) -> str:
    """*literal* for a MATCH pattern, nothing in it special."""
    return re.sub(r"([*?\[\]\\^-])", r"\\\1", literal)


def get_workers(prefix: str) -> Command[list[readings.WorkerInfo] | None]:
    """Connections that wait for jobs, by their names; None where the server keeps them secret."""
    return Command(
        ("CLIENT", "LIST", "TYPE", "normal"),
        lambda answer: None if answer is None else _workers(prefix, text(answer)),
        tolerant=True,
    )


def _workers(prefix: str, lines: str) -> list[readings.WorkerInfo]:
    found = []
    for line in lines.splitlines():
        facts = dict(pair.partition("=")[::2] for pair in line.split(" "))
        named = queue_of_client(prefix, facts.get("name", ""))
        if named is None:
            continue
        library = f"{facts.get('lib-name', '')} {facts.get('lib-ver', '')}".strip()
        found.append(
            readings.WorkerInfo(
                queue=named[0],
                name=named[1],
                address=facts.get("addr", ""),
                client_id=readings.integer(facts.get("id")) or 0,
                age_s=readings.integer(facts.get("age")) or 0,
                idle_s=readings.integer(facts.get("idle")) or 0,
                library=library,
            )
        )
    return found


def queue_of_client(prefix: str, client_name: str) -> tuple[str, str] | None:
    """Queue and name of the worker behind a connection's name; None if it is no worker's.

    BullMQ names it ``<prefix>:<base64 of the queue>``, and ``:w:<name>`` for a worker with a name.
    """
    head = f"{prefix}:"
    if not client_name.startswith(head):
        return None
    encoded, colon, rest = client_name[len(head) :].partition(":")
    if colon and not rest.startswith("w:"):
        return None
    try:
        queue = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return (queue, rest[2:]) if queue and ":" not in queue else None


def get_server_info(latency_ms: float = 0.0) -> Command[readings.ServerInfo | None]:
    """Version, memory and load of the server; None where it keeps them secret."""
    return Command(
        ("INFO",),
        lambda answer: None if answer is None else readings.server(answer, latency_ms),
        tolerant=True,
    )
