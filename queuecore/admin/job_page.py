"""What the admin shows of one job; all of it was written by strangers until it is made visible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from ..errors import ServerUnavailable
from ..inspect import Inspector, JobDetail, LogPage
from ..jsontext import MASK, Node, covered, parse
from ..visible import visible
from . import words
from .rows import key_of

#: So many lines of the log's end are shown, and so much of one value.
LOG_LINES = 100
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def parts(self: Any, request: HttpRequest, obj: Any, *, payload: bool) -> dict[str, Any]:
    """The parts of the page: what is known of the job, and its payload where that may be seen."""
    detail: JobDetail | None = obj.detail
    at = reverse("admin:queuecore_job_changelist", current_app=self.admin_site.name)
    state = detail.row.state if detail else "waiting"
    queue = key_of(obj.connection, obj.queue)
    found: dict[str, Any] = {
        "list_url": f"{at}?{urlencode({'queue': queue, 'state': state})}",
        "facts": list(_facts(detail)) if detail else [],
        "options": laid_out(detail.opts) if detail else "",
        "there": detail is not None,
    }
    if detail is None or not payload:
        return found
    try:
        log = Inspector(obj.connection).logs(obj.queue, obj.job_id, -LOG_LINES, -1)
    except ServerUnavailable as error:
        self.message_user(request, words.away(error, obj.connection), messages.ERROR)
        log = LogPage([], 0, 0)
    return found | {
        "data": laid_out(detail.data),
        "result": laid_out(detail.returnvalue),
        "error": visible(covered(detail.failed_reason)),
        "traces": [visible(covered(one)) for one in reversed(detail.stacktrace)],
        "log": [visible(covered(_ANSI.sub("", line))) for line in log.lines],
        "log_note": _("The last %(shown)s of %(total)s lines")
        % {"shown": len(log.lines), "total": words.number(log.total)},
    }


def laid_out(text: str) -> str:
    """JSON text with its values below each other, secrets masked; other text as it is."""
    if not text:
        return ""
    root = parse(text)
    return visible(covered(text)) if root is None else visible(_written(root, ""))


def _written(node: Node, margin: str) -> str:
    name = f"{json.dumps(node.key, ensure_ascii=False)}: " if node.key is not None else ""
    if not node.container:
        if node.masked:
            return f'{name}"{MASK}"'
        quoted = node.kind == "string"
        return name + (json.dumps(node.text, ensure_ascii=False) if quoted else node.text)
    opening, closing = "{}" if node.kind == "object" else "[]"
    if not node.children and not node.cut:
        return f"{name}{opening}{closing}"
    inner = f"{margin}  "
    lines = [f"{inner}{_written(child, inner)}" for child in node.children]
    if node.cut:
        lines.append(f"{inner}…")
    return f"{name}{opening}\n" + ",\n".join(lines) + f"\n{margin}{closing}"


def _facts(detail: JobDetail) -> Iterator[tuple[str, str]]:
    row = detail.row
    yield _("Name"), visible(row.name)
    yield _("State"), words.state(row.state)
    yield _("Attempts"), f"{row.attempts_made} / {row.max_attempts or 1}"
    yield _("Added"), words.moment(row.timestamp)
    for label, at in (
        (_("Due"), row.due),
        (_("Started"), row.processed_on),
        (_("Ended"), row.finished_on),
    ):
        if at is not None:
            yield label, words.moment(at)
    if row.priority:
        yield _("Priority"), words.number(row.priority)
    for label, text in (
        (_("Taken by"), row.processed_by),
        (_("Group"), row.group),
        (_("Scheduler"), row.scheduler_id),
        (_("Parent"), row.parent_key),
    ):
        if text:
            yield label, visible(text)
    if row.stalled_count:
        yield _("Stalled"), words.number(row.stalled_count)
