"""Icons of the Lucide set (PyPI ``lucide``), by our own names, each rendered once a process.

Called from here rather than from lucide's own tag, so that a host adds no app to its settings.
"""

from __future__ import annotations

from functools import cache

from django.utils.safestring import SafeString

from .markup import element

# What a page means -> how Lucide calls it. Pages use the left names only.
NAMES = {
    "overview": "activity",
    "queues": "list-filter",
    "search": "search",
    "sun": "sun",
    "moon": "moon",
    "pause": "",  # our own: the two bars of the paused state
    "play": "play",
    "retry": "rotate-cw",
    "remove": "trash-2",
    "cancel": "ban",
    "promote": "arrow-up-to-line",
    "clean": "brush-cleaning",
    "copy": "copy",
    "check": "check",
    "right": "chevron-right",
    "left": "chevron-left",
    "down": "chevron-down",
    "close": "x",
    "more": "ellipsis",
    "failing": "circle-x",
    "new-error": "bug",
    "no-workers": "unplug",
    "growing": "trending-up",
    "stuck": "hourglass",
    "memory": "memory-stick",
    "away": "unplug",
    "warning": "triangle-alert",
    "limited": "gauge",
    "groups": "group",
    "info": "info",
    "audit": "shield-check",
    "repair": "wrench",
    "system": "server",
    "keyboard": "keyboard",
    "sign-out": "log-out",
    "pin": "pin",
    "unpin": "pin-off",
    "table": "table",
    "chart": "chart-column",
    "columns": "columns-3",
    "filter": "list-filter",
    "mute": "bell-off",
    "unmute": "bell",
    "scheduler": "calendar-clock",
    "up": "arrow-up",
    "external": "external-link",
    "menu": "menu",
    "rows": "rows-3",
    "lock": "lock",
    "empty": "inbox",
    "lost": "map-pin-off",
    "schedulers": "calendar-clock",
    "edit": "pencil",
    "new": "plus",
    "workers": "cpu",
    "drain": "arrow-down-to-line",
    "stop": "square",
    "operations": "list-checks",
    "host": "server",
    "fleet": "network",
    "priority": "chevrons-up",
    "note": "message-square-plus",
    "key": "key-round",
    "download": "download",
    "polling": "refresh-cw",
    "held": "hand",
    "fold": "panel-left-close",
    "preferences": "sliders-horizontal",
}


@cache
def icon(name: str, size: int = 16) -> SafeString:
    """Return the icon as inline SVG, hidden from screen readers: a word stands beside it."""
    if name == "pause":
        return _bars(size)
    from lucide.templatetags.lucide import lucide

    svg = lucide(
        NAMES[name],
        size=size,
        **{"class": "icon", "aria-hidden": "true", "focusable": "false", "stroke-width": "1.75"},
    )
    assert isinstance(svg, SafeString)
    return svg


def _bars(size: int) -> SafeString:
    return element(
        "svg",
        element("path", d="M8.5 6v12M15.5 6v12", stroke_width=3),
        class_="icon",
        viewBox="0 0 24 24",
        width=size,
        height=size,
        fill="none",
        stroke="currentColor",
        stroke_linecap="round",
        aria_hidden="true",
        focusable="false",
    )
