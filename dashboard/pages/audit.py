"""Audit: everything that was done to queues, by whom, from where, and with which result."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access, audit, audit_log
from queuecore.audit_log import OPEN, OUTCOMES, Action
from queuecore.inspect import aliases

from ..audit_filter import NAMES, filter_of
from ..draw import audit_cells, audit_problems
from ..guard import guarded
from ..live.fragments import fragments
from ..live.state import Topic, read
from .shell import shell, show

PAGE = 50


@guarded("GET")
def audit_page(request: HttpRequest) -> HttpResponse:
    """Show the actions that match, the newest first."""
    access.require(request.user, "view_audit")
    seen = request.viewer  # type: ignore[attr-defined]
    wanted = filter_of(request.GET)
    before = _number(request.GET.get("before", ""))
    found = audit_log.page(seen.scope, wanted, before=before, limit=PAGE + 1)
    rows, more = found[:PAGE], len(found) > PAGE
    query = urlencode({name: text for name in NAMES if (text := request.GET.get(name, ""))})
    newest = max((row.cursor for row in rows), default=0) if before is None else 0
    ids = [f"newer:{newest}?{query[:900]}"] if before is None else []
    ids += [f"record:{row.record}" for row in rows if row.outcome == OPEN]
    topic = Topic("audit")
    state = read(topic, ids)
    actions, people = audit_log.words(seen.scope)
    context = {
        **shell(request, page="audit", title=_("Audit"), state=state),
        "topic": str(topic),
        "live": fragments(state, topic, seen, ids),
        "live_ids": ids[:1] if before is None else [],
        "rows": [row_of(row, seen.mount) for row in rows],
        "wanted": wanted,
        "from": request.GET.get("from", ""),
        "to": request.GET.get("to", ""),
        "query": query,
        "before": before,
        "next": rows[-1].cursor if more else None,
        "actions": [(one, audit_cells.word(one)) for one in actions],
        "people": people,
        "outcomes": [(one, audit_cells.outcome_word(one)) for one in OUTCOMES],
        "several": len(aliases()) > 1,
        "aliases": aliases(),
        "chain": chain(seen) if before is None else None,
    }
    return show(request, "audit/index.html", context)


@guarded("GET")
def audit_entry(request: HttpRequest, record: str) -> HttpResponse:
    """Show one action with all that is on record of it."""
    access.require(request.user, "view_audit")
    seen = request.viewer  # type: ignore[attr-defined]
    found = next(iter(audit_log.of_records([record])), None)
    if found is None or not seen.allows(found.alias, found.queue):
        raise Http404("no such record")
    entries = audit_log.entries_of(record)
    context = {
        **shell(
            request,
            page="audit",
            title=audit_cells.word(found.action),
            trail=[(_("Audit"), f"{seen.mount}audit/")],
        ),
        "row": row_of(found, seen.mount),
        "ids": audit_cells.ids_of(found),
        "params": audit_cells.facts(found.params),
        "result": None if found.outcome == OPEN else audit_cells.facts(found.result),
        "entries": entries,
    }
    return show(request, "audit/show.html", context)


def row_of(action: Action, mount: str) -> dict[str, Any]:
    """What a template needs of one action."""
    return {
        "action": action,
        "word": audit_cells.word(action.action),
        "url": f"{mount}audit/{action.record}/",
        "when": audit_cells.when(action),
        "who": audit_cells.who(action),
        "target": audit_cells.target(action, mount),
        "open": action.outcome == OPEN,
        **audit_cells.cells(action),
    }


def chain(seen: Any) -> dict[str, Any] | None:
    """The record's end and its last verification, for those who may see all of it."""
    if seen.scope.patterns is not None:
        return None
    last = audit_log.last_verification()
    return {
        "anchor": audit.head(),
        "last": last,
        "intact": bool(last and last.result.get("intact")),
        "entries": last.result.get("entries") if last else None,
        "problems": [
            audit_problems.sentence(str(one))
            for one in (last.result.get("problems", [])[:5] if last else [])
        ],
        "key": audit.signing_key()[0],
    }


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
