"""The calendar strip: a scheduler's day as a lane: what ran, is planned, was missed, failed, runs.

The outer SVG has no viewBox, so marks keep their size at any width; ticks are one path in an inner
one that stretches. More than 150 fires a day become a band.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import fires
from queuecore.errors import InvalidOption
from queuecore.repeat import Repeat
from queuecore.runs import Run, Timing

from .markup import element
from .values import dated

HEIGHT = 24
#: More fires a day than this are drawn as a band.
MOST_TICKS = 150
_MOST_BOXES = 40
_CLOSE_MS = 540_000  # boxes nearer to each other would touch
_UNITS = 8_640  # the inner drawing's width: ten seconds each, on most days
_QUARTER = 900_000
_MOST_BACK = 500  # fires that are counted back one by one
#: An hour's label gives way to the time of now where it is nearer than this many hours: the label
#: is wider in a narrow drawing. By the classes of the CSS.
_NEAR = (("near", 1.2), ("near-narrow", 1.8), ("near-phone", 4.4))
_T = "M-4 3h8v3h-2.5v14h-3V6h-2.5z"


@dataclass(frozen=True, slots=True)
class Day:
    """The day that a strip shows, from midnight to midnight by the project's clock; ms."""

    start: int
    end: int

    @classmethod
    def of(cls, now: int) -> Day:
        """The day in which *now* lies."""
        local = timezone.localtime(datetime.fromtimestamp(now / 1000, UTC))
        first = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return cls(_ms(first), _ms(first + timedelta(days=1)))

    def share(self, at: float) -> float:
        """Where a moment lies, 0 to 100."""
        return 100 * (min(max(at, self.start), self.end) - self.start) / (self.end - self.start)

    def percent(self, at: float) -> str:
        """The same as SVG writes it."""
        return f"{self.share(at):.3f}%"

    def unit(self, at: float) -> int:
        """Where it lies in the inner drawing."""
        return round(self.share(at) * _UNITS / 100)


@dataclass(frozen=True, slots=True)
class Plan:
    """When a scheduler is due within a day: ``moments``, or ``spans`` where these are too many."""

    moments: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


def plan(timing: Timing, day: Day) -> Plan:
    """The moments of a scheduler's day, those before now among them."""
    scheduler = timing.scheduler
    due = timing.due if scheduler.every else None
    if scheduler.every and due is not None:
        # Only the beat matters, so that the same one is worked out once.
        due = day.start + (due - day.start) % round(scheduler.every * 1000)
    try:
        return _plan(scheduler.repeat, scheduler.name, due, day)
    except Exception:  # a pattern of a peer's, or a strategy of the project's that raises
        return Plan()


@lru_cache(maxsize=4096)
def _plan(repeat: Repeat, name: str, due: int | None, day: Day) -> Plan:
    found: list[int] = []
    for at in fires.upcoming(repeat, name, day.start - 1, due):
        if at >= day.end:
            return Plan(tuple(found))
        found.append(at)
        if len(found) > MOST_TICKS:
            return Plan(spans=tuple(_spans(repeat, name, due, day)))
    return Plan(tuple(found))


def _spans(repeat: Repeat, name: str, due: int | None, day: Day) -> list[tuple[int, int]]:
    """The quarters of an hour in which it is due, those side by side as one."""
    spans: list[tuple[int, int]] = []
    at = next(fires.upcoming(repeat, name, day.start - 1, due), None)
    while at is not None and at < day.end:
        begin = at - (at - day.start) % _QUARTER
        if spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], begin + _QUARTER)
        else:
            spans.append((begin, begin + _QUARTER))
        last = at
        at = next(fires.upcoming(repeat, name, begin + _QUARTER - 1, due), None)
        if at is not None and at <= last:  # a strategy of the project's own that goes backwards
            break
    return spans


