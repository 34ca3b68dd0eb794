"""Terminal: where a subcommand writes, in which colours, and whom it can ask."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.core.management.color import Style

from queuecore.visible import one_line

from .codes import INTERRUPTED
from .tables import Cell, Column, lay_out

#: A narrower terminal is taken for this one.
NARROWEST = 40


class Terminal:
    """What a subcommand is given to speak with people and scripts."""

    def __init__(self, out: OutputWrapper, err: OutputWrapper, style: Style) -> None:
        self.out = out
        self.err = err
        self.style = style

    @property
    def width(self) -> int | None:
        """Its columns; None where the output goes into a file or a pipe."""
        if not self.out.isatty():
            return None
        return max(shutil.get_terminal_size().columns, NARROWEST)

    @property
    def height(self) -> int:
        """Its lines."""
        return max(shutil.get_terminal_size().lines, 5)

    @property
    def moves(self) -> bool:
        """Whether a line of progress can be written over."""
        return bool(self.err.isatty()) and os.environ.get("TERM") != "dumb"

    def say(self, text: str = "") -> None:
        """Write a line for people; what it names must be :func:`~queuecore.visible.one_line`."""
        self.out.write(text)

    def warn(self, text: str) -> None:
        """Write a line to where errors go, so that a script's output stays clean."""
        self.err.write(text)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> None:
        """Write a table."""
        for line in lay_out(columns, rows, self.width, self.style.MIGRATE_LABEL):
            self.out.write(line)

    def facts(self, facts: Sequence[tuple[str, Cell | str]]) -> None:
        """Write names with their values, one a line."""
        width = self.width
        for line in lay_out(
            [Column("", least=4), Column("", least=20)],
            [[Cell(name, self.style.MIGRATE_LABEL), value] for name, value in facts],
            width,
        )[1:]:
            self.out.write(line)

    def json(self, value: Any) -> None:
        """Write one JSON document; ASCII alone, so that no name in it steers a terminal."""
        self.out.write(json.dumps(value, indent=2))

    def confirm(self, question: str, *, yes: bool, typed: str = "") -> None:
        """Go on if *yes* was given, or somebody says so; *typed*: what must be typed for it.

        Raises:
            CommandError: nobody can be asked, or the answer was no.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(
                f"{question} Nobody can be asked without a terminal: add --yes to go on"
            )
        ask = f"Type {one_line(typed)} to go on: " if typed else "Go on? [y/N] "
        try:
            answer = input(f"{question}\n{ask}")
        except (EOFError, KeyboardInterrupt):
            raise CommandError("nothing was done", returncode=INTERRUPTED) from None
        given = answer == typed if typed else answer.strip().lower() in ("y", "yes")
        if not given:
            raise CommandError("nothing was done")
