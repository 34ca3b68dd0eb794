"""Plans for schedulers: one that is paused, one that is removed."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access
from queuecore.runs import Timing
from queuecore.timetable import Timetable

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw.schedule_cells import upcoming
from ..draw.values import DASH, moment, number, visible
from .base import back_of, mount_of, snapshot_of


def scheduler_pause_plan(
    request: HttpRequest, alias: str, queue: str, scheduler: str
) -> HttpResponse:
    """Ask whether to pause a scheduler."""
    timing = _timing(request, alias, queue, scheduler)
    url = links.scheduler_url(mount_of(request), alias, queue, scheduler)
    moments = upcoming(timing, 3)
    first = moment(_at(moments[0]), "date") if moments else DASH
    return ask(
        request,
        Confirmation(
            action="pause_scheduler",
            url=f"{url}pause/",
            title=_("Pause scheduler %(id)s") % {"id": visible(scheduler)},
            text=_(
                "It makes no runs until it is resumed here; what is due meanwhile is not made up "
                "for. A run that waits already still runs. Programs that list schedulers do not "
                "see it, and one that upserts it, such as a deployment, ends the pause."
            ),
            verb=_("Pause scheduler"),
            icon="pause",
            alias=alias,
            queue=queue,
            target=scheduler,
            figures=[Figure(first, _("would be its next run"))],
            warning=_("It is paused already.") if timing.scheduler.paused_at else "",
            page="schedulers",
        ),
        back=back_of(request, url),
    )


def scheduler_removal_plan(
    request: HttpRequest, alias: str, queue: str, scheduler: str
) -> HttpResponse:
    """Ask whether to remove a scheduler."""
    timing = _timing(request, alias, queue, scheduler)
    url = links.scheduler_url(mount_of(request), alias, queue, scheduler)
    return ask(
        request,
        Confirmation(
            action="remove_scheduler",
            url=f"{url}remove/",
            title=_("Remove scheduler %(id)s") % {"id": visible(scheduler)},
            text=_(
                "It goes for good, with its schedule and its next run. Runs that have ended stay; "
                "one that is ready or runs goes on."
            ),
            verb=_("Remove scheduler"),
            icon="remove",
            alias=alias,
            queue=queue,
            target=scheduler,
            danger=True,
            figures=[Figure(number(timing.scheduler.iteration_count), _("runs so far"))],
            page="schedulers",
        ),
        back=back_of(request, url),
    )


def _timing(request: HttpRequest, alias: str, queue: str, scheduler: str) -> Timing:
    access.require(request.user, "manage_schedulers", alias, queue)
    snapshot_of(alias, queue)
    (found,) = Timetable(alias).timings([(queue, scheduler)])
    if found is None:
        raise Http404("no such scheduler")
    return found


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
