"""The parts of a job's page: what each tab shows, read and drawn only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Queue, access, audit_log, jsontext
from queuecore.errors import QueueCoreError
from queuecore.family import Family, family_of
from queuecore.inspect import Inspector
from queuecore.statistics import Figures, Statistics

from .. import links
from ..draw import audit_cells, copies, flow_graph, flow_tree, job_panels, logs, payload
from ..draw import peers as peer_marks
from ..draw.flow_tree import Sight
from ..draw.values import exact, size, visible

#: The longest value that is shown whole, and that is sent as a file.
WHOLE, FILE = 2_000_000, 8_000_000
_LOG_PAGE = 1_000
_NAME = 100  # characters of a name that workers tell
#: The names of the fields behind the tabs that show one value.
FIELDS = {"data": "data", "result": "returnvalue", "options": "opts"}


def value(request: HttpRequest, job: Any, tab: str) -> dict[str, Any]:
    """Data, result or options: as a tree, as the JSON stored, or as the Python that adds it."""
    text, full = {
        "data": (job.detail.data, job.detail.data_size),
        "result": (job.detail.returnvalue, job.detail.returnvalue_size),
        "options": (job.detail.opts, job.detail.opts_size),
    }[tab]
    shape = request.GET.get("as", "tree")
    shapes = [("tree", _("Tree")), ("json", _("JSON"))]
    if tab == "data":
        shapes += [("python", _("Python")), ("node", _("Node"))]
    shape = shape if shape in dict(shapes) else "tree"
    shown: dict[str, Any] = {"shape": shape, "shapes": shapes, "size": size(full) if full else ""}
    cut = full > len(text.encode("utf-8", "surrogatepass"))
    everything = "all" in request.GET and full <= WHOLE
    if cut and everything:
        text = Inspector(job.alias).value(job.queue, job.id, FIELDS[tab], WHOLE)[0] or ""
        shape = shown["shape"] = "json"
        cut = False
    if cut:
        shown["cut"] = _("Cut after %(shown)s of %(size)s.") % {
            "shown": size(len(text.encode("utf-8", "surrogatepass"))),
            "size": size(full),
        }
        shown["all_url"] = f"?tab={tab}&all=1" if full <= WHOLE else ""
    shown["file_url"] = f"{job.url}value/{tab}/" if 0 < full <= FILE else ""
    if shape == "python":
        shown["text"] = copies.as_python(
            job.queue, job.detail.row.name, text, job.detail.opts, job.alias
        )
        shown["whole_text"] = copies.as_json(job.detail.row.name, text, job.detail.opts)
    elif shape == "node":
        name, prefix = job.detail.row.name, Queue.existing(job.queue, job.alias).connection.prefix
        shown["text"] = copies.as_node(job.queue, name, text, job.detail.opts, prefix)
    elif shape == "json":
        shown["text"] = visible(jsontext.masked(text))
    else:
        shown["tree"] = payload.tree(text)
        shown["masked"] = visible(jsontext.masked(text)) if not cut else ""
    if shape in ("python", "node") and not shown["text"]:
        shown["note"] = _("There is no code for data that is no JSON, or not whole here.")
    return shown


def attempts(detail: Any) -> list[Any]:
    """The traces of failed attempts, the newest first and open."""
    count = len(detail.stacktrace)
    made = max(detail.row.attempts_made or 0, count)
    return [
        job_panels.attempt(made - count + index + 1, text, open_now=index == count - 1)
        for index, text in reversed(list(enumerate(detail.stacktrace)))
    ]


def options(text: str) -> list[tuple[str, str]]:
    """The options as words and short values, for the summary."""
    return [
        (visible(key), visible(value))
        for key, value in jsontext.pairs(text, 20)
        if key not in ("attempts", "timestamp", "delay", "jobId") or value not in ("0", "")
    ]


def log(request: HttpRequest, job: Any, live: Any) -> dict[str, Any]:
    """The last lines, live; or an older page of them; or those among either that hold a word."""
    query = request.GET.get("q", "").strip()[:200]
    total = live.total if live else 0
    before = request.GET.get("before", "")
    end = int(before) if before.isascii() and before.isdigit() and len(before) < 12 else 0
    shown: dict[str, Any] = {"query": query, "total": exact(total)}
    if not query and not end:
        first = max(total - len(live.lines), 0) if live else 0
        has_error = bool(live) and any(map(logs.is_error, live.lines))
        return shown | {"older": first or "", "has_error": has_error}
    end = min(end or total, total)
    first = max(0, end - _LOG_PAGE)
    lines: list[str] = []
    if end > first:
        lines = Inspector(job.alias).logs(job.queue, job.id, first, end - 1).lines
    numbered = list(enumerate(lines, first))
    read = len(numbered)
    if query:
        folded = query.lower()
        numbered = [(n, line) for n, line in numbered if folded in logs.plain(line).lower()]
        words = ngettext(
            "%(count)s of lines %(first)s to %(last)s holds it",
            "%(count)s of lines %(first)s to %(last)s hold it",
            len(numbered),
        )
        given = {"first": exact(first + 1 if read else 0), "last": exact(first + read)}
        shown["found"] = words % {"count": exact(len(numbered)), **given}
    else:
        shown["found"] = _("lines %(first)s to %(last)s") % {
            "first": exact(first + 1 if read else 0),
            "last": exact(first + read),
        }
    return shown | {
        "lines": logs.found(numbered, query) if numbered else None,
        "older": first or "",
        "still": True,
        "has_error": any(logs.is_error(line) for _n, line in numbered),
    }


def raw(detail: Any) -> list[tuple[str, str, str]]:
    """Each field of the hash, what is secret masked, and its size where it was cut."""
    return [
        (
            visible(name),
            visible(jsontext.covered(jsontext.masked(text))),
            size(detail.field_sizes.get(name, 0))
            if detail.field_sizes.get(name, 0) > len(text.encode("utf-8", "surrogatepass"))
            else "",
        )
        for name, text in sorted(detail.fields.items())
    ]


def family(job: Any, place: str = "") -> Family | None:
    """The flow of the job; None where it is in none."""
    try:
        found = family_of(job.alias, job.queue, job.id, place=place)
    except QueueCoreError:
        return None  # the page says already that the server is away
    return found if found and (found.size > 1 or found.job.total) else None


def flow(request: HttpRequest, job: Any, seen: Any, found: Family | None) -> dict[str, Any]:
    """The flow as a tree or as a graph, and the pages of the job's own children."""
    if found is None:
        return {}
    as_graph = request.GET.get("as") == "graph"
    sight = Sight(seen, job.alias, job.now, as_graph)
    after = found.job.after
    more = f"?tab=flow{'&as=graph' if as_graph else ''}&from={after}" if after else ""
    return {
        "flow": flow_graph.graph(found, sight) if as_graph else flow_tree.tree(found, sight),
        "flow_shape": "graph" if as_graph else "tree",
        "flow_words": flow_tree.summary(found),
        "flow_more": more,
        "flow_from": request.GET.get("from", ""),
        "flow_cut": found.cut,
        "flow_counts": [
            (word, exact(found.job.counts[kind]))
            for kind, word in {
                "failed": _("failed it"),
                "ignored": _("failed, ignored"),
                "unprocessed": _("waited for"),
                "processed": _("done"),
            }.items()
            if found.job.counts.get(kind)
        ],
    }


