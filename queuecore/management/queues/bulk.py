"""Bulk: an operation on many jobs, ordered after a count, and watched until it has ended."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from django.core.management.base import CommandError

from queuecore import operations
from queuecore.errors import ServerUnavailable
from queuecore.matching import Filter
from queuecore.models import Operation
from queuecore.visible import one_line

from . import shapes
from .codes import AWAY, FOUND, INTERRUPTED
from .places import Place
from .subcommand import actor, add_json, add_reason, add_yes
from .tables import cut
from .terminal import Terminal
from .words import counted, duration, number, whole

#: How long jobs are counted before, and where nothing but the number is wanted; then it is an
#: estimate.
SECONDS, DRY_SECONDS = 3.0, 60.0
#: How often progress is drawn, and others that carry it out are asked how far they are.
_TICK = 0.2
_SHOWN = 5
_DONE = {
    "retry": "retried",
    "promote": "promoted",
    "remove": "removed",
    "clean": "removed",
    "drain": "removed",
    "obliterate": "removed",
}


@dataclass(frozen=True, slots=True)
class Order:
    """An operation as the options ask for it.

    ``question``: asked before, unless it harms nothing; ``typed``: the name that is typed then.
    """

    place: Place
    action: str
    filter: Filter
    params: Mapping[str, Any] = field(default_factory=dict)
    question: str = ""
    typed: str = ""


def add_bulk(parser: ArgumentParser, *, asks: bool, limit: bool = True) -> None:
    """The options of every operation on many jobs."""
    if limit:
        parser.add_argument(
            "--limit", type=whole(1), metavar="N", help="at most N jobs, the oldest first"
        )
    parser.add_argument(
        "--rate", type=whole(1), metavar="N", help="at most N jobs a second (default: no limit)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only count what it would be done to"
    )
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="order it and leave it to workers and web processes to carry out",
    )
    add_reason(parser)
    if asks:
        add_yes(parser)
    add_json(parser)


def carry_out(terminal: Terminal, order: Order, options: Mapping[str, Any]) -> None:
    """Count, ask, order, and watch; Ctrl-C aborts it and says what was done.

    Raises:
        CommandError: it failed, was aborted, or could not be done to some jobs.
    """
    params = dict(order.params)
    if options.get("limit"):
        params["maximum"] = options["limit"]
    place = order.place
    seconds = DRY_SECONDS if options["dry_run"] else SECONDS
    plan = operations.plan(place.queue, order.action, order.filter, params, seconds=seconds)
    count = min(plan.tally.estimate, options.get("limit") or plan.tally.estimate)
    if options["dry_run"]:
        _tell_plan(terminal, order, plan, count, options["json"])
        return
    # None among those that were looked at says nothing of the others.
    if count or not plan.tally.complete or order.action == "obliterate":
        if order.question:
            question = order.question % {"jobs": _jobs(order, count, plan.tally.complete)}
            terminal.confirm(question, yes=options["yes"], typed=order.typed)
    elif not options["json"]:
        terminal.say(f"no job of {place.label} is meant")
        return
    made = operations.start(
        actor=actor(),
        action=order.action,
        alias=place.alias,
        queue=place.name,
        filter=order.filter,
        bound_ms=plan.bound_ms,
        planned=count,
        params=params,
        reason=options["reason"],
        rate=options["rate"],
    )
    if options["no_wait"]:
        if options["json"]:
            terminal.json(shapes.operation(made))
        else:
            terminal.say(
                f"ordered as operation {made.pk}: {counted(count, 'job')} of {place.label}"
            )
        return
    interrupted = _follow(terminal, made)
    if options["json"]:
        terminal.json(shapes.operation(made))
    else:
        terminal.say(_result(made))
    _judge(made, interrupted)


def _tell_plan(
    terminal: Terminal, order: Order, plan: operations.Plan, count: int, as_json: bool
) -> None:
    tally, place = plan.tally, order.place
    if as_json:
        terminal.json(
            {
                "dry_run": True,
                "action": order.action,
                "connection": place.alias,
                "queue": place.name,
                "state": order.filter.state,
                "filter": str(order.filter),
                "planned": count,
                "exact": tally.complete,
                "total": tally.total,
            }
        )
        return
    stay = max(tally.total - count, 0)
    rest = f"; {number(stay)} would stay" if stay else ""
    what = _jobs(order, count, tally.complete)
    terminal.say(f"{order.action} of {place.label} would be done to {what}{rest}")


def _jobs(order: Order, count: int, exact: bool) -> str:
    several = order.action in ("drain", "obliterate")
    jobs = counted(count, "job") if several else counted(count, f"{order.filter.state} job")
    return jobs if exact else f"about {jobs}"


# Watching it


def _follow(terminal: Terminal, operation: Operation) -> bool:
    """Carry it out, or wait for whoever does; whether it was interrupted."""
    runner = operations.Runner(operation.connection)
    progress = _Progress(terminal)
    due, aborted = 0.0, False
    with _stop() as stop:
        try:
            while operation.ended_at is None:
                if stop.is_set() and not aborted:
                    aborted = operations.abort(operation, actor())
                    due = 0.0
                if time.monotonic() >= due:
                    try:
                        # Where another process leads, it carries it out: look now and then only.
                        due = time.monotonic() + min(runner.step(), 1.0)
                    except ServerUnavailable as error:
                        if aborted:  # its end goes on record once somebody reaches the server
                            break
                        progress.tell(f"waits: {error}")
                        due = time.monotonic() + 1.0
                operation.refresh_from_db(using=operation._state.db)
                progress.draw(operation)
                if operation.ended_at is None:
                    # Not stop.wait(): once it is set, that waits no more.
                    time.sleep(max(min(due - time.monotonic(), _TICK), 0.0))
        finally:
            progress.clear()
            runner.let_go()
    return aborted


@contextmanager
def _stop() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets; a second one ends the process as usual."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Progress:
    """One line that is written over and over, where there is a terminal for it."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._drawn = False

    def draw(self, operation: Operation) -> None:
        handled = operation.done + operation.skipped + operation.failed
        parts = [f"{operation.action} {number(handled)} of {number(operation.planned)}"]
        if operation.planned:
            parts.append(f"{min(handled / operation.planned, 1):.0%}")
        if operation.status == operation.Status.PAUSED:
            parts.append("paused: the dashboard resumes it")
        elif operation.speed:
            left = max(operation.planned - handled, 0) / operation.speed
            parts += [f"{number(operation.speed)}/s", f"{duration(left)} left"]
        self.tell("  ".join(parts))

    def tell(self, text: str) -> None:
        if self._terminal.moves:
            line = cut(one_line(text), shutil.get_terminal_size().columns - 1)
            self._terminal.err.write(f"\r\x1b[2K{line}", ending="")
            self._terminal.err.flush()
            self._drawn = True

    def clear(self) -> None:
        if self._drawn:
            self._terminal.err.write("\r\x1b[2K", ending="")
            self._terminal.err.flush()


