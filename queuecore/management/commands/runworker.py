"""manage.py runworker: works the queues of this project until it is told to stop."""

from __future__ import annotations

import logging
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.autoreload import get_child_arguments

from ... import __version__, conf, discovery, operations, outbox, server_checks
from ...errors import ConfigurationError, QueueCoreError, did_you_mean
from ...history import Collector
from ...processors import QueueProcessors
from ...worker import Worker, presence, wear
from ...worker.process import run
from ...worker.supervisor import Supervised, Supervisor

logger = logging.getLogger("queuecore")


class Command(BaseCommand):
    help = (
        "Work jobs: of the named queues, or of every queue that has a processor or that TASKS "
        "names. "
        "SIGTERM or Ctrl-C lets running jobs finish, then hands the others back without counting "
        "the try; a second signal hands them back at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "queues",
            nargs="*",
            metavar="QUEUE",
            help="queues to work: NAME, or ALIAS:NAME on another connection (default: all)",
        )
        parser.add_argument(
            "--concurrency",
            type=int,
            metavar="N",
            help="jobs of a queue that run at a time (default: the processor's, else "
            "QUEUECORE['WORKER']['CONCURRENCY'], else 10)",
        )
        parser.add_argument(
            "--burst", action="store_true", help="end once nothing is left to run now"
        )
        parser.add_argument(
            "--processes",
            type=int,
            metavar="N",
            help="worker processes, started, watched and replaced by this one, each with the "
            "concurrency on its own (default: QUEUECORE['WORKER']['PROCESSES'], else 1, without a "
            "supervisor)",
        )
        parser.add_argument(
            "--max-jobs",
            type=int,
            metavar="N",
            help="end a process after so many jobs, when those it runs are done; a supervisor "
            "starts the next one meanwhile",
        )
        parser.add_argument(
            "--max-memory",
            type=int,
            metavar="MB",
            help="the same once a process takes so many MB of memory",
        )
        parser.add_argument(
            "--shutdown-timeout",
            type=float,
            metavar="S",
            help="seconds running jobs get to finish when told to stop (default: "
            "QUEUECORE['WORKER']['SHUTDOWN_TIMEOUT'], else 25)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            chosen = _chosen(options["queues"])
            workers = [_worker(one, options) for one in chosen]
            timeout = options["shutdown_timeout"]
            if timeout is None:
                timeout = conf.get_settings().worker.shutdown_timeout
            elif not timeout >= 0:
                raise ConfigurationError("--shutdown-timeout must be at least 0 seconds")
            for name in ("processes", "max_jobs", "max_memory"):
                if options[name] is not None and options[name] < 1:
                    raise ConfigurationError(f"--{name.replace('_', '-')} must be at least 1")
            if (options["processes"] or 1) > conf.MOST_PROCESSES:
                raise ConfigurationError(f"--processes must be at most {conf.MOST_PROCESSES}")
        except QueueCoreError as error:
            raise CommandError(str(error)) from error
        _show_log()
        supervised = Supervised.here()
        processes = options["processes"] or conf.get_settings().worker.processes
        if supervised is None and processes > 1:
            logger.info("QueueCore %s starts %d processes", __version__, processes)
            settings = conf.get_settings().worker
            supervisor = Supervisor(
                get_child_arguments(),
                processes,
                max_stalled=settings.max_stalled_count,
                shutdown_timeout=timeout,
                queues=[(one.alias, one.queue) for one in chosen],
                every=settings.heartbeat,
            )
            sys.exit(supervisor.run())
        logger.info(
            "QueueCore %s works %s (queue and jobs at a time)",
            __version__, ", ".join(f"{one.queue.name} {one.concurrency}" for one in workers),
        )  # fmt: skip
        beside = [
            work
            for alias in sorted({one.alias for one in chosen})
            for work in (Collector(alias).run(), operations.beside(alias))
        ]
        if options["burst"]:
            outbox.relay_first()
        beside.append(outbox.beside())
        beside.append(server_checks.tell_at_start(sorted({one.alias for one in chosen})))
        if supervised is not None:
            presence.place = supervised.place
            supervised.begin(
                [(one.queue.alias, one.queue.name, one.id) for one in workers],
                shutdown_timeout=timeout,
            )
        if options["max_jobs"] or options["max_memory"]:
            memory = options["max_memory"]
            beside.append(
                wear.watch(
                    workers,
                    most_jobs=options["max_jobs"],
                    most_memory=memory and memory * 2**20,
                    ask=supervised.worn if supervised is not None else None,
                )
            )
        run(workers, shutdown_timeout=timeout, beside=beside, leave=True)


def _show_log() -> None:
    """Write the log to the terminal, unless the project's LOGGING says where it goes."""
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _chosen(names: list[str]) -> list[QueueProcessors]:
    """The processors of the queues *names*, or all.

    Raises:
        ConfigurationError: there is none, or one of the names has no processor.
    """
    found = discovery.discover().queues
    if not found:
        raise ConfigurationError(
            "no processor was found; put functions with @processor('queue') into processors.py "
            "of an app that is in INSTALLED_APPS, or functions with @task into tasks.py, with "
            "queuecore.tasks.QueueCoreBackend in TASKS"
        )
    if not names:
        return list(found.values())
    chosen = []
    for name in dict.fromkeys(names):
        alias, _, queue = name.rpartition(":")
        key = (alias or "default", queue)
        if key not in found:
            known = [queue if alias == "default" else f"{alias}:{queue}" for alias, queue in found]
            raise ConfigurationError(
                f"no processor takes queue {name!r}{did_you_mean(name, known)}; there are: "
                f"{', '.join(sorted(known))}"
            )
        chosen.append(found[key])
    return chosen


def _worker(processors: QueueProcessors, options: dict[str, Any]) -> Worker:
    if options["concurrency"] is not None and options["concurrency"] < 1:
        raise ConfigurationError("--concurrency must be at least 1")
    return Worker(
        processors.queue,
        processors,
        connection=processors.alias,
        concurrency=options["concurrency"],
        burst=options["burst"],
    )
