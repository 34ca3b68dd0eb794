"""What was added: :func:`enqueued` lists it, :func:`assert_enqueued` expects it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async

from .. import discovery
from ..errors import ConfigurationError
from ..job import Job
from ..options import wire_options
from ..queue import Queue
from ..wire import codec
from ..wire.calls.base import Command, text
from ..wire.connections import aliases, get_connection
from .server import in_use, relay

_STATES = ("active", "waiting", "prioritized", "delayed", "waiting-children")
_UNSAID: Any = object()
_MOST_SHOWN = 10


def enqueued(queue: str | Queue | None = None, *, connection: str = "default") -> list[Job]:
    """The jobs that were added and have not ended, in the order of their making.

    Args:
        queue: one queue; without it, all of all connections.
        connection: the alias of the connection of a queue that is named.
    """
    _check()
    jobs: list[Job] = []
    for one in _queues(queue, connection):
        jobs += one.get_jobs(list(_STATES))
    return sorted(jobs, key=lambda job: (job.timestamp is not None, job.timestamp, _number(job)))


def assert_enqueued(
    queue: str | Queue,
    name: str | None = None,
    data: Any = _UNSAID,
    *,
    count: int | None = None,
    connection: str = "default",
    **options: Any,
) -> Job:
    """Expect a job in *queue* that has not ended, and return it, the first of several.

    Args:
        name: its name.
        data: its payload, as JSON gives it back; of a dict, what it must hold at least.
        count: how many there must be; at least one without it.
        connection: the alias of the connection.
        options: as ``Queue.add`` takes them (``delay=60``, ``priority=2``, ``job_id=...``).

    Raises:
        AssertionError: there is none; it lists what there is.
    """
    jobs = enqueued(queue, connection=connection)
    found = [job for job in jobs if _fits(job, name, data, options)]
    wanted = _told(queue, name, data, options)
    if count is not None and len(found) != count:
        raise AssertionError(
            f"{len(found)} jobs {wanted} are enqueued, not {count}; there {_list(jobs)}"
        )
    if not found:
        raise AssertionError(f"no job {wanted} is enqueued; there {_list(jobs)}")
    return found[0]


def assert_not_enqueued(
    queue: str | Queue,
    name: str | None = None,
    data: Any = _UNSAID,
    *,
    connection: str = "default",
    **options: Any,
) -> None:
    """Expect no such job; see :func:`assert_enqueued`."""
    for job in enqueued(queue, connection=connection):
        if _fits(job, name, data, options):
            raise AssertionError(
                f"a job {_told(queue, name, data, options)} is enqueued: {job!r} with {job.data!r}"
            )


aenqueued = sync_to_async(enqueued)
aassert_enqueued = sync_to_async(assert_enqueued)
aassert_not_enqueued = sync_to_async(assert_not_enqueued)


def _check() -> None:
    if not in_use():
        raise ConfigurationError(
            "no private server is in use: use QueueCoreTestMixin, the fixture queues, or "
            "queuecore.testing.private_server()"
        )
    relay()


def _queues(queue: str | Queue | None, connection: str) -> list[Queue]:
    if queue is not None:
        return [_as_queue(queue, connection)]
    places = set(discovery.discover().queues)
    for alias in aliases():
        prefix = get_connection(alias).prefix
        metas: Command[Any] = Command(("KEYS", f"{_literal(prefix)}:*:meta"))
        for key in get_connection(alias).run(metas):
            name = text(key).removeprefix(f"{prefix}:").removesuffix(":meta")
            if ":" not in name:
                places.add((alias, name))
    return [Queue.existing(name, alias) for alias, name in sorted(places)]


def _as_queue(queue: str | Queue, connection: str) -> Queue:
    return queue if isinstance(queue, Queue) else Queue.existing(queue, connection)


def _literal(prefix: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\^-" else letter for letter in prefix)


def _number(job: Job) -> tuple[int, str]:
    return (int(job.id), "") if job.id.isdigit() else (0, job.id)


def _fits(job: Job, name: str | None, data: Any, options: Mapping[str, Any]) -> bool:
    if name is not None and job.name != name:
        return False
    if data is not _UNSAID and not _holds(job.data, json.loads(codec.dumps(data))):
        return False
    if not options:
        return True
    own = dict(options)
    if "job_id" in own and job.id != str(own.pop("job_id")):
        return False
    encoded = json.loads(wire_options(own, frozenset()).encoded)
    return _holds(job.opts, encoded)


def _holds(real: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(real, dict):
        return all(name in real and real[name] == value for name, value in wanted.items())
    return bool(real == wanted)


def _told(queue: str | Queue, name: str | None, data: Any, options: Mapping[str, Any]) -> str:
    of = queue.name if isinstance(queue, Queue) else queue
    parts = [repr(name)] if name is not None else []
    if data is not _UNSAID:
        parts.append(f"with {data!r}")
    parts += [f"{key}={value!r}" for key, value in options.items()]
    return " ".join([*parts, f"of queue {of!r}"])


def _list(jobs: list[Job]) -> str:
    if not jobs:
        return "are none at all"
    lines = [f"  {job.name!r} with {job.data!r} {job.opts or ''}" for job in jobs[:_MOST_SHOWN]]
    more = [f"  and {len(jobs) - _MOST_SHOWN} more"] if len(jobs) > _MOST_SHOWN else []
    return "\n".join(["are:", *lines, *more])
