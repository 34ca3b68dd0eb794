"""A job's log: its last lines, which only grow while one looks, and pages of it that were searched.

Lines stand in blocks of fifty, each in the end of the one before, so that a new line sends one
block, and what stands above it and where the reader has scrolled to stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.jsontext import covered

from .markup import element, join
from .values import exact, visible

BLOCK = 50
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_ERROR = re.compile(
    r"\b(?:error|exception|fatal|failed|failure|panic|critical|timed out)\b"
    r"|\w+(?:Error|Exception)\b",
    re.IGNORECASE,
)


def plain(line: str) -> str:
    """A log line without the colour codes of terminals, what is secret in it masked."""
    return covered(_ANSI.sub("", line))


def is_error(line: str) -> bool:
    """Whether the line tells of something that went wrong."""
    return bool(_ERROR.search(line[:2_000]))


def note(logs: Any) -> SafeString:
    """How many of the lines are shown."""
    shown = len(logs.lines)
    words = ""
    if logs.total > shown:
        given = {"shown": shown, "total": exact(logs.total)}
        words = _("last %(shown)s of %(total)s lines") % given
    elif shown:
        words = ngettext("%(count)s line", "%(count)s lines", shown) % {"count": shown}
    return element("small", words, id="job-log-note")


def blocks(logs: Any) -> dict[str, SafeString]:
    """The live blocks of the last lines: those that are whole, and the one that grows."""
    first = logs.total - len(logs.lines)
    begin = -(-first // BLOCK) * BLOCK if first else 0
    found = {}
    for start in range(begin, logs.total, BLOCK):
        lines = logs.lines[start - first : start - first + BLOCK]
        after = element("div", id=_id(start + BLOCK)) if len(lines) == BLOCK else None
        found[_id(start)] = element("div", _lines(lines, start), after, id=_id(start))
    return found or {_id(0): element("div", id=_id(0))}


def live(logs: Any) -> SafeString:
    """The last lines as a page shows them first, from the same blocks."""
    first = logs.total - len(logs.lines)
    begin = -(-first // BLOCK) * BLOCK if first else 0
    inner: SafeString | None = None
    last = begin + max(logs.total - 1 - begin, 0) // BLOCK * BLOCK
    for start in range(last, begin - 1, -BLOCK):
        lines = logs.lines[start - first : start - first + BLOCK]
        if inner is None and len(lines) == BLOCK:
            inner = element("div", id=_id(start + BLOCK))
        inner = element("div", _lines(lines, start), inner, id=_id(start))
    return element(
        "div",
        _lines(logs.lines[: begin - first], first),
        inner or element("div", id=_id(0)),
        class_="log",
        data_log=True,
        data_empty=_("The job wrote no log."),
        tabindex="0",
        translate="no",
        hx_disable=True,
    )


def found(lines: Iterable[tuple[int, str]], query: str) -> SafeString:
    """Numbered lines of a search or of an older page; what was searched for is marked."""
    marked = [
        element("p", *_numbered(number), _marked(plain(line), query), class_=_kind(line))
        for number, line in lines
    ]
    return element("div", marked, class_="log", tabindex="0", translate="no", hx_disable=True)


def _id(start: int) -> str:
    return f"job-log-{start // BLOCK}"


def _lines(lines: Sequence[str], first: int) -> list[SafeString]:
    return [
        element("p", *_numbered(first + at), visible(plain(line)), class_=_kind(line))
        for at, line in enumerate(lines)
    ]


def _numbered(number: int) -> tuple[SafeString, str]:
    return element("span", number + 1, class_="log-no"), " "


def _kind(line: str) -> str | None:
    return "log-error" if is_error(line) else None


def _marked(line: str, query: str) -> SafeString:
    if not query:
        return join([visible(line)])
    parts: list[object] = []
    at, folded = 0, line.lower()
    # Lower case of some letters has another length: then nothing is marked.
    step = len(query)
    while len(folded) == len(line) and (place := folded.find(query.lower(), at)) >= 0:
        parts += [visible(line[at:place]), element("mark", visible(line[place : place + step]))]
        at = place + step
    return join([*parts, visible(line[at:])])
