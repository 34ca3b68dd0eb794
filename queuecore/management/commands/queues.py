"""``manage.py queues``: the command-line twin of the dashboard."""

from __future__ import annotations

import io
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.core.management.color import Style, no_style
from django.db import DatabaseError

from queuecore.errors import QueueCoreError, ServerUnavailable

from ..queues import tree
from ..queues.codes import AWAY, INTERRUPTED
from ..queues.terminal import Terminal


class Command(BaseCommand):
    """Each subcommand is a module of ``queuecore.management.queues``."""

    help = tree.HELP

    def add_arguments(self, parser: CommandParser) -> None:
        tree.add(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        subcommand = tree.find(options)
        style: Style = self.style
        shade: Any = self.stderr.style_func
        if os.environ.get("NO_COLOR") and not options.get("force_color"):
            style, shade = no_style(), None
        for stream in (self.stdout, self.stderr):
            _bear(stream)
        self.stderr.style_func = None  # progress and notes are no errors
        try:
            subcommand.run(Terminal(self.stdout, self.stderr, style), **options)
        except ServerUnavailable as error:
            raise CommandError(str(error), returncode=AWAY) from error
        except QueueCoreError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"the database, which keeps the record of what is done, says: {error} "
                "(manage.py migrate makes its tables)",
                returncode=AWAY,
            ) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted", returncode=INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read has had enough, such as `head`; nothing more can be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        finally:
            self.stderr.style_func = shade


def _bear(stream: OutputWrapper) -> None:
    """Let a stream whose encoding lacks a character write its code instead."""
    inner = getattr(stream, "_out", None)
    if isinstance(inner, io.TextIOWrapper):
        inner.reconfigure(errors="backslashreplace")
