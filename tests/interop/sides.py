"""One script for both sides: the same words, carried out by Node on one queue and by us on another.

Options are in Node's words and units. ``batched`` adds what is added together in one ``addBulk``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Protocol

from queuecore import Backoff, Deduplication, JobSpec, Queue, RateLimit
from queuecore.worker.finish import rule
from tests.interop.node import Peer, Remote
from tests.server.hands import Hands

IN_MS = ("delay", "ttl")


class Side(Protocol):
    """What a script may say. Jobs are named by their ids."""

    def add(self, *jobs: dict[str, Any]) -> list[str]: ...
    def claim(self) -> str | None: ...
    def complete(self, job_id: str) -> None: ...
    def fail(self, job_id: str) -> None: ...
    def later(self, job_id: str, ms: int) -> None: ...
    def retry(self, job_id: str, state: str) -> None: ...
    def remove(self, job_id: str) -> None: ...
    def pause(self) -> None: ...
    def drain(self, delayed: bool) -> None: ...
    def clean(self, state: str) -> None: ...
    def promote(self, job_id: str) -> None: ...
    def owner(self, deduplication: str) -> str | None: ...
    def free(self, deduplication: str) -> bool: ...
    def give_up(self, job_id: str) -> bool: ...
    def limit(self, maximum: int, duration: int) -> None: ...
    def unlimit(self) -> None: ...
    def stop(self, ms: int) -> None: ...
    def go_on(self) -> bool: ...
    def ttl(self, maximum: int | None = None) -> int: ...
    def narrow(self, concurrency: int) -> None: ...
    def widen(self) -> None: ...
    def narrowness(self) -> int | None: ...
    def rate(self) -> dict[str, int] | None: ...
    def is_maxed(self) -> bool: ...


class Theirs:
    """Node's queue ``theirs``, and a worker of its whose jobs are fetched one by one."""

    def __init__(self, peer: Peer, *, batched: bool, limiter: dict[str, int] | None = None) -> None:
        self._peer = peer
        self._queue = peer.queue("theirs")
        self._limiter = limiter
        self._worker: Remote | None = None
        self._batched = batched

    def add(self, *jobs: dict[str, Any]) -> list[str]:
        specs = [
            {"name": "job", "data": one.get("data", {}), "opts": _without(one, "data")}
            for one in jobs
        ]
        if self._batched:
            return [job["id"] for job in self._queue.addBulk(specs)]
        return [self._queue.add(spec["name"], spec["data"], spec["opts"])["id"] for spec in specs]

    def claim(self) -> str | None:
        if self._worker is None:
            options = {"connection": self._peer.connection, "autorun": False}
            if self._limiter:
                options["limiter"] = self._limiter
            self._worker = self._peer.make("Worker", ["theirs", None, options])
        job = self._worker.getNextJob("token", {"block": False})
        if job is None:
            # It would sit a rate limit out before it looks again.
            self._worker.close()
            self._worker = None
            return None
        return str(job["id"])

    def complete(self, job_id: str) -> None:
        self._queue.job(job_id).moveToCompleted(job_id, "token", False)

    def fail(self, job_id: str) -> None:
        self._queue.job(job_id).moveToFailed({"message": "boom"}, "token", False)

    def later(self, job_id: str, ms: int) -> None:
        self._queue.job(job_id).moveToDelayed(int(datetime.now().timestamp() * 1000) + ms, "token")

    def retry(self, job_id: str, state: str) -> None:
        self._queue.job(job_id).retry(state)

    def remove(self, job_id: str) -> None:
        self._queue.remove(job_id)

    def pause(self) -> None:
        self._queue.pause()

    def drain(self, delayed: bool) -> None:
        self._queue.drain(delayed)

    def clean(self, state: str) -> None:
        self._queue.clean(0, 0, state)

    def promote(self, job_id: str) -> None:
        self._queue.job(job_id).promote()

    def owner(self, deduplication: str) -> str | None:
        found: str | None = self._queue.getDeduplicationJobId(deduplication)
        return found

    def free(self, deduplication: str) -> bool:
        return bool(self._queue.removeDeduplicationKey(deduplication))

    def give_up(self, job_id: str) -> bool:
        return bool(self._queue.job(job_id).removeDeduplicationKey())

    def limit(self, maximum: int, duration: int) -> None:
        self._queue.setGlobalRateLimit(maximum, duration)

    def unlimit(self) -> None:
        self._queue.removeGlobalRateLimit()

    def stop(self, ms: int) -> None:
        self._queue.rateLimit(ms)

    def go_on(self) -> bool:
        return bool(self._queue.removeRateLimitKey())

    def ttl(self, maximum: int | None = None) -> int:
        args = [] if maximum is None else [maximum]
        return _seconds(max(self._queue.getRateLimitTtl(*args), 0))

    def narrow(self, concurrency: int) -> None:
        self._queue.setGlobalConcurrency(concurrency)

    def widen(self) -> None:
        self._queue.removeGlobalConcurrency()

    def narrowness(self) -> int | None:
        found: int | None = self._queue.getGlobalConcurrency()
        return found

    def rate(self) -> dict[str, int] | None:
        found: dict[str, int] | None = self._queue.getGlobalRateLimit()
        return found

    def is_maxed(self) -> bool:
        return bool(self._queue.isMaxed())


