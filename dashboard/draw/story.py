"""A job's story: three lanes (waiting, active, delayed) on one axis of time.

BullMQ keeps four moments of a job: added, last start, finished, due. What lies between them is
drawn as what it is; earlier attempts, whose times nobody kept, stand evenly in one band that says
so. The axis is to scale until a span would hide another: then the longer one is broken.
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
from django.utils.translation import ngettext, pgettext

from .icons import icon
from .markup import element
from .run_cells import ending
from .states import IN_GROUP, label, seen_as, state_icon
from .values import clipped, dated, duration_text, moment

LANES = ("waiting", "active", "delayed")
_Y = {"waiting": 24, "active": 58, "delayed": 94}  # the middle of each lane
_HEIGHT, _AXIS_Y = 138, 118
_LEAST = 0.012  # of the axis: what happened is seen, however short
_READABLE = 0.1  # of a broken axis: what is short has room for its time
_UNEVEN, _BROKEN = 8, 5  # a span so many times the next shorter one is drawn so many times as long
_ROOMY, _APART = 0.14, 0.35  # what is less has no room for a text on a phone
_AT = 0.94  # where in its span a break stands: beside the text in the middle
_EARLIER = 8  # so many earlier attempts are drawn one by one


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
    number: int = 0  # of the attempt
    earlier: int = 0  # attempts within it, all of which failed if ``failed``
    limit: str = ""  # it is still to come: how much is left until ``timeout`` or ``expires``

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
        if seen_as(row) == IN_GROUP and row.delay_ms:
            due = at + timedelta(milliseconds=row.initial_delay_ms)
            return [Span("delayed", at, max(due, now), open=True)]
        return [Span("waiting", at, max(now, at), open=row.state not in ("completed", "failed"))]
    if earlier > 0:
        words = ngettext("%(count)s earlier attempt", "%(count)s earlier attempts", earlier) % {
            "count": earlier
        }
        # A stalled attempt did not fail, and nobody knows which it was.
        lost = (row.attempts_made or 0) - (row.finished_on is not None or row.state == "delayed")
        told.append(
            Span(
                "waiting",
                at,
                max(start, at),
                words,
                failed=lost >= earlier,
                unknown=True,
                earlier=earlier,
            )
        )
    elif start > at:
        # A first delay is known from its length: it began when the job was added.
        until = min(start, at + timedelta(milliseconds=row.initial_delay_ms))
        if until > at:
            told.append(Span("delayed", at, until))
            at = until
        if start > at:
            told.append(Span("waiting", at, start))
        if row.state == "failed" and ending(row) == "expired":
            return told  # it was taken, and not run
    number = f"#{tries}" if tries else ""
    if finished is not None and finished >= start:
        failed = row.state == "failed"
        told.append(Span("active", start, finished, number, failed=failed, number=tries))
        return told
    if row.state == "active":
        told.append(Span("active", start, max(now, start), number, open=True, number=tries))
        return told
    # Between two attempts: the last one ended when the back-off began, if it is known.
    if row.state == "delayed" and row.due:
        ended = max(start, min(now, row.due - timedelta(milliseconds=row.delay_ms or 0)))
        failed = bool(row.failed_reason)
        told.append(Span("active", start, ended, number, failed=failed, number=tries))
        told.append(Span("delayed", ended, max(row.due, now), open=True))
    elif row.state in ("waiting", "prioritized") or seen_as(row) == IN_GROUP:
        words = _("attempt %(number)s and a wait") % {"number": tries}
        told.append(
            Span("waiting", start, max(now, start), words, unknown=True, open=True, number=tries)
        )
    return told


def still(row: Any, now: datetime, over: datetime | None) -> list[Span]:
    """What is left of the time that a job has: of its run until *over*, or until it expires."""
    if row.state == "active" and over is not None and over > now:
        return [Span("active", now, over, limit="timeout")]
    expires = row.expires if row.state in ("waiting", "prioritized", "delayed") else None
    begun = max(row.due, now) if row.state == "delayed" and row.due else now
    return [Span("waiting", begun, expires, limit="expires")] if expires and expires > begun else []


def limit_word(limit: str) -> str:
    """The name of a dashed rule."""
    return {
        "timeout": pgettext("name of a rule in a drawing", "timeout"),
        "expires": pgettext("name of a rule in a drawing", "expires"),
    }[limit]


def sentence(row: Any, now: datetime, held: str = "") -> SafeString | str:
    """Say in one or two sentences what happened to the job so far.

    *held*: what keeps workers from it, where it waits for one.
    """
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
    how = ending(row)
    if row.state == "failed" and how == "expired":
        return _("Failed as expired: no worker started it in time; it had waited %(waited)s.") % (
            values
        )
    if row.state == "failed" and how == "late" and total is not None:
        if tries > 1:
            return (
                _(
                    "Failed for good after %(count)s attempts in %(total)s; the last was stopped "
                    "by its timeout after %(ran)s."
                )
                % values
            )
        return (
            _("Stopped by its timeout after %(ran)s; failed for good on its only attempt.") % values
        )
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
        if tries and how == "late":
            return _("Was stopped by its timeout and waits for its next attempt.")
        if tries:
            return ngettext(
                "Failed %(count)s time and waits for its next attempt.",
                "Failed %(count)s times and waits for its next attempt.",
                row.attempts_made or tries,
            ) % {"count": row.attempts_made or tries}
        return _("Waits until it is due.")
    if row.state == "waiting-children":
        return _in_group(row, tries) if row.group else _("Waits until its children are done.")
    if tries and not held:
        return _("Was tried %(count)s times and waits for a free slot.") % {"count": tries}
    return held or _("Waits for a free slot.")


def _in_group(row: Any, tries: int) -> str:
    """A job of a group: its turn comes after those of other groups."""
    words = {"count": tries, "group": clipped(row.group)}
    if row.delay_ms:
        return _("Waits until it is due, then for its turn in the group %(group)s.") % words
    if tries:
        return (
            ngettext(
                "Was tried %(count)s time and waits for its turn in the group %(group)s.",
                "Was tried %(count)s times and waits for its turn in the group %(group)s.",
                tries,
            )
            % words
        )
    return _("Waits for its turn in the group %(group)s.") % words


def story(row: Any, now: datetime, over: datetime | None = None) -> SafeString | None:
    """Draw the lanes, and tell them in words; None where nothing is known about the times.

    *over*: when the time of the present run is over.
    """
    told = spans(row, now)
    if not told:
        return None
    told += still(row, now, over)
    words = element("ol", [_item(span) for span in told], class_="sr")
    if not any(span.seconds > 0 for span in told):  # all of it in one millisecond
        return words
    places, broken = _places(told)
    body = [_lane(lane) for lane in LANES]
    for index, (span, (left, right)) in enumerate(zip(told, places, strict=True)):
        body.append(_bar(span, left, right, index in broken))
        if index + 1 < len(told) and told[index + 1].lane != span.lane:
            upper, lower = sorted((_Y[span.lane], _Y[told[index + 1].lane]))
            body.append(_line(right, right, upper, lower, "step"))
    body += _rules(row, told, places, broken, over)
    body += _axis(told, places, broken)
    notes = []
    if broken:
        notes.append(_("The axis is broken where it is marked: those stretches are longer."))
    if any(1 <= span.earlier <= _EARLIER for span in told):
        notes.append(_("Earlier attempts stand evenly: the times of the last one alone are kept."))
    return element(
        "div",
        element(
            "div",
            element(
                "div",
                [
                    element(
                        "span", state_icon(lane), label(lane), class_=f"lane lane-{lane} t-{lane}"
                    )
                    for lane in LANES
                ],
                class_="lanes",
            ),
            element("svg", body, class_="lines", width="100%", height=_HEIGHT),
            class_="story",
            aria_hidden="true",
        ),
        words,
        element("p", icon("info", 14), element("span", " ".join(notes)), class_="note story-note")
        if notes
        else None,
    )


def _finished(row: Any) -> bool:
    return row.finished_on is not None and row.timestamp is not None


def _places(told: Sequence[Span]) -> tuple[list[tuple[float, float]], set[int]]:
    """Where each span lies, 0 to 1, and which are broken: drawn shorter than to scale."""
    lengths = [span.seconds for span in told]
    shown = [0.0] * len(told)
    before: tuple[float, float] | None = None
    for index in sorted(range(len(told)), key=lengths.__getitem__):
        length = lengths[index]
        if not length:
            continue
        scale = length / before[0] if before else 1.0
        shown[index] = (before[1] if before else 1.0) * (_BROKEN if scale > _UNEVEN else scale)
        before = length, shown[index]
    total = sum(shown) or 1.0
    shares = [share / total for share in shown]
    uneven = any(0 < share < _READABLE / 2 for share in shares) or any(
        scale > 1.01 for scale in _scales(shares, lengths)
    )
    least = _READABLE if uneven else _LEAST
    shares = [
        max(least if length else _LEAST, share)
        for share, length in zip(shares, lengths, strict=True)
    ]
    broken = {index for index, scale in enumerate(_scales(shares, lengths)) if scale > 1.5}
    places, at, whole = [], 0.0, sum(shares)
    for share in shares:
        places.append((at, at + share / whole))
        at += share / whole
    return places, broken


def _scales(shares: Sequence[float], lengths: Sequence[float]) -> list[float]:
    """How many times shorter than the roomiest span each is drawn."""
    roomy = max(share / length for share, length in zip(shares, lengths, strict=True) if length)
    return [
        roomy * length / share if length else 1.0
        for share, length in zip(shares, lengths, strict=True)
    ]


def _rules(
    row: Any,
    told: Sequence[Span],
    places: Sequence[tuple[float, float]],
    broken: set[int],
    over: datetime | None,
) -> list[SafeString]:
    """Dashed rules with their names: where the time of a run, or of a job, is over."""
    body = []
    late = ending(row) == "late"
    for index, (span, (left, right)) in enumerate(zip(told, places, strict=True)):
        last = span.lane == "active" and not any(one.lane == "active" for one in told[index + 1 :])
        if span.limit:
            body.append(_rule(span.lane, right, limit_word(span.limit)))
        elif last and span.open and over is not None and span.seconds and index not in broken:
            share = (over - span.start).total_seconds() / span.seconds
            if share < 1:  # it goes on although its time is over
                at = left + max(share, 0.0) * (right - left)
                body.append(_rule(span.lane, at, limit_word("timeout")))
        elif last and late and not span.open:
            body.append(_rule(span.lane, right, limit_word("timeout")))
    return body


def _rule(lane: str, x: float, name: str) -> SafeString:
    y = _Y[lane]
    kind = "from limit-name" if x < _ROOMY else "end limit-name"
    return element("g", _line(x, x, y - 16, y + 14, "limit"), _text(name, x, y + 25, kind))


def _bar(span: Span, left: float, right: float, broken: bool) -> SafeString:
    if span.limit:  # nothing has happened yet
        return _line(left, right, _Y[span.lane], _Y[span.lane], "ahead")
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
    if 1 <= span.earlier <= _EARLIER:
        body += _earlier(span, left, width)
    if broken:
        body.append(_break(left + width * _AT, _Y[span.lane]))
    if span.lane == "active":
        if width > 0.07:
            kind = "mid inside" if width > _ROOMY else "mid inside tight"
            body.append(_text(text, middle, _Y["active"] + 4, kind))
        if span.label:
            body.append(_text(span.label, middle, _Y["active"] - 15, "mid count"))
        if span.failed:
            body.append(_knob(right))
    elif width > 0.05 or span.unknown:
        words = f"{span.label}, {text}" if span.label else text
        below = span.lane == "delayed"
        # Long words over a short stretch at the beginning would stand before it.
        x, kind = (left, "from") if middle < _ROOMY and span.label else (middle, "mid")
        body.append(_text(words, x, y + (high + 14 if below else -6), kind))
    return element("g", element("title", f"{label(span.lane)} {text}"), body)


def _earlier(span: Span, left: float, width: float) -> list[SafeString]:
    """The earlier attempts as loops between waiting and active: how many, not when."""
    body = []
    step = width / (span.earlier + 0.5)
    for index in range(span.earlier):
        start = left + step * (index + 0.4)
        end = start + step * 0.35
        body += [
            _line(start, start, _Y["waiting"] + 4, _Y["active"], "step loop"),
            _line(end, end, _Y["waiting"] + 4, _Y["active"], "step loop"),
            element(
                "rect",
                x=_percent(start),
                width=_percent(end - start),
                y=_Y["active"] - 6,
                height=12,
                rx=2,
                class_="unknown-run",
            ),
        ]
        if span.failed:
            body.append(_knob(end))
    return body


def _break(x: float, y: float, high: int = 8) -> SafeString:
    return element(
        "svg",
        element("path", d=f"M-3 -{high + 1} 3 {high + 1}", class_="break-gap"),
        element("path", d=f"M-7 -{high} -1 {high}M1 -{high} 7 {high}", class_="break-line"),
        x=_percent(x),
        y=y,
        class_="break",
    )


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


def _axis(
    told: Sequence[Span], places: Sequence[tuple[float, float]], broken: set[int]
) -> list[SafeString]:
    moments = [(0.0, told[0].start, "")]
    for span, (left, _right) in list(zip(told, places, strict=True))[1:]:
        if 0.16 < left < 0.84 and left - moments[-1][0] > 0.16:
            near = min(left - moments[-1][0], 1 - left) < _APART
            moments.append((left, span.start, "mid tight" if near else "mid"))
    moments.append((1.0, told[-1].end, "end"))
    body = [_line(0, 1, _AXIS_Y + 0.5, _AXIS_Y + 0.5, "base")]
    for index, (left, right) in enumerate(places):
        if index in broken:
            body.append(_break(left + (right - left) * _AT, _AXIS_Y + 0.5, 5))
    clocks = [timezone.localtime(at) for _x, at, _anchor in moments]
    several = clocks[0].date() != clocks[-1].date()
    told_day = None
    for index, (x, at, anchor) in enumerate(moments):
        near = clocks[max(0, index - 1) : index + 2]
        # A day where it changes (a phone leaves tight ones out), a fraction where two would read
        # the same.
        day = several and told_day != clocks[index].date()
        if "tight" not in anchor:
            told_day = clocks[index].date()
        second = [one.replace(microsecond=0) for one in near]
        fine = second.count(clocks[index].replace(microsecond=0))
        body.append(_line(x, x, _AXIS_Y, _AXIS_Y + 4, "base"))
        text = date_format(clocks[index], "H:i:s")
        body.append(
            element(
                "text",
                f"{dated(clocks[index], 'j M')} {text}" if day else text,
                x=_percent(x),
                y=_AXIS_Y + 18,
                class_=f"axis {anchor}".strip(),
                data_story_at=at.isoformat(timespec="milliseconds"),
                data_day=day,
                data_fine=fine > 1,
            )
        )
    return body


def _text(text: str, x: float, y: float, kind: str) -> SafeString:
    return element("text", text, x=_percent(x), y=y, class_=kind)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


def _item(span: Span) -> SafeString:
    """The span as a line of the list that is read aloud."""
    return element("li", moment(span.start, "date"), " ", _told(span))


def _told(span: Span) -> str:
    given = {"time": duration_text(span.seconds), "number": span.number, "count": span.earlier}
    if span.limit == "timeout":
        return _("Its timeout is over %(time)s later.") % given
    if span.limit:
        return _("It expires %(time)s later.") % given
    if span.earlier:
        return ngettext(
            "%(count)s earlier attempt within %(time)s; when it ran was not kept.",
            "%(count)s earlier attempts within %(time)s; when they ran was not kept.",
            span.earlier,
        ) % {**given, "count": span.earlier}
    if span.unknown:
        return _("Attempt %(number)s and a wait, %(time)s so far.") % given
    if span.lane == "active":
        if span.open:
            return _("Attempt %(number)s has run %(time)s so far.") % given
        if span.failed:
            return _("Attempt %(number)s ran %(time)s and failed.") % given
        return _("Attempt %(number)s ran %(time)s.") % given
    if span.lane == "delayed":
        if span.open:
            return _("Is delayed, %(time)s in all.") % given
        return _("Was delayed for %(time)s.") % given
    if span.open:
        return _("Has waited %(time)s so far.") % given
    return _("Waited %(time)s.") % given
