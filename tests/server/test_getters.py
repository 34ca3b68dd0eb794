"""The getters of one state each, workers, and the export for Prometheus."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from queuecore import FlowJob, FlowProducer, Job, JobSpec, Queue, telemetry
from queuecore.errors import InvalidOption
from tests.server.conftest import Do
from tests.server.hands import Hands
from tests.server.working import until, working

STATES = ("waiting", "active", "delayed", "prioritized", "completed", "failed")


def fill(queue: Queue, hands: Hands) -> None:
    """Two jobs in each state; of the delayed ones one is due in an hour, one in two."""
    queue.add_bulk([JobSpec("n") for _ in range(6)])
    for job in hands.claim(2):
        hands.complete(job)
    for job in hands.claim(2):
        hands.fail(job)
    hands.claim(2)
    queue.add_bulk([JobSpec("n"), JobSpec("n"), JobSpec("n", priority=3), JobSpec("n", priority=2)])
    queue.add_bulk([JobSpec("n", delay=3600), JobSpec("n", delay=7200)])


@pytest.mark.parity(
    "Queue.getWaiting", "Queue.getActive", "Queue.getDelayed", "Queue.getPrioritized",
    "Queue.getCompleted", "Queue.getFailed", "Queue.getWaitingChildren",
)  # fmt: skip
def test_the_jobs_of_a_state(queue: Queue, hands: Hands, do: Do) -> None:
    fill(queue, hands)
    found = {state: [job.id for job in do(getattr(queue, f"get_{state}"))] for state in STATES}
    assert found == {
        "completed": ["2", "1"],
        "failed": ["4", "3"],
        "active": ["5", "6"],
        "waiting": ["7", "8"],
        "prioritized": ["10", "9"],
        "delayed": ["11", "12"],
    }
    assert [job.id for job in do(queue.get_waiting, 1, 1)] == ["8"]
    assert do(queue.get_waiting_children) == []
    tree = FlowProducer().add(FlowJob("p", queue="q", children=[FlowJob("c", queue="q")]))
    assert [job.id for job in do(queue.get_waiting_children)] == [tree.job.id]
    assert do(queue.get_waiting_children_count) == 1


@pytest.mark.parity(
    "Job.isCompleted", "Job.isFailed", "Job.isDelayed", "Job.isActive", "Job.isWaiting",
    "Job.isWaitingChildren",
)  # fmt: skip
def test_whether_a_job_is_in_a_state(queue: Queue, hands: Hands, do: Do) -> None:
    fill(queue, hands)
    tree = FlowProducer().add(FlowJob("p", queue="q", children=[FlowJob("c", queue="q")]))
    ids = {"completed": "1", "failed": "3", "active": "5", "waiting": "7", "delayed": "11"}
    ids["waiting_children"] = tree.job.id
    for state, id in ids.items():
        job = queue.get_job(id)
        assert job is not None
        found = {one for one in ids if do(getattr(job, f"is_{one}"))}
        assert found == {state}


@pytest.mark.parity(
    "Queue.getWaitingCount", "Queue.getActiveCount", "Queue.getDelayedCount",
    "Queue.getPrioritizedCount", "Queue.getCompletedCount", "Queue.getFailedCount",
    "Queue.getJobCountByTypes", "Queue.getWaitingChildrenCount",
)  # fmt: skip
def test_the_count_of_a_state(queue: Queue, hands: Hands, do: Do) -> None:
    fill(queue, hands)
    assert [do(getattr(queue, f"get_{state}_count")) for state in STATES] == [2] * 6
    assert do(queue.get_waiting_children_count) == 0
    assert do(queue.get_job_count_by_types, "waiting", "failed") == 4
    assert do(queue.get_job_count_by_types) == 12


@pytest.mark.parity("Queue.getDelayedCount")
def test_delayed_jobs_due_until_a_time(queue: Queue, hands: Hands, do: Do) -> None:
    fill(queue, hands)
    now = datetime.now(UTC)
    assert do(queue.get_delayed_count, now) == 0
    assert do(queue.get_delayed_count, now + timedelta(minutes=90)) == 1
    assert do(queue.get_delayed_count, now + timedelta(hours=3)) == 2
    due = queue.get_delayed()[0].timestamp
    assert due is not None
    assert do(queue.get_delayed_count, due + timedelta(hours=1)) == 1
    assert do(queue.get_delayed_count, due + timedelta(seconds=3599.999)) == 0
    with pytest.raises(InvalidOption, match="aware"):
        do(queue.get_delayed_count, datetime(2030, 1, 1))


@pytest.mark.parity("Queue.getWorkers", "Queue.getWorkersCount")
async def test_workers(queue: Queue) -> None:
    async def nothing(job: Job) -> None:
        return None

    assert await queue.aget_workers_count() == 0
    async with working(nothing, name="anna"), working(nothing), working(nothing, queue="other"):

        async def both() -> list[Any] | None:
            found = await queue.aget_workers()
            assert found is not None
            return found if len(found) == 2 else None

        found = await until(both)
        assert sorted(one.name for one in found) == ["", "anna"]
        assert await queue.aget_workers_count() == 2


@pytest.mark.parity("Queue.exportPrometheusMetrics")
def test_prometheus(redis_client: redis.Redis, do: Do) -> None:
    odd = Queue.existing('an "odd"\\one')
    odd.connection.run(_add(odd))
    hands = Hands(odd, metrics=10)
    hands.complete_all(2)
    hands.fail_all(1)
    text = do(odd.export_prometheus_metrics, {"shop": 'the "first"'})
    labels = 'queue="an \\"odd\\"\\\\one"'
    assert text.splitlines() == [
        "# HELP bullmq_job_count Number of jobs in the queue by state",
        "# TYPE bullmq_job_count gauge",
        *(
            f'bullmq_job_count{{{labels}, state="{state}", shop="the \\"first\\""}} {count}'
            for state, count in {
                "active": 0, "completed": 2, "delayed": 0, "failed": 1, "prioritized": 0,
                "waiting": 1, "waiting-children": 0,
            }.items()
        ),
        "# HELP bullmq_job_completed_total Total number of completed jobs",
        "# TYPE bullmq_job_completed_total counter",
        f'bullmq_job_completed_total{{{labels}, shop="the \\"first\\""}} 2',
        "# HELP bullmq_job_failed_total Total number of failed jobs",
        "# TYPE bullmq_job_failed_total counter",
        f'bullmq_job_failed_total{{{labels}, shop="the \\"first\\""}} 1',
    ]  # fmt: skip
    with pytest.raises(InvalidOption, match="label"):
        do(odd.export_prometheus_metrics, {"a b": "c"})


def _add(queue: Queue) -> Any:
    return queue._add(queue._prepare_bulk([JobSpec("n") for _ in range(4)]))


@pytest.mark.parity("Queue.recordJobCountsMetric")
def test_job_counts_go_to_the_telemetry(
    queue: Queue, do: Do, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.add_bulk([JobSpec("a") for _ in range(3)])
    assert do(queue.record_job_counts_metric, "waiting") == {"waiting": 3}  # nobody is told
    reader = InMemoryMetricReader()
    monkeypatch.setattr(metrics, "get_meter", MeterProvider([reader]).get_meter)
    path = "queuecore.contrib.opentelemetry.Telemetry"
    settings.QUEUECORE = settings.QUEUECORE | {"TELEMETRY": path}
    telemetry._made.cache_clear()
    try:
        counts = do(queue.record_job_counts_metric)
        assert counts == queue.get_job_counts()
    finally:
        telemetry._made.cache_clear()
    data = reader.get_metrics_data()
    assert data is not None
    (gauge,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert (gauge.name, gauge.unit) == ("bullmq.queue.jobs", "{jobs}")
    told = {
        (point.attributes["bullmq.queue.name"], point.attributes["bullmq.queue.jobs.state"]):
        point.value for point in gauge.data.data_points
    }  # fmt: skip
    assert told == {("q", state): count for state, count in counts.items()}
    # A class of the project's own that makes spans alone is left alone.
    settings.QUEUECORE = settings.QUEUECORE | {"TELEMETRY": "builtins.object"}
    assert do(queue.record_job_counts_metric, "waiting") == {"waiting": 3}
