"""The cells of a scheduler's row, and the lists of its page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from queuecore import fires
from queuecore.cron import time_zone
from queuecore.errors import InvalidOption
from queuecore.jsontext import covered
from queuecore.runs import LAST, LATE_MS, Run, Timing

from .. import links
from .icons import icon
from .job_cells import chip
from .markup import element, join, phrase
from .schedule_words import words, written
from .states import state_icon
from .values import DASH, dated, duration, duration_text, exact, moment, number, visible

_DAY = 86_400_000
_WIDTH, _HEIGHT, _BAR, _STEP = 99, 24, 3, 5


def cells(timing: Timing, paused: bool) -> dict[str, SafeString]:
    """What changes in a row, by the name of its cell. *paused*: the queue is."""
    return {
        "flags": join(badges(timing, paused)),
        "when": join(
            [
                element("span", words(timing.scheduler), class_="sched-words"),
                element("code", written(timing.scheduler), class_="sched-written"),
            ]
        ),
        "next": next_run(timing, paused),
        "last": last_run(timing, paused),
        "runs": bars(timing),
        "drift": drift(timing),
        "count": count(timing),
        "source": source(timing),
    }


def source(timing: Timing) -> SafeString:
    """Who has made it: a program, or somebody by hand."""
    author = timing.author
    if author is None:
        return element("span", pgettext("made by a program", "Code"), class_="muted")
    if author.made:
        return element("span", visible(author.made), class_="sched-by")
    title = _("Changed here by %(who)s") % {"who": visible(author.changed)}
    code = pgettext("made by a program", "Code")
    return element("span", code, element("u", "*"), class_="muted", title=title)


def provenance(timing: Timing) -> SafeString:
    """What becomes of a change that is made by hand, as ``<p id="scheduler-source">``."""
    author = timing.author
    if author is not None and author.made:
        if not author.changed or author.changed == author.made:
            text = _("Made by hand, by %(who)s: no program puts it back.")
        else:
            text = _("Made by hand, by %(who)s, and changed by %(other)s: no program puts it back.")
        text %= {"who": visible(author.made), "other": visible(author.changed)}
    elif author is not None:
        text = _(
            "Defined in code, and changed here by %(who)s: the next deploy whose program upserts "
            "it puts its own schedule back."
        ) % {"who": visible(author.changed)}
    else:
        text = _(
            "Defined in code: what is changed here holds until the next deploy whose program "
            "upserts it."
        )
    name = "warning" if author is not None and not author.made else "info"
    body = [icon(name), element("span", text)]
    kind = "notice-warn" if name == "warning" else "notice-info"
    return element("p", body, id="scheduler-source", class_=f"sched-source {kind}")


def state(timing: Timing) -> SafeString:
    """Which orders fit it, for the buttons of its row."""
    name = "paused" if timing.scheduler.paused_at else "legacy" if timing.scheduler.legacy else "on"
    return element("span", hidden=True, data_scheduler=name)


def mark(timing: Timing, paused: bool) -> SafeString:
    """The icon beside a lane's name: what is wrong first; nothing where nothing is."""
    since = timing.now - _DAY
    if timing.last is not None and timing.last.state == "failed":
        return state_icon("failed")
    if timing.overlaps(since) or timing.missed(since) or timing.stuck or not timing.readable:
        return element("span", icon("warning", 14), class_="t-warn")
    if timing.scheduler.paused_at or paused:
        return state_icon("paused")
    return element("span")


