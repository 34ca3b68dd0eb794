"""``queues doctor``: what cannot be in queues is found, and put right."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import CommandError

from queuecore import recorded
from queuecore.integrity import KINDS, Finding, Integrity
from queuecore.visible import one_line

from .places import some
from .subcommand import Subcommand, author
from .terminal import Terminal


class Doctor(Subcommand):
    name = "doctor"
    help = "look for what cannot be in queues, and repair it"
    description = "Look for what cannot be in queues; changes nothing without --repair."
    examples: ClassVar = (
        ("doctor", "look at all queues"),
        ("doctor emails --repair --reason 'after the restore'", "put one right"),
        ("doctor emails --kind lock --json", "one kind alone, for scripts"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "queues", nargs="*", metavar="QUEUE", help="NAME, or ALIAS:NAME (default: all)"
        )
        parser.add_argument("--repair", action="store_true", help="put right what is safe to")
        parser.add_argument(
            "--kind",
            action="append",
            choices=KINDS,
            help="repair findings of this kind only; may be given again (default: all kinds)",
        )
        parser.add_argument("--reason", default="", help="why, for the audit log")
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def run(self, terminal: Terminal, **options: Any) -> None:
        """A line for each kind of finding in a queue; an error while anything is left."""
        repair, as_json, reason = options["repair"], options["json"], options["reason"]
        kinds = options["kind"] or list(KINDS)
        found, left = [], 0
        for alias, names in some(options["queues"], patterns=False).items():
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
                if not as_json:
                    shown = ", ".join(f.id or f.detail for f in report.ids(queue, one)[:3])
                    told = f" (repaired {done})" if repair else ""
                    terminal.say(one_line(f"{alias}:{queue}: {one} {count}{told}: {shown}"))
            if not as_json:
                terminal.say(
                    f"{alias}: looked at {report.jobs} places of jobs and {report.keys} keys of "
                    f"{len(report.queues)} queues in {report.seconds:.1f} s"
                )
        if as_json:
            terminal.json(found)
        if left:
            raise CommandError(
                f"{left} findings are left"
                if repair
                else f"{left} findings; see manage.py queues doctor --repair"
            )


def _repair(alias: str, queue: str, kinds: list[str], reason: str) -> dict[str, int]:
    """Repair one queue, on record as the page writes it; how much of each kind."""
    with recorded.recorded(
        author(reason),
        "repair",
        alias=alias,
        queue=queue,
        target=", ".join(kinds),
        params={"kinds": kinds},
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
