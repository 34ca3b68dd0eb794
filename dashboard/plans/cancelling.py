"""Plans for cancelling jobs that run: what that can do with each, and who cannot be told."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access
from queuecore.fleet import Fleet, Holder
from queuecore.inspect import Inspector, JobRow

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw import run_cells
from ..draw.values import duration_text, moment, number, visible
from .base import back_of, mount_of


def cancel_plan(request: HttpRequest, alias: str, queue: str, job_id: str) -> HttpResponse:
    """Ask whether to cancel one job."""
    access.require(request.user, "cancel", alias, queue)
    row = Inspector(alias).rows(queue, [job_id])[0]
    if row is None:
        raise Http404("no such job")
    holder = Fleet(alias).holders(queue, [job_id])[job_id]
    url = links.job_url(mount_of(request), alias, queue, job_id)
    refused = _refused(row, holder)
    figures = []
    if row.state == "active":
        figures = [
            Figure(moment(row.processed_on, "run"), _("it has run")),
            Figure(run_cells.kind(holder.run), _("its processor")),
        ]
    return ask(
        request,
        Confirmation(
            action="cancel",
            url=f"{url}cancel/",
            title=_("Cancel job %(id)s") % {"id": visible(job_id)},
            text=run_cells.means(holder.run) if not refused else _("It cannot be cancelled now."),
            verb=_("Cancel job"),
            icon="cancel",
            alias=alias,
            queue=queue,
            target=job_id,
            danger=True,
            warning=refused or _again(row, holder),
            possible=not refused,
            figures=figures,
            reason_note=_note(),
            keep=_("Let it run"),
        ),
        back=back_of(request, url),
    )


def cancel_many_plan(
    request: HttpRequest, alias: str, queue: str, ids: Sequence[str]
) -> HttpResponse:
    """Ask whether to cancel the ticked jobs, and say what that can do with them."""
    for permission in ("cancel", "bulk"):
        access.require(request.user, permission, alias, queue)
    rows = Inspector(alias).rows(queue, ids)
    holders = Fleet(alias).holders(queue, ids)
    runs = [
        holders[row.id]
        for row in rows
        if row is not None and row.state == "active" and holders[row.id].reached
    ]
    url = links.queue_url(mount_of(request), alias, queue)
    able, asks = len(runs), sum(_only_told(one) for one in runs)
    figures = [
        Figure(number(able), _("will be told to end")),
        Figure(number(len(ids) - able), _("cannot be told, or do not run")),
    ]
    if asks:
        figures.append(Figure(number(asks), _("of them end only when they ask")))
    return ask(
        request,
        Confirmation(
            action="cancel-many",
            url=f"{url}bulk/cancel/",
            title=ngettext(
                "Cancel %(count)s job of %(queue)s", "Cancel %(count)s jobs of %(queue)s", len(ids)
            )
            % {"count": len(ids), "queue": visible(queue)},
            text=_(
                "Coroutines are cancelled where they await, sandboxes are killed; functions in "
                "threads, and single jobs of a batch, are told and go on until they ask. Those "
                "with tries left are tried again."
            ),
            verb=ngettext("Cancel %(count)s job", "Cancel %(count)s jobs", able) % {"count": able},
            icon="cancel",
            alias=alias,
            queue=queue,
            target=json.dumps(ids),
            danger=True,
            figures=figures,
            fields=[("id", job_id) for job_id in ids],
            possible=able > 0,
            reason_note=_note(),
            keep=_("Let them run"),
        ),
        back=back_of(request, f"{url}jobs/"),
    )


def _only_told(holder: Holder) -> bool:
    run = holder.run
    return run is not None and (run.kind == "thread" or run.batch > 1)


def _note() -> str:
    return _("Optional. The job fails with it, and the audit log keeps it.")


def _refused(row: JobRow, holder: Holder) -> str:
    """Why nobody can be told to end a job; empty where somebody can."""
    if row.state != "active":
        return _("It does not run, so there is nothing to cancel.")
    if holder.process is not None and not holder.reached:
        return _(
            "Its worker has not been heard of for %(time)s and hears nothing. If it has died, the "
            "next look for stalled jobs lets this one run again."
        ) % {"time": duration_text(holder.process.age_s // 1)}
    if holder.reached:
        return ""
    if not holder.token:
        return _(
            "Nobody holds its lock: its worker has died or let it go, and the next look for "
            "stalled jobs lets it run again."
        )
    if holder.ours:
        return _("Its worker tells nothing of itself and hears nothing: stop it where it runs.")
    return _(
        "A worker of another library runs it, Node's for example, and hears nothing from here: "
        "cancel it there, or stop that worker."
    )


def _again(row: JobRow, holder: Holder) -> str:
    """What else is to be known: that it comes back, or that it takes a while."""
    left = max(row.max_attempts or 1, 1) - max(row.attempts_made, 0) - 1
    if left > 0:
        return ngettext(
            "It fails this try only: it is tried again, %(count)s more time at most.",
            "It fails this try only: it is tried again, %(count)s more times at most.",
            left,
        ) % {"count": left}
    if holder.process is not None and holder.process.health == "late":
        return _("Its process is late: it hears this when it comes back within 30 s.")
    return ""
