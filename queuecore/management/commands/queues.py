"""Queues from the command line: ``manage.py queues doctor``, ``health``, ``limits``, ...."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from json import dumps
from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queuecore import access, audit
from queuecore.errors import QueueCoreError, ServerUnavailable
from queuecore.inspect import Inspector, aliases
from queuecore.integrity import KINDS, Finding, Integrity
from queuecore.limits import Limit, LimitInfo, get_limits
from queuecore.options import RateLimit
from queuecore.wire.calls.base import Command as Request
from queuecore.wire.connections import get_connection


class Command(BaseCommand):
    """The command-line twin of the dashboard; each subcommand is one method."""

    help = "See and steer queues from the command line."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
        presets = commands.add_parser(
            "presets",
            help="make the groups Viewer, Operator and Admin",
            description="Make three groups with the permissions of the dashboard.",
        )
        presets.add_argument("--prefix", default="", help="begin the groups' names with this")
        commands.add_parser(
            "health",
            help="say whether Redis answers",
            description="Say whether Redis answers, and since when no worker was heard of.",
        )
        limits = commands.add_parser(
            "limits",
            help="see named limits, and change one",
            description="Show the named limits, or set what one of them allows, by hand.",
        )
        limits.add_argument("name", nargs="?", metavar="NAME", help="one limit (default: all)")
        limits.add_argument("--connection", metavar="ALIAS", help="of this one (default: all)")
        limits.add_argument("--concurrency", metavar="N", help="so many at once, or none")
        limits.add_argument("--rate", metavar="MAX/SECONDS", help="so many starts, or none")
        limits.add_argument(
            "--reset", action="store_true", help="first let the settings count again"
        )
        limits.add_argument("--reason", default="", help="why, for the audit log")
        doctor = commands.add_parser(
            "doctor",
            help="look for what cannot be in queues, and repair it",
            description="Look for what cannot be in queues; changes nothing without --repair.",
        )
        doctor.add_argument(
            "queues", nargs="*", metavar="QUEUE", help="NAME, or ALIAS:NAME (default: all)"
        )
        doctor.add_argument("--repair", action="store_true", help="put right what is safe to")
        doctor.add_argument(
            "--kind",
            action="append",
            choices=KINDS,
            help="repair findings of this kind only; may be given again (default: all kinds)",
        )
        doctor.add_argument("--reason", default="", help="why, for the audit log")
        doctor.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["subcommand"])(**options)
        except QueueCoreError as error:
            raise CommandError(str(error)) from error

    def health(self, **options: Any) -> None:
        """One line for each connection; an error if a server does not answer."""
        silent = []
        for alias in aliases():
            try:
                self.stdout.write(f"{alias}: {_health(alias)}")
            except ServerUnavailable as error:
                silent.append(str(error))
        if silent:
            raise CommandError("; ".join(silent))

    def doctor(
        self,
        *,
        queues: list[str],
        repair: bool,
        kind: list[str] | None,
        reason: str,
        json: bool,
        **options: Any,
    ) -> None:
        """A line for each kind of finding in a queue; an error while anything is left."""
        kinds = kind or list(KINDS)
        found, left = [], 0
        for alias, names in _named(queues).items():
            report = Integrity(alias).check(names)
            found += [_as_dict(alias, one) for one in report.findings if one.kind in kinds]
            repaired = {}
            for queue in report.queues if repair else []:
                mendable = [one for one in kinds if report.counts[queue, one]]
                if mendable:
                    repaired[queue] = _repair(alias, queue, mendable, reason)
            for (queue, one), count in sorted(report.counts.items()):
                if one not in kinds:
                    continue
                done = repaired.get(queue, {}).get(one, 0)
                left += max(0, count - done)
                if not json:
                    shown = ", ".join(f.id or f.detail for f in report.ids(queue, one)[:3])
                    told = f" (repaired {done})" if repair else ""
                    self.stdout.write(f"{alias}:{queue}: {one} {count}{told}: {shown}")
            if not json:
                self.stdout.write(
                    f"{alias}: looked at {report.jobs} places of jobs and {report.keys} keys of "
                    f"{len(report.queues)} queues in {report.seconds:.1f} s"
                )
        if json:
            self.stdout.write(dumps(found, ensure_ascii=False, indent=2))
        if left:
            raise CommandError(
                f"{left} findings are left"
                if repair
                else f"{left} findings; see manage.py queues doctor --repair"
            )

    def limits(
        self,
        *,
        name: str | None,
        connection: str | None,
        concurrency: str | None,
        rate: str | None,
        reset: bool,
        reason: str,
        **options: Any,
    ) -> None:
        """A line for each limit; with options, one is changed first, on record."""
        changes = {"reset": reset or None, "concurrency": concurrency, "rate": rate}
        wanted = {key: value for key, value in changes.items() if value is not None}
        if wanted and name is None:
            raise CommandError("name the limit that is to be changed")
        if name is not None and wanted:
            limit = Limit(name, connection or "default")
            steps = _steps(limit, wanted)
            with audit.record(
                actor="command line",
                action="named_limit",
                alias=limit.alias,
                target=name,
                params=wanted,
                reason=reason,
            ):
                for step in steps:
                    step()
        for alias in [connection] if connection else aliases():
            for found in get_limits(alias):
                if name in (None, found.name):
                    self.stdout.write(f"{alias}: {found.name}: {_told(found)}")

    def presets(self, *, prefix: str, **options: Any) -> None:
        """Make the groups and say which are new."""
        with audit.record(
            actor="command line", action="presets", params={"prefix": prefix}
        ) as entry:
            made = access.make_presets(prefix)
            entry.result(groups=made)
        for name, created in made.items():
            self.stdout.write(f"{name}: {'made' if created else 'was there, now complete'}")


def _steps(limit: Limit, wanted: dict[str, Any]) -> list[Callable[[], Any]]:
    """What sets a limit as the options say, all of them checked."""
    steps: list[Callable[[], Any]] = [limit.reset] if "reset" in wanted else []
    if (concurrency := wanted.get("concurrency")) == "none":
        steps.append(limit.remove_concurrency)
    elif concurrency is not None:
        if not concurrency.isdecimal() or not int(concurrency):
            raise CommandError(f"--concurrency is a number from 1 on, or none, not {concurrency}")
        steps.append(partial(limit.set_concurrency, int(concurrency)))
    if (rate := wanted.get("rate")) == "none":
        steps.append(limit.remove_rate_limit)
    elif rate is not None:
        most, _, seconds = rate.partition("/")
        try:
            checked = RateLimit(int(most), float(seconds))
        except ValueError:
            raise CommandError(
                f"--rate is MAX/SECONDS such as 100/60, or none, not {rate}"
            ) from None
        steps.append(partial(limit.set_rate_limit, checked.max, checked.duration))
    return steps


def _told(limit: LimitInfo) -> str:
    allowed = []
    if limit.concurrency is not None:
        allowed.append(f"{limit.running} of {limit.concurrency} run")
    if limit.rate is not None:
        allowed.append(f"{limit.started} of {limit.rate.max} in {limit.rate.duration:g} s started")
    by_hand = " (by hand)" if limit.concurrency_by_hand or limit.rate_by_hand else ""
    queues = ", ".join(f"{one.name} {one.running}" for one in limit.queues)
    return f"{', '.join(allowed) or 'no limit'}{by_hand}; queues: {queues or 'none'}"


def _named(queues: list[str]) -> dict[str, list[str] | None]:
    """The queues by connection; None is all of a connection."""
    if not queues:
        return dict.fromkeys(aliases())
    named: dict[str, list[str] | None] = {}
    for one in queues:
        alias, colon, name = one.partition(":")
        alias, name = (alias, name) if colon and alias in aliases() else ("default", one)
        if name not in Inspector(alias).discover(scan=True):
            raise CommandError(f"there is no queue {name!r} on the connection {alias!r}")
        names = named.setdefault(alias, [])
        assert names is not None
        names.append(name)
    return named


def _repair(alias: str, queue: str, kinds: list[str], reason: str) -> dict[str, int]:
    """Repair one queue, on record as the page writes it; how much of each kind."""
    with audit.record(
        actor="command line",
        action="repair",
        alias=alias,
        queue=queue,
        target=", ".join(kinds),
        params={"kinds": kinds},
        reason=reason,
    ) as entry:
        mended = Integrity(alias).repair([queue], kinds=kinds)
        found = {kind: count for kind, count in mended.before.kinds().items() if kind in kinds}
        entry.result(count=mended.total, found=found, repaired=mended.kinds())
        return mended.kinds()


def _as_dict(alias: str, finding: Finding) -> dict[str, str]:
    return {
        "connection": alias,
        "queue": finding.queue,
        "kind": finding.kind,
        "id": finding.id,
        "detail": finding.detail,
    }


def _health(alias: str) -> str:
    began = perf_counter()
    # Unlike what an inspector asks, this is refused by a server that is still loading its data.
    get_connection(alias).run(Request(("PING",), bool))
    answered = f"Redis answers in {(perf_counter() - began) * 1000:.1f} ms"
    workers = Inspector(alias).workers()
    if workers is None:
        return f"{answered}; it does not tell of workers"
    if not workers:
        return f"{answered}; no worker is connected"
    newest = min(worker.idle_s for worker in workers)
    queues = len({worker.queue for worker in workers})
    return f"{answered}; workers of queues: {queues}, the newest sign of life is {newest} s old"
