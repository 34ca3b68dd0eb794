"""The fleet: the workers on screen, their processes, peers of other libraries, lost jobs.

Ids are ``<alias>:<worker>``, and ``seen:<number>:<ms>``: how many workers there were for the page,
and when the youngest of their processes began.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from django.utils.translation import gettext as _

from queuecore.fleet import FleetProcess

from ... import crew, links
from ...draw import fleets, worker_cells
from ...draw.values import exact
from ..sources import Source, register
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell

register("workers", Source(5.0, crew.look, crew.alook))


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if not any("workers" in one.extra for one in state.connections.values()):
        return {}  # not read yet: nothing may be said of it
    found = crew.members(state, viewer)
    rest = crew.others(state, viewer)
    several = len(state.connections) > 1
    patches: Patches = {
        "workers-crowd": Patch(text=worker_cells.crowd(found, rest)),
        "workers-newer": Patch(text=_newer(found, ids)),
        "workers-unsteady": Patch(html=fleets.panel(crew.supervisors(state, viewer))),
        "workers-peers": Patch(html=worker_cells.peers(rest, viewer.mount, several)),
        "workers-lost": Patch(
            html=worker_cells.lost_jobs(crew.lost_jobs(state, viewer), viewer.mount, several)
        ),
    }
    known = {one.key: one for one in found}
    shown: dict[tuple[str, str], FleetProcess] = {}
    for key in ids:
        alias, _colon, worker = key.partition(":")
        if alias not in state.connections or "workers" not in state[alias].extra:
            continue
        one = known.get(key)
        cells = worker_cells.gone() if one is None else worker_cells.cells(one, viewer.mount)
        for name, body in cells.items():
            id = links.dom_id("w", alias, worker, name)
            patches[id] = cell(id, body)
        if one is not None:
            shown[alias, one.process.id] = one.process
    of_process: defaultdict[tuple[str, str], list[crew.Member]] = defaultdict(list)
    of_fleet: defaultdict[tuple[str, str], list[crew.Member]] = defaultdict(list)
    for one in found:
        of_process[one.alias, one.process.id].append(one)
        of_fleet[one.alias, one.fleet].append(one)
    for (alias, process), known_process in shown.items():
        mine = [one.worker for one in of_process[alias, process]]
        for name, body in (
            ("health", worker_cells.health(known_process)),
            ("facts", worker_cells.process_facts(known_process, mine)),
        ):
            id = links.dom_id("wp", alias, process, name)
            patches[id] = cell(id, body)
    told = {(alias, one.id): one for alias, one in crew.supervisors(state, viewer)}
    for alias, place in {(at, one.place) for (at, _id), one in shown.items() if one.place}:
        mine_of, supervisor = of_fleet[alias, place.fleet], told.get((alias, place.fleet))
        for name, body in (
            ("state", worker_cells.fleet_state(mine_of, place.size, supervisor)),
            ("facts", worker_cells.fleet_facts(mine_of, supervisor)),
        ):
            id = links.dom_id("wf", alias, place.fleet, name)
            patches[id] = cell(id, body)
    return patches


def seen(found: Sequence[crew.Member]) -> str:
    """The id by which a page says which workers there were."""
    return f"seen:{len(found)}:{max(map(_began, found), default=0)}"


def _newer(found: Sequence[crew.Member], ids: Sequence[str]) -> str:
    """How many workers have come since the page was made, also where as many have gone."""
    told = next((one for one in ids if one.startswith("seen:")), "").split(":")[1:]
    if len(told) != 2 or not all(one.isascii() and one.isdigit() and len(one) < 16 for one in told):
        return ""
    count, youngest = map(int, told)
    more = max(len(found) - count, sum(_began(one) > youngest for one in found))
    return _("+%(count)s new") % {"count": exact(more)} if more > 0 else ""


def _began(one: crew.Member) -> int:
    started = one.process.started
    return round(started.timestamp() * 1000) if started else 0