def lane(id: str, timing: Timing, day: Day, paused: bool = False) -> SafeString:
    """Draw one scheduler's day as ``<svg id>``. *paused*: the queue is, so nothing is started."""
    planned = plan(timing, day)
    runs = [run for run in timing.runs if _within(run, day)]
    failed = [run for run in runs if run.state == "failed"]
    ran = [run for run in runs if run.began is not None and run.state != "failed"]
    missed = [at for at in timing.missed(day.start) if at < day.end]
    ahead = () if timing.scheduler.paused_at or timing.over or timing.stuck else planned.moments
    future = [at for at in ahead if at > timing.now]
    body: list[object] = []
    if planned.spans:
        body += _band(timing, planned.spans, ran, day)
    else:
        body.append(
            element(
                "svg",
                _ticks("strip-planned", future, day),
                _ticks("strip-ran", [_at(run) for run in ran], day),
                viewBox=f"0 0 {_UNITS} {HEIGHT}",
                preserveAspectRatio="none",
                width="100%",
                height=HEIGHT,
            )
        )
    elsewhen = _elsewhen(timing, planned, day)
    if elsewhen:
        body.append(element("text", elsewhen, x="100%", y=16, class_="axis end"))
    body += [_running(run, timing.now, day) for run in runs if run.state == "active"]
    body += _boxes(missed, ran, day)
    body += [
        element(
            "svg",
            element("path", d=_T),
            x=day.percent(_at(run)),
            overflow="visible",
            class_="strip-failed",
        )
        for run in failed
    ]
    return element(
        "svg",
        body,
        id=id,
        class_="strip-lane strip-off" if paused or timing.scheduler.paused_at else "strip-lane",
        width="100%",
        height=HEIGHT,
        role="img",
        aria_label=_summary(planned, len(ran), len(failed), len(missed), len(future)),
    )


def axis(day: Day, now: int) -> SafeString:
    """The hours over the lanes, as ``<svg id="schedulers-axis">``, but for those too near *now*."""
    hours = []
    length = day.end - day.start
    for step in range(13):
        at = day.start + length * step // 12
        local = timezone.localtime(datetime.fromtimestamp(at / 1000, UTC))
        place = "" if step == 0 else "end" if step == 12 else "mid wide-hour" if step % 2 else "mid"
        # The first and the last stand beside their hours, not over them.
        away = abs(at - now) / 3_600_000 / (1 if place.startswith("mid") else 1.4)
        near = [name for name, hours_ in _NEAR if away < hours_]
        hours.append(
            element(
                "text",
                "24:00" if step == 12 and local.hour == 0 else date_format(local, "H:i"),
                x=day.percent(at),
                y=14,
                class_=" ".join(filter(None, [place, *near])),
            )
        )
    return element(
        "svg",
        element("g", hours, class_="axis"),
        id="schedulers-axis",
        width="100%",
        height=20,
        aria_hidden="true",
        class_="strip-axis",
    )


