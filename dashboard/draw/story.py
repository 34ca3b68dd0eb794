"""A job's story: three lanes (waiting, active, delayed) on one axis of time.

BullMQ keeps four moments of a job: added, last start, finished, due. What lies between them is
drawn as what it is; earlier attempts, whose times nobody kept, are one band that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .markup import element
from .states import label, state_icon
from .values import duration_text

LANES = ("waiting", "active", "delayed")
_Y = {"waiting": 24, "active": 58, "delayed": 94}  # the middle of each lane
_HEIGHT, _AXIS_Y = 138, 118
_LEAST = 0.012  # of the axis: what happened is seen, however short
_UNEVEN = 0.7  # a span longer than this share of everything is broken


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a job's life: ``lane``, when, what ended it, and what is known about it."""

    lane: str
    start: datetime
    end: datetime
    label: str = ""
    failed: bool = False
    unknown: bool = False  # earlier attempts: it happened, its times were not kept
    open: bool = False  # still going on

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(0.0, (self.end - self.start).total_seconds())


def spans(row: Any, now: datetime) -> list[Span]:
    """Tell a job's life from its row (:class:`queuecore.inspect.JobRow`)."""
    if row.timestamp is None:
        return []
    told: list[Span] = []
    start, finished = row.processed_on, row.finished_on
    tries = max(row.attempts_started or 0, row.attempts_made or 0)
    at: datetime = row.timestamp
    earlier = tries - 1 if start else 0
    if start is None:
        if row.state == "delayed" and row.due:
            return [Span("delayed", at, max(row.due, now), open=True)]
        return [Span("waiting", at, max(now, at), open=row.state not in ("completed", "failed"))]
    if earlier > 0:
        words = ngettext("%(count)s earlier attempt", "%(count)s earlier attempts", earlier) % {
            "count": earlier
        }
        told.append(Span("waiting", at, max(start, at), words, unknown=True))
    elif start > at:
        # A first delay is known from its length: it began when the job was added.
        until = min(start, at + timedelta(milliseconds=row.initial_delay_ms))
        if until > at:
            told.append(Span("delayed", at, until))
            at = until
        if start > at:
            told.append(Span("waiting", at, start))
    number = f"#{tries}" if tries else ""
    if finished is not None and finished >= start:
        told.append(Span("active", start, finished, number, failed=row.state == "failed"))
        return told
    if row.state == "active":
        told.append(Span("active", start, max(now, start), number, open=True))
        return told
    # Between two attempts: the last one ended when the back-off began, if it is known.
    if row.state == "delayed" and row.due:
        ended = max(start, min(now, row.due - timedelta(milliseconds=row.delay_ms or 0)))
        told.append(Span("active", start, ended, number, failed=bool(row.failed_reason)))
        told.append(Span("delayed", ended, max(row.due, now), open=True))
    elif row.state in ("waiting", "prioritized"):
        words = _("attempt %(number)s and a wait") % {"number": tries}
        told.append(Span("waiting", start, max(now, start), words, unknown=True, open=True))
    return told


def sentence(row: Any, now: datetime) -> SafeString | str:
    """Say in one or two sentences what happened to the job so far."""
    told = spans(row, now)
    tries = max(row.attempts_started or 0, row.attempts_made or 0)
    waited = sum(span.seconds for span in told if span.lane == "waiting" and not span.unknown)
    ran = next((span.seconds for span in reversed(told) if span.lane == "active"), None)
    total = (row.finished_on - row.timestamp).total_seconds() if _finished(row) else None
    values = {
        "ran": duration_text(ran or 0),
        "waited": duration_text(waited),
        "total": duration_text(total or 0),
        "count": tries,
    }
    if row.state == "completed" and total is not None:
        if tries > 1:
            return (
                _("Completed on attempt %(count)s, %(total)s after it was added; ran %(ran)s.")
                % values
            )
        return _("Completed in %(ran)s after waiting %(waited)s.") % values
    if row.state == "failed" and total is not None:
        if tries > 1:
            return (
                _("Failed for good after %(count)s attempts in %(total)s; the last ran %(ran)s.")
                % values
            )
        if tries == 0:
            return _("Failed without having run.")
        return _("Failed for good on its only attempt, after %(ran)s.") % values
    if row.state == "active":
        return _("Runs now, attempt %(count)s.") % {"count": tries or 1}
    if row.state == "delayed":
        if tries:
            return ngettext(
                "Failed %(count)s time and waits for its next attempt.",
                "Failed %(count)s times and waits for its next attempt.",
                row.attempts_made or tries,
            ) % {"count": row.attempts_made or tries}
        return _("Waits until it is due.")
    if row.state == "waiting-children":
        return _("Waits until its children are done.")
    if tries:
        return _("Was tried %(count)s times and waits for a free slot.") % {"count": tries}
    return _("Waits for a free slot.")


