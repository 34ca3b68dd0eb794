"""Bull Board, npm's dashboard, given our queues: it shows them, and its buttons work on them."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from queuecore import FlowJob, FlowProducer, JobSpec, Queue
from tests import invariants
from tests.conftest import MISSING
from tests.machine import PEERS
from tests.server.hands import Hands
from tests.servers import Server

SCRIPT = Path(__file__).with_name("bull_board.mjs")
FOLDER = PEERS / "bull-board"


class Board:
    """Its API."""

    def __init__(self, address: str) -> None:
        self._address = address

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def put(self, path: str) -> Any:
        return self._ask("PUT", path)

    def shown(self, queue: str, state: str = "latest") -> dict[str, Any]:
        """What it shows of ``queue`` in the list of jobs of ``state``."""
        found = self.get(f"queues?activeQueue={queue}&status={state}&page=1&jobsPerPage=50")
        return next(one for one in found["queues"] if one["name"] == queue)

    def _ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"{self._address}/api/{path}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read().decode()
        return json.loads(text) if text else None


@pytest.fixture
def board(node: Path, server: Server) -> Iterator[Board]:
    """A server of Bull Board's over the queues ``shop`` and ``parts``, which exist."""
    if not (FOLDER / "node_modules" / "@bull-board").is_dir():
        pytest.fail(MISSING.format(what="npm's Bull Board", how="`make peers` alone, too"))
    connection = json.dumps({"path": str(server.socket)})
    process = subprocess.Popen(
        [str(node), str(SCRIPT), str(FOLDER), connection, "shop", "parts"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, "Bull Board did not start"
        yield Board(address)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture
def shop() -> Queue:
    return Queue("shop")


def fill(shop: Queue) -> None:
    """Jobs 1 to 7: completed, failed, active, waiting, prioritized, delayed, delayed."""
    hands = Hands(shop)
    shop.add_bulk([JobSpec("n", {"n": n}) for n in range(1, 5)])
    hands.complete(hands.claim()[0], {"sum": 3})
    hands.fail(hands.claim()[0], "boom")
    hands.claim()
    shop.add_bulk([JobSpec("n", priority=2), JobSpec("n", delay=7200), JobSpec("n", delay=3600)])


@pytest.mark.parity("Bull Board, its queues and jobs")
def test_it_shows_our_queues(board: Board, shop: Queue) -> None:
    fill(shop)
    shown = board.shown("shop")
    counts = {state: shown["counts"][state] for state in shop.get_job_counts()}
    assert counts == shop.get_job_counts()
    assert not shown["isPaused"]
    jobs = {job["id"]: job for job in shown["jobs"]}
    assert set(jobs) == {"1", "2", "3", "4", "5", "6", "7"}
    assert jobs["2"]["failedReason"] == "boom"
    assert jobs["1"]["data"] == {"n": 1}
    shop.add_job_log("2", "half way")
    assert board.get("queues/shop/2/logs") == ["half way"]
    assert board.get("queues/shop/1")["job"]["returnValue"] == {"sum": 3}


@pytest.mark.parity("Bull Board, its buttons")
def test_its_buttons_on_one_job(board: Board, shop: Queue, redis_client: redis.Redis) -> None:
    fill(shop)
    board.put("queues/shop/2/retry")
    assert shop.get_job_state("2") == "waiting"
    board.put("queues/shop/7/promote")
    assert shop.get_job_state("7") == "waiting"
    board.put("queues/shop/4/clean")
    assert shop.get_job("4") is None
    invariants.check(redis_client, "shop")
    assert sorted(job.id for job in Hands(shop, "others").claim(9)) == ["2", "5", "7"]


@pytest.mark.parity("Bull Board, its buttons")
def test_its_buttons_on_a_queue(board: Board, shop: Queue, redis_client: redis.Redis) -> None:
    fill(shop)
    board.put("queues/shop/pause")
    assert shop.is_paused()
    assert board.shown("shop")["isPaused"]
    assert Hands(shop, "others").claim() == []
    board.put("queues/shop/resume")
    assert not shop.is_paused()
    board.put("queues/shop/retry/failed")
    board.put("queues/shop/promote")
    assert shop.get_job_counts("failed", "delayed", "waiting") == {
        "failed": 0,
        "delayed": 0,
        "waiting": 4,
    }
    # It cleans what is older than five seconds.
    redis_client.zadd("bull:shop:completed", {"1": 1_600_000_000_000})
    redis_client.hset("bull:shop:1", "finishedOn", 1_600_000_000_000)
    board.put("queues/shop/clean/completed")
    assert shop.get_job("1") is None
    invariants.check(redis_client, "shop")
    board.put("queues/shop/empty")
    assert shop.get_waiting_count() == 0


@pytest.mark.parity("Bull Board, its view of a flow")
def test_its_view_of_a_flow(board: Board, shop: Queue) -> None:
    parts = Queue("parts")
    tree = FlowProducer().add(
        FlowJob(
            "order",
            queue="shop",
            children=[FlowJob("wheel", queue="parts"), FlowJob("frame", queue="parts")],
        )
    )
    parent = tree.job
    shown = board.get(f"queues/shop/{parent.id}/flow")
    root = shown["flowRoot"]
    assert root["name"] == "order"
    assert root["state"] == "waiting-children"
    assert sorted(child["name"] for child in root["children"]) == ["frame", "wheel"]
    hands = Hands(parts)
    hands.complete_all(2)
    shown = board.get(f"queues/shop/{parent.id}/flow")
    root = shown["flowRoot"]
    assert root["state"] == "waiting"
