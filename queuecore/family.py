"""Family: a job among the jobs of its flow, above it and below it, for whoever shows or checks it.

A flow may have thousands of jobs in any number of queues. Every answer is bounded: so many jobs in
all, so many of one parent, and a place from which its next children are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .inspect import Inspector, JobRow
from .wire.calls import flows, inspecting
from .wire.calls.base import Call, Command, Operation
from .wire.calls.flows import ChildrenPage, Place
from .wire.connections import aliases, get_connection
from .wire.keys import Keys

__all__ = ["Family", "Member", "afamily_of", "aqueues_below", "family_of", "queues_below"]

#: The most jobs read of one flow, its generations above and below, and children of one parent:
#: of the job itself, of its own parent, and of any other one.
MOST, UP, DOWN = 200, 20, 10
CHILDREN, SIBLINGS, OTHERS = 100, 40, 20
#: Before children are removed with their parent, the queues of so many are looked at.
CHECKED = 5_000


@dataclass(slots=True)
class Member:
    """One job of a flow.

    ``row`` is None for a job that is gone (its retention has ended), or that stands where this
    connection does not reach; ``queue`` is empty then. ``kind``: what its parent knows of it
    (failed, ignored, unprocessed, processed; empty at the top). ``counts``: its children by kind.
    ``children``: those that were read; ``after``: from where the next are read, empty at the end.
    """

    key: str
    queue: str
    id: str
    row: JobRow | None = None
    kind: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    children: list[Member] = field(default_factory=list)
    after: str = ""

    @property
    def total(self) -> int:
        """How many children it has."""
        return sum(self.counts.values())

    @property
    def more(self) -> int:
        """How many of its children were not read."""
        return max(0, self.total - len(self.children))

    def walk(self) -> Iterator[Member]:
        """It and everything read below it, parents first."""
        stack = [self]
        while stack:
            one = stack.pop()
            yield one
            stack += reversed(one.children)


@dataclass(frozen=True, slots=True)
class Family:
    """A flow as one of its jobs sees it: ``root`` at the top, ``job`` itself somewhere in it.

    ``cut``: there are generations above the root that were not read.
    """

    root: Member
    job: Member
    cut: bool = False

    @property
    def size(self) -> int:
        """How many jobs were read."""
        return sum(1 for _ in self.root.walk())


def family_of(
    alias: str, queue: str, job_id: str, *, place: str = "", most: int = MOST
) -> Family | None:
    """The flow around a job, at most *most* jobs of it; None if there is no such job.

    ``place``: the :attr:`Member.after` of the job, for its next children.
    """
    connection = get_connection(alias)
    return connection.run(_family(alias, queue, job_id, place, most))


async def afamily_of(
    alias: str, queue: str, job_id: str, *, place: str = "", most: int = MOST
) -> Family | None:
    """See :func:`family_of`."""
    connection = get_connection(alias)
    return await connection.arun(_family(alias, queue, job_id, place, most))


def queues_below(alias: str, queue: str, job_id: str) -> set[tuple[str, str]] | None:
    """In which queues, as (alias, name), the children of a job stand, and theirs.

    None if there are more than 5,000 of them, or one stands where no connection reaches.
    """
    return get_connection(alias).run(_queues_below(alias, queue, job_id))


async def aqueues_below(alias: str, queue: str, job_id: str) -> set[tuple[str, str]] | None:
    """See :func:`queues_below`."""
    return await get_connection(alias).arun(_queues_below(alias, queue, job_id))


def _family(alias: str, queue: str, job_id: str, place: str, most: int) -> Operation[Family | None]:
    keys = Inspector(alias)._keys(queue)
    job = Member(keys.job(job_id), queue, job_id)
    if not inspecting.is_job_id(job_id):
        return None
    yield from _read_rows(alias, [job])
    if job.row is None:
        return None
    path = [job]  # from the job upwards
    seen = {job.key: job}
    while (above := path[-1].row) and above.parent_key and len(path) <= UP:
        parent = _member(alias, above.parent_key)
        if parent.key in seen:
            break
        seen[parent.key] = parent
        path.append(parent)
        if parent.queue:
            yield from _read_rows(alias, [parent])
    top = path[-1]
    cut = bool(top.row and top.row.parent_key and len(path) > UP)
    on_path = dict(zip((one.key for one in path[1:]), path, strict=False))  # parent -> child
    level, left = [top], most - len(path)
    for _ in range(DOWN + len(path)):
        parents = [one for one in level if one.queue or one.key in on_path]
        pages = yield from _pages(parents, job, path, place)
        level = []
        for parent, page in zip(parents, pages, strict=True):
            parent.counts = page.counts
            parent.after = str(page.after) if page.after else ""
            known = on_path.get(parent.key)
            for kind, key in page.children:
                if known and key == known.key:
                    known.kind = kind
                    parent.children.append(known)
                elif key not in seen and left > 0:
                    seen[key] = child = _member(alias, key, kind)
                    parent.children.append(child)
                    left -= 1
            if known and known not in parent.children:  # on a later page than the first
                parent.children.append(known)
            level += parent.children
        if not level:
            break
        yield from _read_rows(alias, [one for one in level if one.row is None and one.queue])
    return Family(top, job, cut)


def _pages(
    parents: Sequence[Member], job: Member, path: Sequence[Member], place: str
) -> Operation[list[ChildrenPage]]:
    pages: list[ChildrenPage] = []
    above = path[1].key if len(path) > 1 else ""
    calls: list[Call[Any] | Command[Any]] = []
    for one in parents:
        count = CHILDREN if one is job else SIBLINGS if one.key == above else OTHERS
        begin = Place.parse(place) if one is job else Place()
        calls.append(flows.get_children_page(one.key, begin, count))
    for first in range(0, len(calls), 100):
        pages += yield calls[first : first + 100]
    return pages


def _queues_below(alias: str, queue: str, job_id: str) -> Operation[set[tuple[str, str]] | None]:
    first = Member(Inspector(alias)._keys(queue).job(job_id), queue, job_id)
    found: set[tuple[str, str]] = set()
    seen = {first.key}
    level = [(first, Place())]
    while level:
        below: list[tuple[Member, Place]] = []
        for begin in range(0, len(level), 100):
            some = level[begin : begin + 100]
            pages = yield [flows.get_children_page(one.key, at, 500) for one, at in some]
            for (one, _), page in zip(some, pages, strict=True):
                if page.after:
                    below.append((one, page.after))
                for _kind, key in page.children:
                    if key in seen:
                        continue
                    seen.add(key)
                    child = _member(alias, key)
                    if not child.queue or len(seen) > CHECKED:
                        return None
                    found.add((alias, child.queue))
                    below.append((child, Place()))
        level = below
    return found


def _member(alias: str, key: str, kind: str = "") -> Member:
    """The job of a key; without queue and id where another prefix than ours begins it.

    Prefixes and ids may hold ``:``, names of queues do not.
    """
    prefix = get_connection(alias).prefix
    longer = [get_connection(one).prefix for one in aliases()]
    foreign = any(
        len(one) > len(prefix) and one.startswith(f"{prefix}:") and key.startswith(f"{one}:")
        for one in longer
    )
    if key.startswith(f"{prefix}:") and not foreign:
        name, _, job_id = key.removeprefix(f"{prefix}:").partition(":")
        if name and inspecting.is_job_id(job_id):
            return Member(key, name, job_id, kind=kind)
    return Member(key, "", "", kind=kind)


def _read_rows(alias: str, members: Sequence[Member]) -> Operation[None]:
    prefix = get_connection(alias).prefix
    by_queue: dict[str, list[Member]] = {}
    for one in members:
        by_queue.setdefault(one.queue, []).append(one)
    asked: list[tuple[list[Member], Call[Any]]] = []
    for queue, some in by_queue.items():
        for first in range(0, len(some), 50):
            part = some[first : first + 50]
            ids = [one.id for one in part]
            asked.append((part, inspecting.get_job_rows(Keys(prefix, queue), ids)))
    for first in range(0, len(asked), 20):
        batch = asked[first : first + 20]
        answers = yield [call for _, call in batch]
        for (part, _), rows in zip(batch, answers, strict=True):
            for one, row in zip(part, rows, strict=True):
                one.row = row
