"""Fleets in words: what ended in a place, what comes next, and what to do where nothing lives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.fleet import FleetSeat, FleetSupervisor

from .icons import icon
from .markup import element, phrase
from .values import exact, moment, visible

# How a supervisor says that a process ended.
_KILLED = re.compile(r"was killed by (SIG\w+|signal \d+)")
_EXITED = re.compile(r"ended with exit code (\d+)")
_WORN = re.compile(r"had worked enough: (\d+) (jobs|MB of memory)")


def waiting(supervisor: FleetSupervisor) -> list[FleetSeat]:
    """Places in which nothing lives, or where that has been so again and again."""
    return [one for one in supervisor.seats if one.state == "waiting" or one in supervisor.unsteady]


def last(supervisor: FleetSupervisor) -> FleetSeat | None:
    """The place in which a process ended last."""
    known = [(one.at, one.number, one) for one in supervisor.seats if one.at is not None]
    return max(known)[2] if known else None


def how(why: str) -> str:
    """How a process ended, in the reader's language."""
    if match := _KILLED.fullmatch(why):
        return _("was killed by %(signal)s") % {"signal": match[1]}
    if match := _EXITED.fullmatch(why):
        return _("ended with exit code %(code)s") % {"code": match[1]}
    if match := _WORN.fullmatch(why):
        count = int(match[1])
        if match[2] == "jobs":
            words = ngettext(
                "was replaced after %(count)s job", "was replaced after %(count)s jobs", count
            )
        else:
            words = _("was replaced with %(count)s MB of memory")
        return words % {"count": exact(count)}
    return visible(why)


def ended(supervisor: FleetSupervisor, one: FleetSeat) -> SafeString:
    """What ended last in a place: when, and how."""
    words = _("Last: process %(number)s %(how)s, %(time)s ago")
    return phrase(words, number=str(one.number), how=how(one.why), time=moment(one.at, "age"))


def seat(supervisor: FleetSupervisor, one: FleetSeat) -> SafeString:
    """A place in which nothing lives: what ended there, how often, and when the next try is."""
    bad = one in supervisor.unsteady
    return element(
        "span",
        icon("warning" if bad else "retry", 14),
        element("span", _said(supervisor, one)),
        class_="wfallen bad" if bad else "wfallen",
    )


def _said(supervisor: FleetSupervisor, one: FleetSeat) -> SafeString:
    given: dict[str, Any] = {
        "number": str(one.number),
        "size": exact(len(supervisor.seats)),
        "how": how(one.why),
        "count": exact(one.failures),
    }
    if one.state == "waiting":
        if one.failures > 1:
            words = _(
                "Process %(number)s of %(size)s %(how)s, %(count)s in a row: the next one starts "
                "in %(time)s."
            )
        else:
            words = _("Process %(number)s of %(size)s %(how)s: another one starts in %(time)s.")
        return phrase(words, **given, time=moment(one.until, "until"))
    words = _(
        "Process %(number)s of %(size)s %(how)s, %(count)s in a row; the one that is there now "
        "began lately."
    )
    return phrase(words, **given)


def advice(one: FleetSeat) -> str:
    """What to do where nothing lives."""
    match = _KILLED.fullmatch(one.why)
    signal = match[1] if match else ""
    if signal == "SIGKILL":
        return _(
            "SIGKILL is how the system ends what takes too much memory: look at its log, give the "
            "host more, or let processes be replaced in time with --max-memory."
        )
    if signal:
        return _(
            "Native code has crashed: run the jobs of that queue in a sandbox, which only the job "
            "dies with, and look at what was deployed last."
        )
    return _(
        "The supervisor's log says why; most often the project cannot be imported, or its settings "
        "are wrong, since the last deploy."
    )


def panel(found: Sequence[tuple[str, FleetSupervisor]]) -> SafeString:
    """The fleets in which a process cannot stay up, with what to do."""
    lines = [
        element(
            "li",
            icon("warning"),
            element(
                "span",
                element("b", f"{visible(one.host)} · {one.pid}"),
                " ",
                _said(one, place),
                " ",
                element("span", advice(place), class_="muted"),
            ),
        )
        for _alias, one in found
        if one.health != "lost"
        for place in one.unsteady
    ]
    return element("ul", lines[:20], id="workers-unsteady", class_="unsteady", hidden=not lines)
