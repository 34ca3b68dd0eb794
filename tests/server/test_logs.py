"""Log lines as JSON, and what they are about."""

import asyncio
import json
import logging
from typing import Any

import pytest

from queuecore import Batch, Queue, Worker
from queuecore.logs import JobFilter, JSONFormatter


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What is logged, as it would be written."""
    found: list[dict[str, Any]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler = Handler()
    handler.setFormatter(JSONFormatter())
    caplog.set_level(logging.DEBUG, "queuecore.jobs")
    caplog.set_level(logging.INFO, "shop")
    root = logging.getLogger()
    root.addHandler(handler)
    yield found  # type: ignore[misc]
    root.removeHandler(handler)


def test_a_line_of_json() -> None:
    record = logging.makeLogRecord(
        {"name": "shop", "levelname": "INFO", "msg": "a\nb %s", "args": ("\x1b[31m",), "order": 7}
    )
    line = JSONFormatter().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    value = json.loads(line)
    assert value.pop("time").endswith("+00:00")
    assert value == {"level": "INFO", "logger": "shop", "message": "a\nb \x1b[31m", "order": 7}


def test_a_format_may_name_a_job_where_there_is_none() -> None:
    record = logging.makeLogRecord({"msg": "hello"})
    assert JobFilter().filter(record)
    assert logging.Formatter("{queue} {job_id} {message}", style="{").format(record) == "- - hello"


def test_a_line_inside_a_span_has_its_ids() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    span = trace.NonRecordingSpan(trace.SpanContext(0xABC, 0xDEF, is_remote=False))
    with trace.use_span(span):
        value = json.loads(JSONFormatter().format(logging.makeLogRecord({"msg": "hello"})))
    assert (value["trace_id"], value["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")


def threaded(job: Any) -> None:
    logging.getLogger("shop").info("in it")


async def coroutine(job: Any) -> None:
    await asyncio.sleep(0)
    logging.getLogger("shop").info("in it")


@pytest.mark.parametrize("function", [threaded, coroutine])
def test_what_a_job_logs_is_about_it(
    server: Any, lines: list[dict[str, Any]], function: Any
) -> None:
    job = Queue("q").add("x")
    worker = Worker("q", function, burst=True)
    worker.run()
    fields = {"queue": "q", "connection": "default", "job_id": job.id, "job_name": "x"}
    inside, ended = (one for one in lines if one["logger"] in ("shop", "queuecore.jobs"))
    assert inside.items() >= (fields | {"message": "in it", "attempt": 1}).items()
    assert ended.items() >= (fields | {"level": "DEBUG", "worker": worker.id}).items()
    assert ended["duration"] >= 0


def test_a_batch_and_a_failure(server: Any, lines: list[dict[str, Any]]) -> None:
    def fail(jobs: Any) -> None:
        threaded(jobs)
        raise LookupError("no such thing")

    jobs = [Queue("q").add("x") for _ in range(2)]
    Worker("q", fail, batch=Batch(2, min_size=2, timeout=60), burst=True).run()
    found = [one for one in lines if one["logger"] in ("shop", "queuecore.jobs")]
    assert found[0]["job_ids"] == [job.id for job in jobs]
    assert {one["job_id"] for one in found[1:]} == {job.id for job in jobs}
    assert all("LookupError: no such thing" in one["exception"] for one in found[1:])
