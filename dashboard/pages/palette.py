"""The palette: pages, queues, a job by its id, and what can be done here, for the text typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from queuecore import access
from queuecore.errors import QueueCoreError
from queuecore.inspect import Inspector, Wants

from .. import links
from ..draw.values import visible
from ..guard import guarded
from ..live.state import LiveState, Topic, read
from .shell import PLACES

#: The most queues that are offered, and in which an id is looked up.
_OFFERED, _ASKED = 8, 200


@dataclass(frozen=True, slots=True)
class Hit:
    """One line: where it leads, and whether it opens a dialog instead of a page."""

    icon: str
    word: str
    href: str
    note: str = ""
    dialog: bool = False


@guarded("GET")
def suggest(request: HttpRequest) -> HttpResponse:
    """Answer the lines for ``?q=``; ``?alias=&queue=`` is the queue of the page it is asked on."""
    seen = request.viewer  # type: ignore[attr-defined]
    text = request.GET.get("q", "").strip()[:300]
    here = (request.GET.get("alias", ""), request.GET.get("queue", ""))
    state = read(Topic("overview"))
    shown = shown_queues(state, seen)
    hits = [
        *_queues(shown, text, seen.mount, several=len(state.connections) > 1),
        *_jobs(shown, text, here, seen.mount),
        *(_acts(request, here, text, seen.mount) if here in shown else ()),
        *_pages(request, text, seen.mount),
    ]
    return render(request, "queuecore_dashboard/shared/_hits.html", {"hits": hits, "q": text})


def shown_queues(state: LiveState, seen: Any) -> list[tuple[str, str]]:
    """Return the (alias, name) of every queue that a viewer may see."""
    return [
        (alias, name)
        for alias, connection in state.connections.items()
        for name in connection.queues
        if seen.allows(alias, name)
    ]


def jobs_of_id(
    shown: list[tuple[str, str]], text: str, here: tuple[str, str]
) -> list[tuple[str, str]]:
    """Return the queues that have a job of that id, the queue *here* first.

    Ids are counted per queue, so many have a job 17.
    """
    if not text or " " in text:
        return []
    asked = sorted(shown, key=lambda pair: pair != here)[:_ASKED]
    found = set()
    for alias in {alias for alias, _queue in asked}:
        wants = Wants(rows={queue: [text] for other, queue in asked if other == alias})
        try:
            rows = Inspector(alias).read(wants).rows
        except QueueCoreError:
            continue  # the page that is shown next says that it is away
        found |= {(alias, queue) for (queue, _id), row in rows.items() if row is not None}
    return [pair for pair in asked if pair in found]


def _queues(shown: list[tuple[str, str]], text: str, mount: str, *, several: bool) -> Iterator[Hit]:
    low = text.lower()
    fits = [pair for pair in shown if low in pair[1].lower()]
    fits.sort(key=lambda pair: (not pair[1].lower().startswith(low), pair[1].lower()))
    for alias, name in fits[:_OFFERED]:
        note = visible(alias) if several else ""
        yield Hit("queues", visible(name), links.queue_url(mount, alias, name), note)


def _jobs(
    shown: list[tuple[str, str]], text: str, here: tuple[str, str], mount: str
) -> Iterator[Hit]:
    for alias, queue in jobs_of_id(shown, text, here)[:_OFFERED]:
        words = _("Job %(id)s") % {"id": visible(text)}
        yield Hit("rows", words, links.job_url(mount, alias, queue, text), visible(queue))


def _acts(request: HttpRequest, here: tuple[str, str], text: str, mount: str) -> Iterator[Hit]:
    url, note = links.queue_url(mount, *here), visible(here[1])
    acts = [
        Hit("failing", _("Failed jobs"), links.jobs_url(mount, *here, "failed"), note),
        Hit("rows", _("Waiting jobs"), links.jobs_url(mount, *here, "waiting"), note),
    ]
    if access.can(request.user, "pause_queue", *here):
        acts.append(Hit("pause", _("Pause…"), f"{url}confirm/pause/", note, dialog=True))
        acts.append(Hit("play", _("Resume…"), f"{url}confirm/resume/", note, dialog=True))
    if access.can(request.user, "clean_queue", *here):
        acts.append(Hit("clean", _("Clean…"), f"{url}confirm/clean/", note, dialog=True))
    yield from (act for act in acts if text.lower() in act.word.lower())


def _pages(request: HttpRequest, text: str, mount: str) -> Iterator[Hit]:
    for place in PLACES:
        word = str(place.word)
        if text.lower() in word.lower() and access.can(request.user, place.needs):
            yield Hit(place.icon, word, f"{mount}{place.path}", _("Page"))
