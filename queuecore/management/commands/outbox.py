"""manage.py outbox: shows the outbox, moves it where no worker does, mends what is set aside."""

from __future__ import annotations

import json
import logging
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFault
from django.db.models import QuerySet

from ... import conf, outbox, transactions
from ...errors import QueueCoreError
from ...models import OutboxEntry
from ...recorded import By, recorded
from ...worker.tasks import stop_signals
from ..queues.subcommand import actor

SHOWN = 50
# So many job ids of one queue are put on record, and so many rows are changed at once.
RECORDED, BATCH = 100, 500


class Command(BaseCommand):
    """Shows the outbox, or does one of the things that its options name."""

    help = (
        "Show the jobs that were added in transactions and are not in Redis yet: how many wait, "
        "and which were set aside, with their errors. Every runworker moves them; --relay does "
        "where none runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--database",
            metavar="ALIAS",
            help="of this database alone (default: of QUEUECORE['OUTBOX']['DATABASES'])",
        )
        what = parser.add_mutually_exclusive_group()
        what.add_argument(
            "--relay", action="store_true", help="move jobs to Redis until told to stop"
        )
        what.add_argument(
            "--retry",
            nargs="*",
            type=int,
            metavar="ID",
            help="try rows that were set aside once more: these, or all",
        )
        what.add_argument(
            "--discard",
            nargs="+",
            type=int,
            metavar="ID",
            help="delete these rows that were set aside: their jobs are given up",
        )
        what.add_argument("--json", action="store_true", help="write what is shown as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            databases = transactions.outbox_databases()
            using = options["database"]
            if using is not None and using not in databases:
                raise CommandError(
                    f"no relay looks into the outbox of {using!r}, only into "
                    f"{', '.join(map(repr, databases))}: see QUEUECORE['OUTBOX']['DATABASES']"
                )
            chosen = (using,) if using else databases
            if options["relay"]:
                _relay(chosen)
            elif options["retry"] is not None:
                again = sum(_mend("retry", options["retry"], one) for one in chosen)
                self.stdout.write(f"{again} rows are tried again")
                _expect(options["retry"], again)
            elif options["discard"]:
                gone = sum(_mend("remove", options["discard"], one) for one in chosen)
                self.stdout.write(f"{gone} rows are deleted")
                _expect(options["discard"], gone)
            else:
                self._show([outbox.backlog(one)[0] for one in chosen], options["json"])
        except (QueueCoreError, DatabaseFault) as error:
            raise CommandError(str(error)) from error

    def _show(self, found: list[outbox.Backlog], as_json: bool) -> None:
        rows = {one.database: _set_aside(one.database) for one in found if one.aside}
        if as_json:
            told = [
                {
                    "database": one.database,
                    "waiting": one.waiting,
                    "oldest": one.oldest,
                    "aside": one.aside,
                    "rows": [_facts(row) for row in rows.get(one.database, ())],
                }
                for one in found
            ]
            self.stdout.write(json.dumps(told, indent=2))
            return
        for one in found:
            age = "" if one.oldest is None else f", the oldest for {one.oldest:.0f} s"
            self.stdout.write(f"{one.database}: {one.waiting} wait{age}; {one.aside} are set aside")
            for row in rows.get(one.database, ()):
                where = (
                    row.queue if row.connection == "default" else f"{row.connection}:{row.queue}"
                )
                self.stdout.write(
                    f"  {row.pk}  {where}  {row.name!a}  {row.job_id!a}  {row.error!a}"
                )
            if one.aside > SHOWN:
                self.stdout.write(f"  and {one.aside - SHOWN} more")


def _aside(database: str) -> QuerySet[OutboxEntry]:
    return OutboxEntry._default_manager.using(database).filter(failed_at__isnull=False)


def _set_aside(database: str) -> list[OutboxEntry]:
    return list(_aside(database).defer("data").order_by("pk")[:SHOWN])


def _expect(ids: list[int], done: int) -> None:
    if done < (asked := len(set(ids))):
        raise CommandError(f"{asked - done} of the rows that were named are not set aside")


def _mend(name: str, ids: list[int], database: str) -> int:
    """Retry or remove rows that were set aside (all without *ids*), each queue's on record."""
    rows = _aside(database)
    if ids:
        rows = rows.filter(pk__in=ids)
    work = {"retry": outbox.retry, "remove": outbox.discard}[name]
    done = 0
    for alias, queue in rows.order_by().values_list("connection", "queue").distinct():
        of_queue = rows.filter(connection=alias, queue=queue).order_by("pk")
        found = list(of_queue.values_list("pk", "job_id"))
        target = json.dumps([job_id for _, job_id in found[:RECORDED]], ensure_ascii=False)
        by = By(actor())
        with recorded(by, f"{name}_outbox", alias=alias, queue=queue, target=target) as entry:
            count = sum(
                work([pk for pk, _ in found[at : at + BATCH]], database)
                for at in range(0, len(found), BATCH)
            )
            entry.result(count=count)
        done += count
    return done


def _facts(row: OutboxEntry) -> dict[str, Any]:
    facts = ("pk", "connection", "queue", "job_id", "name", "tries", "error")
    return {name: getattr(row, name) for name in facts} | {
        "failed_at": row.failed_at and row.failed_at.isoformat()
    }


def _relay(databases: tuple[str, ...]) -> None:
    """Relay in this thread until a signal comes; where there is no other way, until the end."""
    from .runworker import _show_log

    _show_log()
    poll = conf.get_settings().outbox.poll
    relay = outbox.Relay(databases)
    if threading.current_thread() is threading.main_thread():
        for number in stop_signals():
            signal.signal(number, lambda *_: relay.end())
    logging.getLogger("queuecore").info(
        "the outbox of %s is moved to Redis", ", ".join(map(repr, databases))
    )
    relay.run(conf.OutboxSettings().poll or 1.0 if poll is None else poll)
