"""Foreign texts on every page and over the socket: shown, and nothing but texts.

``PAGES`` and ``TOPICS`` name each address that can be read and each topic with the places of
:mod:`tests.dashboard.planting` whose texts it shows. A page that is missing here fails, and so does
one that does not show what it is said to: it would not have been tried with hostile texts.
"""

import re
from collections.abc import Callable
from html import unescape

import pytest
import redis
from django.test import Client
from django.utils.http import urlencode

from dashboard import links
from dashboard.live.state import FORMS, ID_LENGTH
from dashboard.pages.job import _TABS as TABS
from tests.dashboard.addresses import APART
from tests.dashboard.addresses import PAGES as ADDRESSES
from tests.dashboard.hostile import CORPUS, PageReader, assert_harmless
from tests.dashboard.planting import Planted, plant
from tests.dashboard.test_live import application as application  # a fixture
from tests.servers import Server

TOPICS_OF_A_SOCKET = 18
Made = Callable[[Planted], list[str]]

#: Address -> (paths, the places whose texts they show).
PAGES: dict[str, tuple[Made, set[str]]] = {
    "overview": (lambda p: ["/", "/?table=1"], {"queue", "counted-name", "error-kind"}),
    "queues": (lambda p: ["/queues/", f"/queues/?{q(p.queue)}"], {"queue"}),
    "confirm_queues": (
        lambda p: [f"/bulk/queues/confirm/pause/?id=default/{p.url.split('/')[2]}"], {"queue"},
    ),
    "queue": (
        lambda p: [p.url, f"{p.url}?{urlencode({'job': p.job})}"],
        {"queue", "pause-reason", "pause-by", "group", "limit", "counted-name", "error-kind",
         "error-message", "error-frame"},
    ),
    "groups": (lambda p: [f"{p.url}groups/", f"{p.url}groups/?{q(p.group)}"], {"queue", "group"}),
    "group": (lambda p: [p.group_url], {"queue", "group", "grouped", "name"}),
    "confirm_named_limit": (
        lambda p: [f"{p.url}confirm/limits/{links.encode(p.limit)}/"], {"queue", "limit"},
    ),
    "confirm_pause_group": (lambda p: [f"{p.group_url}confirm/pause/"], {"queue", "group"}),
    "confirm_group_limits": (lambda p: [f"{p.group_url}confirm/limits/"], {"queue", "group"}),
    "confirm_empty_group": (lambda p: [f"{p.group_url}confirm/empty/"], {"queue", "group"}),
    "confirm_stop_group": (lambda p: [f"{p.group_url}confirm/stop/"], {"queue", "group"}),
    "jobs": (
        lambda p: [
            f"{p.url}jobs/?state=failed",
            f"{p.url}jobs/?state=active",
            f"{p.url}jobs/?state=delayed",
            f"{p.url}jobs/?state=waiting-children",
            f"{p.url}jobs/?state=failed&{q(p.job)}",
        ],
        {"queue", "job", "name", "reason", "data", "progress", "child", "parent", "group"},
    ),
    "job": (
        lambda p: [
            *(f"{p.job_url}?tab={tab}" for tab in TABS),
            f"{p.url}jobs/{links.encode(p.grouped)}/",
        ],
        {"queue", "job", "name", "reason", "data", "result", "option", "log", "stack", "field",
         "worker", "scheduler", "parent", "actor", "group", "grouped"},
    ),
    "go": (lambda p: [f"/go/?{q(p.queue)}"], set()),
    "suggest": (lambda p: [f"/go/suggest/?{q(p.queue)}", f"/go/suggest/?{q(p.job)}"], {"queue"}),
    "audit": (
        lambda p: ["/audit/", f"/audit/?{urlencode({'actor': p.queue, 'queue': p.queue})}"],
        {"queue", "actor", "action", "target", "address", "audit-reason"},
    ),
    "audit_entry": (
        lambda p: [f"/audit/{p.record}/"],
        {"queue", "actor", "action", "target", "address", "audit-reason", "params", "outcome"},
    ),
    "system": (lambda p: ["/system/"], {"queue", "slow"}),
    "integrity": (lambda p: ["/system/integrity/"], {"queue", "job", "orphan"}),
    "confirm_repair": (
        lambda p: [f"/system/confirm/repair/?{urlencode({'queue': p.queue})}"],
        {"queue"},
    ),
    "workers": (lambda p: ["/workers/"], {"queue", "host", "active", "queuecore", "python"}),
    "worker": (
        lambda p: [f"/workers/{p.worker}/"], {"queue", "host", "active", "running-name", "django"},
    ),
    "confirm_workers": (
        lambda p: [f"/workers/confirm/drain/?id=default:{p.worker}"], {"queue"},
    ),
    "operations": (
        lambda p: ["/operations/"], {"queue", "filter", "operator", "operation-reason"},
    ),
    "operation": (
        lambda p: [f"/operations/{p.operation.pk}/"],
        {"queue", "filter", "operator", "operation-reason", "operation-error", "failure-id",
         "failure-reason"},
    ),
    "confirm_operation": (
        lambda p: [f"{p.url}operations/confirm/?action=retry&state=failed&q={part(p.job)}"],
        {"queue"},
    ),
    "schedulers": (
        lambda p: ["/schedulers/", f"/schedulers/?{q(p.queue)}"],
        {"queue", "scheduler", "pattern", "zone"},
    ),
    "scheduler": (
        lambda p: [p.scheduler_url], {"queue", "scheduler", "pattern", "zone", "template"},
    ),
    "new_scheduler": (
        lambda p: [f"/schedulers/new/?{urlencode({'queue': f'default:{p.queue}'})}"], {"queue"},
    ),
    "edit_scheduler": (
        lambda p: [f"{p.scheduler_url}edit/"], {"queue", "scheduler", "pattern", "zone"},
    ),
    "preview_schedule": (
        lambda p: [
            "/schedulers/preview/?"
            + urlencode({"kind": "pattern", "pattern": p.scheduler, "tz": p.scheduler})
        ],
        set(),
    ),
    "confirm_pause_scheduler": (
        lambda p: [f"{p.scheduler_url}confirm/pause/"], {"queue", "scheduler"},
    ),
    "confirm_remove_scheduler": (
        lambda p: [f"{p.scheduler_url}confirm/remove/"], {"queue", "scheduler"},
    ),
    "confirm_run_scheduler": (
        lambda p: [f"{p.scheduler_url}confirm/run/"], {"queue", "scheduler"},
    ),
    "confirm_mute": (lambda p: [f"{p.url}confirm/mute/?kind=paused"], {"queue"}),
    "confirm_unmute": (lambda p: [f"{p.url}confirm/unmute/?kind=paused"], {"queue"}),
    "confirm_pause": (lambda p: [f"{p.url}confirm/pause/"], {"queue"}),
    "confirm_resume": (lambda p: [f"{p.url}confirm/resume/"], {"queue"}),
    "confirm_clean": (lambda p: [f"{p.url}confirm/clean/"], {"queue"}),
    "confirm_limits": (lambda p: [f"{p.url}confirm/limits/"], {"queue"}),
    "deduplication": (lambda p: [f"{p.url}deduplication/"], {"queue", "deduplication", "job"}),
    "confirm_remove": (lambda p: [f"{p.job_url}confirm/remove/"], {"queue", "job", "name"}),
    "job_value": (lambda p: [f"{p.job_url}value/data/", f"{p.job_url}value/result/"], {"data"}),
    "confirm_cancel": (lambda p: [f"{p.running_url}confirm/cancel/"], {"queue", "active"}),
    "confirm_priority": (lambda p: [f"{p.job_url}confirm/priority/"], set()),
    "confirm_delay": (lambda p: [f"{p.job_url}confirm/delay/"], set()),
    "confirm_note": (lambda p: [f"{p.job_url}confirm/note/"], {"queue", "job"}),
    "confirm_data": (lambda p: [f"{p.job_url}confirm/data/"], {"queue", "job", "data"}),
    "confirm_duplicate": (
        lambda p: [f"{p.job_url}confirm/duplicate/"], {"queue", "job", "name", "data"},
    ),
    "of_connection": (lambda p: ["/@elsewhere/"], set()),
    "healthz": (lambda p: ["/healthz"], set()),
    "readyz": (lambda p: ["/readyz"], set()),
    "preferences": (lambda p: ["/preferences/"], set()),
    "live_poll": (lambda p: [f"/live/poll/?{urlencode({'topic': p.queue})}"], set()),
    "login": (lambda p: [f"/login/?{urlencode({'next': p.queue})}"], set()),
    "missing": (lambda p: ["/queues/nothing/here/"], set()),
}  # fmt: skip
#: They answer a POST alone, and lead to one of the pages above.
ACTS = {name for name, (method, _needs) in ADDRESSES.items() if method == "POST"}
ACTS |= {"logout", "steer_operation"}

