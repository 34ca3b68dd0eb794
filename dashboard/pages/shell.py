"""What surrounds every page: environment band, top bar, rail, live badge, messages, preferences."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from queuecore import __version__, access
from queuecore.errors import ServerUnavailable
from queuecore.inspect import Inspector

from .. import cookies, flash, links
from ..conf import get_settings
from ..draw.values import exact, initials, visible
from ..guard import login_url, mount
from ..live import asgi
from ..live.fragments import fragments
from ..live.fragments.operations import read_open
from ..live.state import LiveState, Topic, facts_of
from ..rendering import render

#: What buttons on the pages ask for; a page shows those that its viewer holds.
ACTIONS = (
    "retry",
    "promote",
    "remove",
    "cancel",
    "edit_job",
    "add_job",
    "bulk",
    "pause_queue",
    "set_limits",
    "clean_queue",
    "obliterate",
    "manage_schedulers",
)


def intervals() -> tuple[tuple[int, str], ...]:
    """Seconds between two updates of a page, as they are offered."""
    # Those of one have a plural: languages with a single form say its number, too.
    return (
        (0, _("As it happens")),
        (1, ngettext("Every second", "Every %(count)s seconds", 1) % {"count": 1}),
        (5, _("Every 5 seconds")),
        (15, _("Every 15 seconds")),
        (60, ngettext("Every minute", "Every %(count)s minutes", 1) % {"count": 1}),
    )


@dataclass(frozen=True, slots=True)
class Place:
    """One page of the rail: ``needs`` is the permission without which it is not there.

    ``letter`` leads to it after a ``g``; ``short`` ones stand in the phone's bar, the others behind
    its "More".
    """

    key: str
    icon: str
    word: Any
    path: str
    letter: str
    needs: str = "view"
    short: bool = False


PLACES = (
    Place("overview", "overview", gettext_lazy("Overview"), "", "o", short=True),
    Place("queues", "queues", gettext_lazy("Queues"), "queues/", "q", short=True),
    Place("schedulers", "schedulers", gettext_lazy("Schedulers"), "schedulers/", "s"),
    Place("workers", "workers", gettext_lazy("Workers"), "workers/", "w"),
    Place("operations", "operations", gettext_lazy("Operations"), "operations/", "p", short=True),
    Place("system", "system", gettext_lazy("System"), "system/", "y"),
    Place("audit", "audit", gettext_lazy("Audit"), "audit/", "a", needs="view_audit"),
)


def shell(
    request: HttpRequest,
    *,
    page: str,
    title: str,
    trail: Sequence[tuple[str, str]] = (),
    state: LiveState | None = None,
    alias: str = links.DEFAULT,
    queue: str | None = None,
    document: str = "",
    counted: tuple[str, str] = ("", ""),
) -> dict[str, Any]:
    """Return the context that ``layout.html`` needs.

    ``page`` is the rail's entry that is current. ``trail`` are (word, address) pairs of the
    breadcrumb before the page itself. ``queue``: the queue whose permissions the buttons follow.
    ``document`` is the title of the document where *title* and *trail* do not make it; ``counted``
    the number before it, as text, and the id of the live element that goes on to show it.

    Raises:
        ServerUnavailable: nothing of what the page shows could be read.
    """
    if state and state.nothing:
        raise ServerUnavailable(state.nothing, sent=False)
    settings = get_settings()
    at = mount()
    scope = (alias, queue) if queue is not None else ()
    may = [name for name in ACTIONS if access.can(request.user, name, *scope)]
    state = state or LiveState()
    # Who may see nothing gets this frame around the page that says so: without what it would tell.
    sees = access.can(request.user, "view")
    pinned, counts = _rail(request, state) if sees else ([], {})
    user: Any = request.user
    full_name = getattr(user, "get_full_name", user.get_username)()  # not every user model has one
    name = full_name or user.get_username()
    return {
        "page": page,
        "title": visible(title),
        "trail": [(visible(word), href) for word, href in trail],
        "mount": at,
        "document": visible(document) or _document(title, trail),
        "count": "" if counted[0] == "0" else counted[0],
        "count_id": counted[1],
        "environment": settings.environment,
        "environment_short": settings.environment_short,
        "environment_kind": settings.environment_kind,
        "environment_note": settings.environment_note,
        "servers": _servers(state) if sees else [],
        "away": _away(state) if sees else [],
        "places": [place for place in PLACES if access.can(request.user, place.needs)],
        "counts": counts,
        "of_connection": alias if queue is not None and len(state.connections) > 1 else "",
        "pinned": pinned,
        "may": may,
        "once": secrets.token_urlsafe(12),
        "here": request.get_full_path(),
        "flash": flash.take(request),
        "now": timezone.now(),
        "live_socket": f"{at}ws/" if asgi.active() else "",
        "live_poll": f"{at}live/poll/",
        "intervals": intervals(),
        "login_url": login_url(),
        "user_name": name,
        "user_initials": initials(name),
        "version": __version__,
        **preferences(request),
    }


def preferences(request: HttpRequest) -> dict[str, Any]:
    """Return what this browser chose; also for the pages that stand without the shell."""
    return {
        "theme": cookies.choice(request, cookies.THEME, cookies.THEMES),
        "density": cookies.choice(request, cookies.DENSITY, cookies.DENSITIES),
        "keys": cookies.choice(request, cookies.KEYS, ("on", "off")),
        "zone": cookies.choice(request, cookies.ZONE, cookies.ZONES),
        "rail": cookies.choice(request, cookies.RAIL, cookies.RAILS),
    }


def show(
    request: HttpRequest, template: str, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    """Render a page and forget the message that it showed."""
    response = render(request, f"queuecore_dashboard/{template}", context, status=status)
    flash.clear(request, response)
    return response


def _document(title: str, trail: Sequence[tuple[str, str]]) -> str:
    """The title of the document: the page, and what it lies in except for the rail's own places."""
    places = {str(place.word) for place in PLACES}
    words = [title, *(word for word, _href in reversed(trail) if word not in places)]
    return " · ".join(map(visible, words))


