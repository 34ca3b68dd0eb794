"""Schedulers: the strip of the day and a row each; and the page of one.

The ids of ``schedulers`` are ``<alias>:<queue>:<id>``, those of the rows on screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.inspect import Inspector
from queuecore.runs import Timing
from queuecore.timetable import Place, Timetable

from ... import links
from ...draw import schedule_cells, schedule_strip, values
from ...draw.markup import element, join, phrase
from ...draw.schedule_strip import Day
from ..sources import Asked, Source, register
from ..state import LiveState, Patch, Topic, Viewer, facts_of, parted
from .base import Patches, cell

#: Seconds between two looks.
PERIOD_S = 10.0


@dataclass(slots=True)
class Book:
    """What is known of a connection's schedulers: where they stand, and those that are shown."""

    places: list[Place] = field(default_factory=list)
    timings: dict[tuple[str, str], Timing] = field(default_factory=dict)


def shown_ids(alias: str, asked: Asked) -> list[tuple[str, str]]:
    """The (queue, id) that are on anybody's screen."""
    found: dict[tuple[str, str], None] = {}
    for topic, ids in asked:
        if topic.kind == "scheduler" and topic.alias == alias:
            found[topic.queue, topic.id] = None
        for one in ids:
            where = split(one)
            if where is not None and where[0] == alias:
                found[where[1], where[2]] = None
    return list(found)


