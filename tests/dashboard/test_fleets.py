"""Fleets: the processes of one supervisor on the Workers page, what ended there, and orders."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from dashboard.live import state
from queuecore import Queue
from tests.dashboard import fleet
from tests.dashboard.test_actions import token_of
from tests.dashboard.test_workers import plain, polled, text_of
from tests.servers import Server

Person = Callable[..., Client]
A, B, ALONE = "a" * 32, "b" * 32, "c" * 32


@pytest.fixture
def crew(server: Server, redis_client: redis.Redis) -> redis.Redis:
    """A fleet of two, and a process without a supervisor."""
    Queue("emails").add("x")
    for number, worker in ((1, A), (2, B)):
        one = fleet.worker(worker, "emails", failed_minute=number)
        where = fleet.place(number)
        fleet.process(redis_client, one, id=str(number) * 32, pid=4710 + number, place=where)
    alone = fleet.worker(ALONE, "emails", busy=0, jobs=[])
    fleet.process(redis_client, alone, id="3" * 32, pid=4600)
    fleet.supervisor(redis_client)
    return redis_client


def seat(why: str, *, failures: int, state: str = "waiting") -> dict[str, Any]:
    now = round(time.time() * 1000)
    ended = {"failures": failures, "why": why, "at": now - 5_000, "until": now + 8_000}
    return {"number": 2, "state": state, "pid": 4712, "restarts": failures, **ended}


def test_processes_stand_in_their_fleet_with_what_they_do_together(
    admin: Client, crew: redis.Redis
) -> None:
    page = plain(text_of(admin, "/workers/"))
    for words in (
        "web-1 3 processes", "Fleet of process 4700 2 of 2 processes", "Busy 2 of 20",
        "Memory 176.0 MB", "Done/min 84 Failed/min 3", "Restarts 2 Recycles 5",
        "Process 4711 1 of 2", "Process 4712 2 of 2",
    ):  # fmt: skip
        assert words in page, words
    assert page.index("Process 4600") < page.index("Fleet of process 4700")
    live = polled(admin, "workers", f"default:{A}")
    state_id = next(id for id in live if id.startswith("wf") and id.endswith("state"))
    assert "2 of 2 processes" in plain(live[state_id])
    assert "hidden" in live["workers-unsteady"]
    crew.delete(f"qc:bull::fleet:{fleet.FLEET}")  # its supervisor tells nothing
    assert "Restarts 0" in plain(text_of(admin, "/workers/"))


@pytest.mark.parametrize(
    ("why", "said", "advice"),
    [
        ("was killed by SIGKILL", "was killed by SIGKILL", "takes too much memory"),
        ("was killed by SIGSEGV", "was killed by SIGSEGV", "Native code has crashed"),
        ("ended with exit code 1", "ended with exit code 1", "cannot be imported"),
    ],
)
def test_a_process_that_cannot_stay_up_is_told_with_what_to_do(
    why: str, said: str, advice: str, admin: Client, crew: redis.Redis
) -> None:
    crew.zrem("qc:bull::workers", "2" * 32)
    fleet.supervisor(crew, seat(why, failures=4))
    page = plain(text_of(admin, "/workers/"))
    assert "1 of 2 processes" in page
    assert f"Process 2 of 2 {said}, 4 in a row: the next one starts in" in page
    assert advice in page
    overview = plain(text_of(admin, "/"))
    assert "A process of a fleet on web-1 does not stay up" in overview
    assert f"the last one {said}" in overview
    assert 'href="/workers/?q=web-1"' in text_of(admin, "/")


def test_one_that_died_once_and_one_that_was_replaced_are_told_without_alarm(
    admin: Client, crew: redis.Redis
) -> None:
    fleet.supervisor(crew, seat("was killed by SIGKILL", failures=1))
    page = plain(text_of(admin, "/workers/"))
    assert "Process 2 of 2 was killed by SIGKILL: another one starts in" in page
    assert "takes too much memory" not in page
    worn = seat("had worked enough: 1000 jobs", failures=0, state="running")
    fleet.supervisor(crew, worn)
    old = fleet.worker("d" * 32, "emails", state="draining")
    fleet.process(crew, old, id="4" * 32, pid=4713, place=fleet.place(2))
    page = plain(text_of(admin, "/workers/"))
    assert "2 of 2 processes" in page
    assert "Last: process 2 was replaced after 1,000 jobs" in page
    state._facts.clear()
    assert "does not stay up" not in plain(text_of(admin, "/"))


def test_a_whole_fleet_is_ordered_as_one(admin: Client, crew: redis.Redis) -> None:
    assert f"confirm/drain/?fleet=default%3A{fleet.FLEET}" in text_of(admin, "/workers/")
    asked = admin.get("/workers/confirm/pause/", {"fleet": f"default:{fleet.FLEET}"})
    text = asked.content.decode()
    assert "Pause 2 workers" in text
    assert "starts later is not paused" in text
    form = {"id": [f"default:{A}", f"default:{B}"], "token": token_of(asked)}
    admin.post("/workers/order/pause/", form)
    assert fleet.orders(crew, "1" * 32) == [("pause", [A])]
    assert fleet.orders(crew, "2" * 32) == [("pause", [B])]
    assert fleet.orders(crew, "3" * 32) == []


def test_a_fleet_of_other_queues_is_not_there(person: Person, crew: redis.Redis) -> None:
    fleet.supervisor(crew, seat("was killed by SIGKILL", failures=4))
    other = person("view", scope=("orders-*",))
    assert "4700" not in plain(text_of(other, "/workers/"))
    assert "stay up" not in text_of(other, "/")
