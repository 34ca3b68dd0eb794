"""One trace from Node through us and back, and what of it the jobs carry."""

import asyncio
import json
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from opentelemetry import trace

from queuecore import FlowJob, FlowProducer, Job, JobSpec, Queue
from queuecore.errors import ConfigurationError, InvalidOption
from tests import machine
from tests.interop.tracing import CONSUMER, INTERNAL, PRODUCER, Collector, Span, exporter
from tests.server import boxed
from tests.server.working import finished, until, working
from tests.servers import Server

FOLDER = machine.PEERS / "bullmq-otel"
PATH = "queuecore.contrib.opentelemetry.Telemetry"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    exporter().collector = collector
    yield collector
    exporter().collector = None
    collector.close()


@pytest.fixture
def traced(collector: Collector, settings: Any) -> Collector:
    """The setting TELEMETRY names OpenTelemetry."""
    settings.QUEUECORE = settings.QUEUECORE | {"TELEMETRY": PATH}
    return collector


class Service:
    """The Node service of ``traced.mjs``."""

    def __init__(self, node: Path, server: Server, collector: Collector) -> None:
        if not (FOLDER / "node_modules" / "bullmq-otel").is_dir():
            pytest.fail("npm's bullmq-otel is missing: run `make peers`")
        script = Path(__file__).with_name("traced.mjs")
        self._process = subprocess.Popen(
            [str(node), str(script), str(FOLDER), str(server.socket), collector.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def order(self, **what: Any) -> None:
        self._in.write(json.dumps(what) + "\n")
        self._in.flush()

    def says(self) -> dict[str, Any]:
        # One line a message: nothing is left in the buffer between two.
        assert select.select([self._out], [], [], 15)[0], "Node says nothing"
        line = self._out.readline()
        assert line, "Node has ended"
        said: dict[str, Any] = json.loads(line)
        return said

    def end(self) -> None:
        """Let it send its last spans and end."""
        self._in.close()
        code = self._process.wait(15)
        self._out.close()
        assert code == 0

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def service(node: Path, server: Server, collector: Collector) -> Iterator[Service]:
    service = Service(node, server, collector)
    try:
        assert service.says() == {"ready": True}
        yield service
    finally:
        service.kill()


def above(span: Span, spans: list[Span]) -> list[str]:
    """The names from a span up to its root."""
    by_id = {one.id: one for one in spans}
    names = []
    while True:
        names.append(span.name)
        if not span.parent:
            return names
        span = by_id[span.parent]


@pytest.mark.parity("Queue(telemetry)", "Worker(telemetry)", "JobOptions.telemetry")
@pytest.mark.parametrize("kind", ["async", "sync", "sandbox"])
async def test_one_trace_from_node_through_us_to_node(
    traced: Collector,
    service: Service,
    redis_client: redis.Redis,
    child_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    for name, value in child_environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("QUEUECORE_TEST_TELEMETRY", PATH)

    async def cook(job: Job) -> None:
        await Queue("receipts").aadd("receipt", {"of": job.data["n"]})

    def bake(job: Job) -> None:
        Queue("receipts").add("receipt", {"of": job.data["n"]})

    if kind == "sandbox":
        processor, options = boxed.receipt, {"sandbox": True, "timeout": 20.0}
    else:
        processor, options = (cook if kind == "async" else bake), {}
    await asyncio.to_thread(service.order, name="order", data={"n": 1})
    async with working(processor, "orders", **options):
        said = await asyncio.to_thread(service.says)
    assert said["worked"]["opts"]["telemetry"]["metadata"]
    await asyncio.to_thread(service.end)
    (end,) = traced.named("process receipts")
    if kind == "sandbox":
        # The child has no set-up of the SDK: its adds have no span, and still carry the trace.
        assert above(end, traced.spans) == [
            "process receipts", "process orders", "add orders.order", "checkout",
        ]  # fmt: skip
    else:
        assert above(end, traced.spans) == [
            "process receipts", "add receipts.receipt", "process orders", "add orders.order",
            "checkout",
        ]  # fmt: skip
    (ours,) = traced.named("process orders")
    whole = [span for span in traced.spans if span.trace == ours.trace]
    assert {span.name for span in whole} >= {"checkout", "process orders", "process receipts"}
    assert len({span.trace for span in (ours, end, *traced.named("checkout"))}) == 1
    assert (ours.kind, ours.attributes["bullmq.job.name"]) == (CONSUMER, "order")
    assert ours.attributes["bullmq.queue.name"] == "orders"


async def test_a_retry_is_in_the_same_trace(
    traced: Collector, service: Service, redis_client: redis.Redis
) -> None:
    async def fail_once(job: Job) -> None:
        if not job.attempts_made:
            raise ValueError("not yet")

    opts = {"attempts": 2, "backoff": {"type": "fixed", "delay": 20}}
    await asyncio.to_thread(service.order, name="order", data={}, opts=opts)
    async with working(fail_once, "orders"):
        await finished(Queue("orders"), 1, 10)
    await asyncio.to_thread(service.end)
    first, second = traced.named("process orders")
    (add,) = traced.named("add orders.order")
    assert first.parent == second.parent == add.id
    assert (first.failed, second.failed) == (True, False)
    (retry,) = traced.named("delay orders")
    assert (retry.parent, retry.kind) == (first.id, INTERNAL)
    assert retry.attributes["bullmq.job.failed.reason"] == "not yet"


async def test_a_flow_of_nodes_is_one_trace(
    traced: Collector, service: Service, redis_client: redis.Redis
) -> None:
    async def work(job: Job) -> None:
        pass

    # Node's flows carry a trace only where a job has options.
    child = {"name": "child", "queueName": "orders", "opts": {}}
    flow = {"name": "parent", "queueName": "orders", "opts": {}, "children": [child, child]}
    await asyncio.to_thread(service.order, flow=flow)
    async with working(work, "orders"):
        await finished(Queue("orders"), 3, 10)
    await asyncio.to_thread(service.end)
    runs = traced.named("process orders")
    assert len(runs) == 3
    assert len({span.trace for span in (*runs, *traced.named("checkout"))}) == 1


async def opts_of(queue: Queue, id: str) -> dict[str, Any]:
    job = await queue.aget_job(id)
    assert job is not None
    return job.opts


async def test_what_our_adds_carry(traced: Collector, redis_client: redis.Redis) -> None:
    queue = Queue("q")
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("request"):
        one = await queue.aadd("one")
        many = await queue.aadd_bulk([JobSpec("a"), JobSpec("b")])
        node = await FlowProducer().aadd(
            FlowJob("root", queue="q", children=[FlowJob("leaf", queue="q")])
        )
        alone = await queue.aadd("alone", telemetry={"omit_context": True})
        own = await queue.aadd("own", telemetry={"metadata": '{"traceparent":"x"}'})
    (request,) = traced.named("request")
    for name, jobs in (
        ("add q.one", [one]),
        ("addBulk q", many),
        ("addFlow q", [node.job, node.children[0].job]),
    ):
        (span,) = traced.named(name)
        assert (span.parent, span.kind) == (request.id, PRODUCER)
        for job in jobs:
            carrier = json.loads((await opts_of(queue, job.id))["tm"])
            assert carrier["traceparent"].startswith(f"00-{span.trace}-{span.id}-")
    omitted = await opts_of(queue, alone.id)
    assert (omitted.get("omc"), "tm" in omitted) == (True, False)
    assert (await opts_of(queue, own.id))["tm"] == '{"traceparent":"x"}'


async def test_a_run_without_a_context_begins_a_trace(
    traced: Collector, redis_client: redis.Redis
) -> None:
    seen: list[int] = []

    async def work(job: Job) -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    queue = Queue("q")
    with trace.get_tracer("test").start_as_current_span("around"):
        await queue.aadd("alone", telemetry={"omit_context": True})
        for broken in ("{", "7", "[]", '{"traceparent": 7}', '{"traceparent":"00-zz"}', "[" * 9000):
            await queue.aadd("x", telemetry={"metadata": broken})
        async with working(work):
            await finished(queue, 7)
    runs = traced.named("process q")
    assert [span.parent for span in runs] == [""] * 7
    assert len({span.trace for span in runs}) == 7
    assert sorted(f"{one:016x}" for one in seen) == sorted(span.id for span in runs)


@pytest.mark.django_db(transaction=True)
def test_the_sync_methods_do_the_same(traced: Collector, redis_client: redis.Redis) -> None:
    queue = Queue("q")
    jobs = [queue.add("one"), *queue.add_bulk([JobSpec("a")])]
    jobs.append(FlowProducer().add(FlowJob("root", queue="q")).job)
    jobs += [node.job for node in FlowProducer().add_bulk([FlowJob("r", queue="q")])]
    queue.add_on_commit("later")
    assert [span.name for span in traced.spans] == [
        "add q.one", "addBulk q", "addFlow q", "addBulkFlows q", "add q.later",
    ]  # fmt: skip
    assert all("tm" in job.opts for job in jobs)
    assert "tm" in queue.get_waiting()[0].opts


def test_a_failed_add_tells_it(traced: Collector, redis_client: redis.Redis) -> None:
    with pytest.raises(InvalidOption):
        Queue("q").add("x", attempts=-1)
    (span,) = traced.named("add q.x")
    assert span.failed


@pytest.mark.parametrize(
    "value",
    [7, "x", [], {"metdata": "x"}, {"metdata": 0}, {"metadata": 7}, {"omit_context": "yes"}, None],
)
@pytest.mark.parametrize("tracing", [False, True])
def test_malformed_telemetry_is_refused(
    request: pytest.FixtureRequest, server: Server, value: Any, tracing: bool
) -> None:
    if tracing:
        request.getfixturevalue("traced")
    with pytest.raises(InvalidOption, match=r"telemetry"):
        Queue("q").add("x", telemetry=value)


def test_without_the_setting_nothing_is_imported(server: Server, settings: Any) -> None:
    code = (
        # As if it were not installed; redis-py would import it by itself.
        "import django, sys; sys.modules['opentelemetry'] = None; django.setup();"
        "import queuecore, queuecore.worker.worker;"
        "print([one for one in sys.modules if one.startswith('queuecore.contrib')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=machine.ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin"},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_a_wrong_path_says_so(server: Server, settings: Any) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {"TELEMETRY": "shop.nowhere.Telemetry"}
    with pytest.raises(ConfigurationError, match=r"QUEUECORE\['TELEMETRY'\] names 'shop.nowhere"):
        Queue("q").add("x")


async def test_the_ends_of_runs_that_were_put_back(
    traced: Collector, redis_client: redis.Redis
) -> None:
    async def hang(job: Job) -> None:
        await asyncio.sleep(60)

    queue = Queue("q")
    await queue.aadd("x")
    async with working(hang, timeout=0):
        await until(queue.aget_active_count)
    (span,) = traced.named("process q")
    assert not span.failed
