"""The ticked queues of the list: paused and resumed together, each on record by itself.

Rights go by the queue: what somebody may not pause is refused, on record, and the others are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Queue, access, audit
from queuecore.errors import QueueCoreError, ServerUnavailable

from ..confirmations import confirmed
from ..guard import guarded
from ..plans import many_queues as plans
from ..plans import pause_seconds
from .base import answer, place, reason_of

VERBS = ("pause", "resume")


@guarded("GET")
def confirm(request: HttpRequest, verb: str) -> HttpResponse:
    """Ask whether to pause or resume the queues that the address names."""
    return _wrong(verb, request, request.GET.getlist("id")) or plans.many_queues_plan(
        request, verb, plans.ticked_queues(request.GET.getlist("id"))
    )


@guarded("POST")
def order(request: HttpRequest, verb: str) -> HttpResponse:
    """Pause or resume queues after a confirmation that named these; without one, ask for it."""
    chosen = plans.ticked_queues(request.POST.getlist("id"))
    if verb in VERBS and not access.can(request.user, "pause_queue"):
        _refuse(request, verb, chosen)
    if (wrong := _wrong(verb, request, request.POST.getlist("id"))) is not None:
        return wrong
    token = confirmed(request, f"queues-{verb}", "", "", plans.target_of(chosen))
    if token is None:
        return plans.many_queues_plan(request, verb, chosen)

    seconds = pause_seconds(request.POST.get("for", "")) if verb == "pause" else 0
    until = timezone.now() + timedelta(seconds=seconds) if seconds else None
    known = plans.snapshots_of(pair for pair in chosen if plans.may_pause(request, *pair))
    done = refused = gone = failed = again = 0
    away: ServerUnavailable | None = None
    for pair in chosen:
        once = f"{token.once}:{place(*pair)}"
        try:
            _one(request, verb, pair, until, once, exists=pair in known)
            done += 1
        except audit.AlreadyDone:
            again += 1
        except PermissionDenied:
            refused += 1
        except Http404:
            gone += 1
        except QueueCoreError as error:
            failed += 1
            away = error if isinstance(error, ServerUnavailable) else away
    if away is not None and not done:
        raise away
    if again and not done:
        return answer(request, "info", _("That was done already, by the first click."))
    text = _said(verb, done, refused, gone, failed)
    return answer(request, "done" if done and not failed else "error", text)


def _one(
    request: HttpRequest,
    verb: str,
    pair: plans.Pair,
    until: datetime | None,
    once: str | None,
    *,
    exists: bool,
) -> None:
    """Do it to one queue, on record as if it had been done alone.

    Raises:
        PermissionDenied: recorded as denied.
        Http404: there is no such queue; recorded as failed.
    """
    alias, queue = pair
    reason = reason_of(request)
    with audit.record(
        actor=request.user,
        ip=audit.client_ip(request),
        action=verb,
        alias=alias,
        queue=queue,
        params={"until": until.isoformat()} if until else None,
        reason=reason,
        once=once,
    ):
        access.require(request.user, "pause_queue", alias, queue)
        if not plans.may_pause(request, alias, queue):
            raise PermissionDenied("the queue is not among those in scope")
        if not exists:
            raise Http404("no such queue")
        target = Queue.existing(queue, alias)
        if verb == "pause":
            by = request.user.get_username()[:500]
            target.pause(reason=reason, by=by, resume_at=until)
        else:
            target.resume()


def _refuse(request: HttpRequest, verb: str, chosen: Sequence[plans.Pair]) -> None:
    """Record that somebody tried who may not pause anything; each queue that was named.

    Raises:
        PermissionDenied: always.
    """
    for pair in chosen[: plans.TICKED] or [("", "")]:
        try:
            _one(request, verb, pair, None, None, exists=False)
        except PermissionDenied as error:
            refusal = error
    raise refusal


def _wrong(verb: str, request: HttpRequest, keys: Sequence[str]) -> HttpResponse | None:
    if verb not in VERBS:
        raise Http404("no such action")
    access.require(request.user, "pause_queue")
    if not plans.ticked_queues(keys):
        return answer(request, "error", _("No queue was ticked."))
    if len(keys) > plans.TICKED:
        text = _("Tick at most %(count)s queues.") % {"count": plans.TICKED}
        return answer(request, "error", text)
    return None


def _said(verb: str, done: int, refused: int, gone: int, failed: int) -> str:
    """One sentence: what was done, and what was not."""
    words = {
        "pause": ngettext("Paused %(count)s queue", "Paused %(count)s queues", done),
        "resume": ngettext("Resumed %(count)s queue", "Resumed %(count)s queues", done),
    }[verb] % {"count": done}
    others = (
        (refused, ngettext("%(count)s was refused", "%(count)s were refused", refused)),
        (gone, ngettext("%(count)s was not there", "%(count)s were not there", gone)),
        (failed, ngettext("%(count)s failed", "%(count)s failed", failed)),
    )
    for count, more in others:
        if count:
            words = _("%(one)s; %(more)s") % {"one": words, "more": more % {"count": count}}
    return words