def _rail(request: HttpRequest, state: LiveState) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The pinned queues, and the counts of the rail's entries."""
    seen = getattr(request, "viewer", None)
    if seen is None:
        return [], {}
    wanted = [
        (a, q) for a, q in cookies.pins(request) if a in state.connections and seen.allows(a, q)
    ]
    _read_pins(state, wanted)
    state.extra.setdefault("overview", read_open())
    ids = [f"{a}:{q}" for a, q in wanted]
    patches = fragments(state, Topic("overview"), seen, ids)
    pinned = []
    for a, q in wanted:
        number = patches.get(links.dom_id("pin", a, q))
        mark = patches.get(links.dom_id("pin", a, q, "mark"))
        if number and mark:
            pinned.append(
                {
                    "alias": a,
                    "queue": q,
                    "id": f"{a}:{q}",
                    "href": links.queue_url(seen.mount, a, q),
                    "number": number.html,
                    "mark": mark.html,
                }
            )
    names = {
        (alias, name)
        for alias, connection in state.connections.items()
        for name in {*facts_of(alias).names, *connection.queues}
        if seen.allows(alias, name)
    }
    workers = sum(
        seen.allows(alias, one.queue)
        for alias in state.connections
        for one in facts_of(alias).workers or ()
    )
    counts = {"queues": len(names), "workers": workers}
    words = {key: exact(count) if count else "" for key, count in counts.items()}
    running = patches.get("rail-operations")
    return pinned, {**words, "operations": (running and running.text) or ""}


def _read_pins(state: LiveState, wanted: Sequence[tuple[str, str]]) -> None:
    """Read the pinned queues that the page itself has not read."""
    for alias, connection in state.connections.items():
        names = [q for a, q in wanted if a == alias and q not in connection.queues]
        if names and not connection.error:
            try:
                connection.queues.update(Inspector(alias).snapshots(names))
            except ServerUnavailable as error:
                connection.fail(error)


def _servers(state: LiveState) -> list[str]:
    """The connections' aliases and servers, for the words in the environment band."""
    shown = []
    for alias in state.connections:
        server = facts_of(alias).server
        shown.append(f"{alias} · {server.kind} {server.version}" if server else alias)
    return shown


def _away(state: LiveState) -> list[tuple[str, str, Any]]:
    """(alias, sentence, last good read) of the connections that do not answer."""
    return [
        (alias, connection.error, connection.read_at)
        for alias, connection in state.connections.items()
        if connection.error
    ]
