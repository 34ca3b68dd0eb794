"""What every action shares: the record around it, the answer after it.

An action is an ordinary form post that ends in a redirect with a message for the next page, so it
works without JavaScript. It is recorded before it begins and after it ended; a refusal is recorded
too. A double click is the same action: the key of the form lets it happen once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from queuecore import Queue, access, audit
from queuecore.errors import (
    JobIsLocked,
    JobNotFound,
    JobNotInState,
    PendingSchedulerRun,
    QueueCoreError,
    SchedulerNotFound,
    ServerUnavailable,
)

from .. import flash
from ..draw.values import visible
from ..guard import came_from
from ..plans import snapshot_of

Work = Callable[[Queue, audit.Record], str]
_LONGEST_REASON = 500


def perform(
    request: HttpRequest,
    *,
    action: str,
    permissions: tuple[str, ...],
    alias: str,
    queue: str,
    work: Work,
    target: str = "",
    params: dict[str, Any] | None = None,
    once: str | None = None,
    back: str = "",
) -> HttpResponse:
    """Record the action, check *permissions*, run *work* and go *back* with what it says.

    Raises:
        Http404: there is no such queue; recorded as failed.
        PermissionDenied: recorded as denied; the guard makes a page of it.
        ServerUnavailable: recorded as failed; nobody knows whether it happened.
    """
    level, text = "done", ""
    try:
        with audit.record(
            actor=request.user,
            ip=audit.client_ip(request),
            action=action,
            alias=alias,
            queue=queue,
            target=target,
            params=params,
            reason=reason_of(request),
            once=once or form_key(request, action, alias, queue, target),
        ) as entry:
            for permission in permissions:
                access.require(request.user, permission, alias, queue)
            snapshot_of(alias, queue)
            text = work(Queue.existing(queue, alias), entry)
    except audit.AlreadyDone:
        level, text = "info", _("That was done already, by the first click.")
    except (PermissionDenied, ServerUnavailable):
        raise
    except QueueCoreError as error:
        level, text = "error", explain(error)
    return answer(request, level, text, back)


def answer(request: HttpRequest, level: str, text: str, back: str = "") -> HttpResponse:
    """Go back to the page that the form was sent from, which will show *text*."""
    response = HttpResponseRedirect(back or came_from(request))
    flash.put(response, level, text)
    return response


def reason_of(request: HttpRequest) -> str:
    """Return the reason that was given, for the record."""
    return request.POST.get("reason", "").strip()[:_LONGEST_REASON]


def form_key(request: HttpRequest, action: str, *where: str) -> str | None:
    """Return the key under which this form may do this once; None for a client that sends none."""
    key = request.POST.get("once", "")
    if not key and (token := request.POST.get("token")):
        # Of an action that need not be confirmed, but was: the same form twice is one wish.
        key = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    if not 8 <= len(key) <= 40:
        return None
    place = "\0".join([str(request.user.pk), action, *where])
    digest = hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()
    return f"form:{key}:{digest[:32]}"


def place(alias: str, queue: str) -> str:
    """Return a short digest, with which a token of several queues works once for each."""
    words = f"{alias}\0{queue}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(words).hexdigest()[:16]


def explain(error: QueueCoreError) -> str:
    """Say what an operation's refusal means to the person who asked for it."""
    if isinstance(error, JobNotFound):
        return _("The job does not exist any more.")
    if isinstance(error, JobIsLocked):
        return _("A worker is running the job now. Try again when it has ended.")
    if isinstance(error, PendingSchedulerRun):
        return _("The job is the next run of a scheduler. Remove or change the scheduler instead.")
    if isinstance(error, JobNotInState):
        return _("The job is no longer in a state in which this can be done.")
    if isinstance(error, SchedulerNotFound):
        return _("There is no such scheduler any more, or it is not paused any more.")
    return visible(error)
