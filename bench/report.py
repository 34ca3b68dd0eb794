"""Turns measured figures into Markdown and JSON, and into the generated block of the docs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.profile import LOOP
from bench.trials import Figures

# One list of trials, in the order of the rounds, for each work and subject.
Results = dict[tuple[str, str], list[Figures]]

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Budget:
    """What design asks for: at least (or at most) *factor* times the figure of *against*."""

    factor: float
    against: str = "node"
    work: str = ""
    at_most: bool = False
    name: str = "Node"


@dataclass(frozen=True)
class Row:
    """One row: a figure of a work, for each subject; *subject* is the one of ours."""

    title: str
    work: str
    subject: str = "ours"
    budgets: tuple[Budget, ...] = ()


SPEED = (
    Row("drain, async, concurrency 1", "drain-1", budgets=(Budget(1),)),
    Row("drain, async, concurrency 10", "drain-10", budgets=(Budget(1.5),)),
    Row(
        "drain, async, concurrency 100",
        "drain-100",
        budgets=(Budget(2), Budget(7, "python", name="Python")),
    ),
    *(
        Row(
            f"drain, sync in threads, concurrency {c}",
            f"drain-{c}",
            "threads",
            (Budget(1), Budget(0.5, "ours", name="async")) if c > 1 else (),
        )
        for c in (1, 10, 100)
    ),
    Row(
        "drain, two processes, concurrency 10 each",
        "processes",
        "two",
        (Budget(1.3, "ours", name="one process"),),
    ),
    Row("`add_bulk`", "add-bulk", budgets=(Budget(3),)),
    Row("`add`, one by one", "add", budgets=(Budget(1),)),
    Row("`await aadd`, one by one", "add", "awaited"),
    Row("`aadd`, all at once", "add-concurrently", budgets=(Budget(1),)),
)
CPU = (
    Row("add in bulk", "add-bulk"),
    Row("add one by one", "add"),
    Row("`await aadd` one by one", "add", "awaited"),
    Row("add all at once", "add-concurrently"),
    Row("drain, concurrency 1", "drain-1"),
    Row("drain, concurrency 10", "drain-10"),
    Row("drain, concurrency 100", "drain-100"),
    Row("drain in threads, concurrency 100", "drain-100", "threads"),
)
FLOOR = (1, 10, 100)


def markdown(results: Results, machine: dict[str, Any], rounds: int) -> str:
    """The whole report; what was not measured has no rows."""
    parts = [_about(machine, rounds)]
    for title, table in (
        ("Jobs a second", _speed(results)),
        ("CPU a job, in microseconds", _cpu(results)),
        ("Pickup latency of an idle worker, and memory", _rest(results)),
        ("The floor", _floor(results)),
        ("Where the time goes at concurrency 100", _profile(results)),
    ):
        if table:
            parts.append(f"### {title}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def as_json(results: Results, machine: dict[str, Any]) -> str:
    """Every figure of every trial."""
    trials: dict[str, dict[str, list[Figures]]] = {}
    for (work, subject), figures in results.items():
        trials.setdefault(work, {})[subject] = figures
    return json.dumps({"machine": machine, "trials": trials}, indent=1) + "\n"


def write_block(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Replace what stands between the markers *begin* and *end* in the file *path*.

    Raises:
        ValueError: the file has not exactly one pair of markers.
    """
    page = path.read_text()
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"{path} needs one line {begin} and one line {end} below it")
    head, _, rest = page.partition(begin)
    path.write_text(f"{head}{begin}\n\n{text}\n{end}{rest.partition(end)[2]}")


def _about(machine: dict[str, Any], rounds: int) -> str:
    return (
        f"{machine['date']}, {machine['cores']} cores ({machine['cpu']}), {machine['system']}; "
        f"{machine['server']}, CPython {machine['python']}, Node {machine['node']}.\n"
        f"BullMQ {machine['bullmq']} (npm) and {machine['bullmq_python']} (PyPI), "
        f"QueueCore {machine['queuecore']}"
        + (f" at {machine['commit']}" if machine.get("commit") else "")
        + f".\nMedian of {rounds} (least–most); a ratio is the median of the rounds' own ratios."
    )


