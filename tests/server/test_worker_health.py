"""``runworker --health-file --metrics-port``: how a worker shows how it is."""

import json
import signal
import socket
import urllib.error
import urllib.request
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from queuecore import Queue
from tests.server.processes import Start


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def probe(file: Path, *more: str) -> str:
    said = StringIO()
    call_command("queues", "health", "--file", str(file), *more, stdout=said)
    return said.getvalue()


def test_a_worker_whose_server_goes_and_comes_back(
    start: Start, new_server: Any, child_environment: dict[str, str], tmp_path: Path, port: int
) -> None:
    server, file = new_server(persist=True), tmp_path / "health"
    child_environment["QUEUECORE_TEST_URL"] = server.url
    worker = start("quick", "--health-file", str(file), "--metrics-port", str(port))
    worker.until(file.exists, 30)
    assert "ok" in probe(file, "--max-age", "3600")
    assert json.loads(file.read_text())["pid"] == worker.process.pid
    assert get(port, "/readyz")[0] == 200

    server.kill()
    worker.until(lambda: get(port, "/readyz")[0] == 503, 30)
    status, body = get(port, "/healthz")  # to start it again would help nobody
    assert (status, json.loads(body)["connections"]["default"]) == (200, "away")
    before = file.stat().st_mtime_ns
    told = get(port, "/metrics")[1]
    assert 'queuecore_worker_redis_up{connection="default",process="1"} 0.0' in told
    assert "process_cpu_seconds_total" in told  # what prometheus_client counts, and the project
    server.start()
    worker.until(lambda: get(port, "/readyz")[0] == 200, 30)
    worker.until(lambda: file.stat().st_mtime_ns > before, 30)

    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0
    assert not file.exists()
    with pytest.raises(CommandError, match="is not there: no worker that is well writes it"):
        probe(file)


@pytest.mark.slow
def test_one_port_for_all_processes(start: Start, server: Any, tmp_path: Path, port: int) -> None:
    file = tmp_path / "health"
    signs = ["--health-file", str(file), "--metrics-port", str(port)]
    worker = start("quick", "--processes", "2", *signs)
    worker.until(file.exists, 30)
    assert {one["number"] for one in json.loads(file.read_text())["processes"]} == {1, 2}
    Queue("quick").add("x").result(10)

    def jobs() -> float:
        lines = get(port, "/metrics")[1].splitlines()
        return sum(
            float(one.split()[-1])
            for one in lines
            if one.startswith("queuecore_worker_jobs_total{") and '"completed"' in one
        )

    worker.until(lambda: jobs() == 1, 30)
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0
    assert not file.exists()


@pytest.mark.parametrize(
    ("signs", "says"),
    [
        (["--metrics-port", "70000"], "--metrics-port 70000 of 127.0.0.1 cannot be opened"),
        (["--health-file", "/nowhere/health"], "--health-file: there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_shown(start: Start, signs: list[str], says: str) -> None:
    worker = start("quick", *signs)
    assert worker.ends() == 1
    assert says in worker.said


def test_a_file_that_is_too_old(tmp_path: Path) -> None:
    file = tmp_path / "health"
    file.write_text('{"status": "ok", "pid": 7}')
    with pytest.raises(CommandError, match=r"is \d+ s old: the worker \(pid 7\) is not well"):
        probe(file, "--max-age", "-1")
