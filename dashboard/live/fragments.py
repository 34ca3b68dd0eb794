"""State in, patches out: every live value of every page, made once for a class of viewers.

Pages render their live values from these functions too, so a first render and a later patch never
differ. Fragments hold data only: no form, no button, no token, and times as ``<time datetime>``.
The ids that may be asked for with a topic: ``summary`` (attention and the strip of numbers),
``period:1h`` or ``table:1h`` (the chart), ``<alias>:<queue>`` (a queue's row; with a sparkline if
``sparks``), and for ``jobs`` topics the ids of the jobs on screen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import health, links
from ..draw import (
    attention,
    chart,
    job_cells,
    job_panels,
    kpis,
    minichart,
    queue_cells,
    states,
    values,
)
from ..draw.markup import element, join
from ..rates import age
from .state import LiveState, Patch, Topic, Viewer

Patches = dict[str, Patch]

#: Periods of a chart: seconds, seconds of one bucket, seconds between two labels of its axis.
#: While the history is younger than the shortest one, that begins where the history does.
PERIODS = {
    "15m": (900, 10, 180),
    "1h": (3_600, 60, 600),
    "6h": (21_600, 300, 3_600),
    "24h": (86_400, 900, 14_400),
}
_SHORTEST, _LEAST = "15m", 120
_HOUR = (3_600, 120)  # what a sparkline shows once there is that much, and its step
_MOST_ATTENTION = 10


def fragments(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str] = ()) -> Patches:
    """Return the patches of *topic* for *viewer*; what is not known is left out."""
    make = _MAKERS.get(topic.kind)
    if make is None:
        return {}
    with translation.override(viewer.language):
        return make(state, topic, viewer, ids)


def _overview(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    wanted = set(ids)
    whole, sparks = "summary" in wanted, "sparks" in wanted
    patches: Patches = {}
    shown = [
        (alias, name)
        for alias, connection in state.connections.items()
        for name in connection.queues
        if viewer.allows(alias, name)
    ]
    patches["rail-queues"] = Patch(text=values.exact(len(shown)))  # the shell counts, too
    queues = health.all_health(
        state, lambda a, q: viewer.allows(a, q) and (whole or f"{a}:{q}" in wanted)
    )
    if whole:
        patches |= _summary(state, viewer, queues)
    names = _names(state, viewer, shown)
    patches |= _chart(ids, lambda *ask: _sum(state, names, *ask), state)
    for queue in queues:
        if f"{queue.alias}:{queue.name}" in wanted:
            patches |= _queue_row(state, queue, sparks)
    return patches


def _summary(state: LiveState, viewer: Viewer, queues: list[health.Health]) -> Patches:
    # The server belongs to nobody's queue: it is spoken of to those who see every queue.
    whole = state.connections if viewer.scope.patterns is None else ()
    items = health.needs_attention(state, queues, whole)
    sparks = {
        (item.alias, item.queue): _spark(
            state.connections[item.alias].history,
            "failed" if item.kind == "failing" else "waiting",
            item.queue,
        )
        for item in items[:_MOST_ATTENTION]
        if item.queue
    }
    failed = {(queue.alias, queue.name): queue.counts.get("failed", 0) for queue in queues}
    names = _names(state, viewer, [(queue.alias, queue.name) for queue in queues])
    recent, before = _hour(state, names)
    patches = {
        f"kpi-{name}": Patch(html=element("div", cell, id=f"kpi-{name}", class_="kpi"))
        for name, cell in kpis.strip(queues, recent, before).items()
    }
    patches["attention"] = Patch(
        html=attention.rows(items, _MOST_ATTENTION, failed, sparks, viewer.mount)
    )
    patches["attention-count"] = Patch(text=str(len(items)) if items else "")
    crews = [queue.workers for queue in queues if queue.workers is not None]
    head = ngettext("%(count)s queue", "%(count)s queues", len(queues)) % {
        "count": values.exact(len(queues))
    }
    if crews:
        count = sum(sum(crew.values()) for crew in crews)
        words = ngettext("%(count)s worker", "%(count)s workers", count)
        head += " · " + words % {"count": values.exact(count)}
    patches["overview-head"] = Patch(text=head)
    for state_name in (*health.SHOWN,):
        total = sum(queue.counts.get(state_name, 0) for queue in queues)
        patches[f"total-{state_name}"] = _cell(f"total-{state_name}", values.number(total))
    return patches


def _queue_row(state: LiveState, queue: health.Health, sparks: bool) -> Patches:
    history = state.connections[queue.alias].history
    spark = None
    if sparks:
        ended = (_spark(history, metric, queue.name) for metric in ("done_rate", "failed_rate"))
        spark = [_add(done, bad) for done, bad in zip(*ended, strict=True)]
    patches = {}
    for name, body in queue_cells.cells(queue, spark).items():
        id = links.dom_id("q", queue.alias, queue.name, name)
        patches[id] = _cell(id, body)
    pin = links.dom_id("pin", queue.alias, queue.name)
    patches[pin] = _cell(pin, values.number(queue.waiting))
    marked = links.dom_id("pin", queue.alias, queue.name, "mark")
    patches[marked] = _cell(marked, queue_cells.mark(queue))
    return patches


def _queue(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    connection = state.connections[topic.alias]
    found = health.health(connection, topic.queue)
    if found is None:
        return {}
    patches = {
        "queue-badges": _cell("queue-badges", queue_cells.badges(found.badges)),
        "queue-facts": Patch(
            html=element("dl", queue_cells.facts(found), id="queue-facts", class_="facts")
        ),
        "queue-limits": Patch(
            html=element("div", queue_cells.limits(found), id="queue-limits", class_="limits")
        ),
        "queue-paused": Patch(
            html=element(
                "span",
                id="queue-paused",
                hidden=True,
                data_paused="yes" if found.snapshot.paused else "no",
            )
        ),
    }
    for name in states.STATES:
        count = found.counts.get(name, 0)
        body: Any = values.number(count)
        if name == "failed" and found.failing:
            body = element("span", body, class_="bad")
        patches[f"card-{name}"] = _cell(f"card-{name}", body)
        patches[f"card-{name}-note"] = _cell(f"card-{name}-note", _note(found, connection, name))
    patches |= _chart(
        ids,
        lambda metric, seconds, step: connection.history.series(
            metric, queue=topic.queue, seconds=seconds, step=step
        ),
        state,
    )
    if connection.workers is not None:
        rows = [worker for worker in connection.workers if worker.queue == topic.queue]
        patches["queue-workers"] = Patch(html=job_panels.workers(rows, state.at))
    return patches


def _note(queue: health.Health, connection: Any, name: str) -> Any:
    """The muted line of a state card: what makes its number mean something."""
    if name == "active" and queue.snapshot.concurrency:
        return _("of %(count)s") % {"count": values.exact(queue.snapshot.concurrency)}
    if name == "delayed" and queue.snapshot.next_delayed and queue.counts.get("delayed"):
        return join([_("next"), " ", values.moment(queue.snapshot.next_delayed, "until")])
    if name in ("completed", "failed"):
        metric = "done_rate" if name == "completed" else "failed_rate"
        recent = connection.history.series(metric, queue=queue.name, seconds=900, step=60)[-5:]
        known = [value for value in recent if value is not None]
        if known and sum(known):
            return join([f"+{values.exact(sum(known) / len(known))}", element("u", "/min")])
    if name == "waiting" and queue.rate_in is not None and queue.rate_out is not None:
        change = round(queue.rate_in - queue.rate_out)
        if change:
            return join([f"{change:+,}".replace("-", "−"), element("u", "/min")])
    return ""


def _jobs(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    connection = state.connections[topic.alias]
    patches: Patches = {}
    snapshot = connection.queues.get(topic.queue)
    if snapshot is not None:
        for name in states.STATES:
            count = values.number(snapshot.counts.get(name, 0))
            patches[f"tab-{name}"] = _cell(f"tab-{name}", count)
    for job_id in ids:
        if (topic.queue, job_id) not in connection.rows:
            continue
        row = connection.rows[topic.queue, job_id]
        cells = (
            job_cells.gone(topic.state)
            if row is None
            else job_cells.cells(row, topic.state, payload=viewer.payload)
        )
        for name, body in cells.items():
            id = links.dom_id("j", job_id, name)
            patches[id] = _cell(id, body)
    newer = connection.newer.get((topic.queue, topic.state, ids[0] if ids else ""), 0)
    words = _("+%(count)s new") % {"count": "999+" if newer > 999 else newer} if newer > 0 else ""
    patches["jobs-newer"] = Patch(text=words)
    if topic.state in ("completed", "failed"):
        metric = "done_rate" if topic.state == "completed" else "failed_rate"
        series = connection.history.series(metric, queue=topic.queue, seconds=3_600, step=60)
        times = connection.history.times(3_600, 60)
        patches["jobs-chart"] = Patch(html=minichart.minichart(series, times, topic.state))
    return patches


def _job(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    connection = state.connections[topic.alias]
    key = (topic.queue, topic.id)
    if key not in connection.jobs:
        return {}
    job = connection.jobs[key]
    if job is None:  # it was removed, or its retention ended
        chip = element(
            "span", job_cells.chip("gone"), id="job-state", class_="chip", data_state="gone"
        )
        return {"job-state": Patch(html=chip), "job-story": Patch(html=job_panels.gone_panel())}
    row = job.row
    patches = {
        "job-state": Patch(
            html=element(
                "span",
                job_cells.chip(row.state),
                id="job-state",
                class_=f"chip chip-{row.state}",
                data_state=row.state,
            )
        ),
        "job-story": Patch(html=job_panels.story_panel(row, state.at)),
        "job-tries": _cell("job-tries", job_panels.attempts(row)),
        "job-worker": _cell("job-worker", values.visible(row.processed_by or values.DASH)),
        "job-progress": _cell("job-progress", job_cells.progress(row.progress) or values.DASH),
        "job-times": Patch(
            html=element("dl", job_cells.times(row), id="job-times", class_="fact-list")
        ),
        "job-traces-count": Patch(text=str(len(job.stacktrace) or "")),
    }
    if viewer.payload:
        patches["job-error"] = Patch(html=job_panels.error_panel(job))
        patches["job-result"] = Patch(html=job_panels.result_panel(job))
        logs = connection.logs.get(key)
        if logs is not None:
            patches["job-logs"] = Patch(html=job_panels.log_panel(logs))
            patches["job-logs-count"] = Patch(text=values.exact(logs.total) if logs.total else "")
    return patches


_MAKERS: dict[str, Callable[[LiveState, Topic, Viewer, Sequence[str]], Patches]] = {
    "overview": _overview,
    "queue": _queue,
    "jobs": _jobs,
    "job": _job,
}


def _cell(id: str, body: Any) -> Patch:
    return Patch(html=element("span", body, id=id))


def _chart(
    ids: Iterable[str], series: Callable[[str, int, int], list[float | None]], state: LiveState
) -> Patches:
    for id in ids:
        kind, colon, period = id.partition(":")
        if colon and kind in ("period", "table") and period in PERIODS:
            first = next(iter(state.connections.values())).history
            seconds, step, ticks = window(period, first)
            times = first.times(seconds, step)
            drawn = chart.Throughput(
                "throughput",
                times,
                _a_minute(series("done_rate", seconds, step), times, step, first.last_second),
                _a_minute(series("failed_rate", seconds, step), times, step, first.last_second),
                step,
                ticks,
            )
            make = chart.chart if kind == "period" else chart.table
            return {"throughput": Patch(html=make(drawn))}
    return {}


def _a_minute(
    values: list[float | None], times: list[int], step: int, now: int
) -> list[float | None]:
    """Jobs in each step as jobs a minute; the last step by what of it is over, once that tells."""
    scaled = [None if value is None else value * 60 / step for value in values]
    over = min(step, max(0.0, now - times[-1] / 1000))
    if values[-1] is not None:
        scaled[-1] = values[-1] * 60 / over if over >= step / 3 else None
    return scaled


def window(period: str, history: Any) -> tuple[int, int, int]:
    """Return seconds, step and ticks of a chart; what is not measured yet is not drawn empty."""
    seconds, step, ticks = PERIODS[period]
    if period == _SHORTEST and age(history) < seconds:
        return _young(history, seconds, step), step, 60
    return seconds, step, ticks


def default_period(state: LiveState) -> str:
    """Return the period that a chart has unless one is asked for: the hour, once there is one."""
    oldest = max((age(one.history) for one in state.connections.values()), default=0.0)
    return _SHORTEST if oldest < 1_800 else "1h"


def _young(history: Any, most: int, step: int) -> int:
    """The age of a history in whole steps, at least two minutes."""
    return int(min(most, max(_LEAST, -(-age(history) // step) * step)))


def _spark(history: Any, metric: str, queue: str) -> list[float | None]:
    """The points of a sparkline: the last hour, or what there is of it."""
    seconds, step = _HOUR
    if age(history) < 900:
        step = 10 if age(history) < 300 else 30
        seconds = _young(history, 900, step)
    return _sparks(history, metric, queue, seconds, step, history.last_second // 10)


@lru_cache(maxsize=4_096)
def _sparks(
    history: Any, metric: str, queue: str, seconds: int, step: int, tenth: int
) -> list[float | None]:
    """The points, made once in ten seconds (``tenth``): a sparkline has no finer news."""
    return _measured(history.series(metric, queue=queue, seconds=seconds, step=step))


def _measured(values: list[float | None]) -> list[float | None]:
    """The values from the first one that anybody measured on."""
    first = next((i for i, value in enumerate(values) if value is not None), 0)
    return values[min(first, max(0, len(values) - 8)) :]


def _names(
    state: LiveState, viewer: Viewer, shown: Iterable[tuple[str, str]]
) -> dict[str, set[str] | None]:
    """The queues to add up, by connection; None is all of one, whose sums are kept ready."""
    if viewer.scope.patterns is None:
        return dict.fromkeys(state.connections)
    names: dict[str, set[str] | None] = {alias: set() for alias in state.connections}
    for alias, name in shown:
        names[alias].add(name)  # type: ignore[union-attr]
    return names


def _hour(
    state: LiveState, names: dict[str, set[str] | None]
) -> tuple[dict[str, list[float | None]], dict[str, float] | None]:
    """The strip's sparklines, and its numbers an hour ago."""
    metrics = ("done_rate", "failed_rate", "waiting", "active")
    oldest = max(state.connections.values(), key=lambda one: age(one.history)).history
    if age(oldest) < 900:
        seconds = _young(oldest, 900, 10)
        return {metric: _sum(state, names, metric, seconds, 10) for metric in metrics}, None
    hour = {metric: _sum(state, names, metric, 3_600, 60) for metric in metrics}
    if age(oldest) < 3_600 or hour["waiting"][0] is None:
        return {metric: _measured(values) for metric, values in hour.items()}, None
    before = {metric: values[0] or 0.0 for metric, values in hour.items()}
    good, bad = (sum(v or 0 for v in hour[m][:5]) for m in ("done_rate", "failed_rate"))
    return hour, before | ({"share": bad / (good + bad)} if good + bad else {})


def _sum(
    state: LiveState, names: dict[str, set[str] | None], metric: str, seconds: int, step: int
) -> list[float | None]:
    """Add up one series over the connections, whose points may differ by one at the beginning."""
    lists = [
        connection.history.series(metric, names=names[alias], seconds=seconds, step=step)
        for alias, connection in state.connections.items()
        if names[alias] is None or names[alias]
    ]
    if not lists:
        return [None] * (seconds // step)
    total = lists[0]
    for other in lists[1:]:
        total = [_add(a, b) for a, b in zip(total, other, strict=True)]
    return total


def _add(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else one + other