def badges(timing: Timing, paused: bool) -> list[SafeString]:
    """What is unusual, as words: of the last 24 hours where it is about runs."""
    scheduler, since = timing.scheduler, timing.now - _DAY
    found = []
    if not timing.readable:
        found.append(_badge("bad", _("Cannot be read here"), "warning"))
    if timing.stuck:
        found.append(_badge("bad", _("Stands still"), "warning"))
    if timing.overlaps(since):
        found.append(_badge("warn", _("Overlap"), "warning"))
    missed = timing.missed(since)
    if len(missed) == 1:
        found.append(_badge("warn", phrase(_("Missed at %(time)s"), time=_time(missed[0]))))
    elif missed:
        most = "+" if len(missed) >= 200 else ""
        words_ = ngettext("Missed %(count)s run", "Missed %(count)s runs", len(missed))
        found.append(_badge("warn", words_ % {"count": f"{exact(len(missed))}{most}"}))
    if scheduler.paused_at:
        found.append(_badge("paused", _("Paused"), "pause"))
    elif paused:
        found.append(_badge("paused", _("Queue paused"), "pause"))
    if scheduler.legacy:
        found.append(_badge("info", _("Repeatable job of BullMQ 5")))
    if timing.over:
        found.append(_badge("paused", _("Has made all of its runs")))
    elif scheduler.end_date:
        found.append(_badge("paused", phrase(_("Ends on %(date)s"), date=_day(scheduler.end_date))))
    return found


def next_run(timing: Timing, paused: bool) -> SafeString:
    """``in 27m 52s``, ticking; how late it is; or why it does not come."""
    if timing.scheduler.paused_at:
        return element("span", _("Paused"), class_="t-paused strong")
    if timing.over:
        return element("span", _("None"), class_="zero")
    if timing.late or (timing.scheduler.legacy and (timing.due or 0) < timing.now - LATE_MS):
        if paused:
            return element("span", _("Queue paused"), class_="t-paused strong")
        time = moment(_datetime(timing.due), "age")
        return element("span", phrase(_("late by %(time)s"), time=time), class_="bad")
    if timing.stuck:
        return element("span", _("no run waits"), class_="bad")
    pending = timing.pending
    if pending is not None and pending.state == "active":
        return element("span", _("now"), class_="t-active")
    return element("b", moment(_datetime(timing.due), "until"), class_="num")


def last_run(timing: Timing, paused: bool) -> SafeString:
    """What became of the run that began last."""
    run = timing.last
    if run is None:
        return element("span", _("No run is kept"), class_="zero")
    if run.state == "active":
        body = phrase(_("Running for %(time)s"), time=moment(_datetime(run.began), "run"))
    elif run.state == "failed":
        body = phrase(_("Failed %(time)s"), time=_time(run.ended or run.began or 0))
    elif run.state == "completed":
        lasted = run.lasted(timing.now)
        body = phrase(
            _("Done in %(time)s"), time=duration(None if lasted is None else lasted / 1000)
        )
    else:
        body = phrase(_("Tried again %(time)s"), time=_time(run.began or 0))
    state = run.state if run.state != "unknown" else "waiting"
    return element("span", state_icon(state), element("span", body), class_="sched-last")


def drift(timing: Timing) -> SafeString:
    """How long after its time a run begins, the median of the last ones."""
    if timing.drift is None:
        return element("span", DASH, class_="zero")
    shown = join(["+", duration(timing.drift / 1000)])
    return element("span", shown, class_="bad" if timing.drift > 60_000 else None)


def count(timing: Timing) -> SafeString:
    """How many runs it has made; of how many."""
    scheduler, pending = timing.scheduler, timing.pending
    if scheduler.limit is not None:
        made = pending.number if pending and pending.number is not None else None
        if made is not None and pending is not None and pending.began is None:
            made -= 1
        words_ = {"made": DASH if made is None else exact(made), "most": exact(scheduler.limit)}
        return element("span", _("%(made)s of %(most)s") % words_)
    return number(scheduler.iteration_count)


