"""``queues show``: one queue, or some, with all that is known of it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from queuecore.inspect import STATES
from queuecore.limits import LimitInfo
from queuecore.timetable import Timetable

from . import bounds, shapes
from .counts import Counts, Seen
from .places import one as the_queue
from .subcommand import Subcommand, add_json, add_queue
from .tables import Cell
from .terminal import Terminal
from .words import counted, duration, local, number, since, until


class Show(Subcommand):
    name = "show"
    help = "show one queue: counts, ages, pause, limits"
    description = (
        "Show one queue: its jobs by state, how old the oldest is that waits, since when and why "
        "it is paused, its limits, schedulers and workers.\n"
        "With bounds it is a probe: exit code 1 and a line on stderr if the queue is over one."
    )
    examples: ClassVar = (
        ("show emails", "the queue emails of the connection default"),
        ("show reports:nightly", "nightly of the connection reports"),
        ("show emails --max-waiting 1000 --max-age 15m", "for a probe"),
        ("show emails --json", "for scripts"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        add_json(parser)
        bounds.add_bounds(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        look = Counts({place.alias: [place.name]}).look()
        for error in look.away.values():
            raise error
        (seen,) = look.queues
        over = bounds.over(seen.snapshot, seen.workers, options)
        schedulers = len(Timetable(place.alias).places([place.name]))
        limits = place.queue.get_limits()
        if options["json"]:
            more = {"schedulers": schedulers, "limits": [_limit(one) for one in limits]}
            terminal.json(shapes.queue(seen.snapshot, seen.workers, over) | more)
        else:
            terminal.facts(_facts(terminal, seen, schedulers, limits))
        bounds.judge({place.label: over})


def _limit(limit: LimitInfo) -> dict[str, Any]:
    rate = limit.rate
    return {
        "name": limit.name,
        "concurrency": limit.concurrency,
        "running": limit.running,
        "rate": None if rate is None else {"max": rate.max, "duration_s": rate.duration},
        "started": limit.started,
    }


def _facts(
    terminal: Terminal, seen: Seen, schedulers: int, limits: list[LimitInfo]
) -> list[tuple[str, Cell | str]]:
    snapshot, style = seen.snapshot, terminal.style
    found: list[tuple[str, Cell | str]] = [
        ("queue", seen.place.name),
        ("connection", seen.place.alias),
    ]
    if snapshot.paused:
        found.append(("paused", Cell(_pause(snapshot), style.WARNING)))
    for state in STATES:
        count = snapshot.counts[state]
        text = number(count)
        if state == "waiting" and snapshot.oldest_wait and snapshot.waiting:
            text += f"   the oldest for {since(snapshot.oldest_wait, snapshot.at)}"
        elif state == "delayed" and count and snapshot.next_delayed:
            text += f"   the next {until(snapshot.next_delayed, snapshot.at)}"
        elif state == "waiting-children" and snapshot.groups:
            text += f"   those of {counted(snapshot.groups, 'group')} among them"
        failed = state == "failed" and count
        found.append((state, Cell(text, style.ERROR if failed else None)))
    if snapshot.completed_total is not None or snapshot.failed_total is not None:
        totals = (
            f"{number(snapshot.completed_total)} completed, {number(snapshot.failed_total)} failed"
        )
        found.append(("ever", totals))
    idle = seen.workers == 0 and snapshot.waiting > 0
    told = number(seen.workers) if seen.workers is not None else "not told by the server"
    found.append(("workers", Cell(told, style.ERROR if idle else None)))
    if schedulers:
        found.append(("schedulers", number(schedulers)))
    if snapshot.concurrency is not None:
        found.append(("concurrency", f"at most {number(snapshot.concurrency)} at once"))
    if snapshot.limit_max is not None and snapshot.limit_duration_ms:
        found.append(
            (
                "rate limit",
                f"{number(snapshot.limit_max)} in {duration(snapshot.limit_duration_ms / 1000)}",
            )
        )
    if snapshot.limiter_ttl_ms:
        found.append(
            ("limited", Cell(f"for {duration(snapshot.limiter_ttl_ms / 1000)}", style.WARNING))
        )
    found += [("limit", f"{one.name}: {number(one.running)} run") for one in limits]
    if snapshot.version:
        found.append(("made by", snapshot.version))
    return found


def _pause(snapshot: Any) -> str:
    pause = snapshot.pause
    if pause is None:
        return "yes"
    parts = [f"for {since(pause.since, snapshot.at)}"] if pause.since else []
    if pause.by:
        parts.append(f"by {pause.by}")
    if pause.until:
        parts.append(f"until {local(pause.until)}")
    text = " ".join(parts) or "yes"
    return f"{text}: {pause.reason}" if pause.reason else text
