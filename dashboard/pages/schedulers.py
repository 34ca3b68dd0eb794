"""Schedulers: the day of all of them, each one's page, and the forms that make and change one."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import available_timezones

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from queuecore import access, audit_log, jsontext
from queuecore.conf import time_zone
from queuecore.errors import ServerUnavailable
from queuecore.repeat import Repeat
from queuecore.runs import Timing
from queuecore.timetable import Place, Timetable

from .. import links
from ..draw import audit_cells, payload, schedule_cells, schedule_strip, schedule_words
from ..draw.schedule_strip import Day
from ..draw.values import size, visible
from ..guard import guarded
from ..live.fragments import fragments
from ..live.fragments.schedulers import Book, books, fill
from ..live.state import LiveState, Topic, Viewer, facts_of, joined, read
from ..plans.schedulers import scheduler_pause_plan, scheduler_removal_plan
from ..rendering import render
from ..schedule_form import UNITS, NewSchedulerForm, ScheduleForm, values_of
from .queue import connection_trail, judged
from .shell import shell, show

_PAGE = 50  # rows, and lanes of the strip
_MOST_QUEUES = 500
_TABS = ("all", "paused")


@guarded("GET")
def schedulers(request: HttpRequest, alias: str | None = None) -> HttpResponse:
    """Show the schedulers of all queues that may be seen, the next to run first."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    topic = Topic("schedulers")
    state = read(topic)
    text = request.GET.get("q", "").strip()[:200]
    tab = request.GET.get("show", "all")
    tab = tab if tab in _TABS else "all"
    every = [
        (at, place)
        for at, book in books(state)
        for place in book.places
        if seen.allows(at, place.queue) and alias in (None, at)
    ]
    every.sort(key=lambda one: (one[1].paused is not None, one[1].due, one[0], one[1].queue))
    named = [
        (at, place) for at, place in every if text.lower() in f"{place.id}\n{place.queue}".lower()
    ]
    paused = [one for one in named if one[1].paused is not None]
    page = Paginator(paused if tab == "paused" else named, _PAGE).get_page(request.GET.get("page"))
    for at, book in books(state):
        fill(book, at, [(place.queue, place.id) for where, place in page if where == at])
    ids = [joined(at, place.queue, place.id) for at, place in page]
    live = fragments(state, topic, seen, ids)
    day = Day.of(round(state.at.timestamp() * 1000))
    rows = [_row(at, place, live, seen) for at, place in page]
    context = {
        **shell(
            request,
            page="schedulers",
            title=_("Schedulers"),
            trail=[(alias, "")] if alias else [],
            state=state,
        ),
        "topic": str(topic),
        "live": live,
        "rows": [row for row in rows if row],
        "numbers": page,
        "q": text,
        "tab": tab,
        "tabs": [("all", _("All"), len(named)), ("paused", _("Paused"), len(paused))],
        "total": len(every),
        "several": len(state.connections) > 1 and not alias,
        "url": f"{links.connection_url(seen.mount, alias or links.DEFAULT)}schedulers/",
        "new_url": f"{seen.mount}schedulers/new/",
        "today": timezone.localtime(state.at),
        "zone": timezone.get_current_timezone_name(),
        "grid": schedule_strip.grid(day),
    }
    return show(request, "schedulers/index.html", context)


