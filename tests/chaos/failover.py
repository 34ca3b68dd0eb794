"""What both kinds of failover are put to: all goes on, what replicas acknowledged is there."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.test import Client

from queuecore import FlowJob, FlowProducer, Queue, QueueEvents
from queuecore.errors import ServerUnavailable
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.ensembles import Ensemble, wait
from tests.servers import Server

BEFORE, AFTER = 150, 150


class Producer(threading.Thread):
    """Adds jobs one by one for as long as it is wanted; ``added``: those that a replica has."""

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self.queue = queue
        self.added: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        n = 0
        while not self.over.is_set():
            n += 1
            with suppress(ServerUnavailable):
                self.added.append(self.queue.add("async", {"n": n}).id)


def connect(settings: Any, ensemble: Ensemble, prefix: str) -> None:
    """Make the ensemble the connection ``mortal``, whose adds wait for a replica."""
    mortal = {"URL": ensemble.url, "PREFIX": prefix, "WAIT_REPLICAS": 1, "WAIT_TIMEOUT": 3}
    connections = settings.QUEUECORE["CONNECTIONS"] | {"mortal": mortal}
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}


def survive(
    ensemble: Ensemble,
    primary: Callable[[], Server],
    prefix: str,
    fleet: Fleet,
    ledger: Ledger,
    client: Client,
) -> None:
    """Work, kill the primary in the middle, and look that all goes on."""
    queue = Queue("short", connection="mortal")
    queue.upsert_job_scheduler("tick", every=1, name="async", data={"n": -1})
    fleet._environment["QUEUECORE_TEST_PREFIX"] = prefix
    fleet.start("short", url=ensemble.url, LOCK_DURATION=8)
    heard: set[str] = set()
    events = QueueEvents("short", connection="mortal", last_event_id="0-0")
    listener = threading.Thread(
        target=lambda: heard.update(one.job_id for one in events if one.event == "completed")
    )
    producer = Producer(queue)
    listener.start()
    producer.start()
    try:
        fleet.until(lambda: len(producer.added) > BEFORE and ledger.ends() > BEFORE // 2, 60)
        killed = primary()
        killed.kill()
        wait(lambda: primary() is not killed, "failover")
        told = len(producer.added)
        killed.start()  # as a replica by and by: in a Cluster its slots would have none
        fleet.until(lambda: len(producer.added) > told + AFTER, 90)
    finally:
        producer.over.set()
        producer.join()
    flow = FlowProducer("mortal").add(
        FlowJob("async", queue="short", data={"n": 0}, children=[
            FlowJob("async", queue="short", data={"n": 0}) for _ in range(3)
        ])
    ).job  # fmt: skip
    fleet.until(lambda: flow.get_state() == "completed", 60)
    fleet.until(lambda: set(producer.added) <= set(ledger.runs()), 60)
    last = queue.get_job_schedulers()[0]
    fleet.until(lambda: queue.get_job_schedulers()[0].next > last.next, 60)
    wait(lambda: producer.added[-1] in heard, "event of the last job")
    events.close()
    listener.join()
    counts = queue.get_job_counts()
    assert counts["failed"] == 0
    assert all(queue.get_job(id) is not None for id in producer.added)
    page = client.get("/@mortal/queues/short/")
    assert page.status_code == 200
    assert client.get("/@mortal/queues/short/jobs/").status_code == 200
    code, _ = fleet.terminate(20)
    assert code == 0, fleet.said()
    print(f"{len(producer.added)} acknowledged adds, none lost; {counts}")