#: Kind of topic -> (texts and ids on screen, the places whose texts its patches show).
TOPICS: dict[str, tuple[Callable[[Planted], list[tuple[str, list[str]]]], set[str]]] = {
    "overview": (
        lambda p: [("overview", ["summary", "sparks", "table:1h", f"default:{p.queue}"])],
        {"queue", "counted-name", "error-kind"},
    ),
    "queue": (
        lambda p: [(f"queue:default:{p.queue}", ["period:1h", "panels"])],
        {"pause-reason", "pause-by", "group", "limit", "counted-name", "error-kind",
         "error-message",
         "error-frame"},
    ),
    "jobs": (
        lambda p: [
            (f"jobs:default:{p.queue}:failed", [p.job]),
            (f"jobs:default:{p.queue}:active", [p.running]),
        ],
        {"reason"},
    ),
    "job": (
        lambda p: [(f"job:default:{p.queue}:{p.job}", [])],
        {"log", "reason", "cancel-by", "cancel-reason"},
    ),
    "groups": (lambda p: [(f"groups:default:{p.queue}", [p.group])], set()),
    "group": (lambda p: [(f"group:default:{p.queue}:{p.group}", [])], set()),
    "schedulers": (lambda p: [("schedulers", [f"default:{p.queue}:{p.scheduler}"])], {"queue"}),
    "scheduler": (lambda p: [(f"scheduler:default:{p.queue}:{p.scheduler}", [])], set()),
    "workers": (lambda p: [("workers", [f"default:{p.worker}"])], {"active", "python"}),
    "worker": (lambda p: [(f"worker:default:{p.worker}", [])], {"active", "running-name"}),
    "operations": (lambda p: [("operations", [str(p.operation.pk)])], set()),
    "operation": (
        lambda p: [(f"operation:{p.operation.pk}", [])],
        {"operation-error"},
    ),
    "system": (lambda p: [("system:default", [])], {"queue", "slow"}),
    "audit": (lambda p: [("audit", [f"record:{p.record}", "newer:0?"])], set()),
}  # fmt: skip

