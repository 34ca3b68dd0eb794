"""Plans for jobs: one that is removed, many that were ticked."""

from __future__ import annotations

import json

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access, recorded
from queuecore.family import family_of
from queuecore.inspect import Inspector

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw.states import label, seen_as
from ..draw.values import number, visible
from .base import back_of, mount_of
from .job_edits import Input

#: The most jobs that can be ticked: one page of the longest list.
TICKED = 100


def removal_plan(request: HttpRequest, alias: str, queue: str, job_id: str) -> HttpResponse:
    """Ask whether to remove one job."""
    access.require(request.user, "remove", alias, queue)
    row = Inspector(alias).rows(queue, [job_id])[0]
    if row is None:
        raise Http404("no such job")
    url = links.job_url(mount_of(request), alias, queue, job_id)
    running = row.state == "active"
    family = family_of(alias, queue, job_id, most=2)
    children = family.job.total if family else 0
    choices = [("1", _("are removed, too")), ("0", _("stay as they are"))]
    if children and not may_remove_below(request, alias, queue, job_id):
        del choices[0]
    input = Input("children", _("Its children"), kind="select", choices=choices)
    return ask(
        request,
        Confirmation(
            action="remove",
            url=f"{url}remove/",
            title=_("Remove job %(id)s") % {"id": visible(job_id)},
            text=_("%(name)s (%(state)s): the job goes for good, with its data, result and log.")
            % {"name": visible(row.name), "state": label(seen_as(row))},
            verb=_("Remove job"),
            icon="remove",
            alias=alias,
            queue=queue,
            target=job_id,
            danger=True,
            warning=_("A worker is running it now, so it cannot be removed.") if running else "",
            possible=not running,
            figures=[Figure(number(children), _("children"))] if children else [],
            choices="queuecore_dashboard/confirm/_job_fields.html" if children else "",
        ),
        back=back_of(request, url),
        inputs=[input],
    )


def may_remove_below(request: HttpRequest, alias: str, queue: str, job_id: str) -> bool:
    """Whether all queues in which a job has children, and these theirs, allow removing.

    Not where there are more children than are looked through, unless all queues are allowed.
    """
    return recorded.may_remove_below(request.user, alias, queue, job_id)


def many_plan(
    request: HttpRequest, action: str, alias: str, queue: str, ids: list[str]
) -> HttpResponse:
    """Ask whether to do *action* to the ticked jobs, and say how many of them fit."""
    for permission in (action, "bulk"):
        access.require(request.user, permission, alias, queue)
    rows = Inspector(alias).rows(queue, ids)
    fits = {
        "retry": ("failed", "completed"),
        "promote": ("delayed",),
        "remove": ("waiting", "prioritized", "delayed", "waiting-children", "completed", "failed"),
    }[action]
    able = sum(row is not None and row.state in fits for row in rows)
    url = links.queue_url(mount_of(request), alias, queue)
    count, name = {"count": able}, {"count": len(ids), "queue": visible(queue)}
    titles = {
        "retry": ngettext(
            "Retry %(count)s job in %(queue)s", "Retry %(count)s jobs in %(queue)s", len(ids)
        ),
        "promote": ngettext(
            "Promote %(count)s job in %(queue)s", "Promote %(count)s jobs in %(queue)s", len(ids)
        ),
        "remove": ngettext(
            "Remove %(count)s job from %(queue)s", "Remove %(count)s jobs from %(queue)s", len(ids)
        ),
    }
    verbs = {
        "retry": ngettext("Retry %(count)s job", "Retry %(count)s jobs", able),
        "promote": ngettext("Promote %(count)s job", "Promote %(count)s jobs", able),
        "remove": ngettext("Remove %(count)s job", "Remove %(count)s jobs", able),
    }
    texts = {
        "retry": _("They go back to waiting and start again at attempt 1."),
        "promote": _("They may run as soon as a worker is free."),
        "remove": _("They go for good, with their data, results and logs."),
    }
    words = {
        "retry": _("will be retried"),
        "promote": _("will be promoted"),
        "remove": _("will be removed"),
    }
    return ask(
        request,
        Confirmation(
            action=f"{action}-many",
            url=f"{url}bulk/{action}/",
            title=titles[action] % name,
            text=texts[action],
            verb=verbs[action] % count,
            icon=action,
            alias=alias,
            queue=queue,
            target=json.dumps(ids),
            danger=action == "remove",
            figures=[
                Figure(number(able), words[action]),
                Figure(number(len(ids) - able), _("skipped, not in a fitting state")),
            ],
            fields=[("id", job_id) for job_id in ids],
            possible=able > 0,
        ),
        back=back_of(request, f"{url}jobs/"),
    )


def ticked(request: HttpRequest) -> list[str]:
    """Return the ticked ids, each once, in order."""
    return list(dict.fromkeys(request.POST.getlist("id")))
