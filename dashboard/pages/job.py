"""Job: what happened to one job, why, with what data, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Queue, access, jsontext
from queuecore.inspect import Inspector

from .. import links
from ..draw import copies, logs, payload
from ..draw.markup import element
from ..draw.values import exact, size, visible
from ..guard import guarded
from ..live.fragments import fragments
from ..live.state import Topic, read
from . import job_parts as parts
from . import job_ties as ties
from .queue import connection_trail, judged
from .shell import shell, show

_TABS = (
    "summary",
    "attempts",
    "data",
    "result",
    "options",
    "logs",
    "flow",
    "peers",
    "raw",
    "history",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """The job that a page is about."""

    alias: str
    queue: str
    id: str
    url: str
    detail: Any
    now: datetime


@guarded("GET")
def job(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show one job."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("job", alias, queue, id=job)
    state = read(topic)
    judged(state, alias, queue)
    detail = state.connections[alias].jobs.get((queue, job))
    if detail is None:
        raise Http404("no such job")
    live = fragments(state, topic, seen)
    log = state.connections[alias].logs.get((queue, job))
    row = detail.row
    tab = request.GET.get("tab", "summary")
    tab = tab if tab in _TABS else "summary"
    url = links.job_url(seen.mount, alias, queue, job)
    shown = Shown(alias, queue, job, url, detail, state.at)
    family = parts.family(shown, request.GET.get("from", "") if tab == "flow" else "")
    history = parts.history(request, shown)
    words = shell(
        request,
        page="queues",
        title=row.name or job,
        trail=[
            *connection_trail(state, alias),
            (_("Queues"), f"{seen.mount}queues/"),
            (queue, links.queue_url(seen.mount, alias, queue)),
            (_("Jobs"), links.jobs_url(seen.mount, alias, queue, row.state)),
        ],
        state=state,
        alias=alias,
        queue=queue,
    )
    context: dict[str, Any] = {
        **words,
        "topic": str(topic),
        "live": live,
        "alias": alias,
        "queue": queue,
        "queue_url": links.queue_url(seen.mount, alias, queue),
        "id": job,
        "row": row,
        "url": url,
        "tab": tab,
        "facts": _facts(shown, seen, state.connections[alias]),
        "history": history,
        "may_see": seen.payload,
        "data_size": size(detail.data_size),
        "part": f"queuecore_dashboard/jobs/show/{tab}.html",
        "open_to_all": tab in ("flow", "peers", "history"),
        "holds_key": bool(_deduplication(detail)),
    }
    if tab in ("summary", "peers"):
        context |= parts.peers(shown, seen)
    if tab == "flow":
        context |= parts.flow(request, shown, seen, family)
    if seen.payload:
        context |= _payload(request, shown, tab, log)
    if tab == "summary":
        context["flow_short"] = parts.flow_short(shown, seen, family)
    context["tabs"] = _tabs(detail, live, seen.payload, family, context.get("peers"), history)
    return show(request, "jobs/show.html", context)


@guarded("GET")
def value(
    request: HttpRequest, queue: str, job: str, field: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Send data, result or options of a job as a file, secrets masked."""
    access.require(request.user, "view_payload", alias, queue)
    name = parts.FIELDS.get(field)
    text = None
    if name:
        text, _size = Inspector(alias).value(queue, job, name, parts.FILE)
    if not text:
        raise Http404("nothing of that name, or too much for a file")
    response = HttpResponse(
        jsontext.masked(text).encode("utf-8", "backslashreplace"),
        content_type="application/octet-stream",
    )
    response["Content-Disposition"] = f'attachment; filename="job-{field}.json"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _tabs(
    detail: Any, live: Any, allowed: bool, family: Any, peers: Any, history: Any
) -> list[tuple[str, str, Any, str]]:
    """The tabs: key, word, count, and the id of the live count if it is one."""
    lines = live.get("job-logs-count")
    traces = live.get("job-traces-count")
    tabs = [
        ("summary", _("Summary"), "", ""),
        ("attempts", _("Attempts"), traces.text if traces else "", "job-traces-count"),
        ("data", _("Data"), "", ""),
        ("result", _("Result"), "", ""),
        ("options", _("Options"), "", ""),
        ("logs", _("Logs"), lines.text if lines and allowed else "", "job-logs-count"),
        (
            "flow",
            _("Flow"),
            exact(family.job.total or family.size) if family else "",
            "",
        ),
        ("peers", _("Peers"), len(peers) if peers else "", ""),
        ("raw", _("Raw"), "", ""),
    ]
    if history is not None:
        tabs.append(("history", _("History"), len(history) or "", ""))
    return tabs


def _payload(request: HttpRequest, shown: Shown, tab: str, log: Any) -> dict[str, Any]:
    """What only those may see who hold ``view_payload``; only what the tab shows is drawn."""
    detail = shown.detail
    if tab in parts.FIELDS:
        return {"value": parts.value(request, shown, tab)}
    if tab == "summary":
        python = copies.as_python(
            shown.queue, detail.row.name, detail.data, detail.opts, shown.alias
        )
        return {
            "data": payload.tree(detail.data, detail.data_size),
            "data_text": visible(jsontext.masked(detail.data)),
            "python_text": python,
            "node_text": copies.as_node(
                shown.queue,
                detail.row.name,
                detail.data,
                detail.opts,
                Queue.existing(shown.queue, shown.alias).connection.prefix,
            ),
            "json_text": copies.as_json(detail.row.name, detail.data, detail.opts),
            "options": parts.options(detail.opts),
            "log": logs.live(log) if log else None,
        }
    if tab == "attempts":
        return {"attempts": parts.attempts(detail)}
    if tab == "logs":
        found = parts.log(request, shown, log)
        live = None if found.get("still") else logs.live(log) if log else None
        return {"logs": found, "log": live}
    if tab == "raw":
        return {"fields": parts.raw(detail)}
    return {}


def _deduplication(detail: Any) -> str:
    return str(detail.fields.get("deid") or "")


def _facts(shown: Shown, seen: Any, connection: Any) -> list[tuple[str, Any]]:
    """What is known of the job besides; another job or scheduler as a link where it may be seen."""
    row = shown.detail.row
    facts: list[tuple[str, Any]] = []
    if row.priority:
        facts.append((_("Priority"), str(row.priority)))
    if seen.payload and (wait := copies.backoff(shown.detail.opts)):
        facts.append((_("Backoff"), wait))
    if row.scheduler_id:
        to = links.scheduler_url(seen.mount, shown.alias, shown.queue, row.scheduler_id)
        facts.append((_("Scheduler"), element("a", visible(row.scheduler_id), href=to)))
    if row.parent_key:
        facts.append((_("Parent"), element("a", _("in its flow"), href=f"{shown.url}?tab=flow")))
    if held := _deduplication(shown.detail):
        facts.append((_("Deduplication"), visible(held)))
    if row.stalled_count:
        facts.append((_("Stalled"), str(row.stalled_count)))
    if job := ties.original_fact(shown, seen):
        facts.append((_("Letter of"), job))
    if letter := ties.letter_fact(shown, seen, connection):
        facts.append((_("Dead letter"), letter))
    if trace := ties.trace(shown.detail.opts):
        facts.append((_("Trace"), ties.trace_fact(trace)))
    return facts