def bars(timing: Timing) -> SafeString:
    """The last 20 runs as bars, as high as they were long; missed ones outlined."""
    runs: list[tuple[int, Run | None]] = [(run.began or 0, run) for run in timing.begun[:LAST]]
    first = min((at for at, _run in runs), default=0)
    runs += [(at, None) for at in timing.missed(first)]
    shown = sorted(runs, key=lambda one: one[0])[-LAST:]
    longest = max((run.lasted(timing.now) or 0 for _at, run in shown if run), default=0) or 1
    body = []
    for index, (_at, run) in enumerate(shown, LAST - len(shown)):
        x = index * _STEP
        if run is None:
            body.append(
                element(
                    "rect", x=x, y=_HEIGHT - 13, width=_BAR, height=12.5, rx=1, class_="run-missed"
                )
            )
            continue
        tall = 4 + 18 * (run.lasted(timing.now) or 0) / longest
        kind = run.state if run.state in ("failed", "active", "completed") else "other"
        body.append(
            element(
                "rect",
                x=x,
                y=f"{_HEIGHT - tall:.1f}",
                width=_BAR,
                height=f"{tall:.1f}",
                rx=1,
                class_=f"run-{kind}",
            )
        )
    return element(
        "svg",
        body,
        class_="run-bars",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=_outcomes(shown),
    )


def upcoming(timing: Timing, most: int = 10) -> list[int]:
    """The next moments at which it runs (ms); of a paused one, those after now."""
    scheduler, now = timing.scheduler, timing.now
    if timing.over or timing.stuck or not timing.readable:
        return []
    if scheduler.limit is not None and timing.pending and timing.pending.number is not None:
        most = min(most, max(0, scheduler.limit - timing.pending.number + 1))
    next_ms = round(scheduler.next.timestamp() * 1000) if scheduler.next else None
    due = next_ms if scheduler.every or not scheduler.paused_at else None
    try:
        return list(islice(fires.upcoming(scheduler.repeat, scheduler.name, now, due), most))
    except Exception:  # a pattern of a peer's, or a strategy of the project's that raises
        return []


def zones(tz: str | None) -> list[tuple[str, tzinfo]]:
    """By whose clocks the next runs are shown: the scheduler's, and UTC's or the project's."""
    found: list[tuple[str, tzinfo]] = []
    for name in (tz or "UTC", "UTC", timezone.get_default_timezone_name()):
        try:
            one = (visible(name), time_zone(name))
        except InvalidOption:
            continue
        if one not in found:
            found.append(one)
    return found[:2]


def fire_rows(moments: Sequence[int], tz: str | None, id: str) -> SafeString:
    """The next runs, by each clock of :func:`zones`; where that is one, by the reader's, too."""
    clocks = [zone for _name, zone in zones(tz)]
    rows = []
    for at in moments:
        then = datetime.fromtimestamp(at / 1000, UTC)
        rows.append(
            element(
                "tr",
                element("th", _at(then, clocks[0]), scope="row"),
                [
                    element("td", _beside(then, clocks[0], one), class_="muted")
                    for one in clocks[1:]
                ],
                element("td", moment(then), class_="muted script-only")
                if len(clocks) == 1
                else None,
                element("td", moment(then, "until"), class_="num"),
            )
        )
    if not rows:
        words_ = _("No further run.")
        rows = [element("tr", element("td", words_, colspan=3, class_="empty"))]
    return element("tbody", rows, id=id)


def run_rows(timing: Timing, mount: str, alias: str, payload: bool, most: int = LAST) -> SafeString:
    """The runs that are kept, the latest first, each with a link to its job."""
    rows = []
    for run in [run for run in timing.runs if run is not timing.pending or run.began][:most]:
        lasted = run.lasted(timing.now)
        due: Any = (
            element("span", _("by hand"), class_="muted")
            if run.by_hand
            else moment(_datetime(run.due), "date")
        )
        note: Any = ""
        if run.state == "failed" and payload:
            note = visible(covered(run.error.splitlines()[0])[:160] if run.error else "")
        elif run.attempts > 1:
            note = _("%(count)s attempts") % {"count": run.attempts}
        rows.append(
            element(
                "tr",
                element("td", element("span", chip(run.state), class_=f"chip chip-{run.state}")),
                element(
                    "th",
                    element("a", due, href=links.job_url(mount, alias, timing.queue, run.id)),
                    scope="row",
                ),
                element(
                    "td",
                    join(["+", duration(run.drift / 1000)]) if run.drift is not None else DASH,
                    class_="num mid-only",
                ),
                element("td", duration(None if lasted is None else lasted / 1000), class_="num"),
                element("td", note, class_="sched-note"),
            )
        )
    if not rows:
        words_ = _("No run is kept: none was made yet, or they are removed when they end.")
        rows = [element("tr", element("td", words_, colspan=5, class_="empty"))]
    return element("tbody", rows, id="scheduler-runs", hx_disable=True)


