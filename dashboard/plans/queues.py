"""Plans for a whole queue: pausing, resuming."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw.values import exact, number, visible
from .base import back_of, mount_of, snapshot_of

#: For how many seconds a queue is paused; 0: until somebody resumes it.
PAUSES = (0, 900, 3_600, 4 * 3_600, 86_400)


def pause_plan(request: HttpRequest, alias: str, queue: str) -> HttpResponse:
    """Ask whether to pause a queue."""
    access.require(request.user, "pause_queue", alias, queue)
    snapshot = snapshot_of(alias, queue)
    waiting = snapshot.counts["waiting"] + snapshot.counts["prioritized"]
    url = links.queue_url(mount_of(request), alias, queue)
    return ask(
        request,
        Confirmation(
            action="pause",
            url=f"{url}pause/",
            title=_("Pause %(queue)s") % {"queue": visible(queue)},
            text=_("Workers take no further jobs until it is resumed. Running jobs go on."),
            verb=_("Pause queue"),
            icon="pause",
            alias=alias,
            queue=queue,
            figures=[
                Figure(number(waiting), _("will wait")),
                Figure(number(snapshot.counts["active"]), _("run on")),
                Figure(number(snapshot.counts["delayed"]), _("delayed")),
            ],
            warning=_("It is paused already.") if snapshot.paused else "",
            choices="queuecore_dashboard/confirm/_pause_choices.html",
        ),
        back=back_of(request, url),
        pause_choices=pause_words(),
    )


def pause_seconds(text: str) -> int:
    """Read how long a pause shall last; what is none of the choices means the first."""
    return next((one for one in PAUSES if str(one) == text), PAUSES[0])


def pause_words() -> list[tuple[int, str]]:
    """How long a pause may last, and what that is called."""
    words = (
        _("when somebody resumes it"),
        _("in 15 minutes"),
        _("in 1 hour"),
        _("in 4 hours"),
        _("in 24 hours"),
    )
    return list(zip(PAUSES, words, strict=True))


def resume_plan(request: HttpRequest, alias: str, queue: str) -> HttpResponse:
    """Ask whether to resume a queue; for links, which change nothing themselves."""
    access.require(request.user, "pause_queue", alias, queue)
    snapshot = snapshot_of(alias, queue)
    waiting = snapshot.counts["waiting"] + snapshot.counts["prioritized"]
    url = links.queue_url(mount_of(request), alias, queue)
    words = ngettext("%(count)s job waits for it.", "%(count)s jobs wait for it.", waiting)
    return ask(
        request,
        Confirmation(
            action="resume",
            url=f"{url}resume/",
            title=_("Resume %(queue)s") % {"queue": visible(queue)},
            text=_("Workers take jobs again at once.") + " " + words % {"count": exact(waiting)},
            verb=_("Resume queue"),
            icon="play",
            alias=alias,
            queue=queue,
            warning="" if snapshot.paused else _("It is not paused."),
        ),
        back=back_of(request, url),
    )