def flow_short(job: Any, seen: Any, found: Family | None) -> Any:
    """The first rows of the flow, for the summary."""
    return flow_tree.tree(found, Sight(seen, job.alias, job.now), 8) if found else None


def peers(job: Any, seen: Any) -> dict[str, Any]:
    """The last finished jobs of the same name."""
    try:
        found = Inspector(job.alias).peers(job.queue, job.detail.row.name)
    except QueueCoreError:
        return {}
    url = _to(seen, job)
    return {
        "peer_times": lambda: peer_marks.times(_a_day(job), _ran(job.detail.row)),
        "peers": found.jobs,
        "peer_strip": peer_marks.strip(found.jobs, job.id, url),
        "peer_words": peer_marks.sentence(found.jobs, job.id) if found.jobs else "",
        "peer_looked": exact(found.looked),
        "peer_rows": lambda: peer_marks.rows(found.jobs, job.id, url),
    }


def _a_day(job: Any) -> Figures:
    """What workers of ours counted of the name in the last 24 hours."""
    name = job.detail.row.name[:_NAME]
    try:
        hours = Statistics(job.queue, job.alias).hours(25)
    except QueueCoreError:
        return Figures()
    return Figures.of(one.names[name] for one in hours if name in one.names)


def _ran(row: Any) -> float | None:
    if row.processed_on is None or row.finished_on is None:
        return None
    return max(float((row.finished_on - row.processed_on).total_seconds()), 0.0)


def history(request: HttpRequest, job: Any) -> list[dict[str, Any]] | None:
    """What people did to the job, for those who may see the record; the newest first."""
    if not access.can(request.user, "view_audit", job.alias, job.queue):
        return None
    mount = request.viewer.mount  # type: ignore[attr-defined]
    return [
        {
            "actor": one.actor,
            "word": audit_cells.word(one.action),
            "at": one.at,
            "outcome": audit_cells.outcome(one),
            "bad": one.outcome != "done",
            "reason": one.reason,
            "error": one.error,
            "params": _params(one),
            "url": f"{mount}audit/{one.record}/",
        }
        for one in audit_log.entries(job.alias, job.queue, job.id, limit=100)
    ]


def _params(one: Any) -> str:
    shown = {**one.params, **{k: v for k, v in one.result.items() if k in ("job", "count")}}
    words = [f"{key} {value}" for key, value in shown.items() if value not in (None, "", {}, [])]
    return visible(", ".join(words))[:300]


def _to(seen: Any, job: Any) -> Callable[[str], str]:
    return lambda job_id: links.job_url(seen.mount, job.alias, job.queue, job_id)
