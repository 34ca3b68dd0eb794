"""Plans for what the list "Needs attention" offers: muting a line of it, running a scheduler."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _

from queuecore import access
from queuecore.timetable import Timetable

from .. import health, links
from ..confirmations import Confirmation, ask
from ..draw.values import visible
from .base import back_of, mount_of, snapshot_of

#: For how many seconds a line is muted; 0: until its trouble ends.
SPANS = (3_600, 8 * 3_600, 0)
_LENGTH = 1_000


def subject(given: QueryDict) -> tuple[str, str]:
    """Read which line is meant: the kind of trouble, and its part.

    Raises:
        Http404: there is no such kind of trouble.
    """
    kind, target = given.get("kind", ""), given.get("target", "")
    if kind not in health.MUTABLE or len(target) > _LENGTH or bool(target) != (kind == "scheduler"):
        raise Http404("no such trouble")
    return kind, target


def mute_plan(request: HttpRequest, alias: str, queue: str, kind: str, target: str) -> HttpResponse:
    """Ask for how long a line shall be muted."""
    access.require(request.user, health.permission_of(kind), alias, queue)
    snapshot_of(alias, queue)
    url = links.queue_url(mount_of(request), alias, queue)
    text = _("The list folds it away, for everybody who sees this queue. Nothing else changes.")
    return ask(
        request,
        Confirmation(
            action="mute",
            url=f"{url}mute/",
            title=_("Mute “%(trouble)s” of %(queue)s")
            % {"trouble": trouble(kind, target), "queue": visible(queue)},
            text=text,
            verb=_("Mute it"),
            icon="mute",
            alias=alias,
            queue=queue,
            target=f"{kind}:{target}",
            fields=[("kind", kind), ("target", target)],
            choices="queuecore_dashboard/confirm/_mute_choices.html",
            page="overview",
        ),
        back=back_of(request, mount_of(request)),
        mute_choices=_span_words(),
    )


def unmute_plan(
    request: HttpRequest, alias: str, queue: str, kind: str, target: str
) -> HttpResponse:
    """Ask whether a line shall be seen again; for links, which change nothing themselves."""
    access.require(request.user, health.permission_of(kind), alias, queue)
    snapshot_of(alias, queue)
    url = links.queue_url(mount_of(request), alias, queue)
    return ask(
        request,
        Confirmation(
            action="unmute",
            url=f"{url}unmute/",
            title=_("Unmute “%(trouble)s” of %(queue)s")
            % {"trouble": trouble(kind, target), "queue": visible(queue)},
            text=_("The list shows it again, for everybody who sees this queue."),
            verb=_("Unmute it"),
            icon="unmute",
            alias=alias,
            queue=queue,
            target=f"{kind}:{target}",
            fields=[("kind", kind), ("target", target)],
            reason=False,
            page="overview",
        ),
        back=back_of(request, mount_of(request)),
    )


def run_plan(request: HttpRequest, alias: str, queue: str, scheduler: str) -> HttpResponse:
    """Ask whether a scheduler shall run now; for links, which change nothing themselves."""
    access.require(request.user, "manage_schedulers", alias, queue)
    if Timetable(alias).timings([(queue, scheduler)]) == [None]:
        raise Http404("no such scheduler")
    url = links.scheduler_url(mount_of(request), alias, queue, scheduler)
    return ask(
        request,
        Confirmation(
            action="run_scheduler",
            url=f"{url}run/",
            title=_("Run %(scheduler)s now") % {"scheduler": visible(scheduler)},
            text=_("A job of it is added at once to %(queue)s. Its planned runs stay as they are.")
            % {"queue": visible(queue)},
            verb=_("Run it now"),
            icon="play",
            alias=alias,
            queue=queue,
            target=scheduler,
            page="schedulers",
        ),
        back=back_of(request, url),
    )


def trouble(kind: str, target: str) -> str:
    """What is wrong, in a few words."""
    words: Mapping[str, str] = {
        "failing": _("jobs fail"),
        "no-workers": _("no worker listens"),
        "paused": _("paused"),
        "growing": _("the backlog grows"),
        "stuck": _("jobs wait too long"),
        "new-error": _("a new kind of error"),
        "scheduler": _("scheduler %(name)s is late") % {"name": visible(target)},
    }
    return words[kind]


def mute_seconds(text: str) -> int:
    """Read for how long; what is none of the choices means the first."""
    return next((one for one in SPANS if str(one) == text), SPANS[0])


def _span_words() -> list[tuple[int, str]]:
    words = (_("for 1 hour"), _("for 8 hours"), _("until it ends"))
    return list(zip(SPANS, words, strict=True))