def facts(timing: Timing) -> SafeString:
    """What is to be known of a scheduler beside its schedule."""
    scheduler = timing.scheduler
    rows: list[tuple[str, Any]] = [
        (_("Job name"), visible(scheduler.name or DASH)),
        (_("Schedule"), element("code", written(scheduler))),
        (_("Next run"), next_run(timing, paused=False)),
        (_("Runs"), count(timing)),
        (_("Drift"), drift(timing)),
        (_("Source"), source(timing)),
    ]
    if scheduler.offset:
        rows.append((_("Offset"), duration(scheduler.offset)))
    if scheduler.start_date:
        rows.append((_("Not before"), moment(scheduler.start_date, "date")))
    if scheduler.end_date:
        rows.append((_("Not after"), moment(scheduler.end_date, "date")))
    if scheduler.paused_at:
        rows.append((_("Paused since"), moment(scheduler.paused_at, "date")))
    body = [element("div", element("dt", word), element("dd", value)) for word, value in rows]
    return element("dl", body, id="scheduler-facts", class_="fact-list")


def _outcomes(shown: Sequence[tuple[int, Run | None]]) -> str:
    if not shown:
        return _("No run is kept")
    failed = sum(1 for _at, run in shown if run is not None and run.state == "failed")
    missed = sum(1 for _at, run in shown if run is None)
    text = ngettext(
        "The last run: %(failed)s failed, %(missed)s missed",
        "The last %(count)s runs: %(failed)s failed, %(missed)s missed",
        len(shown),
    ) % {"count": len(shown), "failed": failed, "missed": missed}
    latest = shown[-1][1]
    lasted = latest.lasted(0) if latest is not None and latest.finished else None
    if lasted is None:
        return text
    return f"{text}; " + _("the latest took %(duration)s") % {
        "duration": duration_text(lasted / 1000)
    }


def _badge(kind: str, body: Any, mark: str = "") -> SafeString:
    shown = icon(mark, 14) if mark else None
    return element("span", shown, element("span", body), class_=f"badge badge-{kind}")


def _at(then: datetime, zone: Any) -> SafeString:
    local = then.astimezone(zone)
    near = local.year == timezone.now().year
    text = f"{dated(local, 'D j M' if near else 'j M Y')} {date_format(local, _clock(local))}"
    return element("time", text, datetime=then.isoformat())


def _beside(then: datetime, zone: tzinfo, other: tzinfo) -> SafeString:
    """The same moment by another clock; its day where that is another one."""
    local = then.astimezone(other)
    text = _clock(local) if local.date() == then.astimezone(zone).date() else f"D {_clock(local)}"
    return element("time", date_format(local, text), datetime=then.isoformat())


def _clock(at: datetime) -> str:
    return "H:i:s" if at.second else "H:i"


def _time(ms: int) -> SafeString:
    """An hour of the day, by the clock of the strip beside it."""
    at = _datetime(ms)
    if at is None:
        return element("span", DASH)
    local = timezone.localtime(at)
    near = abs(timezone.now() - at) < timedelta(hours=20)
    text = date_format(local, "H:i" if near else "D H:i")
    return element("time", text, datetime=at.isoformat())


def _day(at: datetime) -> SafeString:
    local = timezone.localtime(at)
    near = local.year == timezone.localtime().year
    text = dated(local, "j M" if near else "j M Y")
    return element("time", text, datetime=at.isoformat())


def _datetime(ms: int | None) -> datetime | None:
    try:
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
