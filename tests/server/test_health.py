"""``manage.py queues health``: the line and the exit code that a container's probe goes by."""

import asyncio
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from queuecore import Queue, Worker
from tests.machine import ROOT
from tests.servers import Server


def health() -> str:
    said = StringIO()
    call_command("queues", "health", stdout=said)
    return said.getvalue()


def test_a_server_without_workers(server: Server) -> None:
    line = health()
    assert re.fullmatch(r"default: Redis answers in \d+\.\d ms; no worker is connected\n", line)


async def test_a_server_with_workers(server: Server) -> None:
    async def nothing(job: Any) -> None:
        pass

    workers = [Worker(name, nothing) for name in ("a", "a", "b")]
    running = [asyncio.create_task(worker.arun()) for worker in workers]
    try:
        for name in ("a", "b"):  # they are there once they have worked
            await (await Queue(name).aadd("x")).aresult(timeout=10)
        line = await asyncio.to_thread(health)
    finally:
        for worker in workers:
            await worker.close()
        await asyncio.gather(*running)
    assert re.search(r"; workers of queues: 2, the newest sign of life is \d s old$", line.strip())


def test_a_server_that_does_not_tell_of_workers(server: Server, redis_client: redis.Redis) -> None:
    redis_client.acl_setuser(
        "probe", enabled=True, passwords=["+word"], keys=["*"], commands=["+@all", "-client|list"]
    )
    try:
        with url(server.url.replace("unix://", "unix://probe:word@")):
            assert health().endswith("; it does not tell of workers\n")
    finally:
        redis_client.acl_deluser("probe")


@pytest.mark.parametrize("address", ["redis://127.0.0.1:1", "unix:///nowhere"])
def test_a_server_that_does_not_answer(address: str) -> None:
    with url(address), pytest.raises(CommandError, match="connection 'default' cannot be reached"):
        health()


def test_one_of_two_that_does_not_answer(server: Server) -> None:
    said = StringIO()
    with (
        url(server.url, other="redis://127.0.0.1:1"),
        pytest.raises(CommandError, match="connection 'other' cannot be reached"),
    ):
        call_command("queues", "health", stdout=said)
    assert said.getvalue().startswith("default: Redis answers")


def url(default: str, **more: str) -> Any:
    """Settings with these servers."""
    from django.test import override_settings

    servers = {alias: {"URL": address} for alias, address in {"default": default, **more}.items()}
    return override_settings(QUEUECORE={"CONNECTIONS": servers})


@pytest.mark.parametrize(("address", "code"), [(None, 0), ("redis://127.0.0.1:1", 1)])
def test_the_exit_code(server: Server, tmp_path: Path, address: str | None, code: int) -> None:
    answer = subprocess.run(
        [sys.executable, "manage.py", "queues", "health"],
        cwd=ROOT,
        env={"QUEUECORE_URL": address or server.url, "QUEUECORE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == code, answer.stderr
    assert (answer.stdout + answer.stderr).count("\n") == 1
