"""The audit page: how much is new above the first row, and results of rows that had none.

Ids on screen: ``newer:<number>?<query>``, the newest number shown and the page's filter;
``record:<id>``, the rows whose action had no result yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.translation import gettext as _

from queuecore import audit_log
from queuecore.audit_log import Action
from queuecore.models import AuditEntry

from ...audit_filter import filter_of
from ...draw import audit_cells
from ..sources import Asked, of_database, register
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell

PERIOD_S = 10.0
_NEWEST = 1_000


@dataclass(frozen=True, slots=True)
class Recent:
    """The newest entries, and the actions of the rows on screen."""

    entries: list[AuditEntry]
    actions: dict[str, Action]


def read(asked: Asked) -> Recent:
    """Read for all audit pages that are open."""
    records = {one.partition(":")[2] for _, ids in asked for one in ids if one[:7] == "record:"}
    return Recent(
        audit_log.latest(_NEWEST), {one.record: one for one in audit_log.of_records(records)}
    )


register("audit", of_database(PERIOD_S, read))


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    recent: Recent | None = state.extra.get("audit")
    if recent is None or not viewer.audit:
        return {}
    made: Patches = {}
    for one in ids:
        kind, _colon, rest = one.partition(":")
        if kind == "newer":
            made["audit-newer"] = Patch(text=_newer(recent.entries, viewer, rest))
        action = recent.actions.get(rest) if kind == "record" else None
        if action is not None and viewer.allows(action.alias, action.queue):
            for name, body in audit_cells.cells(action).items():
                made[f"aud-{rest}-{name}"] = cell(f"aud-{rest}-{name}", body)
    return made


def _newer(entries: list[AuditEntry], viewer: Viewer, rest: str) -> str:
    number, _mark, query = rest.partition("?")
    since = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
    wanted = filter_of(QueryDict(query))
    results = wanted.outcome not in ("", audit_log.OPEN)
    phase = AuditEntry.Phase.RESULT if results else AuditEntry.Phase.INTENT
    count = sum(
        one.number > since
        and one.phase == phase
        and (not results or one.outcome == wanted.outcome)
        and wanted.takes(one)
        and viewer.allows(one.connection, one.queue)
        for one in entries
    )
    return _("+%(count)s new") % {"count": "999+" if count > 999 else count} if count else ""
