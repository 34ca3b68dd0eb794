"""A flow as a graph: a column a generation, a box a job, lines to its children."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .flow_tree import Sight
from .markup import element
from .states import label, state_icon
from .values import visible

_WIDE, _HIGH = 190, 40
_STEP_X, _STEP_Y = 238, 50
_LETTERS = 22


@dataclass(slots=True)
class _Box:
    member: Any
    x: int
    y: float
    more: bool = False
    leads: bool = False  # it is the job whose page this is, or that one is below it
    children: list[_Box] = field(default_factory=list)


def graph(family: Any, sight: Sight) -> SafeString:
    """Lay out all jobs of *family* (200 at most are read) and draw them."""
    row = [0]
    root = _place(family.root, 0, row, family.job)
    boxes = list(_walk(root))
    wide = max(box.x for box in boxes) + _WIDE + 4
    high = row[0] * _STEP_Y - (_STEP_Y - _HIGH) + 4
    count = sum(1 for box in boxes if not box.more)
    words = ngettext(
        "A flow of %(count)s job that is drawn here", "A flow of %(count)s jobs drawn here", count
    ) % {"count": count}
    return element(
        "svg",
        element("title", words),
        [_edge(box, child) for box in boxes for child in box.children],
        [_box(box, family, sight) for box in boxes],
        class_="flow-graph",
        width=wide,
        height=round(high),
        viewBox=f"0 0 {wide} {round(high)}",
    )


def _place(member: Any, depth: int, row: list[int], job: Any) -> _Box:
    box = _Box(member, 2 + depth * _STEP_X, 0, leads=member is job)
    box.children = [_place(child, depth + 1, row, job) for child in member.children]
    if member.more:
        box.children.append(_Box(member, 2 + (depth + 1) * _STEP_X, 2 + row[0] * _STEP_Y, True))
        row[0] += 1
    below = next((child for child in box.children if child.leads), None)
    if below:
        # Those above the job stand in one row with it, and are seen where it is.
        box.y, box.leads = below.y, True
    elif box.children:
        box.y = (box.children[0].y + box.children[-1].y) / 2
    else:
        box.y = 2 + row[0] * _STEP_Y
        row[0] += 1
    return box


def _walk(root: _Box) -> list[_Box]:
    found, stack = [], [root]
    while stack:
        box = stack.pop()
        found.append(box)
        stack += reversed(box.children)
    return found


def _edge(parent: _Box, child: _Box) -> SafeString:
    x1, y1 = parent.x + _WIDE, parent.y + _HIGH / 2
    x2, y2 = child.x, child.y + _HIGH / 2
    middle = (x1 + x2) / 2
    kind = "flow-edge flow-edge-more" if child.more else "flow-edge"
    return element(
        "path", d=f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}", class_=kind
    )


def _box(box: _Box, family: Any, sight: Sight) -> SafeString:
    member = box.member
    if box.more:
        words, url = sight.more(member)
        inside = [
            _rect(box, "flow-box flow-box-more"),
            element("text", words, x=box.x + 12, y=box.y + 24, class_="flow-label"),
        ]
        return element("a", inside, href=url) if url else element("g", inside)
    state, name = sight.state(member), sight.name(member)
    mine = member is family.job
    seen = sight.sees(member)
    title = f"{name}: {label(state)}"
    if seen:
        title += f", {visible(member.queue)}, {visible(member.id)}"
    inside = [
        element("title", title),
        _rect(box, "flow-box flow-box-this" if mine else "flow-box"),
        element("svg", state_icon(state), x=box.x + 10, y=box.y + 12, width=16, height=16),
        element("text", _cut(name), x=box.x + 34, y=box.y + 17, class_="flow-label"),
        element(
            "text",
            _cut(visible(member.queue) if seen else _("hidden")),
            x=box.x + 34,
            y=box.y + 32,
            class_="flow-under",
        ),
    ]
    url = sight.url(member)
    if url and not mine:
        return element("a", inside, href=url)
    return element("g", inside, aria_current="true" if mine else None)


def _rect(box: _Box, kind: str) -> SafeString:
    return element("rect", x=box.x, y=f"{box.y:g}", width=_WIDE, height=_HIGH, rx=6, class_=kind)


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
