"""Fixtures that all tests share: a private server, its client, and what a child process needs."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
from django.conf import settings

from tests import machine
from tests.servers import Server

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

MISSING = "{what} was not found on this machine: `make test` brings it ({how})."


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Carry the mark ``crosswise`` out: of its two versions times two manners, two are quick."""
    for item in items:
        mark = item.get_closest_marker("crosswise")
        if mark is None:
            continue
        params: dict[str, object] = item.callspec.params  # type: ignore[attr-defined]
        as_five = all(params[name] == value for name, value in mark.kwargs.items())
        # Without a manner, it is 6 alone.
        is_quick = {
            "bullmq-5": as_five and bool(mark.kwargs),
            "bullmq-6": not (as_five and mark.kwargs),
        }
        if not is_quick[params.get("bullmq", "bullmq-6")]:  # type: ignore[index]
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """This process's own server, the one that the settings name; emptied before each test."""
    server = Server(Path(settings.SERVER_FOLDER))
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The database as pytest-django makes it; tests that commit empty it quickly."""
    from tests.database import empty_quickly

    with django_db_blocker.unblock():
        empty_quickly()


@pytest.fixture(scope="session", autouse=True)
def _processors() -> None:
    """Find the project's processors before a test puts another registry in the place of theirs."""
    from queuecore import discovery

    discovery.discover()


_ahead = time.time() - time.monotonic()


@pytest.fixture(autouse=True)
def _clocks() -> None:
    """Let connections ask for the time anew where this machine's clock was set meanwhile."""
    global _ahead
    ahead = time.time() - time.monotonic()
    if abs(ahead - _ahead) > 0.2:
        from queuecore.wire import connections

        _ahead = ahead
        for one in list(connections._made):
            one.clock.forget()


@pytest.fixture(autouse=True)
def _empty_server(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").flush()


@pytest.fixture
def redis_client(server: Server) -> Iterator[redis.Redis]:
    """A client of ``server`` whose replies are text."""
    with server.client() as client:
        yield client


@pytest.fixture
def new_server() -> Iterator[Callable[..., Server]]:
    """Makes further servers (``new_server(persist=True)``), started; all end with the test."""
    servers: list[Server] = []

    def make(**arguments: object) -> Server:
        servers.append(Server(**arguments))  # type: ignore[arg-type]
        return servers[-1].start()

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def child_environment(server: Server) -> dict[str, str]:
    """The environment for a process of ours: same settings, server and database as the test."""
    from django.db import connection

    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "QUEUECORE_TEST_HOME": settings.HOME.as_posix(),
        "QUEUECORE_TEST_DATABASE": str(connection.settings_dict["NAME"]),
        "QUEUECORE_TEST_URL": server.url,
        "PYTHONPATH": str(machine.ROOT),
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture(scope="session")
def browser_path() -> Path:
    """A Chromium; its absence is a failure, never a skip."""
    path = machine.find_browser()
    if path is None:
        pytest.fail(MISSING.format(what="A Chromium", how="or set QUEUECORE_TEST_BROWSER"))
    return path


@pytest.fixture(scope="session")
def node() -> Path:
    """A Node for the BullMQ peers; its absence is a failure, never a skip."""
    path = machine.find_node()
    if path is None:
        pytest.fail(MISSING.format(what="Node 20 or newer", how="or set QUEUECORE_TEST_NODE"))
    return path


@pytest.fixture(scope="session", params=["bullmq-6", "bullmq-5"])
def bullmq(request: pytest.FixtureRequest) -> Path:
    """The folder with Node's BullMQ in ``node_modules``: a test that asks for it runs on each."""
    folder: Path = machine.PEERS / request.param
    if not (folder / "node_modules" / "bullmq").is_dir():
        pytest.fail(MISSING.format(what=f"npm's {request.param}", how="`make peers` alone, too"))
    return folder


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """The Python that has PyPI's bullmq."""
    path = machine.find_peer_python()
    if path is None:
        pytest.fail(MISSING.format(what="PyPI's bullmq", how="`make peers` alone, too"))
    return path


@pytest.fixture(scope="session")
def celery() -> Path:
    """The Python that has Celery."""
    path = machine.find_celery()
    if path is None:
        pytest.fail("Celery was not found in .tools: `make test-slow` brings it.")
    return path


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], object]], Path]:
    """Fills a folder once a run: of several test processes, the others wait for the first one's."""
    parent = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        parent = parent.parent

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = parent / name, parent / f"{name}.done"
        with (parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # half of it, where filling it failed
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def wheel(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The wheel, built from the source distribution, as it would be published."""

    def build(folder: Path) -> None:
        answer = subprocess.run(
            [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, machine.ROOT],
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr

    (path,) = made_once("dist", build).glob("*.whl")
    return path
