"""Hostile texts in a real browser: no node, no dialog, no report, on any page."""

from collections.abc import Callable
from typing import Any

import redis

from tests.browser.conftest import Visitor
from tests.dashboard.hostile import CORPUS
from tests.dashboard.planting import plant
from tests.dashboard.test_hostile import PAGES

#: Of the corpus what only a browser's own parser can judge; places take turns with them.
SOME = [text for text in CORPUS if "qcx" in text and len(text) < 200]
#: No pages: a file, and answers for our scripts.
APART = {"job_value", "live_poll", "suggest"}
FOUND = """() => [
    ...[...document.querySelectorAll("*")]
        .filter((one) => one.localName.includes("qcx")
            || one.getAttributeNames().some((name) => name.includes("qcx") || /^on/.test(name)))
        .map((one) => one.outerHTML.slice(0, 200)),
    ...(window.qcx ? ["a script ran"] : []),
]"""


def test_every_page_shows_them_as_texts(
    ada: Callable[..., Visitor], server: Any, redis_client: redis.Redis
) -> None:
    turns: dict[str, str] = {}

    def text(place: str) -> str:
        return turns.setdefault(place, SOME[len(turns) * 7 % len(SOME)])

    planted = plant(redis_client, text)
    visitor = ada()
    visitor.expected = ("404 (Not Found)", "400 (Bad Request)")
    dialogs: list[str] = []
    visitor.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    seen = ""
    for name, (paths, _shown) in PAGES.items():
        for path in paths(planted) if name not in APART else ():
            page = visitor.go(path)
            assert page.evaluate(FOUND) == [], path
            seen += page.locator("body").inner_text()
    assert dialogs == []
    shown = [one for one in turns.values() if one in seen]
    assert len(shown) > 20, "the pages have not shown what they were tried with"


def test_patches_leave_them_texts(
    ada: Callable[..., Visitor], server: Any, redis_client: redis.Redis
) -> None:
    evil = "<img src=x qcx onerror=alert(qcx=1)>"
    planted = plant(redis_client, lambda place: evil)
    visitor = ada()
    page = visitor.go(planted.job_url)
    page.locator('[data-live-badge][data-state="live"]').wait_for()
    key = f"bull:{planted.queue}:{planted.job}"
    redis_client.hset(key, "progress", f'"{evil}"')
    redis_client.hset(key, "failedReason", f"second {evil}")
    redis_client.xadd(f"bull:{planted.queue}:events", {"event": "progress", "jobId": planted.job})
    page.get_by_text(f"second {evil}").first.wait_for()
    assert page.evaluate(FOUND) == []
