"""Histogram: how long things took, counted in buckets that grow with their bounds.

A bucket's upper bound is 2^(1/7) times that of the one below it, about 10 % more. So whatever was
counted, a percentile is at most 5 % off, and counts of many processes merge by adding them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, log2

#: Buckets from a bound to its double: every seventh bound is a power of two, in ms.
PER_DOUBLING = 7
_GROWTH = 2 ** (1 / PER_DOUBLING)
#: A percentile is at most this share off.
ERROR = (_GROWTH - 1) / (_GROWTH + 1)
#: The first bucket takes all up to 0.01 ms, which counts as nothing; the last takes all from about
#: 100 days on.
FIRST, LAST = -46, 231
_LEAST = 2 ** (FIRST / PER_DOUBLING)


def bucket(ms: float) -> int:
    """The number of the bucket of a time in ms; its bound is 2^(number / 7) ms."""
    if ms <= _LEAST:
        return FIRST
    return min(ceil(log2(ms) * PER_DOUBLING), LAST)


@dataclass(slots=True)
class Histogram:
    """Times by bucket. ``buckets``: how many of each; ``total``: the sum of all, in seconds."""

    buckets: dict[int, int] = field(default_factory=dict)
    total: float = 0.0

    @property
    def count(self) -> int:
        """How many times were counted."""
        return sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        """The mean in seconds; None of nothing."""
        count = self.count
        return self.total / count if count else None

    def percentile(self, share: float) -> float | None:
        """What *share* percent of the times did not exceed, in seconds; None of nothing.

        At most 5 % off; what took less than 0.01 ms is 0.

        Raises:
            ValueError: *share* is not between 0 and 100.
        """
        if not 0 <= share <= 100:
            raise ValueError(f"a percentile lies between 0 and 100, not {share!r}")
        rank = max(ceil(self.count * share / 100), 1)
        for number in sorted(self.buckets):
            rank -= self.buckets[number]
            if rank <= 0:
                return _middle(number) / 1000
        return None

    @property
    def p50(self) -> float | None:
        """The median in seconds; None of nothing."""
        return self.percentile(50)

    @property
    def p95(self) -> float | None:
        """What 95 % did not exceed, in seconds; None of nothing."""
        return self.percentile(95)

    @property
    def p99(self) -> float | None:
        """What 99 % did not exceed, in seconds; None of nothing."""
        return self.percentile(99)

    def up_to(self, bounds: Iterable[int]) -> list[int]:
        """How many took at most 2^bound ms, for each of *bounds* (ascending)."""
        numbers, found, so_far = sorted(self.buckets), [], 0
        for bound in bounds:
            while numbers and numbers[0] <= bound * PER_DOUBLING:
                so_far += self.buckets[numbers.pop(0)]
            found.append(so_far)
        return found

    def add(self, other: Histogram) -> None:
        """Count what *other* counts, too."""
        _add(self.buckets, other.buckets)
        self.total += other.total


def _middle(number: int) -> float:
    """The ms from which no time of a bucket is further away than the error."""
    return 0.0 if number <= FIRST else 2 ** (number / PER_DOUBLING) * 2 / (_GROWTH + 1)


def _add(counts: dict[int, int], others: Mapping[int, int]) -> None:
    for number, count in others.items():
        counts[number] = counts.get(number, 0) + count
