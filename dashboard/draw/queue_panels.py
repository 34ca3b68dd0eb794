"""The panels of a queue's page: its last errors, names of jobs, workers and schedulers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.fleet import FleetProcess, FleetWorker, WorkerInfo
from queuecore.matching import Filter, InvalidFilter
from queuecore.runs import LATE_MS
from queuecore.statistics import Figures

from .. import links
from ..digest import LINES, Digest, ErrorLine
from ..health import language
from . import failures, quantiles, schedule_words, worker_cells
from .failures import Line
from .markup import element, join, phrase
from .values import duration_text, exact, moment, number, percent, size, visible

#: The most workers of each kind that are listed.
MOST_WORKERS = 20
#: Names of jobs that are listed.
NAMES = 8


def errors(
    found: Digest | None,
    counted: Sequence[Line],
    jobs_url: str,
    payload: bool,
    now: datetime,
    *,
    others: bool,
) -> SafeString:
    """What failed, by its kind, each with the way to the jobs.

    Args:
        found: what the newest failed jobs say; None where that was not read.
        counted: the kinds that workers of ours counted in the period.
        now: the time of the data.
        others: whether other workers run jobs here, too, or have.
    """
    sampled = (found.errors if found else ()) if others else ()
    # What is counted already is not shown again from the sample.
    sampled = [
        one
        for one in sampled
        if not any(line.text and line.text.lower() in one.text.lower() for line in counted)
    ]
    if not payload and (counted or sampled):
        words = _("What jobs failed with may be read by those who may see payloads.")
        return _panel("queue-errors", _nothing(words))
    if not counted and not sampled:
        words = _("Nothing failed in this period.")
        if others:
            words = _("No failed job is kept here.")
        return _panel("queue-errors", _nothing(words))
    return _panel(
        "queue-errors",
        _counted(counted, jobs_url, now) if counted else None,
        element("h3", _("In the newest failed jobs, of other workers"))
        if counted and sampled
        else None,
        _sampled(sampled, jobs_url) if sampled else None,
    )


def _counted(counted: Sequence[Line], jobs_url: str, now: datetime) -> list[Any]:
    def link(name: str, text: str) -> str:
        return _filtered(jobs_url, "failed", name if not text else "", text)

    head = [
        (_("Error"), ""),
        ("", "c-new"),
        (_("Trend"), "c-trend"),
        (_("Failures"), "num"),
        (_("First"), "num c-first"),
        (_("Last"), "num"),
    ]
    more = len(counted) - failures.MOST
    words = ngettext("and %(count)s other error", "and %(count)s other errors", more)
    note = element("p", words % {"count": exact(more)}, class_="note") if more > 0 else None
    caption = _("Errors by their kind; tries that were followed by another are counted, too")
    return [_table(caption, head, failures.rows(counted, link, now), "counted-errors"), note]


def _sampled(found: Sequence[ErrorLine], jobs_url: str) -> list[Any]:
    """What the newest failed jobs failed with, each with the way to all of them."""
    rows = [
        element(
            "tr",
            element("th", _error(one, jobs_url), scope="row", class_="q-error"),
            element("td", number(one.count), class_="num strong"),
            element("td", moment(one.last, "age"), class_="num"),
        )
        for one in found[:LINES]
    ]
    head = [(_("Error"), ""), (_("Jobs"), "num"), (_("Last"), "num")]
    more = len(found) - LINES
    words = ngettext("and %(count)s other error", "and %(count)s other errors", more)
    note = element("p", words % {"count": exact(more)}, class_="note") if more > 0 else None
    return [_table(_("Last errors"), head, rows), note]


def looked_at(found: Digest) -> str:
    """How much the list of errors is of: ``of the last 200 failed``."""
    if found.failed_total <= found.failed:
        return _("of all that failed") if found.failed else ""
    return _("of the last %(count)s failed") % {"count": exact(found.failed)}


def names(found: Digest, jobs_url: str) -> SafeString:
    """Which jobs ended lately, and how many of them failed."""
    if not found.names:
        words = _("No finished job is kept here, so nobody can say what ran.")
        return _panel("queue-names", _nothing(words))
    rows = [
        element(
            "tr",
            element(
                "th",
                element(
                    "a",
                    visible(one.name),
                    href=_filtered(jobs_url, "failed" if one.failed else "completed", one.name),
                ),
                scope="row",
            ),
            element("td", number(one.done), class_="num"),
            element("td", number(one.failed), class_="num"),
            element("td", percent(one.failed / (one.done + one.failed)), class_="num"),
        )
        for one in found.names[:LINES]
    ]
    head = [
        (_("Name"), ""),
        (_("Completed"), "num"),
        (_("Failed"), "num"),
        (_("Fail rate"), "num"),
    ]
    more = len(found.names) - LINES
    words = ngettext("and %(count)s other name", "and %(count)s other names", more)
    note = element("p", words % {"count": exact(more)}, class_="note") if more > 0 else None
    return _panel("queue-names", _table(_("Job names"), head, rows), note)


def counted_names(found: Mapping[str, Figures], jobs_url: str) -> SafeString:
    """What workers of ours counted of each name in the period, the most runs first."""
    shown = sorted(found.items(), key=lambda pair: (-pair[1].runs, pair[0]))
    rows = []
    for name, one in shown[:NAMES]:
        state = "failed" if one.failed else "completed"
        word: Any = _("other names")
        if name:
            word = element("a", visible(name), href=_filtered(jobs_url, state, name))
        bad = one.failed + one.retried
        share = percent(bad / one.runs if one.runs else None)
        rows.append(
            element(
                "tr",
                element("th", word, scope="row"),
                element("td", number(one.runs), class_="num"),
                element("td", share, class_="num"),
                element("td", quantiles.known(one.run.p50), class_="num"),
                element("td", quantiles.known(one.run.p95), class_="num"),
            )
        )
    head = [
        (_("Name"), ""),
        (_("Runs"), "num"),
        (_("Fail rate"), "num"),
        (_("Run p50"), "num"),
        (_("Run p95"), "num"),
    ]
    more = len(shown) - NAMES
    words = ngettext("and %(count)s other name", "and %(count)s other names", more)
    note = element("p", words % {"count": exact(more)}, class_="note") if more > 0 else None
    return _panel("queue-names", _table(_("Job names"), head, rows), note)


def names_since(found: Digest) -> SafeString:
    """Of which time the names are."""
    if not found.names:
        return join([])
    if found.since is None:
        return element("span", _("of all finished jobs that are kept"))
    return element("span", phrase(_("ended in the last %(time)s"), time=moment(found.since, "age")))


def workers(
    ours: Sequence[tuple[FleetProcess, FleetWorker]],
    others: Sequence[WorkerInfo] | None,
    at: datetime,
    mount: str,
    alias: str,
) -> SafeString:
    """Who works the queue: ours with what they do, of others when they came."""
    if not ours and not others:
        words = (
            _("Unknown: the server does not let the dashboard list its clients.")
            if others is None
            else _("No worker listens on this queue. Start one: manage.py runworker.")
        )
        return _panel("queue-workers", _nothing(words))
    shown = sorted(ours, key=lambda pair: (pair[0].host, pair[0].pid, pair[1].id))
    rows = [_our_row(*one, mount, alias) for one in shown[:MOST_WORKERS]]
    rows += [_other_row(one, at) for one in (others or ())[:MOST_WORKERS]]
    more = len(ours) + len(others or ()) - len(rows)
    words = ngettext("and %(count)s other worker", "and %(count)s other workers", more)
    note = element("p", words % {"count": exact(more)}, class_="note") if more > 0 else None
    head = [(_("Worker"), ""), (_("Busy"), ""), (_("Done/min"), "num"), (_("Seen"), "num")]
    table = _table(_("Workers that listen on this queue"), head, rows)
    return _panel("queue-workers", table, note)


def _our_row(process: FleetProcess, worker: FleetWorker, mount: str, alias: str) -> SafeString:
    where = f"{visible(process.host)}:{process.pid}" if process.host else ""
    name = visible(worker.name) or where or worker_cells.short(worker.id)
    url = f"{links.connection_url(mount, alias)}workers/{links.encode(worker.id)}/"
    state = None if worker.state == "running" else worker_cells.state(worker, process)
    seen: Any = moment(process.heartbeat, "age")
    if process.health != "ok":
        seen = element("span", seen, class_="bad")
    return element(
        "tr",
        element(
            "th",
            element("span", "Py", class_="lang"),
            " ",
            element("a", name, href=url, title=where or None),
            " " if state else None,
            state,
            scope="row",
        ),
        element("td", worker_cells.busy(worker.busy, worker.concurrency)),
        element("td", number(worker.done_per_minute), class_="num"),
        element("td", seen, class_="num"),
    )


def _other_row(worker: WorkerInfo, at: datetime) -> SafeString:
    """A peer: the server knows when it came, and no more."""
    since = moment(at - timedelta(seconds=worker.age_s), "age")
    words = phrase(_("connected for %(time)s"), time=since)
    return element(
        "tr",
        element(
            "th",
            element("span", visible(language(worker.library)) or _("other"), class_="lang"),
            " ",
            visible(worker.name) or element("span", _("unnamed"), class_="muted"),
            scope="row",
        ),
        element("td", words, class_="muted", colspan=3),
    )


def schedulers(found: Digest, mount: str, alias: str, queue: str) -> SafeString:
    """The queue's schedulers, the next to run first."""
    if not found.places:
        words = _("No scheduler adds jobs to this queue.")
        return _panel("queue-schedulers", _nothing(words))
    rows = []
    for timing in found.timings:
        one = timing.scheduler
        due = datetime.fromtimestamp(timing.due / 1000, UTC) if timing.due else None
        upcoming: Any = moment(due, "until")
        if one.paused_at is not None:
            upcoming = element("span", _("Paused"), class_="muted")
        elif timing.due and timing.due < timing.now - LATE_MS:
            upcoming = element(
                "span", phrase(_("late by %(time)s"), time=moment(due, "age")), class_="bad"
            )
        url = links.scheduler_url(mount, alias, queue, one.key)
        rows.append(
            element(
                "tr",
                element("th", element("a", visible(one.key), href=url), scope="row"),
                element("td", schedule_words.words(one), class_="muted"),
                element("td", upcoming, class_="num"),
            )
        )
    more = len(found.places) - len(rows)
    words = ngettext("and %(count)s other scheduler", "and %(count)s other schedulers", more)
    note = element("p", words % {"count": exact(more)}, class_="note") if more > 0 else None
    head = [(_("Scheduler"), ""), (_("Runs"), ""), (_("Next run"), "num")]
    return _panel("queue-schedulers", _table(_("Schedulers of this queue"), head, rows), note)


