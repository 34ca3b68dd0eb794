"""What a server says about itself, and what it does not say where its user may not ask."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore import vitals as module
from queuecore.vitals import Vitals, avitals, vitals
from queuecore.wire.connections import get_connection
from tests.servers import Server


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    module._memories.clear()


@pytest.fixture(params=["sync", "async"])
def look(request: pytest.FixtureRequest, server: Server) -> Callable[..., Any]:
    """``look(queues)`` gives the vitals, by one twin or the other."""
    if request.param == "sync":
        return lambda *queues: vitals("default", queues)

    import asyncio

    def ask(*queues: str) -> Vitals:
        async def all_of_it() -> Vitals:
            try:
                return await avitals("default", queues)
            finally:
                await get_connection().aclose()

        return asyncio.run(all_of_it())

    return ask


def test_what_a_server_says(look: Callable[..., Vitals], redis_client: redis.Redis) -> None:
    Queue("q").add_bulk([JobSpec("x", {"text": "a" * 5_000})] * 100)
    found = look("q")
    assert found.info is not None
    assert (found.info.role, found.info.eviction_policy) == ("master", "noeviction")
    assert found.settings["maxmemory"] == "0"
    assert found.settings["slowlog-log-slower-than"].isdigit()
    assert found.number("maxclients") == int(found.settings["maxclients"])
    assert found.word("rdb_last_bgsave_status") == "ok"
    assert found.keyspace["db0"]["keys"] >= 100
    assert found.replicas == []
    assert found.collecting is False
    assert found.latency_ms > 0
    memory = found.memory["q"]
    assert memory.jobs == 100
    assert 5_000 < memory.job < 7_000
    real = sum(redis_client.memory_usage(key, samples=0) for key in redis_client.keys("bull:q:*"))
    assert abs(memory.bytes - real) < real / 10


def test_slow_calls_name_our_scripts_and_hide_what_they_carry(
    look: Callable[..., Vitals], redis_client: redis.Redis
) -> None:
    Queue("q").add("x", {"secret": "hunter2"})  # the script is known to the server from now on
    redis_client.config_set("slowlog-log-slower-than", 0)
    redis_client.slowlog_reset()
    Queue("q").add("x", {"secret": "hunter2"})
    redis_client.eval("--[[ Adds a job (BullMQ) ]] return ARGV[1]", 1, "bull:q:wait", "hunter2")
    redis_client.hset("bull:q:<b>", "password", "hunter2")
    redis_client.config_set("slowlog-log-slower-than", 10_000)
    found = look()
    shown = [(one.command, one.script, one.key) for one in found.slow]
    assert ("HSET", "", "bull:q:<b>") in shown
    assert ("EVAL", ["Adds a job (BullMQ)", "return ARGV[1]"][0], "bull:q:wait") in [
        (command, script.split(" ]")[0], key) for command, script, key in shown
    ]
    assert [script for command, script, _ in shown if command == "EVALSHA"] == ["add_jobs"]
    assert "hunter2" not in repr(found.slow)


def test_a_script_that_was_sent_whole_is_known_by_its_length(
    look: Callable[..., Vitals], redis_client: redis.Redis
) -> None:
    redis_client.script_flush()
    redis_client.config_set("slowlog-log-slower-than", 0)
    redis_client.slowlog_reset()
    Queue("q").add("x")
    redis_client.config_set("slowlog-log-slower-than", 10_000)
    assert ("EVAL", "add_jobs") in [(one.command, one.script) for one in look().slow]


@pytest.mark.parametrize(
    ("forbidden", "unknown"),
    [
        ("-info", "info"),
        ("-config", "settings"),
        ("-slowlog", "slow"),
        ("-memory", "memory"),
        ("-info -config -slowlog -memory -client", "all"),
    ],
)
def test_what_may_not_be_asked_is_unknown_and_no_error(
    look: Callable[..., Vitals],
    redis_client: redis.Redis,
    server: Server,
    settings: Any,
    forbidden: str,
    unknown: str,
) -> None:
    Queue("q").add("x")
    redis_client.execute_command(
        "ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all", *forbidden.split()
    )
    settings.QUEUECORE = settings.QUEUECORE | {
        "CONNECTIONS": {"default": {"URL": server.url.replace("unix://", "unix://poor:pw@")}}
    }
    found = look("q")
    missing = {
        name
        for name, value in {
            "info": found.info,
            "settings": found.settings,
            "slow": found.slow,
            "memory": found.memory,
        }.items()
        if not value and not (name == "slow" and value == [])
    }
    assert missing == ({"info", "settings", "slow", "memory"} if unknown == "all" else {unknown})
    assert found.number("maxclients") is None or unknown not in ("info", "all")
    assert found.keyspace == {} or unknown not in ("info", "all")
    redis_client.execute_command("ACL", "DELUSER", "poor")


def test_replicas_as_a_primary_tells_them() -> None:
    from queuecore.wire.readings import server

    info = server(
        b"role:master\r\nconnected_slaves:2\r\nslave0:ip=10.0.0.2,port=6379,state=online,"
        b"offset=5,lag=1\r\nslave1:ip=10.0.0.3,port=6379,state=wait_bgsave,lag=x\r\n",
        0.0,
    )
    found = Vitals("default", info, {}, None, 0.1, False, None)
    assert [(one.address, one.state, one.lag_s) for one in found.replicas] == [
        ("10.0.0.2:6379", "online", 1),
        ("10.0.0.3:6379", "wait_bgsave", None),
    ]


def test_many_queues_are_measured_a_few_at_a_time(
    look: Callable[..., Vitals], server: Server
) -> None:
    names = [f"q{index}" for index in range(20)]
    for name in names:
        Queue(name).add("x")
    sizes = [len(look(*names).memory) for _ in range(4)]
    assert sizes == [8, 16, 20, 20]
    assert set(look("q3").memory) == {"q3"}


def test_growth_is_told_once_there_is_something_to_compare(
    look: Callable[..., Vitals], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    Queue("q").add("x")
    first = look("q")
    assert (first.grew, first.memory["q"].grew) == (None, None)
    Queue("q").add_bulk([JobSpec("x", {"text": "a" * 1_000})] * 100)
    now[0] += 600
    second = look("q")
    assert second.memory["q"].grew > 90_000
    assert second.memory["q"].since_s == 600
    assert second.grew is not None
