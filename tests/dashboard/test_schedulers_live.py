"""Schedulers over the socket: patched as they change, and shown to those alone who may see them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from dashboard.live import sources
from queuecore import Queue
from tests.dashboard.test_live import application, make_user, pages  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db(transaction=True)

OFTEN = "default:emails:often"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources are read more often than on a page."""
    for kind in ("schedulers", "scheduler"):
        monkeypatch.setitem(sources.SOURCES, kind, replace(sources.SOURCES[kind], period=0.3))


def make() -> None:
    Queue("emails").upsert_job_scheduler("often", every=600)
    Queue("orders").upsert_job_scheduler("other", every=600)


async def test_rows_and_the_page_of_one_are_patched(pages: Any, emails: Queue) -> None:  # noqa: F811
    await sync_to_async(make)()
    page = await pages(await sync_to_async(make_user)("olga", "view"))
    await page.subscribe("schedulers", OFTEN, "default:orders:other")
    await page.subscribe("scheduler:default:emails:often")
    key = "s~~default~~emails~~often~~next"
    await page.until(lambda p: key in p.shown and "scheduler-state" in p.shown)
    assert "2 in 2 queues" in page.shown["schedulers-head"]
    assert 'data-scheduler="on"' in page.shown["scheduler-state"]
    await emails.apause_job_scheduler("often")
    await page.until(lambda p: "Paused" in p.shown[key])
    await page.until(lambda p: 'data-scheduler="paused"' in p.shown["scheduler-state"])
    await emails.aremove_job_scheduler("often")
    await page.until(lambda p: "removed" in p.shown[key])
    await page.until(lambda p: 'data-scheduler="gone"' in p.shown["scheduler-state"])


async def test_a_page_made_after_an_action_is_not_put_back(
    pages: Any,  # noqa: F811
    emails: Queue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read before it was made is younger nowhere; the next look is a minute away."""
    source = replace(sources.SOURCES["scheduler"], period=60.0)
    monkeypatch.setitem(sources.SOURCES, "scheduler", source)
    await sync_to_async(make)()
    user = await sync_to_async(make_user)("olga", "view")
    topic = "scheduler:default:emails:often"
    first, second = await pages(user), await pages(user)
    await first.subscribe(topic)
    await first.until(lambda p: 'data-scheduler="on"' in p.shown.get("scheduler-state", ""))
    await emails.apause_job_scheduler("often")
    first.messages.clear()
    for page in (second, first):  # another tab, and the one whose form was sent
        await page.subscribe(topic)
    for page in (second, first):
        await page.until(lambda p: 'data-scheduler="paused"' in p.shown.get("scheduler-state", ""))
        assert 'data-scheduler=\\"on' not in json.dumps(page.messages)
        assert "scheduler-facts" in json.dumps(page.messages)


async def test_what_is_out_of_scope_is_in_no_patch(pages: Any, emails: Queue) -> None:  # noqa: F811
    await sync_to_async(make)()
    page = await pages(
        await sync_to_async(make_user)("olga", "view", "view_payload", scope=["orders"])
    )
    await page.subscribe("scheduler:default:emails:often")
    await page.subscribe("schedulers", OFTEN, "default:orders:other")
    await page.until(lambda p: "s~~default~~orders~~other~~next" in p.shown)
    assert "1 in 1 queue" in page.shown["schedulers-head"]
    assert not any("often" in str(message.get("patches")) for message in page.messages)
    gone = {message["topic"] for message in page.messages if message.get("gone")}
    assert gone == {"scheduler:default:emails:often"}


async def test_errors_of_runs_are_part_of_the_payload(pages: Any, emails: Queue) -> None:  # noqa: F811
    from tests.server.hands import Hands

    def fail() -> None:
        make()
        hands = Hands(emails, "mail-9")
        while True:
            (job,) = hands.claim()
            if job.repeat_job_key:
                hands.fail(job, "ValueError: of a customer")
                return
            hands.complete(job, None)

    await sync_to_async(fail)()
    shown = []
    for name, more in (("ole", ()), ("pia", ("view_payload",))):
        page = await pages(await sync_to_async(make_user)(name, "view", *more))
        await page.subscribe("scheduler:default:emails:often")
        await page.until(lambda p: "Failed" in p.shown.get("scheduler-runs", ""))
        shown.append(page.shown["scheduler-runs"])
    assert ["of a customer" in one for one in shown] == [False, True]
