"""Operations: the rows of their page, one of them, and what rail and overview say of them.

Ids on screen of ``operations``: the numbers of the rows, and ``newer:<number>``, the newest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from queuecore.models import Operation

from ...draw import operation_cells
from ...draw.markup import element
from ..sources import Asked, of_database, register
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell

LIST_S, ONE_S = 1.0, 0.5
#: The most rows that are read at once, and the most of a panel.
MOST, PANEL = 300, 5


@dataclass(frozen=True, slots=True)
class Board:
    """Operations by their numbers."""

    rows: dict[int, Operation]

    def shown(self, viewer: Viewer) -> list[Operation]:
        """Those of queues that the viewer may see, the newest first."""
        found = [one for one in self.rows.values() if viewer.allows(one.connection, one.queue)]
        return sorted(found, key=lambda one: -one.pk)


def number_of(text: str) -> int | None:
    """The number of an operation, from a browser."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def read_open(asked: Asked = ()) -> Board:
    """What is not over."""
    found = Operation.objects.filter(ended_at=None).defer("failures").order_by("-pk")
    return Board({one.pk: one for one in found[:MOST]})


def _read_list(asked: Asked) -> Board:
    wanted = {number_of(one) for _, ids in asked for one in ids} - {None}
    newest = min((_newest(ids) for _, ids in asked), default=0)
    found = Operation.objects.filter(Q(pk__in=wanted) | Q(ended_at=None) | Q(pk__gt=newest)).defer(
        "failures"
    )
    return Board({one.pk: one for one in found.order_by("-pk")[: MOST * 2]})


def _read_one(asked: Asked) -> Board:
    wanted = {number_of(topic.id) for topic, _ in asked} - {None}
    return Board({one.pk: one for one in Operation.objects.filter(pk__in=wanted)[:MOST]})


register("overview", of_database(LIST_S, read_open, whole=False))
register("operations", of_database(LIST_S, _read_list))
register("operation", of_database(ONE_S, _read_one))


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    """The rows on screen, and how many came after them."""
    board: Board | None = state.extra.get("operations")
    if board is None:
        return {}
    now = timezone.now()
    made: Patches = {}
    for one in board.shown(viewer):
        if str(one.pk) in ids:
            for name, body in operation_cells.cells(one, now).items():
                made[f"op-{one.pk}-{name}"] = cell(f"op-{one.pk}-{name}", body)
    if any(one.startswith("newer:") for one in ids):
        newest = _newest(ids)
        count = sum(one.pk > newest for one in board.shown(viewer))
        made["op-newer"] = Patch(text=_("+%(count)s new") % {"count": count} if count else "")
    return made


def one(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    """All that changes on the page of one operation."""
    board: Board | None = state.extra.get("operation")
    found = board.rows.get(number_of(topic.id) or 0) if board else None
    if found is None or not viewer.allows(found.connection, found.queue):
        return {}
    now = timezone.now()
    made = {
        f"op-{name}": cell(f"op-{name}", body)
        for name, body in operation_cells.cells(found, now).items()
    }
    made["op-note"] = Patch(
        html=element("p", operation_cells.note(found, now), id="op-note", class_="op-note")
    )
    made["op-begun"] = cell("op-begun", operation_cells.begun(found))
    made["op-failures"] = Patch(text=str(len(found.failures)) if found.failures else "")
    return made


def running(state: LiveState, viewer: Viewer, panel: bool) -> Patches:
    """How many run, for the rail; with *panel* the list ``running-operations`` of the overview."""
    board: Board | None = state.extra.get("overview")
    if board is None:
        return {}
    found = board.shown(viewer)
    made = {"rail-operations": Patch(text=str(len(found)) if found else "")}
    if panel:
        body = operation_cells.running(found[:PANEL], viewer.mount, timezone.now())
        made["running-operations"] = Patch(
            html=element("div", body, id="running-operations", class_="op-running")
        )
        made["running-count"] = Patch(text=str(len(found)) if found else "")
    return made


def _newest(ids: Sequence[str]) -> int:
    """The newest number shown; nothing is newer where it is not told."""
    found = [number_of(one[6:]) for one in ids if one.startswith("newer:")]
    return found[0] if found and found[0] is not None else 2**62
