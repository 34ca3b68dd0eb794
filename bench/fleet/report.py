"""The Markdown of what was measured of fleets."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from bench.fleet.drain import Drained, cores
from bench.fleet.idle import Idle
from bench.trials import Figures
from tests import machine

PAGE = machine.ROOT / "docs" / "reference" / "performance.md"
BEGIN, END = "<!-- bench fleet: begin -->", "<!-- bench fleet: end -->"
# What a second process is to bring, until the server's core is full.
GOAL = 1.3

# What stands behind the commands of an idle fleet.
_WHY = {
    "finish_and_claim": "each worker looks whether a marker was lost",
    "BZPOPMIN": "each worker waits for its marker",
    "beat": "heartbeats",
    "keep_history": "history: who leads, and what it wrote",
    "find_news": "history: has anything changed?",
    "get_queue_snapshot": "history: the queues' counts",
    "keep_lead": "operations: who leads",
    "move_stalled_jobs_to_wait": "checks for jobs of dead workers",
    "TIME": "the server's clock",
    "SCAN": "history: queues that nobody told of",
}


def markdown(drained: Sequence[Drained], idle: Sequence[Idle], facts: dict[str, Any]) -> str:
    """The report."""
    rounds = len(drained[0].one)
    return "\n".join(
        [
            f"{facts['date']}, {facts['cores']} cores ({facts['cpu']}), {facts['system']}; "
            f"{facts['server']}, CPython {facts['python']}; "
            f"QueueCore {facts['queuecore']} at {facts['commit']}.",
            "",
            "### One process and two",
            "",
            "Coroutines that use the CPU for so long, drained by one process and by two; median of "
            f"{rounds} (least–most). In brackets the cores that the server and all worker "
            "processes used. A ratio is the median of the rounds' own. The server works with one "
            "core: the last column is how many such processes fill it, if each has a core, too.",
            "",
            *_drained(drained, facts["cores"]),
            "",
            "### An idle fleet",
            "",
            "Ten processes and ten queues: one queue a process, started by hand, and `runworker "
            f"--processes 10`, each of which works all ten. First {idle[0].jobs:,} jobs, one at a "
            f"time, queue by queue; then {idle[0].seconds:.0f} s without any, counted by MONITOR. "
            "A script is one command; what it calls is none.",
            "",
            *_idle(idle),
            "",
        ]
    )


def _drained(drained: Sequence[Drained], machine_cores: int) -> list[str]:
    rows = [
        "| a job | concurrency of each | one process, jobs a second | two | ratio | budget "
        "| so many fill the server's core |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: |",
    ]
    for one in drained:
        work = "nothing" if not one.cost.spin_us else f"{one.cost.spin_us / 1000:g} ms of Python"
        rows.append(
            f"| {work}{', the server on a core of its own' if one.cost.pinned else ''} "
            f"| {one.cost.concurrency} | {_rate(one.one)} | {_rate(one.two)} "
            f"| {one.ratio:.2f}× | {_verdict(one, machine_cores)} "
            f"| {1 / max(cores(one.one, 'server'), 0.01):.1f} |"
        )
    return rows


def _rate(trials: Sequence[Figures]) -> str:
    rates = [one["rate"] for one in trials]
    used = f"[{cores(trials, 'server'):.2f} + {cores(trials, 'client'):.2f}]"
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f}) {used}"


def _verdict(one: Drained, machine_cores: int) -> str:
    if one.ratio >= GOAL:
        return f"{GOAL:g}×: met"
    server, workers = cores(one.one, "server"), cores(one.one, "client")
    if GOAL * server > 1:
        return f"{GOAL:g}× would take {GOAL * server:.2f} of the server's one core"
    if GOAL * (server + workers) > machine_cores:
        return f"{GOAL:g}× would take {GOAL * (server + workers):.2f} of {machine_cores} cores"
    return f"{GOAL:g}×: **missed**"


def _idle(idle: Sequence[Idle]) -> list[str]:
    def met(good: bool) -> str:
        return "met" if good else "**missed**"

    def row(name: str, cell: Any, budget: Any = lambda _: "") -> str:
        cells = (f"{cell(one)}{budget(one)}" for one in idle)
        return f"| {name} | " + " | ".join(cells) + " |"

    names = sorted(
        {name for one in idle for name in one.by}, key=lambda name: -idle[-1].by.get(name, 0)
    )
    told = [name for name in names if any(one.by.get(name, 0) >= 0.5 for one in idle)]
    return [
        "|  | by hand | `--processes 10` |",
        "| --- | ---: | ---: |",
        row(
            "commands a second from clients",
            lambda one: f"{one.commands:.1f}",
            lambda one: f" (below 50: {met(one.commands < 50)})",
        ),
        *(
            row(
                f"… `{name}`" + (f" ({_WHY[name]})" if name in _WHY else ""),
                lambda one, name=name: f"{one.by.get(name, 0):.1f}",
            )
            for name in told
        ),
        row("commands a second from scripts", lambda one: f"{one.inner:.0f}"),
        row("the server's CPU", lambda one: f"{100 * one.server:.2f} %"),
        row(
            "a process's CPU, median and most",
            lambda one: f"{100 * statistics.median(one.cores):.2f}, {100 * max(one.cores):.2f} %",
            lambda one: f" (each below 1 %: {met(max(one.cores) < 0.01)})",
        ),
        row(
            "the supervisor's CPU",
            lambda one: "" if one.supervisor is None else f"{100 * one.supervisor:.2f} %",
        ),
        row("a process's memory, MiB", lambda one: f"{statistics.median(one.mib):.0f}"),
        row("pickup, median, ms", lambda one: f"{one.median_ms:.2f}"),
        row(
            "pickup, 99th percentile, ms",
            lambda one: f"{one.p99_ms:.2f}",
            lambda one: f" (below 10: {met(one.p99_ms < 10)})",
        ),
        row("pickup, longest, ms", lambda one: f"{one.longest_ms:.2f}"),
    ]