def grid(day: Day) -> SafeString:
    """The lines behind the lanes, every two hours."""
    length = day.end - day.start
    return element(
        "svg",
        [
            element("line", x1=day.percent(at), x2=day.percent(at), y1=0, y2="100%", class_="grid")
            for at in (day.start + length * step // 12 for step in range(13))
        ],
        class_="strip-grid",
        width="100%",
        height="100%",
        aria_hidden="true",
        focusable="false",
    )


def now_line(day: Day, now: int) -> SafeString:
    """The line of now, with its time on top, as ``<svg id="schedulers-now">``."""
    local = timezone.localtime(datetime.fromtimestamp(now / 1000, UTC))
    at = day.percent(now)
    return element(
        "svg",
        element("line", x1=at, x2=at, y1=20, y2="100%"),
        element(
            "svg",
            element("rect", x=-21, y=1, width=42, height=18, rx=4),
            element("text", date_format(local, "H:i"), y=14, class_="mid"),
            x=at,
            overflow="visible",
        ),
        id="schedulers-now",
        class_="strip-now",
        width="100%",
        height="100%",
        aria_hidden="true",
        focusable="false",
    )


def _elsewhen(timing: Timing, planned: Plan, day: Day) -> str:
    """When it runs next, where that is on no moment of this day."""
    if planned.moments or planned.spans or timing.due is None or timing.due < day.end:
        return ""
    if timing.over:
        return ""
    local = timezone.localtime(datetime.fromtimestamp(timing.due / 1000, UTC))
    near = local.year == timezone.localtime().year
    return _("next on %(date)s") % {"date": dated(local, "j F" if near else "j F Y")}


def _within(run: Run, day: Day) -> bool:
    return day.start <= _at(run) < day.end or run.state == "active"


def _at(run: Run) -> int:
    """Where a run is drawn: when it was due, or when somebody's own began."""
    return run.due if run.due is not None else run.began or run.added or 0


def _ticks(name: str, moments: Iterable[int], day: Day) -> SafeString | None:
    places = sorted({day.unit(at) for at in moments if day.start <= at < day.end})
    if not places:
        return None
    return element("path", d="".join(f"M{place} 7v10" for place in places), class_=name)


def _band(
    timing: Timing, spans: Sequence[tuple[int, int]], ran: Sequence[Run], day: Day
) -> list[SafeString]:
    """Too many fires for ticks: known to have run, not known any more, planned."""
    known = min((_at(run) for run in ran), default=None)
    until = max((_at(run) for run in ran), default=0)
    stops = bool(timing.scheduler.paused_at or timing.over or timing.stuck)
    if not (stops or timing.late):
        until = timing.now
    begun, known = _first(timing, day), timing.now if known is None else known
    pieces = []
    for begin, end in spans:
        for name, first, last, height in (
            ("strip-band-before", max(begin, begun), min(end, known), 2),
            ("strip-band-ran", max(begin, known), min(end, until), 6),
            ("strip-band-planned", max(begin, timing.now), end, 6),
        ):
            if last > first and not (stops and name == "strip-band-planned"):
                pieces.append(_bar(name, first, last, day, 12 - height // 2, height))
    return pieces


def _first(timing: Timing, day: Day) -> int:
    """When it ran first, not before *day*: so many runs ago as it has made, at least."""
    scheduler = timing.scheduler
    due = round(scheduler.next.timestamp() * 1000) if scheduler.next else timing.now
    made = (scheduler.iteration_count or 1) - 1  # without the one that waits
    if scheduler.every:
        return max(due - made * round(scheduler.every * 1000), day.start)
    at, count = due, 0
    try:
        for at in islice(fires.past(scheduler.repeat, due), min(made, _MOST_BACK)):
            count += 1
            if at <= day.start:
                return day.start
    except InvalidOption:
        return timing.now
    # Of very many, those before are taken to be as near to each other.
    return max(due - (due - at) * made // max(count, 1), day.start)


def _boxes(missed: Sequence[int], ran: Sequence[Run], day: Day) -> list[SafeString]:
    """A box for each missed run; one around those that are too close or too many to tell apart.

    Those have no run between them.
    """
    between = sorted(_at(run) for run in ran)
    close = day.end if len(missed) > _MOST_BOXES else _CLOSE_MS
    spans: list[tuple[int, int]] = []
    for at in missed:
        last = spans[-1][1] if spans else None
        if last is not None and at - last < close and bisect(between, last) == bisect(between, at):
            spans[-1] = (spans[-1][0], at)
        else:
            spans.append((at, at))
    return [_box(first, last, day) for first, last in spans[-_MOST_BOXES:]]


def _box(first: int, last: int, day: Day) -> SafeString:
    wide = f"{day.share(last) - day.share(first):.3f}%" if last > first else 5
    return element(
        "rect",
        x=day.percent(first),
        y=5,
        width=wide,
        height=14,
        rx=1.5,
        transform=None if last > first else "translate(-2.5)",
        class_="strip-missed",
    )


def _running(run: Run, now: int, day: Day) -> SafeString:
    return _bar("strip-running", run.began or now, now, day, 7, 10)


def _bar(name: str, first: int, last: int, day: Day, y: int, height: int) -> SafeString:
    width = max(day.share(last) - day.share(first), 0.1)
    return element(
        "rect", x=day.percent(first), width=f"{width:.3f}%", y=y, height=height, class_=name
    )


def _summary(planned: Plan, ran: int, failed: int, missed: int, future: int) -> str:
    parts = []
    if planned.spans:
        parts.append(_("runs more than %(count)s times a day") % {"count": MOST_TICKS})
    elif future:
        parts.append(
            ngettext("%(count)s run planned today", "%(count)s runs planned today", future)
            % {"count": future}
        )
    if ran:
        parts.append(ngettext("%(count)s ran", "%(count)s ran", ran) % {"count": ran})
    if failed:
        parts.append(ngettext("%(count)s failed", "%(count)s failed", failed) % {"count": failed})
    if missed:
        parts.append(ngettext("%(count)s missed", "%(count)s missed", missed) % {"count": missed})
    return ", ".join(parts) or _("nothing today")


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
