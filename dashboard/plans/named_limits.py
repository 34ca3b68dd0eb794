"""Plans for a named limit, which a queue shares with others: what is set, what a form asks for."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Queue, access
from queuecore.limits import LimitInfo
from queuecore.options import milliseconds

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw.limit_cells import declared
from ..draw.values import clipped, exact, number
from .base import back_of, mount_of, snapshot_of
from .limits import Limits

#: What counts then: what is typed, or what the settings say.
HAND, SETTINGS = "hand", "settings"


def limit_of(alias: str, queue: str, name: str) -> LimitInfo:
    """What is known of one of the queue's named limits.

    Raises:
        Http404: there is no such queue, or it does not belong to such a limit.
    """
    snapshot_of(alias, queue)
    for found in Queue.existing(queue, alias).get_limits():
        if found.name == name:
            return found
    raise Http404("no such limit")


def require_all(request: HttpRequest, alias: str, limit: LimitInfo) -> None:
    """Check that every queue of the limit may be limited by this person.

    Raises:
        PermissionDenied: one of them may not, or is out of scope.
    """
    if not all(access.can(request.user, "set_limits", alias, one.name) for one in limit.queues):
        raise PermissionDenied(
            _("This limit holds for other queues, too, which you may not limit.")
        )


def wanted_of(limit: LimitInfo) -> Limits:
    """What counts now, as a form has it."""
    rate = limit.rate
    if rate is None:
        return Limits(limit.concurrency)
    return Limits(limit.concurrency, rate.max, milliseconds(rate.duration, "duration") / 1000)


def named_limit_plan(
    request: HttpRequest, alias: str, queue: str, name: str, wrong: str = ""
) -> HttpResponse:
    """Ask for what a named limit shall allow, what counts now being filled in."""
    access.require(request.user, "set_limits", alias, queue)
    found = limit_of(alias, queue, name)
    require_all(request, alias, found)
    url = links.queue_url(mount_of(request), alias, queue)
    says = declared(found) or _("no limit")
    count = len(found.queues)
    words = ngettext(
        "It holds for all workers of %(count)s queue together. Empty: no limit.",
        "It holds for all workers of %(count)s queues together. Empty: no limit.",
        count,
    )
    return ask(
        request,
        Confirmation(
            action="named_limit",
            url=f"{url}limits/{links.encode(name)}/set/",
            title=_("The named limit %(name)s") % {"name": clipped(name)},
            text=words % {"count": exact(count)},
            verb=_("Set the limit"),
            icon="limited",
            alias=alias,
            queue=queue,
            target=name,
            figures=[
                Figure(number(count), ngettext("queue", "queues", count)),
                Figure(number(found.running), _("run now")),
            ],
            choices="queuecore_dashboard/confirm/_named_limit_fields.html",
        ),
        back=back_of(request, url),
        wanted=wanted_of(found),
        wrong=wrong,
        limit_counts=[
            (HAND, _("what stands here")),
            (SETTINGS, _("what the settings say: %(limits)s") % {"limits": says}),
        ],
    )