class Ours:
    """Our queue ``ours``, and a worker by hand."""

    def __init__(
        self, *, batched: bool, limiter: dict[str, int] | None = None, queue: str = "ours"
    ) -> None:
        self._queue = Queue(queue)
        limit = RateLimit(limiter["max"], limiter["duration"] / 1000) if limiter else None
        self._hands = Hands(self._queue, limiter=limit)
        self._running: dict[str, Any] = {}
        self._batched = batched

    def add(self, *jobs: dict[str, Any]) -> list[str]:
        specs = [
            JobSpec("job", one.get("data", {}), **in_our_words(_without(one, "data")))
            for one in jobs
        ]
        if self._batched:
            return [job.id for job in self._queue.add_bulk(specs)]
        return [self._queue.add(one.name, one.data, **one.options).id for one in specs]

    def claim(self) -> str | None:
        found = self._hands.claim(1)
        self._running |= {job.id: job for job in found}
        return found[0].id if found else None

    def complete(self, job_id: str) -> None:
        job = self._running.pop(job_id)
        self._hands.complete(job, job_id, rule=rule(job.opts.get("removeOnComplete")))

    def fail(self, job_id: str) -> None:
        job = self._running.pop(job_id)
        self._hands.fail(job, rule=rule(job.opts.get("removeOnFail")))

    def later(self, job_id: str, ms: int) -> None:
        self._running.pop(job_id).move_to_delayed(ms / 1000)

    def retry(self, job_id: str, state: str) -> None:
        self._queue.get_job(job_id).retry(state)

    def remove(self, job_id: str) -> None:
        self._queue.remove(job_id)

    def pause(self) -> None:
        self._queue.pause()

    def drain(self, delayed: bool) -> None:
        self._queue.drain(delayed)

    def clean(self, state: str) -> None:
        self._queue.clean(0, 0, state)

    def promote(self, job_id: str) -> None:
        self._queue.get_job(job_id).promote()

    def owner(self, deduplication: str) -> str | None:
        return self._queue.get_deduplication_job_id(deduplication)

    def free(self, deduplication: str) -> bool:
        return self._queue.remove_deduplication_key(deduplication)

    def give_up(self, job_id: str) -> bool:
        return self._queue.get_job(job_id).remove_deduplication_key()

    def limit(self, maximum: int, duration: int) -> None:
        self._queue.set_global_rate_limit(maximum, duration / 1000)

    def unlimit(self) -> None:
        self._queue.remove_global_rate_limit()

    def stop(self, ms: int) -> None:
        self._queue.rate_limit(ms / 1000)

    def go_on(self) -> bool:
        return self._queue.remove_rate_limit_key()

    def ttl(self, maximum: int | None = None) -> int:
        return _seconds(self._queue.get_rate_limit_ttl(maximum) * 1000)

    def narrow(self, concurrency: int) -> None:
        self._queue.set_global_concurrency(concurrency)

    def widen(self) -> None:
        self._queue.remove_global_concurrency()

    def narrowness(self) -> int | None:
        return self._queue.get_global_concurrency()

    def rate(self) -> dict[str, int] | None:
        found = self._queue.get_global_rate_limit()
        return found and {"max": found.max, "duration": round(found.duration * 1000)}  # type: ignore[operator]

    def is_maxed(self) -> bool:
        return self._queue.is_maxed()


def in_our_words(theirs: dict[str, Any]) -> dict[str, Any]:
    """Node's options in our words and units."""
    ours = {re.sub("[A-Z]", _lower, name): value for name, value in theirs.items()}
    for name in IN_MS:
        if name in ours:
            ours[name] /= 1000
    if "timestamp" in ours:
        ours["timestamp"] = datetime.fromtimestamp(ours["timestamp"] / 1000, UTC)
    if isinstance(backoff := ours.get("backoff"), dict):
        ours["backoff"] = Backoff(**in_our_words(backoff))
    if "deduplication" in ours:
        ours["deduplication"] = Deduplication(**in_our_words(ours["deduplication"]))
    return ours


def _lower(capital: re.Match[str]) -> str:
    return f"_{capital[0].lower()}"


def _without(one: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key != name}


def _seconds(ms: float) -> int:
    """Coarse enough for both sides to say the same."""
    return -(-int(ms) // 10_000) * 10
