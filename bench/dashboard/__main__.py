"""``python -m bench.dashboard``: pages, sockets and a big retry, and Bull Board on the same jobs.

A full run takes six minutes and 3 GB, and wants the machine for itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import report as blocks
from bench.__main__ import machine_facts
from bench.dashboard import browser as browsers
from bench.dashboard import report, trials
from bench.dashboard.board import FOLDER, OVERVIEW, Board, jobs_page
from bench.dashboard.fill import fill
from bench.dashboard.processes import Visitor, memory_mib
from bench.dashboard.site import SOCKETS, Site, prepare, sign_in
from bench.trials import BenchError
from tests import machine
from tests.servers import Server


@dataclass(frozen=True)
class Size:
    """How much of everything: failed jobs, queues, requests a page, sockets, seconds, events."""

    jobs: tuple[int, ...]
    queues: int
    requests: int
    viewers: tuple[int, ...]
    seconds: float
    events: int
    board_viewers: tuple[int, ...]
    board_seconds: float
    board_retry: float


FULL = Size((10_000, 1_000_000), 200, 30, (0, 1, 50, 1_000), 20, 30, (1, 50), 10, 30)
QUICK = Size((100, 300), 5, 2, (0, 1, 3, 12), 1, 2, (1, 3), 1, 20)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few jobs, once: does it still run?")
    parser.add_argument("--write", action="store_true", help=f"into {report.PAGE.name}")
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("--write is for full runs: leave out --quick")
    node = os.environ.get("NODE") or machine.find_node()
    if not node or not (FOLDER / "node_modules" / "@bull-board").is_dir():
        print("Bull Board is missing: `make peers` brings it.", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            server = Server().start()
            try:
                found = _measure(server, Path(node), Path(folder), QUICK if options.quick else FULL)
                text = report.markdown(found, machine_facts(server, Path(node)))
            finally:
                server.close()
    except (BenchError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    if options.write:
        blocks.write_block(report.PAGE, text, report.BEGIN, report.END)
    return 0


def _measure(server: Server, node: Path, folder: Path, size: Size) -> report.Found:
    prepare(server, folder)
    cookies = sign_in(-(-max(size.viewers) // SOCKETS))
    found = report.Found(jobs=size.jobs, queues=size.queues, requests=size.requests)
    with server.client() as client:
        for jobs in size.jobs:
            _say(f"{jobs:,} jobs")
            fill(client, jobs, size.queues)
            _with(
                Site(folder / "web.log"),
                lambda site, jobs=jobs: _ours(found, size, server, client, site, cookies, jobs),
            )
        _say("Bull Board")
        fill(client, size.jobs[-1], size.queues)
        _with(
            Board(server, node, size.queues, folder / "board.log"),
            lambda board: _theirs(found, size, client, board),
        )
    return found


def _ours(
    found: report.Found,
    size: Size,
    server: Server,
    client: Any,
    site: Site,
    cookies: list[str],
    jobs: int,
) -> None:
    trials.settle(client)
    found.pages[jobs] = trials.time_pages(site, cookies[0], jobs, size.requests)
    if jobs != size.jobs[-1]:
        return
    found.memory = memory_mib(site.pid)
    live = trials.Live(site, client, cookies)
    for viewers in size.viewers:
        _say(f"{viewers:,} sockets")
        found.watched.append(live.watched(viewers, size.seconds))
    _say("events")
    found.events = live.event_to_socket(size.events)
    if chromium := machine.find_browser():
        found.seen = browsers.event_to_browser(site, cookies[0], trials.BUSY, size.events, chromium)
    _say("retry all")
    found.retried = trials.retry_all(site, server, client)


def _theirs(found: report.Found, size: Size, client: Any, board: Board) -> None:
    visitor = Visitor(board.url)
    last = -(-size.jobs[-1] // 10)
    for name, path in (
        ("overview", OVERVIEW),
        ("first", jobs_page(1)),
        ("last", jobs_page(last)),
    ):
        found.board_pages[name] = visitor.times(path, max(size.requests // 2, 2))
    visitor.close()
    found.board_memory = memory_mib(board.pid)
    for viewers in size.board_viewers:
        found.board_watched[viewers] = board.viewers(client, viewers, size.board_seconds)
    _say("retry all")
    found.board_retried = board.retry_all(client, size.board_retry)


def _with(process: Any, act: Callable[[Any], None]) -> None:
    try:
        act(process)
    finally:
        process.close()


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
