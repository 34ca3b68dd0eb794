"""``queues job``: one job with its data, its error and the end of its log."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, ClassVar

from django.core.management.base import CommandError

from queuecore.inspect import STATES, Inspector, JobDetail, LogPage, Wants
from queuecore.jsontext import covered, masked
from queuecore.visible import visible

from . import shapes
from .places import one as the_queue
from .subcommand import Subcommand, add_json, add_queue
from .tables import Cell
from .terminal import Terminal
from .words import counted, duration, local, number, whole


class JobCommand(Subcommand):
    name = "job"
    help = "show one job: data, error, trace, the end of its log"
    description = (
        "Show one job: how it stands, its data and result, why it failed, and the last lines of "
        "its log. What is longer than 64 KB is cut; secrets are masked as on the dashboard."
    )
    examples: ClassVar = (
        ("job emails 4711", "with the last 20 lines of its log"),
        ("job emails 4711 --logs 500", "with more of them"),
        ("job emails 4711 --json", "for scripts"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        parser.add_argument("id", metavar="ID", help="the job's id")
        parser.add_argument(
            "--logs",
            type=whole(),
            default=20,
            metavar="N",
            help="the last N lines of its log, at most 1,000 (default: 20)",
        )
        add_json(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        key, lines = (place.name, options["id"]), min(options["logs"], 1000)
        asked = [(*key, -lines, -1)] if lines else []
        reading = Inspector(place.alias).read(Wants(jobs=[key], logs=asked))
        found = reading.jobs[key]
        if found is None:
            raise CommandError(f"there is no job {options['id']!r} in {place.label}")
        logs = reading.logs.get(key) or LogPage([], 0, found.log_count)
        if options["json"]:
            place_of = {"connection": place.alias, "queue": place.name}
            terminal.json(place_of | shapes.job_detail(found, logs))
            return
        terminal.facts(list(_facts(terminal, found)))
        for title, text in _texts(found):
            terminal.say()
            terminal.say(terminal.style.MIGRATE_LABEL(title))
            terminal.say(visible(text))
        if logs.lines:
            terminal.say()
            shown = f"log, the last {number(len(logs.lines))} of {counted(logs.total, 'line')}"
            terminal.say(terminal.style.MIGRATE_LABEL(shown))
            for line in logs.lines:
                terminal.say(visible(covered(line)))


def _facts(terminal: Terminal, found: JobDetail) -> Iterator[tuple[str, Cell | str]]:
    row, style = found.row, terminal.style
    yield "job", row.id
    yield "name", row.name
    known = row.state in STATES
    yield "state", Cell(row.state or "in none", style.ERROR if row.state == "failed" or not known
                        else None)  # fmt: skip
    for title, at in (
        ("added", row.timestamp),
        ("due", row.due),
        ("started", row.processed_on),
        ("finished", row.finished_on),
    ):
        if at is not None:
            yield title, local(at)
    if row.processed_on and row.finished_on:
        yield "took", duration((row.finished_on - row.processed_on).total_seconds())
    yield "tries", f"{row.attempts_made} of {row.max_attempts or 1}"
    for title, value in (
        ("priority", row.priority and number(row.priority)),
        ("stalled", row.stalled_count and counted(row.stalled_count, "time")),
        ("progress", "" if row.progress in ("0", "{}") else row.progress),
        ("worker", row.processed_by),
        ("group", row.group),
        ("scheduler", row.scheduler_id),
        ("parent", row.parent_key),
    ):
        if value:
            yield title, str(value)
    if found.lock_ttl_ms is not None:
        yield "locked", f"for {duration(found.lock_ttl_ms / 1000)}"


def _texts(found: JobDetail) -> Iterator[tuple[str, str]]:
    if found.failed_reason:
        yield "error", covered(found.failed_reason)
    if found.stacktrace:
        yield "trace of the last try", covered(found.stacktrace[-1])
    for title, text, size in (
        ("data", found.data, found.data_size),
        ("result", found.returnvalue, found.returnvalue_size),
        ("options", found.opts, found.opts_size),
    ):
        if size:
            whole = len(text.encode(errors="surrogatepass")) >= size
            yield (
                title if whole else f"{title}, the beginning of {number(size)} bytes",
                _pretty(text),
            )


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(masked(text)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return masked(text)
