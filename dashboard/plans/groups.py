"""Plans for one group of a queue: pausing it, its own limits, stopping it for a while."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access
from queuecore.inspect import GroupRow, Inspector

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw import group_cells
from ..draw.values import clipped, number, visible
from .base import back_of, mount_of, snapshot_of
from .limits import Limits

#: What somebody needs who empties a group: what draining the queue asks for, too.
EMPTYING = ("clean_queue", "bulk")
#: For how many seconds a group is stopped.
STOPS = (60, 300, 900, 3_600, 4 * 3_600, 86_400)


def group_of(alias: str, queue: str, group: str) -> GroupRow:
    """What is known of the group now; a group needs no making, so any may be steered.

    Raises:
        Http404: there is no such queue.
    """
    snapshot_of(alias, queue)
    return Inspector(alias).group(queue, group) or group_cells.nothing(group)


def _held_back(found: GroupRow) -> list[Figure]:
    """What becomes of a group's jobs when it starts no more."""
    return [
        Figure(number(found.waiting), _("will wait")),
        Figure(number(found.active), _("run on")),
        Figure(number(found.delayed), _("delayed")),
    ]


def pause_group_plan(request: HttpRequest, alias: str, queue: str, group: str) -> HttpResponse:
    """Ask whether to pause a group."""
    access.require(request.user, "pause_queue", alias, queue)
    found = group_of(alias, queue, group)
    url = links.group_url(mount_of(request), alias, queue, group)
    return ask(
        request,
        Confirmation(
            action="pause_group",
            url=f"{url}pause/",
            title=_("Pause the group %(group)s of %(queue)s") % _names(queue, group),
            text=_(
                "Workers take no further jobs of this group until it is resumed. Running jobs go "
                "on, and so do the other groups."
            ),
            verb=_("Pause group"),
            icon="pause",
            alias=alias,
            queue=queue,
            target=group,
            figures=_held_back(found),
            warning=_("It is paused already.") if found.status == "paused" else "",
        ),
        back=back_of(request, url),
    )


def group_limits_plan(
    request: HttpRequest,
    alias: str,
    queue: str,
    group: str,
    wrong: str = "",
) -> HttpResponse:
    """Ask for the limits of a group, those that are set now being filled in."""
    access.require(request.user, "set_limits", alias, queue)
    found = group_of(alias, queue, group)
    seconds = (found.limit_duration_ms or 0) / 1000 or None
    url = links.group_url(mount_of(request), alias, queue, group)
    return ask(
        request,
        Confirmation(
            action="group_limits",
            url=f"{url}limits/",
            title=_("Limits of the group %(group)s of %(queue)s") % _names(queue, group),
            text=_(
                "They count for this group instead of what workers say for every group. Empty: "
                "what workers say counts."
            ),
            verb=_("Set limits"),
            icon="limited",
            alias=alias,
            queue=queue,
            target=group,
            choices="queuecore_dashboard/confirm/_limits_fields.html",
        ),
        back=back_of(request, url),
        wanted=Limits(found.concurrency, found.limit_max, seconds if found.limit_max else None),
        wrong=wrong,
        empty=_("as workers say"),
    )


def stop_group_plan(request: HttpRequest, alias: str, queue: str, group: str) -> HttpResponse:
    """Ask for how long a group shall start nothing."""
    access.require(request.user, "set_limits", alias, queue)
    found = group_of(alias, queue, group)
    url = links.group_url(mount_of(request), alias, queue, group)
    return ask(
        request,
        Confirmation(
            action="stop_group",
            url=f"{url}stop/",
            title=_("Stop the group %(group)s of %(queue)s for a while") % _names(queue, group),
            text=_(
                "Workers start no job of this group for so long, as if its rate limit were "
                "reached; then it goes on by itself. Running jobs go on."
            ),
            verb=_("Stop group"),
            icon="stuck",
            alias=alias,
            queue=queue,
            target=group,
            figures=_held_back(found),
            choices="queuecore_dashboard/confirm/_stop_choices.html",
        ),
        back=back_of(request, url),
        stop_choices=_stop_words(),
    )


def empty_group_plan(
    request: HttpRequest, alias: str, queue: str, group: str, wrong: str = ""
) -> HttpResponse:
    """Ask whether to remove all jobs of a group that do not run."""
    for permission in EMPTYING:
        access.require(request.user, permission, alias, queue)
    found = group_of(alias, queue, group)
    url = links.group_url(mount_of(request), alias, queue, group)
    count = found.waiting + found.delayed
    return ask(
        request,
        Confirmation(
            action="empty_group",
            url=f"{url}empty/",
            title=_("Empty the group %(group)s of %(queue)s") % _names(queue, group),
            text=_(
                "All of its jobs that do not run go for good, delayed ones too. Its limits stay, "
                "and so does its pause."
            ),
            verb=_("Empty group"),
            icon="remove",
            alias=alias,
            queue=queue,
            target=group,
            danger=True,
            figures=[
                Figure(number(count), _("will be removed")),
                Figure(number(found.active), _("run on")),
            ],
            choices="queuecore_dashboard/confirm/_typed_name.html",
            possible=count > 0,
        ),
        back=back_of(request, url),
        wrong=wrong,
    )


def stop_seconds(text: str) -> int:
    """Read how long a group shall start nothing; what is none of the choices means the first."""
    return next((one for one in STOPS if str(one) == text), STOPS[0])


def _stop_words() -> list[tuple[int, str]]:
    words = (
        _("for 1 minute"),
        _("for 5 minutes"),
        _("for 15 minutes"),
        _("for 1 hour"),
        _("for 4 hours"),
        _("for 24 hours"),
    )
    return list(zip(STOPS, words, strict=True))


def _names(queue: str, group: str) -> dict[str, str]:
    return {"queue": visible(queue), "group": clipped(group)}
