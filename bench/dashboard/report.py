"""The figures of the dashboard as Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.dashboard.board import FOLDER, POLL_S, Retried
from bench.dashboard.processes import Usage
from bench.dashboard.trials import PART_S, Watched, middle, p95
from tests import machine

PAGE = machine.ROOT / "docs" / "reference" / "performance.md"
BEGIN, END = "<!-- bench dashboard: begin -->", "<!-- bench dashboard: end -->"

#: Milliseconds that a page of a list may take, others may wait, and an event may be under way.
PAGE_MS, OTHERS_MS, EVENT_MS = 50, 5, 500
#: What the last of all sockets may wait, and by how much more than one viewer so many may ask.
ALL_S, MORE, FEW = 2.0, 0.1, 50


@dataclass
class Found:
    """What was measured."""

    jobs: Sequence[int]
    queues: int
    requests: int
    pages: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    memory: float = 0.0
    watched: list[Watched] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    retried: Retried | None = None
    board_pages: dict[str, list[float]] = field(default_factory=dict)
    board_memory: float = 0.0
    board_watched: dict[int, Usage] = field(default_factory=dict)
    board_retried: Retried | None = None


def markdown(found: Found, facts: dict[str, Any]) -> str:
    """The whole report."""
    package = FOLDER / "node_modules" / "@bull-board" / "api" / "package.json"
    board = json.loads(package.read_text())["version"]
    parts = [
        f"{facts['date']}, {facts['cores']} cores ({facts['cpu']}), {facts['system']}; "
        f"{facts['server']}, CPython {facts['python']}, Django {facts['django']}, "
        f"Node {facts['node']}.\n"
        f"QueueCore {facts['queuecore']} at {facts['commit']}, Bull Board {board} (npm). "
        f"One daphne, {found.queues} queues.",
        "### Pages\n\n"
        f"Milliseconds from the request to the last byte of the page, {found.requests} requests "
        "one after the other over one local connection: the median, and the 95th percentile. "
        "A page by name looks through the list for a fifth of a second at most, and then offers to "
        "go on.",
        _pages(found),
        "### Open pages\n\n"
        "Sockets on the overview while one queue gets two jobs a second, after which the last of "
        "all sockets has to have the news. Commands inside of scripts count, those for the jobs, "
        "and what the web process counts for its history while nobody looks; in brackets the least "
        f"and the most over {PART_S:g} s.",
        _live(found),
        "### From an event to a page\n\n"
        "Milliseconds from a job's adding or completing, at random moments, to the patch at a "
        "socket of the overview, and to the new number in a real browser that has the queue's page "
        "open.",
        _events(found),
        "### Retry of all failed jobs, and Bull Board on the same jobs\n\n"
        f"Ours is an operation that the web process itself carries out. Bull Board's page asks for "
        f"every queue again each {POLL_S:g} s, and so do its viewers here: one request each, "
        "spread over the time.",
        _beside(found),
    ]
    return "\n\n".join(parts) + "\n"


def _pages(found: Found) -> str:
    rows = ["", *(f"{jobs:,} jobs: median | 95th" for jobs in found.jobs), "budget"]
    lines = ["| " + " | ".join(rows) + " |", _rule(2 * len(found.jobs) + 2)]
    for name in found.pages[found.jobs[0]]:
        cells, met = [], True
        for jobs in found.jobs:
            took = found.pages[jobs][name]
            cells += [f"{middle(took):.1f}", f"{p95(took):.1f}"]
            met = met and middle(took) < PAGE_MS
        listed = name.startswith("Jobs,")
        cells.append(f"median below {PAGE_MS} ms: {_word(met)}" if listed else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _live(found: Found) -> str:
    lines = [
        "| sockets | Redis commands a second | against one | web process, cores | MiB "
        "| last of all has it: median, s | longest | budget |",
        _rule(8),
    ]
    one = next(each.usage.commands for each in found.watched if each.viewers == 1)
    for each in found.watched:
        used, ratio = each.usage, each.usage.commands / one
        said = []
        if 1 < each.viewers <= FEW:
            said.append(f"commands as with one, ±10 %: {_word(abs(ratio - 1) <= MORE)}")
        if each.viewers > 1:
            said.append(f"all within {ALL_S:g} s: {_word(max(each.latest) <= ALL_S)}")
            said.append(f"under one core: {_word(used.cores < 1)}")
        shown = (
            [f"{middle(each.latest):.2f}", f"{max(each.latest):.2f}"] if each.latest else [""] * 2
        )
        spread = f" ({min(used.parts):,.0f}–{max(used.parts):,.0f})" if used.parts else ""
        lines.append(
            f"| {each.viewers:,} | {used.commands:,.0f}{spread} | "
            + (f"{ratio:.2f}×" if each.viewers else "")
            + f" | {used.cores:.2f} | {used.mib:.0f} | {' | '.join([*shown, '; '.join(said)])} |"
        )
    return "\n".join(lines)


def _events(found: Found) -> str:
    lines = ["|  | events | median | 95th percentile | longest | budget |", _rule(6)]
    for name, took in (("at a socket", found.events), ("in Chromium", found.seen)):
        if took:
            lines.append(
                f"| {name} | {len(took)} | {middle(took):.0f} | {p95(took):.0f} | {max(took):.0f} "
                f"| 95th percentile below {EVENT_MS} ms: {_word(p95(took) < EVENT_MS)} |"
            )
    return "\n".join(lines)


def _beside(found: Found) -> str:
    assert found.retried is not None
    assert found.board_retried is not None
    ours = found.pages[found.jobs[-1]]
    theirs = found.board_pages
    idle = next((one.usage for one in found.watched if one.viewers == 0), None)
    assert idle is not None
    watched = {one.viewers: one.usage for one in found.watched}
    board = found.board_watched
    few, many = min(board), max(board)
    rows = [
        ("first page of the failed jobs, ms", _ms(ours["Jobs, first page"]) + " (50 jobs, HTML)",
         _ms(theirs["first"]) + " (10 jobs, JSON)"),
        ("last page, ms", _ms(ours["Jobs, last page"]), _ms(theirs["last"])),
        (f"the counts of {found.queues} queues, ms", _ms(ours["Queues"]) + " (HTML)",
         _ms(theirs["overview"]) + " (JSON)"),
        ("retry all, jobs a second", _rate(found.retried), _rate(found.board_retried)),
        ("others meanwhile: median, 99th, longest, ms", _waits(found.retried),
         _waits(found.board_retried)),
        (f"others' 99th percentile below {OTHERS_MS} ms", _calm(found.retried),
         _calm(found.board_retried)),
        ("server process during the retry: cores", f"{found.retried.cores:.2f}",
         f"{found.board_retried.cores:.2f}"),
        (f"server process: MiB after its pages, at most (ours with {max(watched):,} sockets)",
         f"{found.memory:.0f}, {found.retried.mib:.0f}",
         f"{found.board_memory:.0f}, {found.board_retried.mib:.0f}"),
        ("one viewer of the overview: Redis commands a second",
         f"{watched[1].commands - idle.commands:,.0f} (and {idle.commands:,.0f} without any)",
         f"{board[few].commands:,.0f}"),
        (f"{many} viewers: Redis commands a second",
         f"{watched[many].commands - idle.commands:,.0f}", f"{board[many].commands:,.0f}"),
        (f"{many} viewers: cores of the server process",
         f"{watched[many].cores:.2f}", f"{board[many].cores:.2f}"),
    ]  # fmt: skip
    lines = ["|  | QueueCore | Bull Board |", _rule(3)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _ms(took: Sequence[float]) -> str:
    return f"{middle(took):.1f}, 95th {p95(took):.1f}"


def _rate(one: Retried) -> str:
    end = "" if one.finished else "; stopped there"
    return f"{one.jobs / one.seconds:,.0f} ({one.jobs:,} in {one.seconds:.1f} s{end})"


def _waits(one: Retried) -> str:
    return ", ".join(f"{wait:.2f}" for wait in one.waits)


def _calm(one: Retried) -> str:
    return _word(one.waits[1] < OTHERS_MS)


def _rule(columns: int) -> str:
    return "| --- |" + " ---: |" * (columns - 1)


def _word(met: bool) -> str:
    return "met" if met else "**missed**"
