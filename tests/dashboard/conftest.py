"""What the tests of pages and actions share: people with permissions, and a queue with jobs."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from dashboard import tempo
from dashboard.live import state
from queuecore import Queue, history, operations
from queuecore.models import QueueScope
from queuecore.wire import connections
from tests.dashboard import fleet
from tests.server.hands import Hands
from tests.servers import Server

TRACE = """Traceback (most recent call last):
  File "/srv/shop/mail.py", line 12, in send
    relay.send(message)
ConnectionError: the relay is away
"""


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    """Forget what this process has read of the servers of earlier tests; end what it collects."""
    state._facts.clear()
    tempo._known.clear()
    for one in connections._connections.values():
        one.absence.over()
    yield
    history.stop()
    operations.stop()


@pytest.fixture
def person(transactional_db: None) -> Callable[..., Client]:
    """Makes a browser of somebody who holds the given permissions: ``person("view", "retry")``."""

    def make(*codenames: str, name: str = "olga", scope: tuple[str, ...] = ()) -> Client:
        user = get_user_model().objects.create_user(name, password="pw")
        group = Group.objects.create(name=name)
        user.groups.add(group)
        held = Permission.objects.filter(
            content_type__app_label="queuecore", codename__in=codenames
        )
        assert held.count() == len(codenames)
        group.permissions.add(*held)
        for pattern in scope:
            QueueScope.objects.create(group=group, pattern=pattern)
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def admin(transactional_db: None) -> Client:
    """The browser of somebody who may do everything."""
    user = get_user_model().objects.create_superuser("ada", password="pw")
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def emails(server: Server, redis_client: redis.Redis) -> Queue:
    """The queue ``emails`` with a worker, and a job in each state; ids begin with its name."""
    queue = Queue("emails")
    hands = Hands(queue, "mail-1")
    for end in ("completed", "failed", "active"):
        data = {"to": f"{end}@example.com", "password": "hunter2"}
        queue.add("welcome", data, job_id=f"{end}-1", attempts=3)
        (job,) = hands.claim()
        if end == "completed":
            job.log("half way")
            hands.complete(job, {"sent": True})
        elif end == "failed":
            hands.fail(job, "ConnectionError: the relay is away")
            redis_client.hset("bull:emails:failed-1", "stacktrace", json.dumps([TRACE]))
    queue.add("welcome", {"to": "waiting@example.com"}, job_id="waiting-1")
    queue.add("welcome", {"to": "later@example.com"}, job_id="delayed-1", delay=3600)
    queue.add("urgent", {"to": "first@example.com"}, job_id="prioritized-1", priority=2)
    fleet.process(redis_client)
    return queue


def state_of(queue: Queue, job_id: str) -> Any:
    """The state a job is in now; None if it is gone."""
    job = queue.get_job(job_id)
    return job.get_state() if job else None
