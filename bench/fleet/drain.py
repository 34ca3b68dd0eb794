"""One process against two, by what a job costs, and what uses up the machine's cores then."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from bench.trials import Figures, Trials
from bench.works import Subject, Work

ONE = Subject("one", "ours", processor="spin")
TWO = Subject("two", "ours", processor="spin", processes=2)


@dataclass(frozen=True)
class Cost:
    """A kind of job: microseconds of Python, how many a trial, the concurrency of a process.

    ``pinned``: the server has a core that no worker may use.
    """

    spin_us: int
    jobs: int
    concurrency: int
    pinned: bool = False


@dataclass(frozen=True)
class Drained:
    """The trials of one process and of two with jobs of one *cost*, round by round."""

    cost: Cost
    one: Sequence[Figures]
    two: Sequence[Figures]

    @property
    def ratio(self) -> float:
        """The median of the rounds' own ratios."""
        pairs = zip(self.one, self.two, strict=True)
        return statistics.median(two["rate"] / one["rate"] for one, two in pairs)


def cores(trials: Sequence[Figures], whose: str) -> float:
    """What ``server`` or ``client`` (all worker processes) used while they drained."""
    return statistics.median(one[f"{whose}_us"] * one["rate"] / 1e6 for one in trials)


def measure(trials: Trials, costs: Sequence[Cost], rounds: int) -> list[Drained]:
    """Both in turn, round by round."""
    found = []
    for cost in costs:
        work = Work("fleet", "drain", cost.jobs, (ONE, TWO), cost.concurrency)
        ran: dict[Subject, list[Figures]] = {ONE: [], TWO: []}
        for number in range(rounds):
            for subject in (ONE, TWO) if number % 2 else (TWO, ONE):
                with trials.pinned() if cost.pinned else nullcontext():
                    ran[subject].append(trials.run(work, subject, spin=cost.spin_us))
        found.append(Drained(cost, ran[ONE], ran[TWO]))
        print(f"{cost}: {found[-1].ratio:.2f}", file=sys.stderr, flush=True)
    return found
