"""Tasks of Django that BullMQ's queue adds, and Node's view of those that Django adds."""

from typing import Any

import pytest

from queuecore import JobFailed, Worker, discovery
from queuecore.contrib.tasks.framework import task_backends
from tests.interop.node import Peer

NODE_WORKER = """job => {
    if (!job.name.endsWith('.add')) throw new Error('no task of mine');
    return job.data.args[0] + job.data.kwargs.b;
}"""


@pytest.fixture
def tasks(settings: Any) -> Any:
    settings.TASKS = {"default": {"BACKEND": "queuecore.tasks.QueueCoreBackend"}}
    from tests.contract import tasks

    return tasks


def work() -> None:
    Worker("default", discovery.discover().queues["default", "default"], burst=True).run()


@pytest.mark.crosswise
def test_a_task_that_node_adds(peer: Peer, tasks: Any) -> None:
    queue, events = peer.queue("default"), peer.queue_events("default")
    right = queue.add("tests.contract.tasks.add", {"args": [1], "kwargs": {"b": 2}})
    wrong = queue.add("tests.contract.tasks.fail", {"args": ["no"]}, {"attempts": 2})
    work()
    ((done, _),) = events.wait_for("completed")
    assert (done["jobId"], done["returnvalue"]) == (right["id"], 3)
    ((failed, _),) = events.wait_for("failed")
    assert (failed["jobId"], failed["failedReason"]) == (wrong["id"], "no")
    result = task_backends["default"].get_result("default:" + right["id"])
    assert (result.return_value, result.args, result.kwargs) == (3, [1], {"b": 2})
    result = task_backends["default"].get_result("default:" + wrong["id"])
    assert (result.attempts, [one.exception_class for one in result.errors]) == (
        2,
        [ValueError] * 2,
    )


@pytest.mark.crosswise
def test_a_task_that_node_works(peer: Peer, tasks: Any) -> None:
    result = tasks.add.using(priority=100).enqueue(1, b=2)
    (job,) = peer.queue("default").getJobs(["waiting"], 0, -1)
    assert (job["name"], job["data"]) == (
        "tests.contract.tasks.add",
        {"args": [1], "kwargs": {"b": 2}},
    )
    worker = peer.worker("default", NODE_WORKER)
    worker.wait_for("completed")
    result.refresh()
    assert (result.return_value, result.attempts) == (3, 1)
    failing = tasks.fail.enqueue()
    worker.wait_for("failed")
    failing.refresh()
    assert failing.status == "FAILED"
    (error,) = failing.errors
    assert "no task of mine" in error.traceback
    assert error.exception_class is JobFailed
