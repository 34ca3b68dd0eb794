"""One worker: how it is, what it runs, its last minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from queuecore.fleet import FleetMinute

from ... import crew
from ...draw import values, worker_cells
from ...draw.markup import element, join
from ...draw.sparkline import sparkline
from ..sources import Source, register
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell

register("worker", Source(5.0, crew.look, crew.alook))


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    connection = state.connections.get(topic.alias)
    if connection is None or "worker" not in connection.extra:
        return {}
    one = crew.member(state, viewer, topic.alias, topic.id)
    if one is None:
        # Ended, or of a queue that this viewer may not see: the same for both.
        return {"worker-state": cell("worker-state", worker_cells.gone()["state"])}
    worker, process = one.worker, one.process
    minutes = connection.extra["worker"].fleet.minutes.get(worker.id, [])
    facts: list[tuple[str, Any]] = [
        (_("Host"), values.visible(process.host) or values.DASH),
        (_("Process"), str(process.pid)),
        (_("Started"), values.moment(process.started, "age")),
        (_("Done so far"), values.number(worker.done)),
        (_("Failed so far"), values.number(worker.failed)),
        (_("Versions"), worker_cells.versions(process)),
    ]
    return {
        "worker-state": cell("worker-state", worker_cells.state(worker, process)),
        "worker-health": cell("worker-health", worker_cells.health(process)),
        "worker-facts": Patch(
            html=element("dl", _pairs(facts), id="worker-facts", class_="facts wfacts")
        ),
        "worker-figures": Patch(html=_figures(one, minutes)),
        "worker-jobs": Patch(html=worker_cells.running(one, viewer.mount)),
        "worker-minutes": Patch(html=_table(minutes)),
    }


def _figures(one: crew.Member, minutes: Sequence[FleetMinute]) -> Any:
    worker, process = one.worker, one.process
    lag = _("worst %(ms)s ms") % {"ms": values.exact(process.worst_lag_ms)}
    strip: list[tuple[str, Any, str, list[float | None], bool]] = [
        (
            _("Busy"),
            values.exact(worker.busy),
            _("of %(count)s") % {"count": values.exact(worker.concurrency)},
            [one.busy for one in minutes],
            False,
        ),
        (
            pgettext("a rate", "Done/min"),
            values.number(worker.done_per_minute),
            "",
            [one.done for one in minutes],
            False,
        ),
        (
            pgettext("a rate", "Failed/min"),
            worker_cells.failed(worker.failed_per_minute),
            "",
            [one.failed for one in minutes],
            worker.failed_per_minute > 0,
        ),
        (
            _("Memory"),
            worker_cells.memory(process.memory),
            _("resident"),
            [one.memory for one in minutes],
            False,
        ),
        (
            _("CPU"),
            values.percent(process.cpu),
            _("of one core"),
            [one.cpu for one in minutes],
            False,
        ),
        (
            _("Loop lag"),
            worker_cells.lag(process.lag_ms),
            lag,
            [one.lag_ms for one in minutes],
            process.lag_ms >= 500,
        ),
    ]
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", word, class_="kpi-label"),
                element("dd", figure, class_="kpi-figure num"),
                element("dd", note, class_="kpi-change"),
                element("dd", sparkline(series, bad=bad)) if len(series) > 1 else None,
                class_="kpi",
            )
            for word, figure, note, series, bad in strip
        ],
        id="worker-figures",
        class_="kpis",
    )


def _table(minutes: Sequence[FleetMinute]) -> Any:
    body: list[Any] = [
        element(
            "tr",
            element("th", values.moment(one.at), scope="row"),
            element("td", values.number(one.done), class_="num"),
            element("td", worker_cells.failed(one.failed), class_="num"),
            element("td", values.exact(one.busy), class_="num"),
            element("td", worker_cells.memory(one.memory), class_="num"),
            element("td", values.percent(one.cpu), class_="num"),
            element("td", worker_cells.lag(one.lag_ms), class_="num"),
        )
        for one in reversed(minutes)
    ]
    if not body:
        words = _("A worker tells of a minute when it is over: the first one is not yet.")
        body = [element("tr", element("td", words, colspan=7, class_="empty"))]
    return element("tbody", body, id="worker-minutes")


def _pairs(facts: Sequence[tuple[str, Any]]) -> Any:
    return join(
        element("div", element("dt", word), element("dd", body, class_="num"))
        for word, body in facts
    )