def split(id: str) -> tuple[str, str, str] | None:
    """Read an id on screen."""
    parts = parted(id, 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and all(parts) else None


def since(alias: str) -> int:
    """From when on runs are shown: today, and the last 24 hours."""
    now = Inspector(alias).now_ms()
    return min(Day.of(now).start, now - 86_400_000)


def fill(book: Book, alias: str, wanted: Sequence[tuple[str, str]]) -> None:
    """Read the runs of *wanted*, for the page that has just chosen them."""
    _put(book, wanted, Timetable(alias).timings(wanted, since(alias)))


def _put(book: Book, wanted: Sequence[tuple[str, str]], found: Sequence[Timing | None]) -> None:
    book.timings |= {
        where: timing for where, timing in zip(wanted, found, strict=True) if timing is not None
    }


def _read(alias: str, asked: Asked) -> Book:
    # A hub that has just begun may be asked before it has looked for queues.
    names = facts_of(alias).names or Inspector(alias).discover()
    book = Book(Timetable(alias).places(names))
    fill(book, alias, shown_ids(alias, asked))
    return book


async def _aread(alias: str, asked: Asked) -> Book:
    table = Timetable(alias)
    names = facts_of(alias).names or await Inspector(alias).adiscover()
    book = Book(await table.aplaces(names))
    wanted = shown_ids(alias, asked)
    _put(book, wanted, await table.atimings(wanted, since(alias)))
    return book


def _read_one(alias: str, asked: Asked) -> Book:
    table, book = Timetable(alias), Book()
    for queue, id in shown_ids(alias, asked):
        _put(book, [(queue, id)], [table.timing(queue, id, since(alias))])
    return book


async def _aread_one(alias: str, asked: Asked) -> Book:
    table, book = Timetable(alias), Book()
    for queue, id in shown_ids(alias, asked):
        _put(book, [(queue, id)], [await table.atiming(queue, id, since(alias))])
    return book


register("schedulers", Source(PERIOD_S, _read, _aread))
register("scheduler", Source(PERIOD_S, _read_one, _aread_one))


def books(state: LiveState, kind: str = "schedulers") -> Iterator[tuple[str, Book]]:
    """What was read of each connection."""
    for alias, connection in state.connections.items():
        book = connection.extra.get(kind)
        if isinstance(book, Book):
            yield alias, book


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    found: Patches = {"schedulers-head": Patch(html=_head(state, viewer))}
    known = dict(books(state))
    now = max((one.now for book in known.values() for one in book.timings.values()), default=None)
    if now is None:
        return found
    day = Day.of(now)
    found["schedulers-now"] = Patch(html=schedule_strip.now_line(day, now))
    found["schedulers-axis"] = Patch(html=schedule_strip.axis(day, now))
    for id in ids:
        where = split(id)
        if where is None or not viewer.allows(where[0], where[1]):
            continue
        alias, queue, scheduler = where
        timing = known[alias].timings.get((queue, scheduler)) if alias in known else None
        if timing is None:
            if alias in known:
                gone = links.dom_id("s", alias, queue, scheduler, "next")
                found[gone] = cell(gone, element("span", _("removed"), class_="zero"))
            continue
        paused = queue_paused(state, alias, queue)
        for name, body in schedule_cells.cells(timing, paused).items():
            key = links.dom_id("s", alias, queue, scheduler, name)
            found[key] = cell(key, body)
        key = links.dom_id("s", alias, queue, scheduler, "state")
        found[key] = cell(key, schedule_cells.state(timing))
        key = links.dom_id("s", alias, queue, scheduler, "lane")
        found[key] = Patch(html=schedule_strip.lane(key, timing, day, paused))
        key = links.dom_id("s", alias, queue, scheduler, "mark")
        found[key] = cell(key, schedule_cells.mark(timing, paused))
    return found


def one(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    """The page of one scheduler."""
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    book = dict(books(state, "scheduler")).get(topic.alias)
    if book is None:
        return {}
    timing = book.timings.get((topic.queue, topic.id))
    if timing is None:
        gone = element("span", _("This scheduler is gone."), class_="badge badge-bad")
        return {"scheduler-flags": cell("scheduler-flags", gone), "scheduler-state": _state("gone")}
    paused = queue_paused(state, topic.alias, topic.queue)
    day = Day.of(timing.now)
    moments = schedule_cells.upcoming(timing)
    return {
        "scheduler-state": _state("paused" if timing.scheduler.paused_at else "on"),
        "scheduler-flags": cell("scheduler-flags", join(schedule_cells.badges(timing, paused))),
        "scheduler-facts": Patch(html=schedule_cells.facts(timing)),
        "scheduler-lane": Patch(html=schedule_strip.lane("scheduler-lane", timing, day, paused)),
        "schedulers-now": Patch(html=schedule_strip.now_line(day, timing.now)),
        "schedulers-axis": Patch(html=schedule_strip.axis(day, timing.now)),
        "scheduler-source": Patch(html=schedule_cells.provenance(timing)),
        "scheduler-next": Patch(
            html=schedule_cells.fire_rows(moments, timing.scheduler.tz, "scheduler-next")
        ),
        "scheduler-runs": Patch(
            html=schedule_cells.run_rows(timing, viewer.mount, topic.alias, viewer.payload)
        ),
    }


def queue_paused(state: LiveState, alias: str, queue: str) -> bool:
    """Whether a queue is paused, so that due runs are not started."""
    snapshot = state[alias].queues.get(queue)
    return bool(snapshot and snapshot.paused)


def _state(name: str) -> Patch:
    return Patch(html=element("span", id="scheduler-state", hidden=True, data_scheduler=name))


def _head(state: LiveState, viewer: Viewer) -> SafeString:
    """``11 in 9 queues · next run in 21s``."""
    seen = [
        (alias, place)
        for alias, book in books(state)
        for place in book.places
        if viewer.allows(alias, place.queue)
    ]
    queues = len({(alias, place.queue) for alias, place in seen})
    text = ngettext("%(count)s in %(queues)s", "%(count)s in %(queues)s", len(seen)) % {
        "count": values.exact(len(seen)),
        "queues": ngettext("%(count)s queue", "%(count)s queues", queues)
        % {"count": values.exact(queues)},
    }
    now = state.at.timestamp() * 1000
    ahead = [place.due for _alias, place in seen if place.paused is None and place.due > now]
    parts: list[object] = [text if seen else _("none yet")]
    if ahead:
        at = datetime.fromtimestamp(min(ahead) / 1000, UTC)
        time = values.moment(at, "until")
        parts += [" · ", phrase(_("next run in %(time)s"), time=time)]
    return element("span", parts, id="schedulers-head")
