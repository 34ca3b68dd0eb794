"""The wait before the next try: fixed, exponential, jitter, or a strategy of the user's own."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .dotted import load_function

# (attempts_made, name, error, job) -> seconds; -1 gives up. BullMQ's `backoffStrategy`.
Strategy = Callable[[int, str, BaseException, Any], float | timedelta]

# A wire value larger than this (about 290 years) is a mistake of whoever wrote it.
_LONGEST_MS = 2**43


def load_strategy(path: str) -> Strategy:
    """The function that *path*, the setting ``BACKOFF_STRATEGY``, names.

    Raises:
        ConfigurationError: it cannot be imported, or is no function.
    """
    return load_function(path, "QUEUECORE['WORKER']['BACKOFF_STRATEGY']")


class UnknownBackoff(ValueError):
    """The job names a backoff that no strategy of this worker knows."""


def delay_ms(
    backoff: Any, attempts_made: int, error: BaseException, job: Any, strategy: Strategy | None
) -> int:
    """Milliseconds until try number ``attempts_made + 1``; 0 is at once, -1 is never.

    *backoff* is what stands in the job's options: ``{type, delay, jitter}``, a bare number of ms
    (fixed), or nothing. The formulas are BullMQ's.

    Raises:
        UnknownBackoff: it names a type of its own and there is no strategy.
        TypeError: the strategy returned something else than seconds.
    """
    if isinstance(backoff, int | float) and not isinstance(backoff, bool):
        backoff = {"type": "fixed", "delay": backoff}
    if not isinstance(backoff, dict):
        return 0
    kind, base = backoff.get("type"), _number(backoff.get("delay"))
    if kind == "fixed":
        delay = base
    elif kind == "exponential":
        # 2**43 ms is the cap, so larger exponents need not be computed.
        delay = math.floor(2 ** min(attempts_made - 1, 64) * base + 0.5)
    elif strategy is not None:
        return _answered(strategy(attempts_made, str(kind), error, job))
    else:
        raise UnknownBackoff(
            f"the job's backoff is {str(kind)[:80]!r}, which is neither fixed nor exponential; "
            "name a function in QUEUECORE['WORKER']['BACKOFF_STRATEGY']"
        )
    jitter = min(_number(backoff.get("jitter")), 1)
    if jitter:
        delay = math.floor(random.random() * delay * jitter + delay * (1 - jitter))
    return min(int(delay), _LONGEST_MS)


def _answered(wait: Any) -> int:
    """What a strategy returned, in milliseconds."""
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
    if not isinstance(seconds, int | float) or math.isnan(seconds):
        raise TypeError(
            f"the backoff strategy must return seconds (or a timedelta; -1 gives up), not {wait!r}"
        )
    return -1 if seconds == -1 else round(min(max(seconds, 0) * 1000, _LONGEST_MS))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0
    return min(value, _LONGEST_MS)
