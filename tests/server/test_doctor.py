"""``manage.py queues doctor``: what it prints, exit codes, and the rows that a repair writes."""

import json

import pytest
import redis
from django.core.management import CommandError, call_command

from queuecore import Queue, audit_log
from queuecore.access import Scope
from queuecore.management.queues.subcommand import actor
from queuecore.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def damaged(redis_client: redis.Redis) -> Queue:
    Queue("orders").add("x")
    queue = Queue("q")
    queue.add("x", job_id="sound")
    redis_client.rpush("bull:q:wait", "ghost")
    redis_client.set("bull:q:sound:lock", "w:1")
    redis_client.hset("bull:q:odd", "timestamp", "1")
    return queue


def test_it_says_what_it_finds_and_changes_nothing(
    damaged: Queue, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="3 findings; see"):
        call_command("queues", "doctor")
    shown = capsys.readouterr().out
    for line in ("default:q: ghost 1: ghost", "default:q: lock 1: sound", "default:q: unknown 1"):
        assert line in shown
    assert "of 2 queues in" in shown
    assert redis_client.exists("bull:q:sound:lock")
    assert not AuditEntry.objects.exists()
    call_command("queues", "doctor", "orders")


def test_a_repair_is_on_record_as_the_page_writes_it(
    damaged: Queue, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError, match="1 findings are left"):
        call_command("queues", "doctor", "--repair", "--reason", "after the restore")
    assert "default:q: lock 1 (repaired 1): sound" in capsys.readouterr().out
    assert not redis_client.exists("bull:q:sound:lock")
    (row,) = audit_log.page(Scope())
    assert (row.actor, row.action, row.alias, row.queue) == (
        actor(),
        "repair",
        "default",
        "q",
    )
    assert (row.reason, row.count) == ("after the restore", 2)
    assert row.result["repaired"] == {"ghost": 1, "lock": 1}
    redis_client.delete("bull:q:odd")
    call_command("queues", "doctor")


def test_one_queue_one_kind_as_json(
    damaged: Queue, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CommandError):
        call_command("queues", "doctor", "default:q", "--kind", "lock", "--json")
    assert json.loads(capsys.readouterr().out) == [
        {"connection": "default", "queue": "q", "kind": "lock", "id": "sound", "detail": ""}
    ]
    call_command("queues", "doctor", "q", "--kind", "lock", "--repair")
    assert redis_client.lrange("bull:q:wait", 0, -1)[-1] == "ghost"
    with pytest.raises(CommandError, match="no queue 'qq'"):
        call_command("queues", "doctor", "qq")
