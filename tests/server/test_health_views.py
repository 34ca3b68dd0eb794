"""``queuecore.contrib.health``: what a load balancer asks of a web process."""

import asyncio
from typing import Any

import pytest
from django.test import AsyncClient, Client

from queuecore.contrib import health
from queuecore.wire.connections import Connection
from tests.server.test_health import url
from tests.servers import Server

pytestmark = [pytest.mark.urls("queuecore.contrib.health")]


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_readiness", health.Readiness())


def test_a_process_is_alive_without_redis(client: Client) -> None:
    with url("redis://127.0.0.1:1"):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert client.head("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405


def test_a_process_is_ready_once_every_server_answers(client: Client, server: Server) -> None:
    with url(server.url, other="redis://127.0.0.1:1"):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "away", "connections": {"default": "ok", "other": "away"}}
    assert "no-store" in answer["Cache-Control"]
    assert client.head("/readyz").content == b""

    health._readiness = health.Readiness()
    with url(server.url):
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["connections"]) == (200, {"default": "ok"})


async def test_many_who_ask_are_one_who_looks(
    async_client: AsyncClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    answers = Connection.answers

    def counted(self: Connection) -> bool:
        looks.append(self.alias)
        return answers(self)

    monkeypatch.setattr(Connection, "answers", counted)
    monkeypatch.setattr(health, "REMEMBERED", 3600)
    asked: Any = await asyncio.gather(*(async_client.get("/readyz") for _ in range(50)))
    assert {one.status_code for one in asked} == {200}
    assert looks == ["default"]