def kept(found: Digest) -> SafeString:
    """Memory and retention, as far as they are known, for the list of facts."""
    shown: list[tuple[str, Any, str]] = []
    if found.memory is not None:
        count = number(found.memory.jobs)
        words = ngettext("%(size)s, %(count)s job", "%(size)s, %(count)s jobs", found.memory.jobs)
        body = phrase(
            words, size=_("about %(size)s") % {"size": size(found.memory.bytes)}, count=count
        )
        shown.append((_("Memory"), body, _("An estimate from a few jobs of each state")))
    for word, text, option in (
        (_("Keeps completed"), found.keeps[0], "removeOnComplete"),
        (_("Keeps failed"), found.keeps[1], "removeOnFail"),
    ):
        if text:
            shown.append((word, retention(text, option), _("As its newest such job says")))
    return join(
        element("div", element("dt", word), element("dd", body, title=title))
        for word, body, title in shown
    )


def retention(text: str, option: str) -> str:
    """What the options of a job say of how long it is kept."""
    try:
        value = json.loads(text).get(option)
    except (ValueError, AttributeError, RecursionError):
        return _("unknown")
    if value is True or value == 0:
        return _("none")
    if isinstance(value, dict):
        count, age = value.get("count"), value.get("age")
    else:
        count, age = value, None
    parts = []
    if _is_number(count) and count >= 0:
        words = ngettext("%(count)s job", "%(count)s jobs", round(count))
        parts.append(words % {"count": exact(count)})
    if _is_number(age):
        parts.append(duration_text(age))
    return ", ".join(parts) or _("all")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _error(one: ErrorLine, jobs_url: str) -> SafeString:
    body = join(
        [
            element("b", visible(one.name)) if one.name else None,
            " " if one.name else None,
            element("span", visible(one.message), class_="muted" if one.name else None),
        ]
    )
    url = _filtered(jobs_url, "failed", error=one.text)
    return (
        element("a", body, href=url, title=visible(one.text))
        if one.text
        else element("span", _("without a reason"), class_="muted")
    )


def _filtered(jobs_url: str, state: str, name: str = "", error: str = "") -> str:
    """The list of jobs with a filter; with none where the filter has no word for it."""
    try:
        written = str(Filter(state, name=name, error=error))
        Filter.parse(state, written)
    except InvalidFilter:
        written = ""
    return f"{jobs_url}?{urlencode({'state': state} | ({'q': written} if written else {}))}"


def _table(
    caption: str, head: Iterable[tuple[str, str]], rows: Sequence[SafeString], kind: str = ""
) -> SafeString:
    columns = [element("th", word, scope="col", class_=kind or None) for word, kind in head]
    return element(
        "div",
        element(
            "table",
            element("caption", caption, class_="sr"),
            element("thead", element("tr", columns)),
            element("tbody", rows),
            class_=f"table brief-table {kind}".rstrip(),
        ),
        class_="scroll",
    )


def _nothing(words: str) -> SafeString:
    return element("p", words, class_="empty")


def _panel(id: str, *body: Any) -> SafeString:
    return element("div", body, id=id, data_live_hold=True)
