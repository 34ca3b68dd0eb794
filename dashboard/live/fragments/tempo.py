"""How long the jobs of a queue wait and run, what fails and which names run: by the time.

All of it is made once of what was read last (:mod:`....tempo`), for all who see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from queuecore.fleet import peers_of
from queuecore.statistics import Figures, Histogram, Period

from ... import links, tempo
from ...digest import Digest
from ...draw import failures, quantiles, queue_panels
from ...draw.markup import element
from ...tempo import LENGTHS, SPANS, Tempo
from ..series import PERIODS
from ..sources import Source, register
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell

register("queue", Source(10.0, tempo.look, tempo.alook, whole=False), name="tempo")

#: The id by which a page asks for the jobs of one name: ``name:welcome``.
NAME = "name:"


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    """What the page shows of one queue; nothing while it was not read."""
    connection = state.connections[topic.alias]
    known: Tempo | None = (connection.extra.get("tempo") or {}).get(topic.queue)
    found: Digest | None = (connection.extra.get("queue") or {}).get(topic.queue)
    span, as_table = _span(ids)
    if known is None or not known.last(span):
        return {}
    name = next((one.removeprefix(NAME) for one in ids if one.startswith(NAME)), None)
    crew, others = connection.crews.get(topic.queue), peers_of(connection.workers, connection.ours)
    peers = bool(others) and any(one.queue == topic.queue for one in others or ())
    # Who sees the same gets the same; it is made again once something was read.
    see = (viewer.mount, viewer.payload, get_language(), span, as_table, name, peers, bool(crew))
    if (made := known.drawn.get(see)) is None or made[0] is not found:
        if len(known.drawn) >= _MOST:
            known.drawn.clear()
        made = known.drawn[see] = (found, _made(known, found, topic, see, state))
    return made[1]


# Different views of one queue that are kept.
_MOST = 100


def _span(ids: Sequence[str]) -> tuple[str, bool]:
    for one in ids:
        kind, _colon, span = one.partition(":")
        if kind in ("period", "table") and span in SPANS:
            return span, kind == "table"
    return "1h", False


def _made(
    known: Tempo, found: Digest | None, topic: Topic, see: tuple[Any, ...], state: LiveState
) -> Patches:
    mount, payload, _language, span, as_table, name, peers, crew = see
    periods = known.last(span)
    whole = tempo.figures(periods, name)
    counted = any(one.names for one in periods)
    jobs = links.jobs_url(mount, topic.alias, topic.queue)
    patches: Patches = {}
    for part, what in (("wait", _("Wait time")), ("run", _("Run time"))):
        patches |= _chart(known, found, part, what, span, as_table, name, whole)
    patches["tempo-note"] = Patch(
        html=element("p", _about(counted, found, peers, crew), id="tempo-note", class_="note")
    )
    lines = failures.lines(known.failures, periods, name)
    others = peers or not counted
    patches["queue-errors"] = Patch(
        html=queue_panels.errors(found, lines, jobs, payload, state.at, others=others)
    )
    of = spoken(span) if counted or found is None else queue_panels.looked_at(found)
    patches["queue-errors-of"] = Patch(text=of)
    if counted:
        patches["queue-names"] = Patch(
            html=queue_panels.counted_names(tempo.by_name(periods), jobs)
        )
        patches["queue-names-of"] = cell("queue-names-of", spoken(span))
    return patches


def _chart(
    known: Tempo,
    found: Digest | None,
    part: str,
    what: str,
    span: str,
    as_table: bool,
    name: str | None,
    whole: Figures,
) -> Patches:
    periods = known.last(span)
    values = _of(getattr(whole, part))
    count = getattr(whole, part).count
    sampled = None
    if not any(one.names for one in periods) and found is not None:
        sampled = _sampled(found, part, name)
    histograms: list[Histogram] = [
        getattr(tempo.figures([period], name), part) for period in periods
    ]
    drawn = quantiles.Quantiles(
        id=f"{part}-chart",
        what=what,
        summary=quantiles.sentence(what, values, count),
        times=[round(one.at.timestamp() * 1000) for one in periods],
        points=[_point(one) for one in histograms],
        counts=[one.count for one in histograms],
        step=LENGTHS[SPANS[span][0]][0],
        ticks=PERIODS[span][2],
        timeout=_timeout(found, name) if part == "run" else None,
    )
    now = Histogram()
    for one in histograms[-2:]:
        now.add(one)
    before: Sequence[Period] = known.last(span, 1)
    then: Histogram = getattr(tempo.figures(before, name), part)
    make = quantiles.table if as_table else quantiles.chart
    return {
        f"{part}-chart": Patch(html=make(drawn)),
        f"{part}-figures": Patch(html=quantiles.figures(f"{part}-figures", sampled or values)),
        f"{part}-note": Patch(html=quantiles.note(f"{part}-note", now.p95, then.p95)),
    }


def _of(one: Histogram) -> list[float | None]:
    return [one.p50, one.p95, one.p99]


def _point(one: Histogram) -> tuple[float, float, float] | None:
    p50, p95, p99 = _of(one)
    return None if p50 is None or p95 is None or p99 is None else (p50, p95, p99)


def _sampled(found: Digest, part: str, name: str | None) -> list[float | None] | None:
    """The same of the newest jobs that are kept, whoever ran them."""
    times = sorted(
        value
        for job, wait, run in found.times
        if (name is None or job == name) and (value := wait if part == "wait" else run) is not None
    )
    if not times:
        return None
    return [times[min(len(times) * share // 100, len(times) - 1)] for share in (50, 95, 99)]


def _timeout(found: Digest | None, name: str | None) -> float | None:
    """The timeout that the jobs themselves ask for, where it is one for all that are shown."""
    if found is None:
        return None
    if name is not None:
        return found.timeouts.get(name)
    names = {one[0] for one in found.times}
    values = set(found.timeouts.values())
    return values.pop() if len(values) == 1 and names <= set(found.timeouts) else None


def _about(counted: bool, found: Digest | None, peers: bool, crew: bool) -> str:
    """Of which jobs the times are, where that is not all."""
    if counted:
        return _("Jobs that other workers ran are not counted in it.") if peers else ""
    if found is not None and found.times and (peers or not crew):
        return _(
            "Only workers of QueueCore tell times; none ran a job in this period. The figures are"
            " those of the newest finished jobs that are kept."
        )
    if found is not None and found.times:
        return _("No job ended in this period. The figures are those of the newest that are kept.")
    return ""


def spoken(span: str) -> str:
    """The period in words."""
    return {
        "15m": _("in the last 15 minutes"),
        "1h": _("in the last hour"),
        "6h": _("in the last 6 hours"),
        "24h": _("in the last 24 hours"),
        "7d": _("in the last 7 days"),
    }[span]
