"""System: how the server behind a connection does, and whether its queues are sound."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import django
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import __version__, access
from queuecore.inspect import aliases
from queuecore.integrity import BY_HAND, KINDS, Report

from .. import links
from ..draw import system_cells
from ..draw.system_words import words
from ..draw.values import visible
from ..guard import guarded
from ..live.fragments import fragments
from ..live.state import LiveState, Topic, read
from ..plans.repairs import Busy, Choice, checked, names_of, repair_plan
from .shell import shell, show

_PACKAGES = ("redis", "hiredis", "channels", "daphne", "croniter")
#: Ids of one finding that are named on the page.
NAMED = 5


@guarded("GET")
def system(request: HttpRequest, alias: str = links.DEFAULT) -> HttpResponse:
    """Show one connection's server; its facts are for those who see every queue."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("system", alias)
    whole = seen.may_watch(topic)
    state = read(topic) if whole else read(Topic("overview"))
    names = [name for name in state[alias].queues if seen.allows(alias, name)]
    context = {
        **_frame(request, alias, _("System"), state, []),
        "topic": str(topic) if whole else "overview",
        "live": fragments(state, topic, seen) if whole else {},
        "whole": whole,
        "names": names,
        "versions": system_cells.versions(_versions()) if whole else "",
    }
    return show(request, "system/index.html", context)


@guarded("GET")
def integrity(request: HttpRequest, alias: str = links.DEFAULT) -> HttpResponse:
    """Check the queues that the viewer may see (or one of them), and show what was found."""
    seen = request.viewer  # type: ignore[attr-defined]
    choice = Choice.parse(request.GET)
    names = names_of(request, alias, choice.queue)
    busy = False
    try:
        report = checked(alias, names)
    except Busy:
        busy, report = True, Report(alias, [])
    url = links.system_url(seen.mount, alias)
    found = [_finding(report, kind) for kind in KINDS if report.kinds().get(kind)]
    context = {
        **_frame(request, alias, _("Integrity"), None, [(_("System"), url)]),
        "report": report,
        "busy": busy,
        "found": found,
        "queue": choice.queue,
        "names": names if not choice.queue else names_of(request, alias, ""),
        "may_repair": access.can(request.user, "clean_queue", alias, choice.queue or None),
        "long_lists": sorted(report.long_lists),
    }
    return show(request, "system/integrity.html", context)


@guarded("GET")
def confirm_repair(request: HttpRequest, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to repair what is found now."""
    return repair_plan(request, alias, Choice.parse(request.GET))


def _frame(
    request: HttpRequest,
    alias: str,
    title: str,
    state: LiveState | None,
    trail: list[tuple[str, str]],
) -> dict[str, Any]:
    mount = request.viewer.mount  # type: ignore[attr-defined]
    several = aliases() if len(aliases()) > 1 else []
    return {
        **shell(request, page="system", title=title, state=state, alias=alias, trail=trail),
        "alias": alias,
        "url": links.system_url(mount, alias),
        "connections": [(one, links.system_url(mount, one)) for one in several],
        # Not that of a queue: the search in the bar would look inside it.
        "queue": "",
    }


def _finding(report: Report, kind: str) -> dict[str, Any]:
    """One kind of finding as the page shows it."""
    queues = [name for name in report.queues if report.counts[name, kind]]
    named = [
        (name, [visible(one.id or one.detail) for one in report.ids(name, kind)[:NAMED]])
        for name in queues[:NAMED]
    ]
    return {
        "kind": kind,
        "words": words(kind),
        "count": report.kinds()[kind],
        "queues": [
            {
                "name": name,
                "url": links.queue_url("", report.alias, name),
                "ids": ids,
                "more": report.counts[name, kind] - len(ids),
            }
            for name, ids in named
        ],
        "more": len(queues) - len(named),
        "by_hand": kind in BY_HAND,
    }


def _versions() -> list[tuple[str, str]]:
    found = [
        ("QueueCore", __version__),
        ("Django", django.get_version()),
        ("Python", platform.python_version()),
    ]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
