"""Job: what happened to one job, why, with what data, and what can be done."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access
from queuecore.models import AuditEntry

from .. import links
from ..draw import job_panels, jsontext, payload
from ..draw.values import size, visible
from ..guard import guarded
from ..live.fragments import fragments
from ..live.state import Topic, read
from .queue import connection_trail, judged
from .shell import shell, show

_TABS = ("summary", "attempts", "data", "result", "options", "logs", "raw")


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
    row = detail.row
    tab = request.GET.get("tab", "summary")
    tab = tab if tab in _TABS else "summary"
    url = links.job_url(seen.mount, alias, queue, job)
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
    context = {
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
        "tabs": _tabs(detail, live, seen.payload),
        "facts": _facts(detail),
        "history": _history(request, alias, queue, job),
        **(_payload(detail, tab) if seen.payload else {}),
        "may_see": seen.payload,
        "data_size": size(detail.data_size),
    }
    return show(request, "jobs/show.html", context)


def _tabs(detail: Any, live: Any, allowed: bool) -> list[tuple[str, str, Any]]:
    logs = live.get("job-logs-count")
    return [
        ("summary", _("Summary"), ""),
        ("attempts", _("Attempts"), len(detail.stacktrace) or ""),
        ("data", _("Data"), ""),
        ("result", _("Result"), ""),
        ("options", _("Options"), ""),
        ("logs", _("Logs"), logs.text if logs and allowed else ""),
        ("raw", _("Raw"), ""),
    ]


def _payload(detail: Any, tab: str) -> dict[str, Any]:
    """What only those may see who hold ``view_payload``; only what the tab shows is drawn."""
    shown: dict[str, Any] = {}
    if tab in ("summary", "data"):
        shown["data"] = payload.tree(detail.data, detail.data_size)
        shown["data_text"] = jsontext.masked(detail.data)
    if tab == "result":
        shown["result"] = payload.tree(detail.returnvalue, detail.returnvalue_size)
    if tab in ("summary", "options"):
        shown["options"] = _options(detail.opts)
    if tab == "options":
        shown["opts"] = payload.tree(detail.opts, detail.opts_size)
    if tab == "attempts":
        count = len(detail.stacktrace)
        made = max(detail.row.attempts_made or 0, count)
        shown["attempts"] = [
            job_panels.attempt(made - count + index + 1, text, open_now=index == count - 1)
            for index, text in reversed(list(enumerate(detail.stacktrace)))
        ]
    if tab == "raw":
        shown["fields"] = [
            (visible(name), visible(jsontext.masked(value)))
            for name, value in sorted(detail.fields.items())
        ]
    return shown


def _options(text: str) -> list[tuple[str, str]]:
    """The options as words and short values, for the summary."""
    return [
        (visible(key), visible(value))
        for key, value in jsontext.pairs(text, 20)
        if key not in ("attempts", "timestamp", "delay", "jobId") or value not in ("0", "")
    ]


def _facts(detail: Any) -> list[tuple[str, str]]:
    row = detail.row
    facts = []
    if row.priority:
        facts.append((_("Priority"), str(row.priority)))
    if row.scheduler_id:
        facts.append((_("Scheduler"), visible(row.scheduler_id)))
    if row.parent_key:
        facts.append((_("Parent"), visible(row.parent_key)))
    if row.stalled_count:
        facts.append((_("Stalled"), str(row.stalled_count)))
    return facts


def _history(request: HttpRequest, alias: str, queue: str, job: str) -> list[AuditEntry] | None:
    """What people did to this job, for those who may see the audit log."""
    if not access.can(request.user, "view_audit", alias, queue):
        return None
    entries = AuditEntry.objects.filter(
        connection=alias, queue=queue, target=job, phase=AuditEntry.Phase.RESULT
    )
    return list(entries[:10])
