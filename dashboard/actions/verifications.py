"""Verifications: the end of the audit record is compared with itself and with an anchor."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access, audit
from queuecore.audit_log import VERIFY

from ..draw import audit_problems
from ..draw.values import exact
from ..guard import guarded
from .base import answer, form_key

#: Entries that are verified while somebody waits; the command line verifies all.
LAST = 10_000


@guarded("POST")
def verify(request: HttpRequest) -> HttpResponse:
    """Verify the last entries, and the anchor that was given."""
    given = request.POST.get("anchor", "").strip()
    back = f"{request.viewer.mount}audit/"  # type: ignore[attr-defined]
    try:
        anchors = [audit.Anchor.parse(given)] if given else []
    except ValueError:
        text = _(
            "That is no anchor. One looks like 1234:5f0c… and is copied from here or from "
            "the file that manage.py verify_audit --export wrote."
        )
        return answer(request, "error", text, back)
    try:
        with audit.record(
            actor=request.user,
            ip=audit.client_ip(request),
            action=VERIFY,
            params={"last": LAST, "anchor": given},
            once=form_key(request, VERIFY),
        ) as entry:
            access.require(request.user, "view_audit")
            if access.scope(request.user).patterns is not None:
                raise PermissionDenied(_("The whole record is for those who may see every queue."))
            found = audit.verify(anchors, last=LAST)
            entry.result(**audit.facts_of(found))
    except audit.AlreadyDone:
        return answer(request, "info", _("That was done already, by the first click."), back)
    if found.intact:
        text = ngettext(
            "The last %(count)s entry is intact.",
            "The last %(count)s entries are intact.",
            found.entries,
        )
        return answer(request, "done", text % {"count": exact(found.entries)}, back)
    first = found.problems[0]
    text = ngettext(
        "The record is NOT intact: %(count)s problem. %(first)s",
        "The record is NOT intact: %(count)s problems. %(first)s",
        len(found.problems),
    )
    words = audit_problems.sentence(f"{first.number} {first.text}")
    text %= {"count": exact(len(found.problems)), "first": words}
    return answer(request, "error", text, back)