# Names in attributes are as they are, since forms send them back; what is read is visible.
UNSEEN = re.compile("[\x07\x1b\x7f\u200b\u202e\u2066]")


def q(text: str) -> str:
    return urlencode({"q": text})


def part(text: str) -> str:
    return urlencode({"": text})[1:]


def bare(page: str) -> str:
    """What is read on a page."""
    return unescape(re.sub(r"<[^>]*>", "", page))


def opened(client: Client, path: str) -> str | None:
    """The page at *path*; a refusal or a search that leads elsewhere is an answer, too.

    None for what no browser takes for a page: JSON, and a value to be kept as a file.
    """
    answer = client.get(path)
    assert answer.status_code in (200, 302, 400, 404), (path, answer.status_code)
    assert answer["X-Content-Type-Options"] == "nosniff"
    if answer["Content-Type"].startswith("text/html"):
        return answer.content.decode()
    kept = answer.get("Content-Disposition", "").startswith("attachment")
    assert kept or answer["Content-Type"].startswith("application/json"), path
    return None


def patches_of(client: Client, topic: str, ids: list[str]) -> dict[str, str]:
    ids = [one for one in ids if len(one) <= ID_LENGTH]  # live.js asks with no longer ones
    body = client.get("/live/poll/", {"topic": topic, "id": ids}).json()
    assert "gone" not in body, topic
    return {one["id"]: one.get("html", one.get("text", "")) for one in body["patches"]}


def test_every_page_and_topic_is_tried() -> None:
    assert set(PAGES) | ACTS == set(ADDRESSES) | APART
    assert set(TOPICS) == set(FORMS)
    assert len(CORPUS) >= 60


def test_every_page_shows_what_it_is_tried_with(
    admin: Client, server: Server, redis_client: redis.Redis
) -> None:
    asked: set[str] = set()

    def word(place: str) -> str:
        asked.add(place)
        return f"Z{place}Z"

    planted = plant(redis_client, word)
    seen: set[str] = set()
    missing = {}
    for name, (paths, shown) in PAGES.items():
        text = "".join(admin.get(path).content.decode() for path in paths(planted))
        found = {place for place in asked if f"Z{place}Z" in text}
        seen |= found
        if shown - found:
            missing[name] = shown - found
    for kind, (topics, shown) in TOPICS.items():
        text = "".join("".join(patches_of(admin, *one).values()) for one in topics(planted))
        found = {place for place in asked if f"Z{place}Z" in text}
        if shown - found:
            missing[f"topic {kind}"] = shown - found
    assert missing == {}
    assert asked - seen <= {"lock", "telemetry", "client", "child-result", "child-reason"}


# A sixth of them in the quick tier, all in the long one.
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, marks=() if at % 6 == 0 else pytest.mark.slow)
        for at, text in enumerate(CORPUS)
    ],
)
def test_a_hostile_text_is_a_text_everywhere(
    text: str, admin: Client, server: Server, redis_client: redis.Redis
) -> None:
    planted = plant(redis_client, lambda place: text)
    for paths, _shown in PAGES.values():
        for path in paths(planted):
            page = opened(admin, path)
            if page is None:
                continue
            reader = PageReader()
            reader.feed(page)
            assert reader.bad == [], (path, reader.bad)
            found = UNSEEN.search(bare(page))
            assert not found, (path, bare(page)[max(found.start() - 200, 0) : found.end() + 50])
    for topics, _shown in TOPICS.values():
        for topic, ids in topics(planted):
            for id, markup in patches_of(admin, topic, ids).items():
                assert_harmless(markup)
                assert " " not in id, id
