"""Rows: what the admin's lists show instead of a table's, and the keys by which it knows them.

A list of the admin asks its rows for few things: how many there are, a slice, those with certain
keys. The queues all lie in memory; of jobs one page is read by its range, with their number, in one
call, so that a million of them cost as much as ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote_to_bytes

from ..inspect import Inspector, JobRow
from ..models import Job, Queue

T = TypeVar("T")


def key_of(*parts: str) -> str:
    """One text of several names, whatever is in them: ``default/emails/7``."""
    return "/".join(quote(part.encode("utf-8", "surrogatepass"), safe="") for part in parts)


def parts_of(key: str, count: int) -> tuple[str, ...] | None:
    """The *count* names that :func:`key_of` made *key* of; None if it is no such text."""
    try:
        parts = tuple(
            unquote_to_bytes(part).decode("utf-8", "surrogatepass") for part in key.split("/")
        )
        good = len(parts) == count and all(parts) and key_of(*parts) == key
    except UnicodeError:
        return None
    return parts if good else None


def queue_object(alias: str, name: str, snapshot: Any = None) -> Queue:
    """The queue as the admin's object; *snapshot*: what was read of it."""
    made = Queue(connection=alias, name=name)
    made.pk = key_of(alias, name)
    made.snapshot = snapshot  # type: ignore[attr-defined]
    return made


def job_object(alias: str, queue: str, job_id: str, row: JobRow | None = None) -> Job:
    """The job as the admin's object; *row*: what was read of it."""
    made = Job(connection=alias, queue=queue, job_id=job_id, name=row.name if row else "")
    made.key = key_of(alias, queue, job_id)
    made.row = row  # type: ignore[attr-defined]
    return made


class Rows(Sequence[T], Generic[T]):
    """Objects in memory, as the admin asks for those of a table."""

    ordered = True

    def __init__(self, items: Iterable[T] = ()) -> None:
        self.items = list(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: Any) -> Any:
        return self.items[place]

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def count(self, *value: Any) -> int:
        """How many there are."""
        return len(self.items)

    def filter(self, *, pk__in: Iterable[str]) -> Rows[T]:
        """Those with the keys that were ticked."""
        wanted = set(pk__in)
        return Rows(item for item in self.items if item.pk in wanted)  # type: ignore[attr-defined]

    def _clone(self) -> Rows[T]:
        return self


class JobRows(Sequence[Job]):
    """The jobs of one queue in one state: their number and one page, read by its range.

    ``job_id``: instead, the one job of that id, in whatever state it is. ``shown``: the page, from
    where and how long, that is going to be asked for; read when the number is.
    """

    ordered = True

    def __init__(
        self, alias: str, queue: str, state: str, job_id: str = "", shown: tuple[int, int] = (0, 1)
    ) -> None:
        self.alias, self.queue, self.state, self.job_id = alias, queue, state, job_id
        self._shown = shown
        self.prepare: Callable[[Job], None] = lambda job: None
        self._total: int | None = None
        self._pages: dict[tuple[int, int], list[Job]] = {}

    @property
    def all(self) -> bool:
        """Whether all jobs of the state are meant, not one that was searched for."""
        return not self.job_id

    def read(self, offset: int, limit: int) -> list[Job]:
        """One page; its number of jobs comes with it."""
        if (offset, limit) in self._pages:
            return self._pages[offset, limit]
        inspector = Inspector(self.alias)
        if self.job_id:
            found = [row for row in inspector.rows(self.queue, [self.job_id]) if row is not None]
            self._total = len(found)
        else:
            page = inspector.jobs(self.queue, self.state, offset=offset, limit=limit)
            self._total, found = page.total, page.rows
        made = [job_object(self.alias, self.queue, row.id, row) for row in found]
        for job in made:
            self.prepare(job)
        self._pages[offset, limit] = made
        return made

    def count(self, *value: Any) -> int:
        """How many there are."""
        if self._total is None:
            self.read(*self._shown)
        return self._total or 0

    def __len__(self) -> int:
        return self.count()

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            start, stop = place.start or 0, self.count() if place.stop is None else place.stop
            if self._shown[0] == start and start + self._shown[1] >= stop:
                return self.read(*self._shown)[: stop - start]
            return self.read(start, max(stop - start, 1))
        return self.read(place, 1)[0]

    def filter(self, *, pk__in: Iterable[str]) -> Rows[Job]:
        """Those of this queue whose keys were ticked; nothing is read for it."""
        found = (parts_of(key, 3) for key in dict.fromkeys(pk__in))
        return Rows(
            job_object(self.alias, self.queue, parts[2])
            for parts in found
            if parts is not None and parts[:2] == (self.alias, self.queue)
        )

    def _clone(self) -> list[Job]:
        """All there are, where the admin knows that it is one page."""
        return list(self[0 : self.count()])
