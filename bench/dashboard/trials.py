"""What is measured of our own pages and sockets, each by one function."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.dashboard.board import Retried
from bench.dashboard.fill import BIG
from bench.dashboard.processes import Meter, Probe, Usage, Visitor, cpu_seconds, memory_mib
from bench.dashboard.site import Site, shown
from bench.dashboard.viewers import Audience
from bench.trials import BenchError
from tests.servers import Server

#: The queue in which something happens while pages are open, and how often.
BUSY, EVERY_S = "queue-000", 0.5
#: The search for queues counts as done when it asks less often than this, in so many seconds.
SCANS, SETTLE_S = 30, 2.0
#: A span is measured in parts of so many seconds, which show how it varies.
PART_S = 5.0


def pages(jobs: int) -> list[tuple[str, str]]:
    """The pages by their names; the middle and the end are jumps, as the page's own links are."""
    listed = f"/queues/{BIG}/jobs/?state=failed"
    return [
        ("Overview", "/"),
        ("Queues", "/queues/"),
        ("Queue", f"/queues/{BIG}/"),
        ("Jobs, first page", listed),
        ("Jobs, middle page", f"{listed}&from={jobs // 2 // 50 * 50}"),
        ("Jobs, last page", f"{listed}&from={(jobs - 1) // 50 * 50}"),
        ("Jobs by name, of one in ten", f"{listed}&q=name%3Arare"),
        ("Jobs by a name that none has", f"{listed}&q=name%3Anobody"),
        ("Job", f"/queues/{BIG}/jobs/{jobs // 2}/"),
        ("Schedulers", "/schedulers/"),
        ("Workers", "/workers/"),
        ("Operations", "/operations/"),
        ("System", "/system/"),
        ("Audit", "/audit/"),
    ]


def time_pages(site: Site, cookie: str, jobs: int, count: int) -> dict[str, list[float]]:
    """The times of *count* requests of every page, in ms."""
    visitor = Visitor(site.url, cookie)
    try:
        return {name: visitor.times(path, count) for name, path in pages(jobs)}
    finally:
        visitor.close()


def settle(client: Any, patience: float = 60) -> None:
    """Wait until the new web process has looked for queues through all keys."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = _scans(client)
        time.sleep(SETTLE_S)
        if (_scans(client) - before) / SETTLE_S < SCANS:
            return
    raise BenchError(f"after {patience:g} s the web process still looks for queues")


def _scans(client: Any) -> int:
    return int(client.info("commandstats").get("cmdstat_scan", {"calls": 0})["calls"])


@dataclass(frozen=True)
class Watched:
    """A span with so many pages open: what it cost, and when the last had what was new (s)."""

    viewers: int
    usage: Usage
    latest: Sequence[float]


class Live:
    """Measures the sockets of *site*; *client* is one of the server's."""

    def __init__(self, site: Site, client: Any, cookies: Sequence[str]) -> None:
        self._site, self._client, self._cookies = site, client, cookies
        page = Visitor(site.url, cookies[0])
        self._ids = shown(page.ask("/"))
        page.close()

    def watched(self, viewers: int, seconds: float) -> Watched:
        """So many sockets on the overview for a while, in which a queue gets two jobs a second."""
        return asyncio.run(self._watched(viewers, seconds))

    def event_to_socket(self, count: int) -> list[float]:
        """Milliseconds from a job's adding or completing to the patch, at random moments."""
        return asyncio.run(self._event_to_socket(count))

    def _audience(self) -> Audience:
        return Audience(self._site.url, self._cookies, "overview", self._ids)

    def _moment(self) -> int:
        # Of the newest event, by the server's clock: what was read from then on has it.
        (newest,) = self._client.xrevrange(f"bull:{BUSY}:events", count=1)
        return int(newest[0].partition("-")[0])

    async def _watched(self, viewers: int, seconds: float) -> Watched:
        from queuecore import Queue

        audience, queue = self._audience(), Queue(BUSY)
        await audience.gather(viewers)
        await asyncio.sleep(2)  # the first patches are behind them
        latest = []
        meter = Meter(self._client, self._site.pid)
        ends = time.perf_counter() + seconds
        waits: asyncio.Task[float] | None = None
        told, parts = 0.0, time.perf_counter() + PART_S
        while (begun := time.perf_counter()) < ends:
            await queue.aadd("send-mail", {"n": 1})
            if viewers and waits is None:
                told = begun
                waits = asyncio.create_task(audience.all_hear(self._moment()))
            if parts <= begun < ends - PART_S / 2:
                meter.part()
                parts += PART_S
            rest = begun + EVERY_S - time.perf_counter()
            if waits is None:
                await asyncio.sleep(rest)
            elif (await asyncio.wait({waits}, timeout=max(rest, 0)))[0]:
                latest.append(waits.result() - told)
                waits = None
                await asyncio.sleep(max(begun + EVERY_S - time.perf_counter(), 0))
        usage = meter.read()
        if waits is not None:
            latest.append(await waits - told)
        audience.close()
        await asyncio.sleep(0.5)
        return Watched(viewers, usage, latest)

    async def _event_to_socket(self, count: int) -> list[float]:
        from queuecore import Queue
        from tests.server.hands import Hands

        audience, queue, dice = self._audience(), Queue(BUSY), random.Random(1)
        await audience.gather(1)
        hands = Hands(queue, "bench")
        took = []
        for number in range(count):
            job = (await asyncio.to_thread(hands.claim))[0] if number % 2 else None
            await asyncio.sleep(0.3 + dice.random())
            begun = time.perf_counter()
            if job:
                await asyncio.to_thread(hands.complete, job)
            else:
                await queue.aadd("send-mail", {"n": 1})
            took.append((await audience.all_hear(self._moment()) - begun) * 1000)
        audience.close()
        return took


def retry_all(site: Site, server: Server, client: Any) -> Retried:
    """Retry all failed jobs by an operation, carried out by the web process."""
    from django.contrib.auth import get_user_model

    from queuecore import Queue, operations
    from queuecore.matching import Filter

    filter = Filter("failed")
    plan = operations.plan(Queue(BIG), "retry", filter)
    there = client.zcard(f"bull:{BIG}:failed")
    probe = Probe(server)
    cpu, begun = cpu_seconds(site.pid), time.perf_counter()
    operation = operations.start(
        actor=get_user_model().objects.first(),
        action="retry",
        alias="default",
        queue=BIG,
        filter=filter,
        bound_ms=plan.bound_ms,
        planned=plan.tally.estimate,
    )
    while operation.ended_at is None:
        if site.gone():
            raise BenchError(f"the web server ended: {site.log()}")
        time.sleep(0.05)
        operation.refresh_from_db()
    seconds = time.perf_counter() - begun
    cores = (cpu_seconds(site.pid) - cpu) / seconds
    if (operation.status, operation.failed, operation.done) != ("done", 0, there):
        raise BenchError(f"{operation.status}: {operation.done} of {there}, {operation.error}")
    return Retried(there, seconds, probe.read(), cores, memory_mib(site.pid, "VmHWM"))


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[min(round(0.95 * len(values)), len(values) - 1)]


def middle(values: Sequence[float]) -> float:
    return statistics.median(values)
