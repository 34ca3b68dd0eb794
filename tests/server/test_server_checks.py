"""What ``check --deploy`` asks the servers, and what a worker says of them when it starts."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis
from django.test import override_settings

from queuecore import Queue, processor, server_checks
from queuecore.inspect import Inspector
from queuecore.processors import Registry
from tests.servers import Server


def ids() -> list[str | None]:
    return [one.id for check in server_checks.CHECKS for one in check(None)]


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Nothing but a processor of ``emails``."""
    registry = Registry()
    monkeypatch.setattr("queuecore.processors.registry", registry)
    processor("emails")(work)
    monkeypatch.setattr(server_checks.discovery, "discover", lambda: registry)
    return registry


def work(job: object) -> None: ...


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a plain check talks to the server")

    monkeypatch.setattr("queuecore.wire.connections.Connection.exchange", refuse)
    monkeypatch.setattr("queuecore.wire.connections.Connection.answers", refuse)


def test_a_server_that_is_right(server: Server) -> None:
    assert ids() == []


def test_a_server_that_evicts(server: Server, redis_client: redis.Redis) -> None:
    redis_client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        (message,) = server_checks.check_eviction(None)
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")
    assert message.id == "queuecore.W016"
    assert "allkeys-lru" in message.msg
    assert "noeviction" in message.hint


def test_a_server_that_is_away(new_server: Callable[..., Server]) -> None:
    away = new_server()
    away.stop()
    with override_settings(QUEUECORE={"CONNECTIONS": {"default": {"URL": away.url}}}):
        assert ids() == ["queuecore.W015"]


def test_versions(server: Server) -> None:
    info = Inspector().server()
    assert info is not None
    for kind, version, old in [
        ("Redis", "6.0.16", True), ("Redis", "5.0", True), ("Redis", "6.2.5", False),
        ("Redis", "7.0.15", False), ("Redis", "10.0.0", False), ("Valkey", "8.0.1", False),
    ]:  # fmt: skip
        said = server_checks.is_old(replace(info, kind=kind, version=version))
        assert bool(said) == old, version
        assert not old or version in said


def test_a_queue_that_nobody_serves(server: Server) -> None:
    Queue("emails").add("welcome")
    Queue("of-others").add("welcome")
    (message,) = server_checks.check_served(None)
    assert message.id == "queuecore.W018"
    assert message.msg.startswith("Jobs wait in queue 'emails'")
    assert "runworker emails" in message.hint


@pytest.mark.usefixtures("no_network")
def test_plain_checks_ask_no_server(server: Server) -> None:
    from django.core.checks import run_checks

    run_checks()


async def test_a_worker_says_so_at_its_start(
    server: Server, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis_client.config_set("maxmemory-policy", "volatile-ttl")
    try:
        with caplog.at_level(logging.ERROR, "queuecore.worker"):
            task = asyncio.create_task(server_checks.tell_at_start(["default"]))
            async with asyncio.timeout(60):
                while not caplog.records:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert not task.done()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    finally:
        redis_client.config_set("maxmemory-policy", "noeviction")
    (record,) = caplog.records
    assert "volatile-ttl" in record.getMessage()
