"""Plans for several queues at once: pausing and resuming the ticked ones."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access
from queuecore.inspect import Inspector, aliases

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw.values import number, visible
from ..health import exists
from .base import back_of, mount_of
from .jobs import TICKED
from .queues import pause_words

#: A connection and a queue of it.
Pair = tuple[str, str]
_NAMED = 12  # queues that a confirmation names


def queue_key(alias: str, queue: str) -> str:
    """Return what a form says for a queue; plain letters, so that forms change none of them."""
    return f"{links.encode(alias)}/{links.encode(queue)}"


def ticked_queues(keys: Iterable[str]) -> list[Pair]:
    """Return the queues that a form names, each once, in order; what is no key is left out."""
    found: dict[Pair, None] = {}
    for key in keys:
        alias, _slash, queue = key.partition("/")
        try:
            found[links.decode(alias), links.decode(queue)] = None
        except ValueError:
            continue
    return [pair for pair in found if all(pair)]


def target_of(chosen: Iterable[Pair]) -> str:
    """Return what a token holds of the queues: exactly these."""
    return json.dumps([queue_key(*pair) for pair in chosen])


def snapshots_of(chosen: Iterable[Pair]) -> Mapping[Pair, Any]:
    """What is known now of those that exist."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for alias, queue in chosen:
        if alias in aliases():
            names[alias].append(queue)
    return {
        (alias, queue): snapshot
        for alias, own in names.items()
        for queue, snapshot in Inspector(alias).snapshots(own).items()
        if exists(snapshot)
    }


def may_pause(request: HttpRequest, alias: str, queue: str) -> bool:
    """Whether the visitor may pause and resume the queue, which they must see for that."""
    seen = request.viewer.allows(alias, queue)  # type: ignore[attr-defined]
    return seen and access.can(request.user, "pause_queue", alias, queue)


def many_queues_plan(request: HttpRequest, verb: str, chosen: list[Pair]) -> HttpResponse:
    """Ask whether to pause or resume *chosen*, and say which of them cannot be."""
    access.require(request.user, "pause_queue")
    mount = mount_of(request)
    allowed = [pair for pair in chosen if may_pause(request, *pair)]
    known = snapshots_of(allowed)
    found = [(pair, known[pair]) for pair in allowed if pair in known]
    count, waiting, running, delayed = len(found), 0, 0, 0
    for _pair, snapshot in found:
        waiting += snapshot.counts["waiting"] + snapshot.counts["prioritized"]
        running += snapshot.counts["active"]
        delayed += snapshot.counts["delayed"]
    pauses = verb == "pause"
    title = {
        "pause": ngettext("Pause %(count)s queue", "Pause %(count)s queues", count),
        "resume": ngettext("Resume %(count)s queue", "Resume %(count)s queues", count),
    }[verb] % {"count": count}
    several = len(aliases()) > 1
    names = [
        visible(f"{alias} / {queue}" if several else queue)
        for (alias, queue), _snapshot in found[:_NAMED]
    ]
    warnings = [
        *_idle(verb, sum(bool(snapshot.paused) == pauses for _pair, snapshot in found)),
        *_refused(len(chosen) - len(allowed)),
        *_gone(len(allowed) - count),
    ]
    return ask(
        request,
        Confirmation(
            action=f"queues-{verb}",
            url=f"{mount}bulk/queues/{verb}/",
            title=title,
            text=_("Workers take no further jobs until it is resumed. Running jobs go on.")
            if pauses
            else _("Workers take jobs again at once."),
            verb=title,
            icon="pause" if pauses else "play",
            alias="",
            queue="",
            target=target_of(chosen),
            figures=[
                Figure(number(waiting), _("will wait") if pauses else _("wait for it")),
                Figure(number(running), _("run on")),
                Figure(number(delayed), _("delayed")),
            ],
            warning=" ".join(warnings),
            fields=[("id", queue_key(*pair)) for pair in chosen],
            choices="queuecore_dashboard/confirm/_queues.html",
            possible=count > 0,
        ),
        back=back_of(request, f"{mount}queues/"),
        names=names,
        unnamed=count - len(names),
        pause_choices=pause_words() if pauses and count else [],
    )


def _idle(verb: str, count: int) -> Iterable[str]:
    """What is to be said of *count* queues that are as they shall be already."""
    if not count:
        return
    words = {
        "pause": ngettext(
            "%(count)s of them is paused already; it gets the new reason and end.",
            "%(count)s of them are paused already; they get the new reason and end.",
            count,
        ),
        "resume": ngettext(
            "%(count)s of them is not paused.", "%(count)s of them are not paused.", count
        ),
    }
    yield words[verb] % {"count": count}


def _refused(count: int) -> Iterable[str]:
    if count:
        yield ngettext(
            "%(count)s more will be refused, since you may not pause it.",
            "%(count)s more will be refused, since you may not pause them.",
            count,
        ) % {"count": count}


def _gone(count: int) -> Iterable[str]:
    if count:
        yield ngettext(
            "%(count)s more is not there any more.", "%(count)s more are not there any more.", count
        ) % {"count": count}


__all__ = [
    "TICKED",
    "Pair",
    "many_queues_plan",
    "may_pause",
    "queue_key",
    "snapshots_of",
    "target_of",
    "ticked_queues",
]
