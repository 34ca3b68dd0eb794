"""manage.py runworker: works the queues of this project until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import sys
from argparse import SUPPRESS
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.autoreload import get_child_arguments

from ... import __version__, conf, discovery, operations, outbox, server_checks
from ...errors import ConfigurationError, QueueCoreError, did_you_mean
from ...history import Collector
from ...processors import QueueProcessors
from ...wire.connections import get_connection
from ...worker import Worker, health, presence, wear
from ...worker.changes import Changes
from ...worker.child import Supervised
from ...worker.process import run
from ...worker.supervisor import Supervisor
from ..reloader import Reloader, loaded_files
from ..signs import Signs

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
        work = parser.add_argument_group("how much at a time")
        work.add_argument(
            "--concurrency",
            type=int,
            metavar="N",
            help="jobs of a queue that run at a time (default: the processor's, else "
            "QUEUECORE['WORKER']['CONCURRENCY'], else 10)",
        )
        work.add_argument(
            "--processes",
            type=int,
            metavar="N",
            help="worker processes, started, watched and replaced by this one, each with the "
            "concurrency on its own (default: QUEUECORE['WORKER']['PROCESSES'], else 1, without a "
            "supervisor)",
        )
        ends = parser.add_argument_group("when it ends")
        ends.add_argument(
            "--burst", action="store_true", help="end once nothing is left to run now"
        )
        ends.add_argument(
            "--shutdown-timeout",
            type=float,
            metavar="S",
            help="seconds running jobs get to finish when told to stop (default: "
            "QUEUECORE['WORKER']['SHUTDOWN_TIMEOUT'], else 25)",
        )
        ends.add_argument(
            "--max-jobs",
            type=int,
            metavar="N",
            help="end a process after so many jobs, when those it runs are done; a supervisor "
            "starts the next one meanwhile",
        )
        ends.add_argument(
            "--max-memory",
            type=int,
            metavar="MB",
            help="the same once a process takes so many MB of memory",
        )
        seen = parser.add_argument_group("how it is seen")
        seen.add_argument(
            "--health-file",
            type=Path,
            metavar="PATH",
            help="write this file anew every second while all is well: the event loop turns and "
            "Redis answers; it is gone at the end (see queues health --file)",
        )
        seen.add_argument(
            "--metrics-port",
            type=int,
            metavar="PORT",
            help="serve /metrics for Prometheus, /healthz and /readyz, one port for all processes "
            "(needs the extra prometheus)",
        )
        seen.add_argument(
            "--metrics-host",
            default="127.0.0.1",
            metavar="HOST",
            help="the address for that (default: 127.0.0.1, this machine alone)",
        )
        development = parser.add_argument_group("in development")
        development.add_argument(
            "--reload",
            action="store_true",
            default=None,
            help="start again when the project's code changes; jobs that run are handed back "
            "after two seconds, without counting the try (default: with DEBUG, unless the worker "
            "is to end by itself)",
        )
        development.add_argument(
            "--no-reload",
            dest="reload",
            action="store_false",
            default=None,
            help="work in this process, as debuggers need it",
        )
        # As runserver calls it.
        development.add_argument(
            "--noreload", dest="reload", action="store_false", default=None, help=SUPPRESS
        )
        _last(parser, "Django's own")

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
            reload = self._reloads(options)
        except QueueCoreError as error:
            raise CommandError(str(error)) from error
        _show_log(options["verbosity"])
        supervised = Supervised.here()
        processes = options["processes"] or conf.get_settings().worker.processes
        alone = supervised is None and processes == 1 and not reload
        try:
            signs = Signs(options, supervised, alone=alone)
        except QueueCoreError as error:
            raise CommandError(str(error)) from error
        if supervised is None and not alone:
            with signs:
                code = _supervisor(processes, reload, chosen, timeout, signs.tell).run()
            sys.exit(code)
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
            if processes > 1:
                presence.place = supervised.place
            supervised.begin(
                [(one.queue.alias, one.queue.name, one.id) for one in workers],
                shutdown_timeout=timeout,
            )
            if reload:
                Reloader(supervised.say).start()
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
        if signs.tell is not None:
            beside.append(signs.watch(workers))
        run(workers, shutdown_timeout=timeout, beside=beside, leave=True)

    def _reloads(self, options: dict[str, Any]) -> bool:
        """Whether it starts again when the code changes.

        Raises:
            ConfigurationError: it is told to, and to end by itself as well.
        """
        if options["reload"] and options["burst"]:
            raise ConfigurationError("--burst ends by itself: leave out --reload")
        if options["reload"] is not None:
            return bool(options["reload"])
        ends = any(options[name] for name in ("burst", "max_jobs", "max_memory"))
        # By call_command the command line, which a child would repeat, is somebody else's.
        return conf.debug() and not ends and getattr(self, "_called_from_command_line", False)


def _last(parser: CommandParser, title: str) -> None:
    """Show the options that every command has behind its own."""
    parser._optionals.title = title
    parser._action_groups.sort(key=lambda group: group is parser._optionals)


def _supervisor(
    processes: int,
    reload: bool,
    chosen: list[QueueProcessors],
    timeout: float,
    tell: health.Tell | None,
) -> Supervisor:
    settings = conf.get_settings().worker
    changes = Changes(loaded_files()) if reload else None
    if processes > 1:
        logger.info("QueueCore %s starts %d processes", __version__, processes)
    if changes is not None:
        logger.info(
            "it starts again when one of %d files changes; --no-reload switches that off",
            len(changes),
        )
        for alias in {one.alias for one in chosen}:
            with contextlib.suppress(QueueCoreError):
                # The embedded server is to live on while no worker uses it; else this is a text.
                get_connection(alias).url()
    return Supervisor(
        get_child_arguments(),
        processes,
        max_stalled=settings.max_stalled_count,
        shutdown_timeout=timeout,
        queues=[(one.alias, one.queue) for one in chosen],
        every=settings.heartbeat if processes > 1 else None,
        changes=changes,
        unchanged=["--skip-checks"],  # they were made here
        tell=tell,
    )


def _show_log(verbosity: int = 1) -> None:
    """Write the log to the terminal, unless the project's LOGGING says where it goes."""
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if verbosity < 2 else logging.DEBUG)


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
