"""``queuecore.contrib.prometheus.metrics``: the figures of every queue, for those who may read."""

from typing import Any

import pytest
from django.test import Client
from django.urls import path
from prometheus_client.parser import text_string_to_metric_families

from queuecore import Queue
from queuecore.contrib.prometheus import metrics

urlpatterns = [path("metrics", metrics)]
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


def read(client: Client, token: str = "s3cret") -> Any:
    return client.get("/metrics", headers={"Authorization": f"Bearer {token}"})


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_who_may_read(client: Client, admin_client: Client, server: Any, settings: Any) -> None:
    answer = read(client, "")
    assert answer.status_code == 403  # no token is set: an empty one is none
    assert "METRICS_TOKEN" in answer.content.decode()
    assert admin_client.get("/metrics").status_code == 200
    settings.QUEUECORE = settings.QUEUECORE | {"METRICS_TOKEN": "s3cret"}
    assert client.get("/metrics").status_code == 403
    assert read(client, "s3cres").status_code == 403
    assert read(client).status_code == 200
    assert read(client, "\u00e9").status_code == 403


def test_the_figures(client: Client, server: Any, settings: Any) -> None:
    connections = settings.QUEUECORE["CONNECTIONS"] | {"other": {"URL": "redis://127.0.0.1:1"}}
    settings.QUEUECORE = settings.QUEUECORE | {
        "METRICS_TOKEN": "s3cret",
        "CONNECTIONS": connections,
    }
    odd = 'a "b"\\c'
    Queue("q").add("x")
    Queue("q").add("x", delay=3600)
    Queue("q").pause()
    Queue(odd).add("x")
    found = samples(read(client).content.decode())

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    of = {"connection": "default", "queue": "q"}
    assert value("bullmq_job_count", **of, state="delayed") == 1
    assert value("queuecore_queue_paused", **of) == 1
    assert value("queuecore_queue_oldest_wait_seconds", **of) >= 0
    assert value("bullmq_job_count", connection="default", queue=odd, state="waiting") == 1
    assert value("queuecore_redis_up", connection="default") == 1
    assert value("queuecore_redis_up", connection="other") == 0
    assert value("queuecore_outbox_waiting", database="default") == 0
