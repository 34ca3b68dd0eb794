"""Who may watch what: every topic of the socket with every kind of visitor, as for the addresses.

The table is held against :data:`dashboard.live.state.FORMS`: a new topic without a rule fails.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from dashboard import links
from dashboard.live.state import FORMS, Topic, joined
from queuecore import Group, Queue, audit
from queuecore.models import Operation
from tests.dashboard import fleet
from tests.dashboard.test_live import Page, cookie_of
from tests.dashboard.test_live import application as application  # a fixture

Person = Callable[..., Client]


@dataclass(frozen=True, slots=True)
class Rule:
    """A topic of ``emails``, what it needs beside `view`, and what else its page asks for.

    ``outside``: what somebody gets in whose scope ``emails`` is not: ``gone`` where the topic does
    not exist for them, ``silent`` where it holds nothing of that queue.
    """

    topic: str
    ids: tuple[str, ...] = ()
    needs: str = ""
    outside: str = "gone"


RULES: dict[str, Rule] = {
    "overview": Rule("overview", ("summary", "default:emails"), outside="silent"),
    "queue": Rule("queue:default:emails", ("period:1h",)),
    "jobs": Rule("jobs:default:emails:failed", ("failed-1",)),
    "job": Rule("job:default:emails:failed-1"),
    "groups": Rule("groups:default:emails", ("acme",)),
    "group": Rule("group:default:emails:acme"),
    "schedulers": Rule("schedulers", ("default:emails:nightly",), outside="silent"),
    "scheduler": Rule("scheduler:default:emails:nightly"),
    "workers": Rule("workers", (f"default:{fleet.WORKER}",), outside="silent"),
    "worker": Rule(f"worker:default:{fleet.WORKER}", outside="silent"),
    "operations": Rule("operations", ("{operation}",), outside="silent"),
    "operation": Rule("operation:{operation}", outside="silent"),
    "system": Rule("system:default"),
    "audit": Rule("audit", ("newer:0?",), needs="view_audit", outside="silent"),
}
#: What nobody may watch, since it is none of the forms or nothing that there is.
NEVER = (
    *("queue:default", "queue:nowhere:emails", "jobs:default:emails:sent", "job:default:emails"),
    *("overview:default", "system:nowhere", "worker:nowhere:x", "nonsense", "queue::emails", ""),
)


@pytest.fixture
def night(emails: Queue, transactional_db: None) -> dict[str, str]:
    """The queue with all that topics speak of: what stands for the names in the rules."""
    emails.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    emails.add("export", group=Group("acme"))
    with audit.record(actor="ada", action="retry", alias="default", queue="emails") as entry:
        entry.result(count=1)
    at = timezone.now()
    made = Operation.objects.create(
        action="retry",
        connection="default",
        queue="emails",
        state="failed",
        bound=0,
        actor="ada",
        reason="the relay of emails is back",
        record="0" * 32,
        error="emails",
        created_at=at,
        updated_at=at,
    )
    return {"operation": str(made.pk)}


def asked(rule: Rule, night: dict[str, str]) -> tuple[str, list[str]]:
    return rule.topic.format(**night), [one.format(**night) for one in rule.ids]


def poll(client: Client, topic: str, ids: list[str]) -> Any:
    return client.get("/live/poll/", {"topic": topic, "id": ids})


def test_every_topic_has_a_rule() -> None:
    assert set(RULES) == set(FORMS)


@pytest.mark.parametrize("kind", RULES)
def test_polling_a_topic(kind: str, person: Person, night: dict[str, str]) -> None:
    rule = RULES[kind]
    topic, ids = asked(rule, night)
    assert poll(Client(), topic, ids).status_code == 401
    assert poll(person("retry", "view_audit", name="nobody"), topic, ids).status_code == 403
    needs = [rule.needs] if rule.needs else []
    if needs:
        assert poll(person("view", name="viewer"), topic, ids).json()["gone"]
    assert poll(person("view", *needs, name="whoever may"), topic, ids).json()["patches"]
    narrow = person("view", "view_audit", name="narrow", scope=("orders-*",))
    found = poll(narrow, topic, ids).json()
    assert ("gone" in found) is (rule.outside == "gone")
    assert "emails" not in json.dumps(found.get("patches", ()))


async def test_subscribing_to_all_topics(application, person: Person, night) -> None:
    """The same rules over the socket, which answers `gone` and nothing else."""
    texts = {kind: asked(rule, night) for kind, rule in RULES.items()}

    async def answers(*codenames: str, name: str, scope: tuple[str, ...] = ()) -> Page:
        await sync_to_async(person)(*codenames, name=name, scope=scope)
        user = await sync_to_async(get_user_model().objects.get)(username=name)
        page = await Page(application, await sync_to_async(cookie_of)(user)).open()
        for topic, ids in texts.values():
            await page.subscribe(topic, *ids)
        return page

    page = await answers("retry", name="nobody")
    assert await page.closed() == 4403
    assert page.messages == []

    every = {topic for topic, _ids in texts.values()}
    page = await answers("view", name="viewer")
    await page.until(lambda page: {one.get("topic") for one in page.messages} >= every)
    assert gone(page) == {texts[kind][0] for kind, rule in RULES.items() if rule.needs}
    await page.leave()

    page = await answers("view", "view_audit", name="auditor")
    await page.until(lambda page: {one.get("topic") for one in page.messages} >= every)
    assert gone(page) == set()
    await page.leave()

    page = await answers("view", "view_audit", name="narrow", scope=("orders-*",))
    hidden = {texts[kind][0] for kind, rule in RULES.items() if rule.outside == "gone"}
    await page.until(lambda page: gone(page) >= hidden)
    await page.silent(2)
    assert gone(page) == hidden
    patches = [one["patches"] for one in page.messages if "patches" in one]
    assert "emails" not in json.dumps(patches)
    await page.leave()


async def test_what_is_no_topic_is_refused_alike(application, person: Person, night) -> None:
    await sync_to_async(person)("view", "view_audit")
    user = await sync_to_async(get_user_model().objects.get)(username="olga")
    page = await Page(application, await sync_to_async(cookie_of)(user)).open()
    for topic in NEVER:
        await page.subscribe(topic)
    await page.until(lambda page: gone(page) >= set(NEVER))
    assert not [one for one in page.messages if "patches" in one]
    await page.leave()


def gone(page: Page) -> set[str]:
    return {one["topic"] for one in page.messages if one.get("gone")}


def test_names_with_colons_are_told_apart(admin: Client, server: Any) -> None:
    """Older peers gave such names; a topic's parts are joined by colons."""
    queue = Queue.existing("crm:50%:sync")
    queue.add("contact.push", {}, job_id="contact-1")
    queue.upsert_job_scheduler("full-sync", every=3600)
    for topic in (
        Topic("queue", "default", queue.name),
        Topic("jobs", "default", queue.name, "waiting"),
        Topic("job", "default", queue.name, id="contact-1:x"),
        Topic("scheduler", "default", queue.name, id="full:sync"),
    ):
        assert Topic.parse(str(topic)) == topic
    shown = joined("default", queue.name, "full-sync")
    assert f'data-live-id="{shown}"' in admin.get("/schedulers/").content.decode()
    listed = str(Topic("jobs", "default", queue.name, "waiting"))
    answer = admin.get("/live/poll/", {"topic": listed, "id": ["contact-1"]}).json()
    assert any("contact-1" in patch["id"] for patch in answer["patches"])
    page = f"{links.queue_url('/', 'default', queue.name)}jobs/?state=waiting"
    assert f'data-live-topic="{listed}"' in admin.get(page).content.decode()
