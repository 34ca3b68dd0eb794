"""What a worker asks of the server: finish and claim, renew locks, recover, hand back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..keys import Keys
from .base import Argument, Call, Command, Operation, text

# How often a job may be found without its lock before a renewal, beyond the allowed stalls.
UNCONFIRMED_MARGIN = 3


@dataclass(slots=True)
class Outcome:
    """How one run ended, as the finish script takes it.

    ``kind``: ``c`` completed, ``f`` failed, ``r`` try again now, ``d`` try again later, ``p`` come
    back later uncounted, ``w`` back to waiting uncounted. ``number`` is that of the claim.
    ``rule``: what to keep (c, f), ``lifo`` or nothing (r), the delay in ms (d, p), ``limited`` or
    nothing (w).
    ``attempts``: attempts made after this run, with ``!`` behind it where they are exhausted.
    """

    job_id: str
    number: int
    kind: str
    value: bytes | str = b""
    stacktrace: bytes = b""
    rule: str = ""
    attempts: str = ""


@dataclass(slots=True)
class Claimed:
    """One claimed job: its id and its hash (names and values, raw); see :attr:`Claim.begun`."""

    id: str
    fields: list[bytes]


@dataclass(slots=True)
class Claim:
    """The answer of :func:`finish_and_claim`.

    ``late``: the lane is closed or a later call overtook this one; nothing was done.
    ``codes``: BullMQ's code of each outcome that was refused, by its index.
    ``limit_ttl``: ms until the rate limit lets jobs through; 0 if it does not hold.
    ``next_due``: server time (ms) at which the next delayed job is due; 0 if there is none.
    ``more``: jobs were left that a fair share or a limit kept from this claim; ``maxed``: because
    others use up the global concurrency or a named limit.
    ``begun``: the hashes are as they were before the claim, which was at this server time (ms); 0
    where they are as they are now (the answer to a repeat).
    """

    late: bool = False
    codes: dict[int, int] = field(default_factory=dict)
    jobs: list[Claimed] = field(default_factory=list)
    limit_ttl: int = 0
    next_due: int = 0
    more: bool = False
    maxed: bool = False
    begun: int = 0


@dataclass(frozen=True, slots=True)
class ClaimOptions:
    """What stays the same from claim to claim of one worker; durations in ms.

    ``dead_letter``: the queue that gets a letter of each job that fails for good.
    ``group_limits``: ``concurrency,max,duration`` of each group, any of them empty.
    """

    worker: str
    name: str
    lock_duration: int
    metrics: int
    limiter_max: int | None = None
    limiter_duration: int | None = None
    dead_letter: Keys | None = None
    group_limits: str = ",,"


def finish_and_claim(
    keys: Keys,
    receipt: str,
    number: int,
    options: ClaimOptions,
    now: int,
    outcomes: Sequence[Outcome],
    claim: int,
) -> Call[Claim]:
    """Finish *outcomes* and claim up to *claim* jobs (BullMQ ``moveToFinished``, ``moveToActive``).

    May be sent again with the same *number*, *outcomes* and *claim* until it is answered; only
    *now* may differ.
    """
    args: list[Argument] = [
        keys.base,
        number,
        options.worker,
        now,
        options.lock_duration,
        claim,
        options.name,
        "" if options.limiter_max is None else options.limiter_max,
        "" if options.limiter_duration is None else options.limiter_duration,
        options.metrics,
        "" if options.dead_letter is None else options.dead_letter.base,
        options.group_limits,
        len(outcomes),
    ]
    for one in outcomes:
        args += (
            one.job_id,
            one.number,
            one.kind,
            one.value,
            one.stacktrace,
            one.rule,
            one.attempts,
        )
    return Call(
        "finish_and_claim",
        (
            keys.wait,
            keys.paused,
            keys.active,
            keys.prioritized,
            keys.delayed,
            keys.completed,
            keys.failed,
            keys.stalled,
            keys.events,
            keys.meta,
            keys.marker,
            keys.pc,
            keys.limiter,
            receipt,
            keys.grouped,
            keys.limits,
        ),
        args,
        lambda answer: _claim(answer, now),
        repeatable=True,
    )


def _claim(answer: list[Any], now: int) -> Claim:
    if answer[0] == b"late":
        return Claim(late=True)
    word, codes, jobs, limit_ttl, next_due, more = answer
    return Claim(
        codes={codes[i] - 1: codes[i + 1] for i in range(0, len(codes), 2)},
        jobs=[Claimed(text(jobs[i]), jobs[i + 1]) for i in range(0, len(jobs), 2)],
        limit_ttl=int(limit_ttl),
        next_due=int(next_due),
        more=more > 0,
        maxed=more == 2,
        begun=now if word == b"ok" else 0,
    )


@dataclass(slots=True)
class HeldLock:
    """One lock to renew: the job, its token, its start number, and whether to confirm the run."""

    job_id: str
    token: str
    starts: int
    confirm: bool


def extend_locks(keys: Keys, lock_duration: int, locks: Sequence[HeldLock]) -> Call[list[int]]:
    """Renew *locks* for *lock_duration* ms.

    Gives a number a lock: 1 renewed, 2 taken again after it had run out, 3 run out while the server
    is full, 0 lost to another.
    """
    args: list[Argument] = [keys.base, lock_duration, len(locks)]
    for one in locks:
        args += (one.job_id, one.token, one.starts, "1" if one.confirm else "0")
    return Call("extend_locks", (keys.active, keys.stalled), args, repeatable=True)


def hand_back(keys: Keys, worker: str, lanes: int) -> Call[list[str]]:
    """Close the lanes ``1..lanes`` of *worker* and return its jobs to waiting; gives their ids."""
    receipts = [keys.receipt("call", worker, lane) for lane in range(1, lanes + 1)]
    return Call(
        "hand_back",
        (keys.active, keys.stalled, keys.events, *receipts),
        (keys.base, worker),
        lambda answer: [text(one) for one in answer],
        repeatable=True,
    )


def recover_worker(
    keys: Keys, worker: str, lanes: int, max_stalled: int
) -> Call[tuple[list[str], list[str]]]:
    """Recover the jobs of a dead *worker* at once; the ids, and those among them that now fail."""
    receipts = [keys.receipt("call", worker, lane) for lane in range(1, lanes + 1)]
    return Call(
        "recover_worker",
        (keys.stalled, keys.active, keys.events, keys.meta, *receipts),
        (keys.base, worker, max_stalled, max_stalled + UNCONFIRMED_MARGIN),
        lambda answer: ([text(one) for one in answer[0]], [text(one) for one in answer[1]]),
        repeatable=True,
    )


def wrong_types(keys: Keys) -> Operation[list[tuple[str, str, str]]]:
    """Find the queue's keys of a wrong type: each key, what it is, and what it should be."""
    expected = {
        keys.wait: "list",
        keys.active: "list",
        keys.paused: "list",
        keys.prioritized: "zset",
        keys.delayed: "zset",
        keys.completed: "zset",
        keys.failed: "zset",
        keys.waiting_children: "zset",
        keys.marker: "zset",
        keys.stalled: "set",
        keys.events: "stream",
        keys.meta: "hash",
        keys.limiter: "string",
        keys.pc: "string",
    }
    found = yield [Command(("TYPE", key), text) for key in expected]
    pairs = zip(expected.items(), found, strict=True)
    return [(key, kind, right) for (key, right), kind in pairs if kind not in (right, "none")]


def count_unknown(keys: Keys, job_id: str, limit: int, seconds: int) -> Operation[int]:
    """Count, for at least *seconds*, how often a worker met a job whose name it does not know.

    Beyond *limit* the count is given and forgotten, since the job fails now.
    """
    key = keys.qc("unknown")
    times, _ = yield [
        Command(("HINCRBY", key, job_id, 1), repeatable=False),
        Command(("EXPIRE", key, seconds)),
    ]
    if times > limit:
        yield Command(("HDEL", key, job_id))
    return int(times)


def move_stalled_jobs_to_wait(
    keys: Keys, now: int, interval: int, max_stalled: int
) -> Call[tuple[list[str], list[str]]]:
    """Recover jobs without a lock; gives the ids recovered and those among them that now fail.

    Does nothing within *interval* ms of the last check, whoever made it.
    """
    return Call(
        "move_stalled_jobs_to_wait",
        (keys.stalled, keys.active, keys.stalled_check, keys.events, keys.meta),
        (keys.base, now, interval, max_stalled, max_stalled + UNCONFIRMED_MARGIN),
        lambda answer: ([text(one) for one in answer[0]], [text(one) for one in answer[1]]),
        repeatable=True,
    )
