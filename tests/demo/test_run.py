"""`make demo`: every state within seconds, one line for what is wrong, and no process left over."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from queuecore.wire.launcher import Place
from tests.machine import PEERS, ROOT
from tests.servers import Server

FOLDERS = ("config", "dashboard", "demo", "queuecore", "static", "templates")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """What a fresh clone holds, in a folder of its own."""
    for name in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "manage.py", tmp_path)
    yield tmp_path
    for pid in processes_of(tmp_path):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(Place(tmp_path).socket_dir, ignore_errors=True)


def processes_of(checkout: Path) -> dict[int, str]:
    """What runs in or for the checkout: pid and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                folder = os.readlink(entry / "cwd")
            except OSError:
                continue
            if line and (folder.startswith(str(checkout)) or str(checkout) in line):
                found[int(entry.name)] = line
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Demo:
    """A running demo, and what it said."""

    def __init__(self, checkout: Path, *options: str, **environment: str) -> None:
        self.checkout = checkout
        self.port = environment.setdefault("PORT", str(free_port()))
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DJANGO_", "QUEUECORE_", "DATABASE_", "PYTEST_", "DEMO_"))
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo.run", *options],
            cwd=checkout,
            env=inherited | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def until_ready(self) -> str:
        """Everything it says up to its last line of the start."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if "Ctrl-C" in line:
                return said
        raise AssertionError(f"it ended with {self.process.wait()}: {said}\n{self.logs()}")

    def logs(self) -> str:
        folder = self.checkout / ".queuecore/logs"
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in folder.glob("*.log"))

    def finish(self, number: signal.Signals | None = None) -> tuple[int, str]:
        if number is not None:
            self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(Place(self.checkout).socket), decode_responses=True)


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


QUEUES = ("email", "file_processing", "newsletter", "notifications")


def totals(client: redis.Redis) -> dict[str, int]:
    """The jobs of all queues together, by state."""
    result = dict.fromkeys(
        ("wait", "prioritized", "active", "delayed", "completed", "failed", "paused queues"), 0
    )
    for queue in QUEUES:
        for state in ("wait", "active"):
            result[state] += client.llen(f"bull:{queue}:{state}")
        for state in ("prioritized", "delayed", "completed", "failed"):
            result[state] += client.zcard(f"bull:{queue}:{state}")
        result["paused queues"] += client.hexists(f"bull:{queue}:meta", "paused")
    return result


def test_first_minute_clean_end_and_second_start(checkout: Path) -> None:
    demo = Demo(checkout)
    said = demo.until_ready()
    *_, address, user, password, _, _ = said.splitlines()
    assert address.split() == ["Address", f"http://127.0.0.1:{demo.port}/"]
    assert user.split() == ["User", "demo"]
    secret = checkout / ".queuecore/demo_password"
    assert password.split() == ["Password", secret.read_text()]
    assert secret.stat().st_mode & 0o777 == 0o600
    assert {log.name for log in (checkout / ".queuecore/logs").iterdir()} == {
        *("server.log", "stream.log", "web.log", "worker.log")
    }

    with demo.client() as client:
        seen: dict[str, int] = {}

        def every_state_was_seen() -> bool:
            for state, number in totals(client).items():
                seen[state] = max(number, seen.get(state, 0))
            return all(seen.values())

        def reasons() -> list[str | None]:
            ids = client.zrange("bull:email:failed", 0, -1)
            return [client.hget(f"bull:email:{id}", "failedReason") for id in ids]

        until(every_state_was_seen, 30)
        until(lambda: "'jane.doe@' is not a mail address" in reasons(), 20)
        until(lambda: client.zcard("bull:file_processing:completed") >= 3, 20)
    assert list((checkout / ".queuecore/media/thumbnails").glob("*-small.webp"))
    assert list((checkout / ".queuecore/mail").iterdir())

    code, said = demo.finish(signal.SIGINT)
    assert (code, processes_of(checkout)) == (0, {}), demo.logs()
    assert said.endswith("Stopped.\n")
    # Mails and webhooks fail on purpose, and their tracebacks are told; nothing else has one.
    entries = re.split(r"^(?=\d{4}-\d\d-\d\d )", demo.logs(), flags=re.MULTILINE)
    assert [one for one in entries if "Traceback" in one and " ERROR job " not in one] == []

    again = Demo(checkout)
    assert secret.read_text() in again.until_ready()
    with again.client() as client:
        assert totals(client)["completed"] >= seen["completed"]
    # Everything killed at once: the server ends all the same.
    for pid in processes_of(checkout):
        os.kill(pid, signal.SIGKILL)
    again.finish()
    until(lambda: not processes_of(checkout), 10)


def test_sigterm_in_the_middle_of_the_start(checkout: Path) -> None:
    demo = Demo(checkout)
    until(lambda: len(processes_of(checkout)) > 2, 30)  # the server is there, more to come
    code, _ = demo.finish(signal.SIGTERM)
    assert code == 0
    assert processes_of(checkout) == {}


@pytest.mark.slow
def test_killed_parent_takes_everything_with_it(checkout: Path) -> None:
    demo = Demo(checkout)
    demo.until_ready()
    time.sleep(3)  # the partners take seconds: webhooks are under way, for which nothing may wait
    demo.finish(signal.SIGKILL)
    until(lambda: not processes_of(checkout), 45)


@pytest.mark.slow
def test_another_server_is_used_and_left_alone(
    checkout: Path, new_server: Callable[..., Server]
) -> None:
    server = new_server()
    demo = Demo(checkout, QUEUECORE_URL=server.url)
    demo.until_ready()
    with server.client() as client:
        until(lambda: bool(client.zcard("bull:email:completed")), 10)
        assert demo.finish(signal.SIGTERM)[0] == 0
        assert client.ping()
    assert not (checkout / ".queuecore/server.lock").exists()
    assert processes_of(checkout) == {}


@pytest.mark.slow
def test_node_service_and_django_work_each_others_jobs(checkout: Path, node: Path) -> None:
    # The peers' packages are those of the service's own lock.
    modules = PEERS / "bullmq-6/node_modules"
    assert modules.is_dir(), "`make peers` brings npm's bullmq"
    (checkout / "demo/node/node_modules").symlink_to(modules)
    demo = Demo(checkout, "--node", str(node))
    demo.until_ready()
    with demo.client() as client:
        until(lambda: client.zcard("bull:invoices:completed") >= 3, 20)  # Django's jobs, by Node
        mails = client.zrange
        until(  # Node's jobs, by Django
            lambda: any(id.startswith("invoice-") for id in mails("bull:email:completed", 0, -1)),
            10,
        )
        id = client.zrange("bull:invoices:completed", 0, 0)[0]
        assert re.search(
            r'"mail":"invoice-', client.hget(f"bull:invoices:{id}", "returnvalue") or ""
        )
    code, _ = demo.finish(signal.SIGINT)
    assert (code, processes_of(checkout)) == (0, {}), demo.logs()


def test_node_service_without_its_packages(checkout: Path, node: Path) -> None:
    line = one_line(Demo(checkout, "--node", str(node)))
    assert line == "The Node service lacks its packages: run `make demo-node`."


def test_node_service_has_the_versions_that_the_tests_talk_to() -> None:
    ours, peers = (
        json.loads((folder / "package-lock.json").read_text())
        for folder in (ROOT / "demo/node", PEERS / "bullmq-6")
    )
    assert ours["packages"].pop("")["dependencies"] == peers["packages"].pop("")["dependencies"]
    assert ours["packages"] == peers["packages"]
    assert "resolved" not in json.dumps(ours)


def one_line(demo: Demo) -> str:
    code, said = demo.finish()
    assert code == 1
    assert processes_of(demo.checkout) == {}
    *before, line = said.splitlines()
    assert all(line.startswith("Starting the server") for line in before), said
    return line


def test_taken_port(checkout: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = one_line(Demo(checkout, PORT=str(port)))
    assert line.startswith(f"Port {port} cannot be used")
    assert "PORT=" in line


def test_port_that_is_none(checkout: Path) -> None:
    assert one_line(Demo(checkout, PORT="http")).startswith("PORT=http is no port")


@pytest.mark.parametrize("package", ["daphne", "PIL", "django_htmx", "redis"])
def test_missing_package(package: str, checkout: Path) -> None:
    hidden = checkout / "hidden"
    hidden.mkdir()
    (hidden / f"{package}.py").write_text(
        f'raise ModuleNotFoundError("No module named {package!r}", name={package!r})'
    )
    line = one_line(Demo(checkout, PYTHONPATH=str(hidden)))
    assert line.startswith(f"The package {package} is missing: run `make demo`")


def test_broken_embedded_server(checkout: Path) -> None:
    (checkout / "bin").mkdir()
    broken = checkout / "bin/valkey-server"
    broken.write_text("#!/bin/sh\necho 'Illegal instruction'\nexit 132\n")
    broken.chmod(0o755)
    line = one_line(Demo(checkout, PATH=f"{checkout}/bin:/usr/bin:/bin"))
    assert "did not start" in line
    assert "Illegal instruction" in line


def test_server_that_is_not_there(checkout: Path) -> None:
    line = one_line(Demo(checkout, QUEUECORE_URL=f"redis://127.0.0.1:{free_port()}/0"))
    assert "127.0.0.1" in line


def test_settings_that_are_incomplete(checkout: Path) -> None:
    assert "DJANGO_SECRET_KEY" in one_line(Demo(checkout, DJANGO_DEBUG="0"))


def test_a_child_that_dies_is_named(checkout: Path) -> None:
    (checkout / "demo/stream.py").write_text("raise SystemExit('no more paper')")
    demo = Demo(checkout)
    demo.until_ready()
    code, said = demo.finish()
    assert code == 1
    assert said.splitlines()[-1].startswith("The stream ended (code 1): no more paper (log: ")
    assert processes_of(checkout) == {}