# The tables


def _speed(results: Results) -> str:
    rows = []
    for row in SPEED:
        if (row.work, row.subject) not in results:
            continue
        ours = (row.work, row.subject)
        rows.append(
            [
                row.title,
                _cell(results, (row.work, "node"), "rate"),
                _cell(results, (row.work, "python"), "rate"),
                _cell(results, ours, "rate"),
                _ratio_cell(results, ours, (row.work, "node"), "rate"),
                _verdicts(results, row, "rate"),
            ]
        )
    head = ["", "BullMQ Node", "BullMQ Python", "QueueCore", "against Node", "budget"]
    return _table(head, rows)


def _cpu(results: Results) -> str:
    rows = []
    for row in CPU:
        ours, node = (row.work, row.subject), (row.work, "node")
        if ours not in results:
            continue
        rows.append([row.title])
        for figure in ("server_us", "client_us"):
            rows[-1] += [
                _cell(results, node, figure, digits=1),
                _cell(results, (row.work, "python"), figure, digits=1),
                _cell(results, ours, figure, digits=1),
                _ratio_cell(results, ours, node, figure),
            ]
    total = _total(results)
    if total:
        rows.append(total)
    head = ["", "server: Node", "Python", "QueueCore", "against Node"]
    head += ["client: Node", "Python", "QueueCore", "against Node"]
    return _table(head, rows)


def _total(results: Results) -> list[str] | None:
    """Add in bulk, claim and finish at concurrency 100: the server's whole work for a job."""
    sums = {}
    for subject in ("node", "python", "ours"):
        parts = [results.get((work, subject)) for work in ("add-bulk", "drain-100")]
        if all(parts):
            sums[subject] = sum(_median(part, "server_us") for part in parts if part)
    if "ours" not in sums or "node" not in sums:
        return None
    ratio = sums["ours"] / sums["node"]
    cells = [f"{sums[one]:.1f}" if one in sums else "" for one in ("node", "python", "ours")]
    said = f"{ratio:.2f}×, at most 0.50×: {_word(ratio <= 0.5)}"
    return ["**add in bulk, claim and finish**", *cells, said, "", "", "", ""]


def _rest(results: Results) -> str:
    rows = []
    for title, work, figure, digits, limit in (
        ("pickup, median, ms", "latency", "p50_ms", 2, 1.0),
        ("pickup, 99th percentile, ms", "latency", "p99_ms", 2, 5.0),
        ("a waiting small job, bytes", "memory", "bytes", 0, None),
    ):
        ours, node = (work, "ours"), (work, "node")
        if ours not in results:
            continue
        value = _median(results[ours], figure)
        if limit is not None:
            said = f"below {limit:g} ms: {_word(value < limit)}"
        else:
            ratio = _ratios(results[ours], results[node], figure)
            # The same bytes vary by a hundredth or two by what the allocator has free.
            said = f"Node's, give or take 2 %: {_word(statistics.median(ratio) <= 1.02)}"
        rows.append(
            [
                title,
                _cell(results, node, figure, digits),
                _cell(results, (work, "python"), figure, digits),
                _cell(results, ours, figure, digits),
                _ratio_cell(results, ours, node, figure),
                said,
            ]
        )
    for c in FLOOR:
        ours = (f"drain-{c}", "ours")
        if ours in results and c == FLOOR[-1]:
            cells = [
                _cell(results, (ours[0], one), "rss_mib") for one in ("node", "python", "ours")
            ]
            ratio = _ratio_cell(results, ours, (ours[0], "node"), "rss_mib")
            rows.append(["worker process at concurrency 100, MiB", *cells, ratio, ""])
    head = ["", "BullMQ Node", "BullMQ Python", "QueueCore", "against Node", "budget"]
    return _table(head, rows)


