"""The palette: what there is to go to and to do for the text typed.

Queues, jobs by id, schedulers, operations, workers, pages, and what can be done to the queue that
one is at; without a text, where one has just been. Whatever a viewer may not see is not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils.translation import gettext as _

from queuecore import access
from queuecore.errors import QueueCoreError
from queuecore.fleet import Fleet
from queuecore.inspect import Inspector, Wants
from queuecore.models import Operation
from queuecore.timetable import Timetable

from .. import cookies, links
from ..draw import operation_cells
from ..draw.values import visible
from ..draw.worker_cells import short
from ..guard import guarded
from ..languages import of_the_host
from ..live.state import LiveState, Topic, Viewer, read
from ..rendering import render
from .shell import PLACES

#: The most queues that are offered, of each other kind, and in which ids are looked up.
_OFFERED, _FEW, _ASKED = 8, 4, 200
#: Letters from which on schedulers and workers are looked for, and operations that are looked at.
_LETTERS, _NEWEST = 2, 200
#: The most pages that one has just been at.
_RECENT = 5

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Hit:
    """One line: where it leads, and whether it opens a dialog instead of a page.

    ``head``: the heading above it, where a group begins.
    """

    icon: str
    word: str
    href: str
    note: str = ""
    dialog: bool = False
    head: str = ""


@guarded("GET")
def suggest(request: HttpRequest) -> HttpResponse:
    """Answer the lines for ``?q=``; ``?alias=&queue=`` is the queue of the page it is asked on.

    ``recent=`` are the paths of pages that one has been at, the last one first.
    """
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    text = request.GET.get("q", "").strip()[:300]
    here = (request.GET.get("alias", ""), request.GET.get("queue", ""))
    state = read(Topic("overview"))
    shown = shown_queues(state, seen)
    several = len(state.connections) > 1
    pinned = [pair for pair in cookies.pins(request) if pair in shown]
    recent = _recent(request.GET.getlist("recent"), shown, seen) if not text else ()
    rest = [pair for pair in shown if text or pair not in pinned]
    groups: list[tuple[str, Iterable[Hit]]] = [
        (_("Pinned"), () if text else _queues(pinned, text, seen.mount, several=several)),
        (_("Where you have been"), recent),
        (_("Queues"), _queues(rest, text, seen.mount, several=several, first=pinned)),
        (_("Jobs"), _jobs(shown, text, here, seen.mount)),
        (_("Schedulers"), _schedulers(shown, text, seen.mount)),
        (_("Operations"), _operations(text, seen)),
        (_("Workers"), _workers(shown, text, seen.mount)),
        (_("This queue"), _acts(request, here, text, seen.mount) if here in shown else ()),
        (_("Pages"), _pages(request, text, seen.mount)),
    ]
    hits: list[Hit] = []
    for word, found in groups:
        mine = list(found)
        hits += [replace(mine[0], head=word), *mine[1:]] if mine else ()
    return render(request, "queuecore_dashboard/shared/_hits.html", {"hits": hits, "q": text})


def shown_queues(state: LiveState, seen: Viewer) -> list[tuple[str, str]]:
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


def _queues(
    shown: Pairs, text: str, mount: str, *, several: bool, first: Pairs | None = None
) -> Iterator[Hit]:
    """Queues with that in their names: pinned ones first, then those that begin with it."""
    low = text.lower()
    fits = [pair for pair in shown if low in pair[1].lower()]
    if first is not None:
        fits.sort(
            key=lambda one: (one not in first, not one[1].lower().startswith(low), one[1].lower())
        )
    for alias, name in fits[:_OFFERED]:
        icon = "pin" if first is None or (alias, name) in first else "queues"
        note = visible(alias) if several else ""
        yield Hit(icon, visible(name), links.queue_url(mount, alias, name), note)


def _jobs(
    shown: list[tuple[str, str]], text: str, here: tuple[str, str], mount: str
) -> Iterator[Hit]:
    for alias, queue in jobs_of_id(shown, text, here)[:_OFFERED]:
        words = _("Job %(id)s") % {"id": visible(text)}
        yield Hit("rows", words, links.job_url(mount, alias, queue, text), visible(queue))


def _schedulers(shown: Pairs, text: str, mount: str) -> list[Hit]:
    """Schedulers with that in their ids, those of queues with that in their names behind them."""
    if len(text) < _LETTERS:
        return []
    low = text.lower()
    found = []
    for alias, names in _by_alias(shown):
        try:
            places = Timetable(alias).places(names)
        except QueueCoreError:
            continue  # the page that is shown next says that it is away
        found += [(low not in one.id.lower(), one.id, alias, one.queue) for one in places]
    fits = sorted(one for one in found if not one[0] or low in one[3].lower())
    return [
        Hit(
            "schedulers",
            visible(id),
            links.scheduler_url(mount, alias, queue, id),
            visible(queue),
        )
        for _late, id, alias, queue in fits[:_FEW]
    ]


def _operations(text: str, seen: Viewer) -> Iterator[Hit]:
    """The newest operations on that queue, of that kind, or of that number."""
    if len(text) < _LETTERS and not text.isdecimal():
        return
    low = text.lower().removeprefix("#")
    rows = Operation.objects.order_by("-pk").values_list(
        "pk", "action", "state", "connection", "queue"
    )[:_NEWEST]
    left = _FEW
    for pk, action, state, alias, queue in rows:
        word = operation_cells.word(action, state)
        fits = low == str(pk) or low in queue.lower() or low in word.lower()
        if left and fits and seen.allows(alias, queue):
            left -= 1
            icon = operation_cells.ICONS.get(action, "play")
            note = f"#{pk} · {visible(queue)}"
            yield Hit(icon, word, links.operation_url(seen.mount, pk), note)


def _workers(shown: Pairs, text: str, mount: str) -> Iterator[Hit]:
    """Our workers with that in their names, ids, hosts or queues."""
    if len(text) < _LETTERS:
        return
    low, fits = text.lower(), []
    for alias, names in _by_alias(shown):
        try:
            processes = Fleet(alias).processes()
        except QueueCoreError:
            continue
        for process in processes:
            for worker in process.workers:
                words = (worker.queue, worker.id, worker.name or "", process.host)
                if worker.queue in names and any(low in word.lower() for word in words):
                    fits.append((alias, process.host, worker))
    for alias, host, worker in fits[:_FEW]:
        at = links.connection_url(mount, alias)
        name = f"{visible(worker.queue)} {short(worker.id)}"
        yield Hit("workers", name, f"{at}workers/{links.encode(worker.id)}/", visible(host))


def _by_alias(shown: Pairs) -> Iterator[tuple[str, list[str]]]:
    for alias in dict.fromkeys(alias for alias, _queue in shown):
        yield alias, [queue for other, queue in shown if other == alias]


def _recent(paths: list[str], shown: Pairs, seen: Viewer) -> list[Hit]:
    """The pages of *paths*, as far as they are of queues that may be seen; addresses made anew."""
    hits: dict[str, Hit] = {}
    prefix = get_script_prefix()
    for path in paths[: 3 * _RECENT]:
        try:
            with of_the_host():
                match = resolve("/" + path.removeprefix(prefix))
        except Resolver404:
            continue
        pair = (match.kwargs.get("alias", links.DEFAULT), match.kwargs.get("queue", ""))
        if match.app_names[-1:] == ["queuecore_dashboard"] and pair in shown:
            hit = _place(match.url_name or "", pair, match.kwargs, seen.mount)
            hits.update({hit.href: hit} if hit else {})
    return list(hits.values())[:_RECENT]


def _place(name: str, pair: tuple[str, str], parts: dict[str, Any], mount: str) -> Hit | None:
    queue = visible(pair[1])
    if name == "queue":
        return Hit("queues", queue, links.queue_url(mount, *pair))
    if name == "jobs":
        return Hit("rows", queue, links.jobs_url(mount, *pair), _("Jobs"))
    if name == "job":
        words = _("Job %(id)s") % {"id": visible(parts["job"])}
        return Hit("rows", words, links.job_url(mount, *pair, parts["job"]), queue)
    if name == "scheduler":
        id = parts["scheduler"]
        return Hit("schedulers", visible(id), links.scheduler_url(mount, *pair, id), queue)
    return None


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
