"""Flows: parents that wait for their children, in whichever queues of one server these stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import ParentNotFound
from ..codec import dumps, loads
from ..keys import Keys
from .adding import NewJob, refused
from .base import Argument, Call, Command, Operation, check, text
from .reading import BATCH, get_hash

#: What a parent knows of its children, and where it stands: by kind, the key behind the parent's.
KINDS = {
    "processed": "processed",
    "unprocessed": "dependencies",
    "ignored": "failed",
    "failed": "unsuccessful",
}
_COUNTS = {"processed": "HLEN", "unprocessed": "SCARD", "ignored": "HLEN", "failed": "ZCARD"}


@dataclass(frozen=True, slots=True)
class Node:
    """One job of a flow that is to be added: its queue, the job, and whether it has children."""

    keys: Keys
    job: NewJob
    is_parent: bool


@dataclass(slots=True)
class Dependencies:
    """What a parent knows of its children, by their job keys (``<prefix>:<queue>:<id>``).

    ``processed``: those that completed, with what they returned. ``unprocessed``: those it still
    waits for. ``ignored``: those that failed without failing it, with the reason. ``failed``: those
    whose failure fails it. ``cursors``: by kind, from where the next page goes on; 0 was the last.
    """

    processed: dict[str, Any] = field(default_factory=dict)
    unprocessed: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    cursors: dict[str, int] = field(default_factory=dict)


def add_flow(
    receipt: str, number: int, version: str, now: int, nodes: Sequence[Node]
) -> Call[dict[int, str]]:
    """Add the jobs *nodes*, parents before their children, all or none (``FlowProducer.add``).

    Gives by their index in *nodes* the ids of jobs that stand for deduplicated ones.

    Raises (when decoded):
        ParentNotFound, ParentConflict: nothing was added.
    """
    bases: dict[str, int] = {}
    jobs: list[Argument] = []
    for node in nodes:
        job = node.job
        key, link = job.parent or ("", "")
        jobs += (
            bases.setdefault(node.keys.base, len(bases) + 1),
            job.id,
            job.name,
            job.data,
            job.opts,
            job.timestamp,
            job.delay,
            job.priority,
            "parent" if node.is_parent else "lifo" if job.lifo else "",
            key,
            link,
            dumps(job.deduplication) if job.deduplication else "",
        )

    def decode(answer: list[bytes]) -> dict[int, str]:
        if answer[0] != b"ok":
            raise refused(answer, [(node.job.id, node.job.parent) for node in nodes])
        pairs = zip(answer[1::2], answer[2::2], strict=True)
        return {int(index) - 1: text(owner) for index, owner in pairs}

    return Call(
        "add_flow",
        (receipt,),
        (number, version, now, len(bases), len(nodes), *bases, *jobs),
        decode,
        repeatable=True,
    )


def move_to_waiting_children(
    keys: Keys, job_id: str, token: str, child: str, now: int
) -> Call[bool]:
    """Let a running job wait for its children, or the one with the key *child*; whether it does.

    Not if there is nothing to wait for: then it still runs (BullMQ ``moveToWaitingChildren``).
    """
    return Call(
        "move_to_waiting_children",
        (keys.waiting_children, keys.events),
        (keys.base, job_id, token, child, now),
        lambda code: check(code, queue=keys.name, id=job_id, state="active") == 0,
    )


def remove_child_dependency(keys: Keys, job_id: str, parent_key: str) -> Call[bool]:
    """Let the parent no longer wait for this child; whether it did (``removeChildDependency``)."""

    def decode(code: int) -> bool:
        if code == -5:
            raise ParentNotFound(
                f"the parent of job {job_id} of queue {keys.name}, with the key {parent_key}, does "
                "not exist (any more): nothing waits for the job"
            )
        return bool(check(code, queue=keys.name, id=job_id) == 0)

    return Call("remove_child_dependency", (keys.job(job_id), parent_key), (keys.base,), decode)


def remove_unprocessed_children(keys: Keys, job_id: str) -> Call[int]:
    """Delete the children a job still waits for, and theirs, but for those that run; how many."""
    return Call(
        "remove_unprocessed_children",
        (keys.job(job_id),),
        (keys.base, job_id),
        lambda code: check(code, queue=keys.name, id=job_id),
    )


def get_children_values(keys: Keys, job_id: str) -> Command[dict[str, Any]]:
    """What each completed child returned, by its key (BullMQ ``getChildrenValues``)."""
    return Command(("HGETALL", f"{keys.job(job_id)}:processed"), _values)


def get_ignored_children_failures(keys: Keys, job_id: str) -> Command[dict[str, str]]:
    """Why each child failed whose failure was ignored (BullMQ ``getIgnoredChildrenFailures``)."""
    return Command(("HGETALL", f"{keys.job(job_id)}:failed"), _reasons)


def get_dependencies(
    keys: Keys, job_id: str, pages: dict[str, tuple[int, int] | None]
) -> Operation[Dependencies]:
    """The children of the kinds *pages*, each from a cursor on about so many, or None: all.

    Cursors are the server's (``HSCAN``, ``SSCAN``), so that a page may be larger or smaller.
    """
    job = keys.job(job_id)
    requests: list[Call[Any] | Command[Any]] = []
    for kind, page in pages.items():
        key = f"{job}:{KINDS[kind]}"
        if kind == "failed":
            first, count = page or (0, 0)
            requests.append(Command(("ZRANGE", key, first, first + count - 1)))
        elif page is None:
            requests.append(Command(("SMEMBERS" if kind == "unprocessed" else "HGETALL", key)))
        else:
            scan = "SSCAN" if kind == "unprocessed" else "HSCAN"
            requests.append(Command((scan, key, page[0], "COUNT", page[1])))
    answers = yield requests
    found = Dependencies()
    for (kind, page), answer in zip(pages.items(), answers, strict=True):
        if page is not None and kind != "failed":
            found.cursors[kind], answer = int(answer[0]), answer[1]
        elif page is not None:
            found.cursors[kind] = page[0] + page[1] if len(answer) == page[1] else 0
        if kind == "processed":
            found.processed = _values(answer)
        elif kind == "ignored":
            found.ignored = _reasons(answer)
        else:
            setattr(found, kind, [text(one) for one in answer])
    return found


def get_dependencies_count(
    keys: Keys, job_id: str, kinds: Sequence[str]
) -> Operation[dict[str, int]]:
    """How many children of each kind there are (BullMQ ``getDependenciesCount``)."""
    answers = yield [
        Command((_COUNTS[kind], f"{keys.job(job_id)}:{KINDS[kind]}")) for kind in kinds
    ]
    return dict(zip(kinds, answers, strict=True))


#: The kinds of children in the order in which a page of them goes on.
ORDER = ("failed", "ignored", "unprocessed", "processed")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of children begins: the number of its kind, the server's cursor, and how many
    children of that step of the server are known already."""

    kind: int = 1
    cursor: str = "0"
    skip: int = 0

    def __str__(self) -> str:
        return f"{self.kind}.{self.cursor}.{self.skip}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what :meth:`__str__` wrote; the beginning, where that is nothing of ours."""
        parts = text.split(".")
        if len(parts) != 3 or not all(one.isascii() and one.isdigit() for one in parts):
            return cls()
        kind, cursor, skip = parts
        if kind not in ("1", "2", "3", "4") or len(cursor) > 20 or len(skip) > 6:
            return cls()
        return cls(int(kind), cursor if kind != "1" else cursor[:9], int(skip))


