"""Groups: the list of a queue's, one's own page, and what the queue's page tells of them.

The ids of ``groups`` are those of the rows on screen. With the id ``panels`` the topic ``queue``
tells of the groups with most waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import ngettext

from queuecore.inspect import GroupRow, Inspector

from ... import links
from ...digest import PANELS
from ...draw import group_cells, values
from ...draw.markup import element
from ..sources import Asked, Source, register
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell

#: Seconds between two looks at the rows on screen, and at the groups of a queue with most waiting.
PERIOD_S, PANEL_S = 2.0, 5.0
#: So many groups stand on the queue's page.
LINES = 5


@dataclass(frozen=True, slots=True)
class Look:
    """Groups of one queue at a moment: how many there are of each status, and some of them."""

    at: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    rows: Sequence[GroupRow] = ()
    by_id: Mapping[str, GroupRow | None] = field(default_factory=dict)


def _now(inspector: Inspector) -> datetime:
    return datetime.fromtimestamp(inspector.now_ms() / 1000, UTC)


def _wanted(asked: Asked) -> dict[str, list[str]]:
    """The ids on anybody's screen, by queue."""
    found: dict[str, dict[str, None]] = {}
    for topic, ids in asked:
        mine = [topic.id] if topic.kind == "group" else ids
        found.setdefault(topic.queue, {}).update(dict.fromkeys(mine))
    return {queue: list(ids) for queue, ids in found.items()}


def look(alias: str, queue: str, ids: Sequence[str]) -> Look:
    """Read the groups of these ids, and how many there are in all."""
    inspector = Inspector(alias)
    rows, counts = inspector.group_rows(queue, ids)
    return Look(_now(inspector), counts, by_id=dict(zip(ids, rows, strict=True)))


async def _alook(alias: str, queue: str, ids: Sequence[str]) -> Look:
    inspector = Inspector(alias)
    rows, counts = await inspector.agroup_rows(queue, ids)
    return Look(_now(inspector), counts, by_id=dict(zip(ids, rows, strict=True)))


def _read(alias: str, asked: Asked) -> dict[str, Look]:
    return {queue: look(alias, queue, ids) for queue, ids in _wanted(asked).items()}


async def _aread(alias: str, asked: Asked) -> dict[str, Look]:
    return {queue: await _alook(alias, queue, ids) for queue, ids in _wanted(asked).items()}


def _with_panels(asked: Asked) -> list[str]:
    return sorted({topic.queue for topic, ids in asked if PANELS in ids})


def _read_most(alias: str, asked: Asked) -> dict[str, Look]:
    found, inspector = {}, Inspector(alias)
    for queue in _with_panels(asked):
        page = inspector.groups(queue, limit=LINES)
        found[queue] = Look(_now(inspector), page.counts, page.rows)
    return found


async def _aread_most(alias: str, asked: Asked) -> dict[str, Look]:
    found, inspector = {}, Inspector(alias)
    for queue in _with_panels(asked):
        page = await inspector.agroups(queue, limit=LINES)
        found[queue] = Look(_now(inspector), page.counts, page.rows)
    return found


register("groups", Source(PERIOD_S, _read, _aread))
register("group", Source(PERIOD_S, _read, _aread))
register("queue", Source(PANEL_S, _read_most, _aread_most, whole=False), name="queue-groups")


def allowed(connection: Any, queue: str) -> group_cells.Allowed:
    """What the queue's workers of ours allow each group."""
    crew = connection.crews.get(queue)
    return group_cells.allowed(worker for _process, worker in (crew.members if crew else ()))


def panel(connection: Any, queue: str, mount: str) -> Patches:
    """What the page of a queue shows of its groups."""
    found = (connection.extra.get("queue-groups") or {}).get(queue)
    if found is None:
        return {}
    url = links.groups_url(mount, connection.alias, queue)
    says = allowed(connection, queue)
    return {"queue-groups": Patch(html=group_cells.panel(found, says, url))}


def count_words(connection: Any, queue: str) -> str:
    """In how many groups the jobs of ``waiting-children`` stand; empty where there are none."""
    found = (connection.extra.get("queue-groups") or {}).get(queue)
    total = sum(found.counts.values()) if found else 0
    words = ngettext("in %(count)s group", "in %(count)s groups", total)
    return words % {"count": values.exact(total)} if total else ""


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    found = _look(state, topic, viewer)
    if found is None:
        return {}
    says = allowed(state[topic.alias], topic.queue)
    patches = {
        f"groups-{status}": cell(f"groups-{status}", values.exact(found.counts.get(status, 0)))
        for status in (*group_cells.WAITING, *group_cells.OTHERS)
    }
    total = sum(found.counts.values())
    patches["groups-all"] = cell("groups-all", values.exact(total))
    patches["groups-head"] = cell("groups-head", group_cells.counts_line(found.counts))
    for id in ids:
        if id not in found.by_id:
            continue
        for name, body in group_cells.cells(found.by_id[id], says, found.at).items():
            key = links.dom_id("g", id, name)
            patches[key] = cell(key, body)
    return patches


def one(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    """The page of one group."""
    found = _look(state, topic, viewer)
    if found is None or topic.id not in found.by_id:
        return {}
    row = found.by_id[topic.id]
    says = allowed(state[topic.alias], topic.queue)
    facts = row or group_cells.nothing(topic.id)
    patches = {
        "group-state": cell("group-state", group_cells.state(row)),
        "group-note": Patch(html=group_cells.note(row, found.at)),
        "group-facts": Patch(html=group_cells.facts(facts, says, found.at)),
        "group-each": Patch(
            html=element("div", group_cells.each(says) if says.differ else None, id="group-each")
        ),
    }
    for name, count in (
        ("waiting", facts.waiting),
        ("delayed", facts.delayed),
        ("active", facts.active),
    ):
        patches[f"group-{name}"] = cell(f"group-{name}", values.exact(count))
    return patches


def _look(state: LiveState, topic: Topic, viewer: Viewer) -> Look | None:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return None
    found: Mapping[str, Look] = state[topic.alias].extra.get(topic.kind) or {}
    return found.get(topic.queue)