def _result(operation: Operation) -> str:
    place = Place(operation.connection, operation.queue)
    parts = [f"{_DONE[operation.action]} {counted(operation.done, 'job')} of {place.label}"]
    if operation.skipped:
        parts.append(f"{number(operation.skipped)} were no longer there or in another state")
    if operation.failed:
        parts.append(f"{number(operation.failed)} refused")
    if operation.action == "obliterate" and operation.status == operation.Status.DONE:
        parts.append("the queue is gone")
    took = f" in {duration(operation.ran)}" if operation.ran >= 1 else ""
    return "; ".join(parts) + took


def _judge(operation: Operation, interrupted: bool) -> None:
    """End with the code that says how it ended.

    Raises:
        CommandError: not well.
    """
    status = operation.status
    if interrupted:
        if operation.ended_at is None:
            raise CommandError(
                "aborted; it ends on record once Redis answers again", returncode=AWAY
            )
        left = operation.planned - operation.done - operation.skipped - operation.failed
        raise CommandError(
            f"aborted: {counted(max(left, 0), 'job')} left as before", returncode=INTERRUPTED
        )
    if status == operation.Status.ABORTED:
        raise CommandError(f"it was aborted by {operation.error}", returncode=FOUND)
    if status == operation.Status.FAILED:
        raise CommandError(one_line(operation.error), returncode=FOUND)
    if operation.failed:
        some = "; ".join(
            f"{one_line(one[0])}: {one_line(one[1])}" for one in operation.failures[:_SHOWN]
        )
        raise CommandError(f"{counted(operation.failed, 'job')} refused: {some}", returncode=FOUND)
