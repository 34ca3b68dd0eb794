"""``python -m bench.operations``: operations on many jobs, and what other clients notice of them.

Each row is one operation on a private server full of jobs that nobody works, run as a web process
would run it, while another process asks ``GET`` every 2 ms. Wants a quiet machine and 1.5 GB.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import report
from bench.__main__ import machine_facts
from bench.subjects.ours import configure
from tests import machine
from tests.servers import Server

PAGE = machine.ROOT / "docs" / "reference" / "performance.md"
BEGIN, END = "<!-- bench operations: begin -->", "<!-- bench operations: end -->"

# (what it is called, action, filter); every tenth job has the name `rare`.
WORKS = (
    ("search all by a name that none has", "search", "name:nobody"),
    ("retry all failed", "retry", ""),
    ("retry every tenth by its name", "retry", "name:rare"),
    ("remove all failed", "remove", ""),
)
PAYLOAD = '{"to":"somebody@example.com","text":"' + "x" * 300 + '"}'
FILL = """
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local at = 1700000000000 + i
  redis.call('HSET', 'bull:q:' .. i, 'name', i % 10 == 0 and 'rare' or 'send-mail', 'data', ARGV[3],
    'opts', '{"attempts":3}', 'timestamp', '1700000000000', 'delay', '0', 'priority', '0',
    'atm', '3', 'ats', '3', 'processedOn', at, 'finishedOn', at,
    'failedReason', 'ConnectionError: the relay is away', 'stacktrace', '["..."]')
  redis.call('ZADD', 'bull:q:failed', at, i)
end
redis.call('HSET', 'bull:q:meta', 'opts.maxLenEvents', '10000')
"""
PROBE = """
import select, sys, time
import redis
client, took = redis.Redis(unix_socket_path=sys.argv[1]), []
client.set("probe", "1")
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    begun = time.perf_counter()
    client.get("probe")
    took.append(time.perf_counter() - begun)
    time.sleep(0.002)
took.sort()
print(*(1000 * took[round(share * (len(took) - 1))] for share in (0.5, 0.99, 1)))
"""


@dataclass(frozen=True)
class Figures:
    """One run: seconds, jobs done and looked at, server CPU a job looked at, the probe's ms."""

    seconds: float
    done: int
    looked: int
    cpu_us: float
    median: float
    p99: float
    longest: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.operations", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, action="append", default=[], help="how many there are; repeatable"
    )
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}, between its marks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server().start()
        try:
            _prepare(server, Path(folder))
            sizes = options.jobs or [10_000, 1_000_000]
            found = [
                (name, jobs, _measure(server, jobs, action, text))
                for jobs in sizes
                for name, action, text in WORKS
            ]
            facts = machine_facts(server)
        finally:
            server.close()
    text = _markdown(found, facts)
    print(text)
    if options.write:
        report.write_block(PAGE, text + "\n", BEGIN, END)
    return 0


def _prepare(server: Server, folder: Path) -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    configure(server.url)
    settings.INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "queuecore"]
    # A file: operations run in a thread of their own, with a connection of their own.
    settings.DATABASES["default"]["NAME"] = str(folder / "bench.sqlite3")
    settings.USE_TZ = True
    settings.SECRET_KEY = "only for measuring"
    django.setup()
    call_command("migrate", verbosity=0)


def _measure(server: Server, jobs: int, action: str, text: str) -> Figures:
    from queuecore import Queue, operations
    from queuecore.matching import Filter

    with server.client() as client:
        if client.zcard("bull:q:failed") != jobs:
            client.flushall()
            for first in range(0, jobs, 1_000):
                client.eval(FILL, 0, first, min(first + 999, jobs - 1), PAYLOAD)  # type: ignore[no-untyped-call]
        filter = Filter.parse("failed", text)
        if action == "search":
            return _search(server, client, jobs, filter)
        plan = operations.plan(Queue("q"), action, filter)
        operation = operations.start(
            actor="bench",
            action=action,
            alias="default",
            queue="q",
            filter=filter,
            bound_ms=plan.bound_ms,
            planned=plan.tally.estimate,
        )
        probe = _probe(server)
        before, begun = _cpu(client), time.perf_counter()
        operations.ensure_running()
        try:
            while operation.ended_at is None:
                time.sleep(0.02)
                operation.refresh_from_db()
        finally:
            seconds = time.perf_counter() - begun
            operations.stop()
            said, _ = probe.communicate("x")
        cpu = _cpu(client) - before
    assert (operation.status, operation.failed) == ("done", 0), operation.error
    median, p99, longest = (float(one) for one in said.split())
    return Figures(seconds, operation.done, jobs, cpu / jobs * 1e6, median, p99, longest)


def _search(server: Server, client: Any, jobs: int, filter: Any) -> Figures:
    """As somebody who goes on from page to page until all has been looked at."""
    from queuecore import Queue, matching

    probe = _probe(server)
    before, begun = _cpu(client), time.perf_counter()
    looked, cursor = 0, ""
    while looked == 0 or cursor:
        found = matching.match(Queue("q"), filter, cursor)
        looked, cursor = looked + found.looked, found.cursor
    seconds, cpu = time.perf_counter() - begun, _cpu(client) - before
    said, _ = probe.communicate("x")
    assert looked == jobs
    median, p99, longest = (float(one) for one in said.split())
    return Figures(seconds, 0, jobs, cpu / jobs * 1e6, median, p99, longest)


def _probe(server: Server) -> subprocess.Popen[str]:
    probe = subprocess.Popen(
        [sys.executable, "-c", PROBE, str(server.socket)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert probe.stdout is not None
    probe.stdout.readline()
    return probe


def _cpu(client: Any) -> float:
    info = client.info("cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def _markdown(found: list[tuple[str, int, Figures]], facts: dict[str, Any]) -> str:
    rows = [
        f"{facts['date']}, {facts['cores']} cores ({facts['cpu']}), {facts['system']}; "
        f"{facts['server']}, CPython {facts['python']}, Django {facts['django']}; "
        f"QueueCore {facts['queuecore']} at {facts['commit']}.",
        "",
        "| operation | jobs there | done | seconds | jobs a second | server CPU a job, µs "
        "| others: median, ms | 99th percentile | longest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, jobs, one in found:
        rows.append(
            f"| {name} | {jobs:,} | {one.done:,} | {one.seconds:.1f} "
            f"| {one.looked / one.seconds:,.0f} | {one.cpu_us:.1f} "
            f"| {one.median:.2f} | {one.p99:.2f} | {one.longest:.1f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