def story(row: Any, now: datetime) -> SafeString | None:
    """Draw the lanes; None where nothing is known about the job's times."""
    told = spans(row, now)
    if not told or not any(span.seconds > 0 for span in told):
        return None
    places, broken = _places(told)
    body = [_lane(lane) for lane in LANES]
    for index, (span, (left, right)) in enumerate(zip(told, places, strict=True)):
        body.append(_bar(span, left, right, index in broken))
        if index + 1 < len(told) and told[index + 1].lane != span.lane:
            upper, lower = sorted((_Y[span.lane], _Y[told[index + 1].lane]))
            body.append(_line(right, right, upper, lower, "step"))
    body += _axis(told, places)
    return element(
        "div",
        element(
            "div",
            [
                element("span", state_icon(lane), label(lane), class_=f"lane lane-{lane} t-{lane}")
                for lane in LANES
            ],
            class_="lanes",
            aria_hidden="true",
        ),
        element(
            "svg",
            body,
            class_="lines",
            width="100%",
            height=_HEIGHT,
            role="img",
            aria_label=_words(told),
        ),
        class_="story",
    )


def _finished(row: Any) -> bool:
    return row.finished_on is not None and row.timestamp is not None


def _places(told: Sequence[Span]) -> tuple[list[tuple[float, float]], set[int]]:
    """Where each span lies, 0 to 1; a span that would hide all others is broken to half."""
    lengths = [span.seconds for span in told]
    total = sum(lengths) or 1.0
    shares = [length / total for length in lengths]
    broken = set()
    if len(told) > 1 and max(shares) > _UNEVEN and min(shares) < 0.12:
        longest = shares.index(max(shares))
        rest = 1 - shares[longest] or 1.0
        broken.add(longest)
        shares = [
            0.5 if index == longest else 0.5 * share / rest for index, share in enumerate(shares)
        ]
    shares = [max(_LEAST, share) for share in shares]
    scale = sum(shares)
    places, at = [], 0.0
    for share in shares:
        places.append((at, at + share / scale))
        at += share / scale
    return places, broken


def _bar(span: Span, left: float, right: float, broken: bool) -> SafeString:
    high = 20 if span.lane == "active" else 8
    y = _Y[span.lane] - high / 2
    width = right - left
    kind = "unknown" if span.unknown else f"fill-{span.lane}"
    text = duration_text(span.seconds)
    middle = (left + right) / 2
    body = [
        element(
            "rect",
            x=_percent(left),
            width=_percent(width),
            y=y,
            height=high,
            rx=2,
            class_=f"{kind} open" if span.open else kind,
        )
    ]
    if broken:
        body.append(
            element(
                "svg",
                element("path", d="M-3 -9 3 9", class_="break-gap"),
                element("path", d="M-7 -8 -1 8M1 -8 7 8", class_="break-line"),
                x=_percent(left + width * 0.8),
                y=_Y[span.lane],
                class_="break",
            )
        )
    if span.lane == "active":
        if width > 0.07:
            body.append(_text(text, middle, _Y["active"] + 4, "inside"))
        if span.label:
            body.append(_text(span.label, middle, _Y["active"] - 15, "count"))
        if span.failed:
            body.append(_knob(right))
    elif width > 0.05 or span.unknown:
        words = f"{span.label}, {text}" if span.label else text
        below = span.lane == "delayed"
        body.append(_text(words, middle, y + (high + 14 if below else -6), ""))
    return element("g", element("title", f"{label(span.lane)} {text}"), body)


def _knob(x: float) -> SafeString:
    return element(
        "svg",
        element("circle", r=6, class_="knob"),
        element("path", d="m-2.2-2.2 4.4 4.4m0-4.4-4.4 4.4", class_="knob-cross"),
        x=_percent(x),
        y=_Y["active"],
        class_="break",
    )


def _lane(lane: str) -> SafeString:
    return _line(0, 1, _Y[lane], _Y[lane], "rail")


def _line(x1: float, x2: float, y1: float, y2: float, kind: str) -> SafeString:
    return element("line", x1=_percent(x1), x2=_percent(x2), y1=y1, y2=y2, class_=kind)


def _axis(told: Sequence[Span], places: Sequence[tuple[float, float]]) -> list[SafeString]:
    moments = [(0.0, told[0].start, "")]
    for span, (left, _right) in list(zip(told, places, strict=True))[1:]:
        if 0.14 < left < 0.86 and left - moments[-1][0] > 0.14:
            moments.append((left, span.start, "mid"))
    moments.append((1.0, told[-1].end, "end"))
    body = [_line(0, 1, _AXIS_Y + 0.5, _AXIS_Y + 0.5, "base")]
    for x, at, anchor in moments:
        body.append(_line(x, x, _AXIS_Y, _AXIS_Y + 4, "base"))
        text = date_format(timezone.localtime(at), "H:i:s")
        body.append(
            element(
                "text",
                text,
                x=_percent(x),
                y=_AXIS_Y + 18,
                class_=f"axis {anchor}".strip(),
                data_at=at.isoformat(),
                data_seconds=True,
            )
        )
    return body


def _text(text: str, x: float, y: float, kind: str) -> SafeString:
    return element("text", text, x=_percent(x), y=y, class_=f"mid {kind}".strip())


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


def _words(told: Sequence[Span]) -> str:
    words = []
    for span in told:
        end = f" {_('failed')}" if span.failed else ""
        words.append(f"{label(span.lane)} {duration_text(span.seconds)}{end}")
    return ", ".join(words)
