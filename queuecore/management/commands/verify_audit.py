"""Verify the audit log: ``manage.py verify_audit [--anchors FILE] [--export FILE]``."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from queuecore import audit
from queuecore.audit_log import VERIFY

from ..queues.subcommand import actor

SHOWN = 20


class Command(BaseCommand):
    """Compare the record with itself and with anchors kept elsewhere."""

    help = (
        "Verify that no audit entry was changed, added, moved or taken out. An anchor that was "
        "exported earlier also shows whether the end was cut off: export one a day to a place that "
        "the database's users cannot write."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--anchors", type=Path, metavar="FILE", help="compare with the anchors in FILE"
        )
        parser.add_argument(
            "--export",
            type=Path,
            metavar="FILE",
            help="append the record's end to FILE as an anchor, if the record is intact",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = audit.verify(_anchors(options["anchors"]))
        self._record(found)
        for problem in found.problems[:SHOWN]:
            self.stderr.write(f"entry {problem.number} {problem.text}")
        if found.unfinished:
            self.stderr.write(
                f"{len(found.unfinished)} actions have no result: they run now, or were cut short "
                f"({', '.join(found.unfinished[:3])})"
            )
        if not found.intact:
            more = len(found.problems) - SHOWN
            raise CommandError(
                f"the audit log is NOT intact: {len(found.problems)} problems in "
                f"{found.entries} entries" + (f" ({more} not shown)" if more > 0 else "")
            )
        if options["export"] and found.anchor:
            with options["export"].open("a") as file:
                file.write(f"{found.anchor}\n")
        end = f", last {found.anchor}" if found.anchor else ""
        self.stdout.write(f"the audit log is intact: {found.entries} entries{end}")

    def _record(self, found: audit.Verification) -> None:
        """Write down that the record was verified, behind what was looked at."""
        try:
            with audit.record(actor=actor(), action=VERIFY) as entry:
                entry.result(**audit.facts_of(found))
        except DatabaseError as error:
            # Such as on a replica that may only be read.
            self.stderr.write(f"that it was verified could not be recorded: {error}")


def _anchors(path: Path | None) -> list[audit.Anchor]:
    if path is None:
        return []
    try:
        lines = path.read_text().splitlines()
        return [audit.Anchor.parse(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read as anchors: {error}") from error