@guarded("GET")
def scheduler(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Show one scheduler."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    topic = Topic("scheduler", alias, queue, id=scheduler)
    state = read(topic)
    timing = timing_of(state, alias, queue, scheduler)
    day = Day.of(timing.now)
    template = Timetable(alias).template(queue, scheduler) if seen.payload else None
    history = None
    if access.can(request.user, "view_audit", alias, queue):
        found = audit_log.entries(alias, queue, scheduler, limit=20)
        # A job may bear the same id.
        mine = [one for one in found if one.action.endswith("_scheduler")]
        history = audit_cells.history(mine[:10], seen.mount)
    context = {
        **_frame(request, state, alias, queue, scheduler, visible(scheduler)),
        "topic": str(topic),
        "live": fragments(state, topic, seen),
        "id": scheduler,
        "timing": timing,
        "words": schedule_words.words(timing.scheduler),
        "url": links.scheduler_url(seen.mount, alias, queue, scheduler),
        "queue_url": links.queue_url(seen.mount, alias, queue),
        "grid": schedule_strip.grid(day),
        "may_see": seen.payload,
        "data": payload.tree(template.data or "{}", template.data_size) if template else None,
        "data_text": jsontext.masked(template.data) if template else "",
        "data_size": size(template.data_size) if template else "",
        "opts": payload.tree(template.opts or "{}", template.opts_size) if template else None,
        "history": history,
        "zones": schedule_cells.zones(timing.scheduler.tz),
        "today": timezone.localtime(state.at),
        "zone": timezone.get_current_timezone_name(),
    }
    return show(request, "schedulers/show.html", context)


@guarded("GET")
def edit(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Show the form that changes when a scheduler runs."""
    access.require(request.user, "manage_schedulers", alias, queue)
    return edit_form(request, alias, queue, scheduler)


def edit_form(
    request: HttpRequest,
    alias: str,
    queue: str,
    scheduler: str,
    form: ScheduleForm | None = None,
    values: dict[str, Any] | None = None,
) -> HttpResponse:
    """The form of a scheduler that is there, with what somebody has typed."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    state = read(Topic("scheduler", alias, queue, id=scheduler))
    timing = timing_of(state, alias, queue, scheduler)
    url = links.scheduler_url(seen.mount, alias, queue, scheduler)
    if form is None:
        values = values_of(timing.scheduler)
        form = ScheduleForm(values)
    context = {
        **_frame(request, state, alias, queue, scheduler, _("Edit"), below=True),
        **form_context(form, values or {}),
        "id": scheduler,
        "action": f"{url}change/",
        "back": url,
        "is_new": False,
        "paused": timing.scheduler.paused_at is not None,
        "legacy": timing.scheduler.legacy,
        "source": schedule_cells.provenance(timing),
        "preview_url": f"{seen.mount}schedulers/preview/",
    }
    response = show(request, "schedulers/form.html", context)
    # The address of a form that was sent is none that can be reloaded.
    response["HX-Replace-Url"] = f"{url}edit/"
    return response


@guarded("GET")
def new(request: HttpRequest) -> HttpResponse:
    """Show the form that makes a scheduler, once its queue is chosen."""
    access.require(request.user, "manage_schedulers")
    alias, _colon, queue = request.GET.get("queue", "").partition(":")
    return new_form(request, alias, queue)


def new_form(
    request: HttpRequest,
    alias: str,
    queue: str,
    form: NewSchedulerForm | None = None,
    values: dict[str, Any] | None = None,
) -> HttpResponse:
    """The form of a scheduler that is not there yet, with what somebody has typed."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    state = read(Topic("overview"))
    queues = [
        (at, name)
        for at, connection in state.connections.items()
        for name in {*facts_of(at).names, *connection.queues}
        if seen.allows(at, name) and access.can(request.user, "manage_schedulers", at, name)
    ]
    queues.sort(key=lambda one: (one[1].lower(), one[0]))
    if not queue and len(queues) == 1:
        alias, queue = queues[0]
    if queue and (alias, queue) not in queues:
        raise Http404("no such queue")
    values = values or {"kind": "pattern", "tz": time_zone(), "unit": "minutes"}
    home = f"{seen.mount}schedulers/"
    context = {
        **shell(
            request,
            page="schedulers",
            title=_("New scheduler"),
            trail=[(_("Schedulers"), home)],
            state=state,
        ),
        **form_context(form, values),
        "queues": [
            {
                "key": f"{at}:{name}",
                "alias": at,
                "name": name,
                "chosen": (at, name) == (alias, queue),
            }
            for at, name in queues[:_MOST_QUEUES]
        ],
        "several": len(state.connections) > 1,
        "queue": queue,
        "action": f"{links.queue_url(seen.mount, alias, queue)}schedulers/create/" if queue else "",
        "back": home,
        "is_new": True,
        "preview_url": f"{home}preview/",
    }
    response = show(request, "schedulers/form.html", context)
    chosen = f"?{urlencode({'queue': f'{alias}:{queue}'})}" if queue else ""
    response["HX-Replace-Url"] = f"{home}new/{chosen}"
    return response


@guarded("GET")
def pause(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask whether to pause a scheduler."""
    return scheduler_pause_plan(request, alias, queue, scheduler)


@guarded("GET")
def remove(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask whether to remove a scheduler."""
    return scheduler_removal_plan(request, alias, queue, scheduler)


@guarded("GET")
def preview(request: HttpRequest) -> HttpResponse:
    """Show when a schedule that is being typed would run."""
    access.require(request.user, "manage_schedulers")
    form = ScheduleForm(request.GET)
    return render(
        request, "queuecore_dashboard/schedulers/_preview.html", form_context(form, request.GET)
    )


def form_context(form: ScheduleForm | None, values: Any) -> dict[str, Any]:
    """What the form's templates show: what was typed, what is wrong, when it would run."""
    wrong, said, rows = {}, "", None
    if form is not None and values:
        if form.is_valid():
            repeat = form.repeat
            said = words_of(repeat)
            rows = schedule_cells.fire_rows(form.moments(), repeat.tz, "preview-rows")
        else:
            wrong = {name: errors[0] for name, errors in form.errors.items()}
    return {
        "typed": values,
        "wrong": wrong,
        "said": said,
        "preview_rows": rows,
        "preview_zones": schedule_cells.zones(form.repeat.tz) if form and rows else [],
        "units": [(name, _unit(name)) for name in UNITS],
        "known_zones": _zones(),
    }


def words_of(repeat: Repeat) -> str:
    """A schedule that is not stored yet, in words."""
    if repeat.every:
        return schedule_words.every(repeat.every / 1000)
    pattern = repeat.pattern or ""
    return schedule_words.pattern(pattern) or visible(pattern)


def timing_of(state: LiveState, alias: str, queue: str, scheduler: str) -> Timing:
    """One scheduler as it was read.

    Raises:
        Http404: there is none of this id.
        ServerUnavailable: the connection is away.
    """
    connection = state.connections.get(alias)
    if connection is None:
        raise Http404("no such connection")
    if connection.error:
        raise ServerUnavailable(connection.error, sent=False)
    book = connection.extra.get("scheduler")
    found = book.timings.get((queue, scheduler)) if isinstance(book, Book) else None
    if found is None:
        judged(state, alias, queue)  # a queue that is not there has a page of its own
        raise Http404("no such scheduler")
    return found


def _row(alias: str, place: Place, live: Any, seen: Viewer) -> dict[str, Any] | None:
    def cell(name: str) -> Any:
        patch = live.get(links.dom_id("s", alias, place.queue, place.id, name))
        return patch.html if patch else ""

    if not cell("lane"):
        return None  # it was removed a moment ago
    names = ("lane", "mark", "flags", "state", "when", "next", "last", "runs", "drift", "count")
    return {
        "id": joined(alias, place.queue, place.id),
        "name": place.id,
        "queue": place.queue,
        "alias": alias,
        "url": links.scheduler_url(seen.mount, alias, place.queue, place.id),
        "queue_url": links.queue_url(seen.mount, alias, place.queue),
        "cells": {name: cell(name) for name in (*names, "source")},
    }


def _frame(
    request: HttpRequest,
    state: LiveState,
    alias: str,
    queue: str,
    scheduler: str,
    title: str,
    below: bool = False,
) -> dict[str, Any]:
    """The shell around the pages of one scheduler."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    trail = [*connection_trail(state, alias), (_("Schedulers"), f"{seen.mount}schedulers/")]
    if below:
        trail.append((scheduler, links.scheduler_url(seen.mount, alias, queue, scheduler)))
    return shell(
        request,
        page="schedulers",
        title=title,
        trail=trail,
        state=state,
        alias=alias,
        queue=queue,
    ) | {"alias": alias, "queue": queue}


@cache
def _zones() -> list[str]:
    return sorted(available_timezones())  # asks the disk


def _unit(name: str) -> str:
    return {
        "seconds": _("seconds"),
        "minutes": _("minutes"),
        "hours": _("hours"),
        "days": _("days"),
    }[name]
