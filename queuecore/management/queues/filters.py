"""Filters: which jobs are meant, by the options that several subcommands have."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError

from queuecore.matching import Filter

from .words import read_duration


def add_filter(parser: ArgumentParser, states: Sequence[str], usual: str | None) -> None:
    """``--state`` and what else tells jobs apart; without a *usual* state it must be given."""
    if len(states) > 1:
        told = f"default: {usual}" if usual else "needed without an id"
        parser.add_argument(
            "--state",
            choices=states,
            default=usual,
            metavar="STATE",
            help=f"{', '.join(states)} ({told})",
        )
    else:
        parser.set_defaults(state=usual)
    parser.add_argument(
        "--name", metavar="NAME", help="only jobs of this name; a * may begin or end it"
    )
    if "failed" in states:
        parser.add_argument(
            "--error", metavar="TEXT", help="only those whose error holds this, whatever the case"
        )
    parser.add_argument(
        "--older-than",
        type=read_duration,
        metavar="DURATION",
        help="only those that ended so long ago, or were added then if they have not: 90s, 2h, 7d",
    )
    parser.add_argument(
        "--filter",
        default="",
        metavar="WORDS",
        help="only those that fit the words of the dashboard's filter, such as 'attempts>2 age>1h'",
    )


def filter_of(options: Mapping[str, Any]) -> Filter:
    """The filter that the options ask for.

    Raises:
        InvalidFilter: its words are not understood.
        CommandError: one thing is asked for twice.
    """
    state = options["state"]
    found = Filter.parse(state, options["filter"])
    age = "finished_before" if state in ("completed", "failed") else "added_before"
    asked = {"name": options["name"], "error": options.get("error"), age: options["older_than"]}
    for name, value in asked.items():
        if value is None:
            continue
        if getattr(found, name):
            raise CommandError(f"--filter {options['filter']!r} and another option ask for {name}")
        changes: dict[str, Any] = {name: value}
        found = replace(found, **changes)
    return found


def given(options: Mapping[str, Any]) -> bool:
    """Whether any of the options was given."""
    return any(options.get(one) for one in ("name", "error", "older_than", "filter"))