def _floor(results: Results) -> str:
    rows = []
    for c in FLOOR:
        ours, floor = (f"drain-{c}", "ours"), (f"drain-{c}", "floor")
        if ours not in results or floor not in results:
            continue
        rows.append([f"concurrency {c}"])
        for figure, digits in (("rate", 0), ("server_us", 1), ("client_us", 1)):
            rows[-1] += [
                _cell(results, floor, figure, digits),
                _ratio_cell(results, ours, floor, figure),
            ]
    head = ["", "bare loop, jobs/s", "QueueCore", "its server µs a job", "QueueCore"]
    head += ["its client µs a job", "QueueCore"]
    return _table(head, rows)


def _profile(results: Results) -> str:
    lines = []
    trials = results.get(("profile", "ours"))
    if trials:
        own = {
            name.removeprefix("self:"): value
            for name, value in trials[0].items()
            if name.startswith("self:")
        }
        loop = own.pop(LOOP, 0.0)
        dearest = sorted(own.items(), key=lambda one: one[1], reverse=True)[:3]
        lines.append(
            "Worker (own time of a function, as a share of the time in Python; cProfile): "
            + ", ".join(f"`{place}` {share:.0%}" for place, share in dearest)
            + f". {LOOP[0].upper()}{LOOP[1:]}: {loop:.0%} of the whole run."
        )
    for subject, name in (("ours", "QueueCore"), ("node", "BullMQ Node")):
        trials = results.get(("drain-100", subject))
        if trials:
            lines.append(f"Server, {name} (INFO commandstats): {_commands(trials)}.")
    return "\n\n".join(lines)


def _commands(trials: list[Figures]) -> str:
    """The three dearest commands, how many there are a job, and what is left for Lua itself."""
    scripts = ("evalsha", "eval")
    usec = _medians(trials, "usec:")
    calls = _medians(trials, "calls:")
    whole = sum(usec.pop(script, 0.0) for script in scripts)
    count = sum(value for name, value in calls.items() if name not in scripts)
    inner = {name: value for name, value in usec.items() if calls[name] > 0.001}
    dearest = sorted(inner.items(), key=lambda one: one[1], reverse=True)[:3]
    return (
        f"{count:.1f} commands a job in {sum(calls.get(one, 0) for one in scripts):.2f} scripts; "
        + ", ".join(
            f"`{name.upper()}` {value:.1f} µs ({calls[name]:.1f})" for name, value in dearest
        )
        + f"; Lua itself {max(whole - sum(inner.values()), 0):.1f} µs"
    )


# Cells


def _verdicts(results: Results, row: Row, figure: str) -> str:
    said = []
    for budget in row.budgets:
        other = results.get((row.work, budget.against))
        if not other:
            continue
        ratio = statistics.median(_ratios(results[row.work, row.subject], other, figure))
        shown = "" if budget.against == "node" else f" ({ratio:.2f}×)"
        said.append(f"{budget.factor:g}× {budget.name}: {_word(ratio >= budget.factor)}{shown}")
    return "; ".join(said)


def _word(met: bool) -> str:
    return "met" if met else "**missed**"


def _ratios(ours: Sequence[Figures], other: Sequence[Figures], figure: str) -> list[float]:
    return [a[figure] / b[figure] for a, b in zip(ours, other, strict=True)]


def _ratio_cell(
    results: Results, ours: tuple[str, str], other: tuple[str, str], figure: str
) -> str:
    if ours not in results or other not in results:
        return ""
    ratios = _ratios(results[ours], results[other], figure)
    return _spread(ratios, lambda value: f"{value:.2f}", "×")


def _cell(results: Results, key: tuple[str, str], figure: str, digits: int = 0) -> str:
    if key not in results:
        return ""
    values = [one[figure] for one in results[key]]
    return _spread(values, lambda value: f"{value:,.{digits}f}", "")


def _spread(values: Sequence[float], shown: Any, unit: str) -> str:
    middle = f"{shown(statistics.median(values))}{unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({shown(min(values))}–{shown(max(values))})"


def _median(trials: Iterable[Figures], figure: str) -> float:
    return statistics.median(one[figure] for one in trials)


def _medians(trials: list[Figures], prefix: str) -> dict[str, float]:
    names = {name for one in trials for name in one if name.startswith(prefix)}
    return {
        name.removeprefix(prefix): statistics.median(one.get(name, 0.0) for one in trials)
        for name in names
    }


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
