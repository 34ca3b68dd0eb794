"""Steering a whole queue: pause and resume, global limits, the rate limit, the event stream."""

from __future__ import annotations

from typing import Any

from ..keys import Keys
from ..readings import integer
from .base import Call, Command, Operation

# Ids that one call moves between lists; a thousandth of a second or two on the server.
BATCH = 4000
# What the counter of a rate limit holds while somebody stopped the queue by hand (BullMQ's number).
MANUAL_LIMIT = 9_007_199_254_740_991


def note_pause(keys: Keys, now: int, reason: str, by: str, until: int) -> Command[None]:
    """Keep why a queue is paused, by whom, and until when (ms; 0: until somebody resumes it)."""
    note = ("since", now, "reason", reason, "by", by, "until", until)
    return Command(("HSET", keys.pause, *note), _nothing)


def pause(keys: Keys) -> Operation[None]:
    """Pause the queue (BullMQ ``pause``)."""
    while (
        yield Call(
            "pause",
            (keys.wait, keys.paused, keys.meta, keys.events, keys.marker),
            (keys.base, BATCH),
            repeatable=True,
        )
    ):
        pass


def resume(keys: Keys) -> Operation[None]:
    """Resume the queue (BullMQ ``resume``), once all its jobs are back where they belong."""
    while (
        yield Call(
            "resume",
            (keys.wait, keys.paused, keys.prioritized, keys.meta, keys.events, keys.marker),
            (keys.base, BATCH),
            repeatable=True,
        )
    ):
        pass
    yield Command(("DEL", keys.pause))


def resume_due(keys: Keys, until: int) -> Operation[bool]:
    """Resume the queue if it still is paused until *until* (ms); whether it was."""
    if integer((yield Command(("HGET", keys.pause, "until")))) != until:
        return False
    yield from resume(keys)
    return True


def forget_pause(keys: Keys, since: int) -> Operation[None]:
    """Forget the note of a pause that somebody else has ended."""
    if integer((yield Command(("HGET", keys.pause, "since")))) == since:
        yield Command(("DEL", keys.pause))


def is_paused(keys: Keys) -> Command[bool]:
    """Whether the queue is paused."""
    return Command(("HEXISTS", keys.meta, "paused"), bool)


def is_maxed(keys: Keys) -> Operation[bool]:
    """Whether as many jobs run as the global concurrency allows (BullMQ ``isMaxed``)."""
    concurrency, active = yield [
        Command(("HGET", keys.meta, "concurrency"), number),
        Command(("LLEN", keys.active)),
    ]
    return concurrency is not None and active >= concurrency


def set_global_concurrency(keys: Keys, concurrency: int) -> Command[None]:
    """Let at most *concurrency* jobs of the queue run at once, over all workers."""
    return Command(("HSET", keys.meta, "concurrency", concurrency), _nothing)


def get_global_concurrency(keys: Keys) -> Command[int | None]:
    """The global concurrency, None if there is none."""
    return Command(("HGET", keys.meta, "concurrency"), number)


def remove_global_concurrency(keys: Keys) -> Command[None]:
    """Lift the global concurrency."""
    return Command(("HDEL", keys.meta, "concurrency"), _nothing)


def set_global_rate_limit(keys: Keys, maximum: int, duration: int) -> Command[None]:
    """Start at most *maximum* jobs in *duration* ms, over all workers."""
    return Command(("HSET", keys.meta, "max", maximum, "duration", duration), _nothing)


def get_global_rate_limit(keys: Keys) -> Command[tuple[int, int] | None]:
    """The global rate limit as (maximum, duration in ms), None if there is none."""

    def decode(answer: list[bytes | None]) -> tuple[int, int] | None:
        maximum, duration = number(answer[0]), number(answer[1])
        return None if maximum is None or duration is None else (maximum, duration)

    return Command(("HMGET", keys.meta, "max", "duration"), decode)


def remove_global_rate_limit(keys: Keys) -> Command[None]:
    """Lift the global rate limit."""
    return Command(("HDEL", keys.meta, "max", "duration"), _nothing)


def rate_limit(keys: Keys, duration: int) -> Command[None]:
    """Stop rate-limited workers for *duration* ms (BullMQ ``rateLimit``)."""
    return Command(("SET", keys.limiter, MANUAL_LIMIT, "PX", duration), _nothing)


def get_rate_limit_ttl(keys: Keys, max_jobs: int | None) -> Call[int]:
    """For how many ms the rate limit holds; 0 if it is not reached, -2 if there is none."""
    return Call(
        "get_rate_limit_ttl",
        (keys.limiter, keys.meta),
        ("" if max_jobs is None else max_jobs,),
        repeatable=True,
    )


def remove_rate_limit_key(keys: Keys) -> Command[bool]:
    """End the present rate limit; whether there was one."""
    return Command(("DEL", keys.limiter), bool, repeatable=False)


def trim_events(keys: Keys, length: int) -> Command[int]:
    """Shorten the event stream to about *length* entries; how many went."""
    return Command(("XTRIM", keys.events, "MAXLEN", "~", length))


def set_max_events(keys: Keys, length: int, *, where_absent: bool = False) -> Command[None]:
    """Let the event stream be cut to about *length* entries by whoever writes to it."""
    word = "HSETNX" if where_absent else "HSET"
    return Command((word, keys.meta, "opts.maxLenEvents", length), _nothing)


def number(answer: bytes | str | None) -> int | None:
    """A whole number that somebody wrote into `meta`; what is none counts as absent."""
    try:
        return None if answer is None else int(float(answer))
    except (ValueError, OverflowError):
        return None


def _nothing(answer: Any) -> None:
    return None
