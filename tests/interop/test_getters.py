"""Getters of both sides on one queue, whoever filled it: the same answers."""

from collections.abc import Callable
from typing import Any

import pytest

from queuecore import Job, Queue
from tests.interop.node import Peer, Remote
from tests.interop.test_states import seen_by_node, seen_by_us
from tests.interop.test_twin_acts import fill, fill_ours

Getter = tuple[Callable[[Remote], Any], Callable[[Queue], Any]]

LISTS = ("Waiting", "Active", "Delayed", "Prioritized", "Completed", "Failed")
COUNTS = ("Waiting", "Active", "Delayed", "Prioritized", "Completed", "Failed", "WaitingChildren")
TESTS = ("Completed", "Failed", "Delayed", "Active", "Waiting")

GETTERS: dict[str, Getter] = {
    **{
        f"get{name}": (
            lambda q, name=name: getattr(q, f"get{name}")(0, 1),
            lambda q, name=name: getattr(q, f"get_{name.lower()}")(0, 1),
        )
        for name in LISTS
    },
    **{
        f"get{name}Count": (
            lambda q, name=name: getattr(q, f"get{name}Count")(),
            lambda q, name=name: getattr(q, f"get_{snake(name)}_count")(),
        )
        for name in COUNTS
    },
    **{
        f"is{name} {id}": (
            lambda q, name=name, id=id: getattr(q.job(id), f"is{name}")(),
            lambda q, name=name, id=id: getattr(q.get_job(id), f"is_{name.lower()}")(),
        )
        for name in TESTS
        for id in ("2", "5", "8", "12")
    },
    "getJobCountByTypes": (
        lambda q: q.getJobCountByTypes("completed", "delayed"),
        lambda q: q.get_job_count_by_types("completed", "delayed"),
    ),
    "getCountsPerPriority": (
        lambda q: q.getCountsPerPriority([0, 3, 9]),
        lambda q: {str(one): n for one, n in q.get_counts_per_priority([0, 3, 9]).items()},
    ),
    "getJobLogs": (
        lambda q: list(q.getJobLogs("2", 1, 1).values()),
        lambda q: list(q.get_job_logs("2", 1, 1)),
    ),
    "count": (lambda q: q.count(), lambda q: q.count()),
    "getWorkersCount": (lambda q: q.getWorkersCount(), lambda q: q.get_workers_count()),
    "isPaused": (lambda q: q.isPaused(), lambda q: q.is_paused()),
    "isMaxed": (lambda q: q.isMaxed(), lambda q: q.is_maxed()),
    "getGlobalConcurrency": (
        lambda q: q.getGlobalConcurrency(),
        lambda q: q.get_global_concurrency(),
    ),
    "getGlobalRateLimit": (lambda q: q.getGlobalRateLimit(), lambda q: q.get_global_rate_limit()),
    "getVersion": (lambda q: q.getVersion(), lambda q: q.get_version()),
    "getDeduplicationJobId": (
        lambda q: q.getDeduplicationJobId("none"),
        lambda q: q.get_deduplication_job_id("none"),
    ),
}
# What PyPI's bullmq has no method for.
NOT_OF_THE_PORT = {
    *("getActiveCount", "getPrioritizedCount", "getWaitingChildrenCount", "count"),
    *("getWorkersCount", "isMaxed", "getVersion"),
}


def snake(name: str) -> str:
    return "waiting_children" if name == "WaitingChildren" else name.lower()


@pytest.mark.parity(
    "Queue.getWaiting",
    "Queue.getActive",
    "Queue.getDelayed",
    "Queue.getPrioritized",
    "Queue.getCompleted",
    "Queue.getFailed",
    "Queue.getJobCountByTypes",
    "Queue.getJobLogs",
    "Queue.getVersion",
)
@pytest.mark.parametrize("filled_by", ["node", "us"])
def test_the_same_answers(peer: Peer, filled_by: str) -> None:
    if filled_by == "node":
        fill(peer, "ours")
    else:
        fill_ours(batched=True)
    ask(peer, set())


def test_the_same_answers_as_the_port(port: Peer, six: Peer) -> None:
    fill_ours(batched=True)
    six.queue("ours")
    ask(port, NOT_OF_THE_PORT)


def ask(peer: Peer, lacking: set[str]) -> None:
    theirs, ours = peer.queue("ours"), Queue("ours")
    different = {}
    assert len(ours.get_completed()) == len(ours.get_failed()) == 3
    for name, (their, our) in GETTERS.items():
        if name not in lacking:
            answers = plain(their(theirs)), plain(our(ours))
            if answers[0] != answers[1]:
                different[name] = answers
    assert not different


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, Job):
        return _known(seen_by_us(value))
    if isinstance(value, dict) and "opts" in value:
        return _known(seen_by_node(value))
    return value


def _known(seen: dict[str, Any]) -> dict[str, Any]:
    """The port says 0 where the others say nothing."""
    return {name: one or None for name, one in seen.items()}