@dataclass(frozen=True, slots=True)
class ChildrenPage:
    """Some children of a job: (kind, key) each, how many of each kind there are, where to go on."""

    children: list[tuple[str, str]]
    counts: dict[str, int]
    after: Place | None

    @property
    def total(self) -> int:
        """All children the job has."""
        return sum(self.counts.values())


def get_children_page(job: str, place: Place, count: int) -> Call[ChildrenPage]:
    """About *count* children of the job with the key *job*, by their keys, without their values."""

    def decode(answer: list[Any]) -> ChildrenPage:
        kind, cursor, skip = int(answer[4]), text(answer[5]), int(answer[6])
        pairs = zip(answer[7::2], answer[8::2], strict=True)
        return ChildrenPage(
            children=[(ORDER[int(number) - 1], text(key)) for number, key in pairs],
            counts=dict(zip(ORDER, map(int, answer[:4]), strict=True)),
            after=Place(kind, cursor, skip) if kind <= len(ORDER) else None,
        )

    return Call(
        "get_children_page",
        tuple(f"{job}:{KINDS[kind]}" for kind in ORDER),
        (place.kind, place.cursor, place.skip, count),
        decode,
        repeatable=True,
    )


def children_of(job: str, most: int) -> list[Call[Any] | Command[Any]]:
    """The requests for the keys of a job's children, by its key: at most *most* of each kind."""

    def first(answer: list[bytes]) -> list[str]:
        return sorted(text(one) for one in answer)[:most]

    return [
        Command(("HKEYS", f"{job}:processed"), first),
        Command(("SMEMBERS", f"{job}:dependencies"), first),
        Command(("ZRANGE", f"{job}:unsuccessful", 0, most - 1), first),
        Command(("HKEYS", f"{job}:failed"), first),
    ]


def get_page(
    job: str, processed: bool, start: int, end: int
) -> Operation[tuple[list[str], dict[str, Any], list[dict[bytes, bytes] | None], int]]:
    """The children *start* to *end* of the job with the key *job*, in the order of their keys.

    Gives their keys, the results of *processed* ones, their hashes, and how many there are in all.
    """
    where = f"{job}:processed" if processed else f"{job}:dependencies"
    known = yield Command(("HKEYS" if processed else "SMEMBERS", where))
    known = sorted(text(one) for one in known)
    keys = known[start : end + 1 or None]
    values: dict[str, Any] = {}
    hashes: list[dict[bytes, bytes] | None] = []
    for first in range(0, len(keys), BATCH):
        some = keys[first : first + BATCH]
        requests: list[Call[Any] | Command[Any]] = [get_hash(key) for key in some]
        if processed:
            requests.append(Command(("HMGET", where, *some)))
        answers = yield requests
        hashes += answers[: len(some)]
        if processed:
            found = zip(some, answers[-1], strict=True)
            values |= {key: loads(value) for key, value in found if value is not None}
    return keys, values, hashes, len(known)


def _values(flat: Sequence[bytes]) -> dict[str, Any]:
    return {text(key): loads(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}


def _reasons(flat: Sequence[bytes]) -> dict[str, str]:
    return {text(key): text(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}
