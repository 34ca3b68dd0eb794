"""What monitors ask without signing in, and the page for what nobody foresaw."""

import logging
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.test import Client

from dashboard.pages import probes
from queuecore import Queue
from queuecore.history import Collector, collector
from tests.servers import Server


@pytest.fixture(autouse=True)
def _look_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_last", None)
    monkeypatch.setattr(probes, "_KEPT_S", 0)
    monkeypatch.setattr(collector, "_histories", {})  # copies of what earlier tests had


async def test_ready_is_who_reaches_the_server_and_tells_how_old_the_history_is(
    server: Server, async_client: Any
) -> None:
    """Without a session, a database, or a word of what there is."""
    await Queue("emails").aadd("welcome")

    async def ask(query: str = "") -> tuple[int, Any]:
        answer = await async_client.get(f"/readyz{query}")
        assert "sessionid" not in answer.cookies
        return answer.status_code, answer.json()

    nobody = {"ready": True, "redis": True, "collector_age": None}
    assert await ask() == (200, nobody)
    assert await ask("?collector=60") == (503, nobody | {"ready": False})
    assert (await ask("?collector=x"))[0] == 400
    assert (await ask("?collector=" + "9" * 5000))[0] == 400
    await Collector().tick()
    code, said = await ask("?collector=60")
    assert code == 200
    assert 0 <= said["collector_age"] < 60


def test_a_server_that_is_away_makes_it_unready_but_not_dead(
    client: Client, server: Server, settings: Any
) -> None:
    connections = {"default": {"URL": "redis://127.0.0.1:1/0"}}
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["redis"]) == (503, False)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})
    assert answer["Cache-Control"] == "private, no-store"


def test_what_nobody_foresaw_has_our_look_and_is_told_to_the_host(
    admin: Client, emails: Queue, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("a secret of the code")

    monkeypatch.setattr("dashboard.pages.queues.shell", broken)
    heard = []

    def hear(**kwargs: Any) -> None:
        heard.append(kwargs["request"].path)

    got_request_exception.connect(hear)
    admin.raise_request_exception = False
    with caplog.at_level(logging.ERROR, "django.request"):
        answer = admin.get("/queues/")
    assert answer.status_code == 500
    text = answer.content.decode()
    assert "queuecore_dashboard/base.css" in text
    assert "Something is broken in this page" in text
    assert "secret of the code" not in text
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert heard == ["/queues/"]
    assert "a secret of the code" in caplog.text
