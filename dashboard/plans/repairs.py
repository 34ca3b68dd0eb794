"""What a repair would put right: a check, bounded in time, of the queues that somebody may mend."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access
from queuecore.inspect import Inspector
from queuecore.integrity import BY_HAND, KINDS, Integrity, Report

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw.system_words import words
from ..draw.values import exact, number, visible
from .base import back_of, mount_of

#: Seconds that a check may take while somebody waits, and a repair.
CHECK_S, REPAIR_S = 5.0, 20.0
#: Queues of one repair; more are left for the next one.
MOST = 50

_running: dict[str, threading.Lock] = {}


class Busy(Exception):
    """Another check of this connection runs in this process."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which queues are looked at (an empty name is all of them), and for which kinds of damage."""

    queue: str
    kinds: tuple[str, ...]

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Choice:
        """Read a form or an address; a kind that nobody knows is all kinds."""
        kind = values.get("kind", "")
        return cls(values.get("queue", "")[:1_000], (kind,) if kind in KINDS else KINDS)

    @property
    def kind(self) -> str:
        """The one kind, empty for all."""
        return self.kinds[0] if len(self.kinds) == 1 else ""

    @property
    def target(self) -> str:
        """The same in words, for the record."""
        return f"{self.queue or '*'} {self.kind or '*'}"


def names_of(request: HttpRequest, alias: str, queue: str, permission: str = "view") -> list[str]:
    """The queues meant, as far as they are in the viewer's scope and may be acted upon.

    Raises:
        Http404: there is no such queue, or it is out of scope.
    """
    seen = request.viewer  # type: ignore[attr-defined]
    known = [one for one in Inspector(alias).discover() if seen.allows(alias, one)]
    if queue:
        if queue not in known:
            raise Http404("no such queue")
        known = [queue]
    if permission == "view":
        return known
    return [one for one in known if access.can(request.user, permission, alias, one)]


def checked(alias: str, names: Sequence[str], seconds: float = CHECK_S) -> Report:
    """Check *names*; one check of a connection at a time.

    Raises:
        Busy: one is running.
    """
    turn = _running.setdefault(alias, threading.Lock())
    if not turn.acquire(blocking=False):
        raise Busy
    try:
        return Integrity(alias).check(names, seconds=seconds)
    finally:
        turn.release()


def repair_plan(request: HttpRequest, alias: str, choice: Choice) -> HttpResponse:
    """Ask whether to repair, with what a check has just found."""
    access.require(request.user, "clean_queue", alias, choice.queue or None)
    names = names_of(request, alias, choice.queue, "clean_queue")
    if not names and not choice.queue and not access.can(request.user, "clean_queue"):
        raise PermissionDenied("queuecore.clean_queue")
    url = links.system_url(mount_of(request), alias)
    try:
        report = checked(alias, names)
        warning = "" if report.whole else _("The check ran out of time: this is a part of it.")
    except Busy:
        report = Report(alias, [])
        warning = _("Another check is running. Wait for it, and ask again.")
    found = {
        kind: count
        for kind, count in report.kinds().items()
        if kind in choice.kinds and kind not in BY_HAND
    }
    queues = [name for name in report.queues if any(report.counts[name, kind] for kind in found)][
        :MOST
    ]
    total = sum(report.counts[name, kind] for name in queues for kind in found)
    if report.long_lists:
        warning = _(
            "Lists of %(queues)s are too long to be walked; what needs that is left out."
        ) % {"queues": ", ".join(visible(one) for one in sorted(report.long_lists)[:3])}
    title = _("Repair %(what)s") % {
        "what": words(choice.kind).title.lower() if choice.kind else _("what was found")
    }
    verb = ngettext("Repair %(count)s finding", "Repair %(count)s findings", total)
    text = (
        words(choice.kind).repair
        if choice.kind
        else _(
            "Each finding is looked at again when its turn comes; what has moved on is left alone."
        )
    )
    if not total:
        text = _("There is nothing that a repair could put right.")
    return ask(
        request,
        Confirmation(
            action="repair",
            url=f"{url}repair/",
            title=title,
            text=text,
            verb=verb % {"count": exact(total)},
            icon="repair",
            alias=alias,
            queue="",
            target=choice.target,
            figures=_figures(found) if total else [],
            warning=warning,
            fields=[("queue", choice.queue), ("kind", choice.kind)],
            facts={"queues": queues, "kinds": list(found)},
            possible=total > 0,
        ),
        back=back_of(request, f"{url}integrity/"),
    )


def _figures(found: Mapping[str, int]) -> list[Figure]:
    """At most four: the last one is the sum of those that have no place."""
    kinds = list(found)
    alone = kinds if len(kinds) <= 4 else kinds[:3]
    figures = [Figure(number(found[kind]), words(kind).title) for kind in alone]
    if rest := sum(found[kind] for kind in kinds[len(alone) :]):
        figures.append(Figure(number(rest), _("of other kinds")))
    return figures
