"""A flow as a tree: a row a job, with its state, queue, and when it ran on one axis of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .. import links
from . import job_cells
from .markup import element
from .states import state_icon
from .values import exact, visible


@dataclass(frozen=True, slots=True)
class Sight:
    """Through whose eyes a flow is drawn: ``viewer``, the connection, and the time it is."""

    viewer: Any
    alias: str
    now: datetime
    graph: bool = False

    def url(self, member: Any) -> str:
        """The address of a job's own flow; empty where it is gone or not to be seen."""
        if member.row is None or not self.sees(member):
            return ""
        url = links.job_url(self.viewer.mount, self.alias, member.queue, member.id)
        return f"{url}?tab=flow" + ("&as=graph" if self.graph else "")

    def sees(self, member: Any) -> bool:
        """Whether the job stands in a queue that may be seen."""
        return bool(member.queue) and self.viewer.allows(self.alias, member.queue)

    def name(self, member: Any) -> str:
        """What a job is called: its name, else its id; nothing of one that is not to be seen."""
        if not self.sees(member):
            return _("a job in a queue that is not yours to see")
        if member.row is None:
            return visible(member.id)
        return visible(member.row.name or member.id)

    def state(self, member: Any) -> str:
        """Its state, ``gone`` for what is gone or not to be seen."""
        return member.row.state if member.row and self.sees(member) else "gone"

    def more(self, member: Any) -> tuple[str, str]:
        """The words for the children that are not drawn, and where they are."""
        words = _("+ %(count)s more") % {"count": exact(member.more)}
        url = self.url(member)
        if url and member.after:
            url += f"&from={member.after}"
        return words, url


def tree(family: Any, sight: Sight, most: int = 200) -> SafeString:
    """The whole of *family* from its top, at most *most* rows."""
    begin, end = _times(family, sight)
    left = [most]
    return element("ul", _item(family.root, family, sight, begin, end, left), class_="flow")


def _item(
    member: Any, family: Any, sight: Sight, begin: datetime, end: datetime, left: list[int]
) -> SafeString:
    left[0] -= 1
    below = []
    hidden = 0
    for child in member.children:
        if left[0] > 0 or child is family.job:
            below.append(_item(child, family, sight, begin, end, left))
        else:
            hidden += 1
    if member.more or hidden:
        words, url = sight.more(member)
        if hidden:
            words = _("+ %(count)s more") % {"count": exact(member.more + hidden)}
        below.append(
            element(
                "li",
                element("a", words, href=url, class_="more") if url else element("span", words),
                class_="flow-more",
            )
        )
    return element(
        "li", _row(member, family, sight, begin, end), element("ul", below) if below else None
    )


def _row(member: Any, family: Any, sight: Sight, begin: datetime, end: datetime) -> SafeString:
    url, seen = sight.url(member), sight.sees(member)
    mine = member is family.job
    name = sight.name(member)
    row = member.row if seen else None
    return element(
        "div",
        state_icon(sight.state(member), named=True),
        element("a", name, href=url, class_="flow-name")
        if url and not mine
        else element("span", name, class_="flow-name" if seen else "muted"),
        element("span", visible(member.queue), class_="flow-queue") if seen else None,
        element("small", _("gone"), title=_("Its retention has ended, or it was removed."))
        if seen and row is None
        else None,
        element("small", _("failed, the parent goes on"))
        if seen and member.kind == "ignored"
        else None,
        element("span", _bar(row, begin, end, sight) if row else None, class_="flow-bar"),
        element("span", job_cells.ran(row) if row else None, class_="num flow-time"),
        class_="flow-row flow-this" if mine else "flow-row",
        aria_current="true" if mine else None,
    )


def _bar(row: Any, begin: datetime, end: datetime, sight: Sight) -> SafeString:
    whole = max((end - begin).total_seconds(), 0.001)
    added = row.timestamp or begin
    finish = row.finished_on or sight.now
    start = row.processed_on if row.processed_on and row.processed_on >= added else finish

    def x(at: datetime) -> float:
        return min(max((at - begin).total_seconds() / whole, 0), 1) * 100

    def rect(first: datetime, last: datetime, kind: str, least: float) -> SafeString:
        left = min(x(first), 100 - least)
        wide = max(x(last) - x(first), least)
        return element(
            "rect", x=f"{left:.2f}%", width=f"{wide:.2f}%", y=0, height=8, rx=1, class_=kind
        )

    kind = "fill-failed" if row.state == "failed" else f"fill-{row.state}"
    return element(
        "svg",
        element("rect", width="100%", height=8, class_="flow-rest"),
        rect(added, start, "flow-wait", 0),
        rect(start, finish, kind, 2) if row.processed_on else None,
        width="100%",
        height=8,
        aria_hidden="true",
    )


def _times(family: Any, sight: Sight) -> tuple[datetime, datetime]:
    rows = [one.row for one in family.root.walk() if one.row and sight.sees(one)]
    begins = [row.timestamp for row in rows if row.timestamp]
    ends = [row.finished_on or sight.now for row in rows]
    return min(begins, default=sight.now), max(ends, default=sight.now)


def summary(family: Any) -> str:
    """``1 parent, 4 children`` of the job itself."""
    words = []
    if family.job is not family.root:
        words.append(_("in a flow"))
    if family.job.total:
        words.append(_("%(count)s children") % {"count": exact(family.job.total)})
    return ", ".join(words)
