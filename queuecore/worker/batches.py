"""Batches: gathers claimed jobs for processors that take several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..options import Batch
from .execute import Run


class Batches:
    """The batches of one processor that are being formed.

    A batch is never waited for longer than its ``timeout``; without one, it is what one claim
    brought, so that a job waits for nobody.

    Args:
        launch: begins a batch, given at least one run.
    """

    def __init__(self, batch: Batch, launch: Callable[[list[Run]], None]) -> None:
        self._batch = batch
        self._launch = launch
        self._loop = asyncio.get_running_loop()
        self._forming: list[Run] = []
        self._patience: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None

    def add(self, run: Run) -> None:
        """Take one more; the batch begins when it is full, or large enough and nothing follows."""
        self._forming.append(run)
        if len(self._forming) >= self._batch.size:
            self._begin()
        elif len(self._forming) >= self._batch.min_size:
            if self._soon is None:
                self._soon = self._loop.call_soon(self._begin)
        elif self._patience is None:
            self._patience = self._loop.call_later(self._batch.seconds, self._begin)

    def _begin(self) -> None:
        for handle in (self._patience, self._soon):
            if handle is not None:
                handle.cancel()
        self._patience = self._soon = None
        runs, self._forming = self._forming, []
        # Some may have been lost, or given back, while they waited for the others.
        if runs := [run for run in runs if not (run.lost or run.abandoned)]:
            self._launch(runs)
