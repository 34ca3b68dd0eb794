"""The tests' own server: private, empty for each test, gone with its owner."""

import os
import signal
import stat
import subprocess
import sys
import time

import pytest
import redis
from django.conf import settings

from tests.servers import Server, private_folder


@pytest.mark.parametrize("round_", [1, 2])
def test_is_empty_for_each_test(redis_client: redis.Redis, round_: int) -> None:
    assert redis_client.dbsize() == 0
    redis_client.set("left over", round_)


def test_is_private(server: Server) -> None:
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert server.url == settings.QUEUECORE["CONNECTIONS"]["default"]["URL"]
    with server.client() as client:
        assert client.config_get("port") == {"port": "0"}


def test_keeps_what_it_acknowledged_when_killed(new_server) -> None:
    server = new_server(persist=True)
    with server.client() as client:
        client.set("key", "value")
    server.kill()
    server.start()
    with server.client() as client:
        assert client.get("key") == "value"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a death signal")
def test_ends_with_its_owner_even_when_that_is_killed() -> None:
    code = (
        "import sys; from tests.servers import Server; s = Server().start();"
        "print(s.pid, s.folder, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        os.kill(int(pid), 0)
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
    deadline = time.monotonic() + 10
    while is_running(int(pid)):
        assert time.monotonic() < deadline, "the server outlived its owner"
        time.sleep(0.01)
    subprocess.run(["rm", "-r", folder], check=True)


def is_running(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_killed_run_left_is_removed_by_the_next() -> None:
    code = "from tests.servers import private_folder; print(private_folder())"
    left = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert os.path.isdir(left)
    mine = private_folder()
    assert not os.path.exists(left)
    mine.rmdir()
