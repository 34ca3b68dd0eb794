"""Telemetry: spans around adding and processing, by whatever the setting TELEMETRY names.

The setting is the dotted path of a class or function that is called once, without arguments, and
gives a :class:`Telemetry`; ``queuecore.contrib.opentelemetry.Telemetry`` is one. Its spans travel
with jobs in BullMQ's option ``tm``, so that those of Node and ours are one trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Protocol

from . import conf
from .dotted import load_function


class Adding(Protocol):
    """A span of adding jobs. ``metadata``: what the jobs carry to continue its trace."""

    metadata: str | None

    def added(self, ids: Sequence[str]) -> None:
        """The jobs were added, or were there."""


class Processing(Protocol):
    """A span of one run of a job. ``metadata``: what continues its trace in another process."""

    metadata: str | None

    def enter(self) -> None:
        """Make it the span of the context that runs; it is of this run alone."""

    def end(self, kind: str, error: BaseException | None) -> None:
        """End it. *kind*: that of :class:`queuecore.wire.calls.working.Outcome`, empty for none."""


class Telemetry(Protocol):
    """What makes spans. Nothing that it raises may be meant for a job: it should raise nothing.

    One that counts, too, has ``job_counts(queue, counts)``: it gets what
    :meth:`queuecore.Queue.record_job_counts_metric` has counted, by state.
    """

    def adding(
        self, operation: str, queue: str, destination: str, names: Sequence[str]
    ) -> AbstractContextManager[Adding]:
        """A span while jobs called *names* are added; *operation* is BullMQ's word for it."""

    def processing(self, queue: str, job: Any, worker: str, worker_name: str) -> Processing:
        """Begin the span of a run of *job*."""

    def within(self, metadata: str) -> AbstractContextManager[None]:
        """Continue in this process what *metadata* of another one tells."""


def get_telemetry() -> Telemetry | None:
    """What the setting names; None where it names nothing.

    Raises:
        ConfigurationError: it cannot be imported, or raises when it is called.
    """
    path = conf.get_settings().telemetry
    return None if path is None else _made(path)


@cache
def _made(path: str) -> Telemetry:
    return load_function(path, "QUEUECORE['TELEMETRY']")()  # type: ignore[no-any-return]


def carrying(options: Mapping[str, Any], metadata: str | None) -> Mapping[str, Any]:
    """Job options with *metadata*, unless they have their own or want none (BullMQ's rule)."""
    own = options.get("telemetry", {})
    if metadata is None or not isinstance(own, Mapping) or any(own.values()):
        return options  # what is wrong in it is told by the check of the options
    return {**options, "telemetry": {**own, "metadata": metadata}}
