"""Repairs: what an integrity check found is put right, queue by queue, each on record."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access, audit
from queuecore.errors import QueueCoreError, ServerUnavailable
from queuecore.integrity import KINDS, Integrity

from .. import links
from ..confirmations import confirmed
from ..draw.values import exact, visible
from ..guard import guarded
from ..plans.repairs import REPAIR_S, Choice, repair_plan
from .base import answer, reason_of


@guarded("POST")
def repair(request: HttpRequest, alias: str = links.DEFAULT) -> HttpResponse:
    """Put right what the confirmation named, in the queues in which it was found."""
    choice = Choice.parse(request.POST)
    token = confirmed(request, "repair", alias, "", choice.target)
    if token is None:
        return _asked(request, alias, choice)
    kinds = [kind for kind in token.facts["kinds"] if kind in KINDS]
    total, left, error = 0, 0, ""
    for queue in token.facts["queues"]:
        try:
            mended, found = _one(request, alias, str(queue), kinds, token.once)
        except audit.AlreadyDone:
            return answer(request, "info", _("That was done already, by the first click."))
        except (PermissionDenied, ServerUnavailable):
            raise
        except QueueCoreError as refused:
            error = visible(refused)
            continue
        total, left = total + mended, left + max(0, found - mended)
    text = ngettext("Repaired %(count)s finding.", "Repaired %(count)s findings.", total)
    text %= {"count": exact(total)}
    if left:
        more = ngettext(
            "%(count)s had moved on or must wait.", "%(count)s had moved on or must wait.", left
        )
        text += " " + more % {"count": exact(left)}
    back = links.system_url(request.viewer.mount, alias)  # type: ignore[attr-defined]
    level = "error" if error else "done"
    return answer(request, level, f"{text} {error}".strip(), f"{back}integrity/")


def _asked(request: HttpRequest, alias: str, choice: Choice) -> HttpResponse:
    """Ask first; that somebody may not even ask is on record."""
    try:
        return repair_plan(request, alias, choice)
    except PermissionDenied as error:
        with audit.record(
            actor=request.user,
            ip=audit.client_ip(request),
            action="repair",
            alias=alias,
            queue=choice.queue,
            target=choice.kind,
        ) as entry:
            entry.deny(str(error))
        raise


def _one(
    request: HttpRequest, alias: str, queue: str, kinds: list[str], once: str
) -> tuple[int, int]:
    """Repair one queue; how much was put right, and how much had been found."""
    with audit.record(
        actor=request.user,
        ip=audit.client_ip(request),
        action="repair",
        alias=alias,
        queue=queue,
        target=", ".join(kinds),
        params={"kinds": kinds},
        reason=reason_of(request),
        once=f"{once}:{audit_key(queue)}",
    ) as entry:
        access.require(request.user, "clean_queue", alias, queue)
        mended = Integrity(alias).repair([queue], kinds=kinds, seconds=REPAIR_S)
        found = {kind: count for kind, count in mended.before.kinds().items() if kind in kinds}
        entry.result(count=mended.total, found=found, repaired=mended.kinds())
        return mended.total, sum(found.values())


def audit_key(queue: str) -> str:
    """A short text that stands for a queue in the key under which its repair happens once."""
    from hashlib import sha256

    return sha256(queue.encode("utf-8", "surrogatepass")).hexdigest()[:16]
