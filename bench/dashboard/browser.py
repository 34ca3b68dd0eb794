"""What a person sees: a real browser on a queue's page, and when a number on it changes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.dashboard.site import Site
from bench.trials import BenchError

# Notes when a card's number first said something.
WATCH = """() => {
  window.seen = new Map();
  const note = () => {
    for (const card of document.querySelectorAll('[id^="card-"]')) {
      const said = card.id + ":" + card.textContent.trim();
      if (!window.seen.has(said)) window.seen.set(said, Date.now());
    }
  };
  new MutationObserver(note).observe(document.querySelector(".cards"),
    {subtree: true, childList: true, characterData: true});
}"""


def event_to_browser(site: Site, cookie: str, queue: str, count: int, path: Path) -> list[float]:
    """Milliseconds from a job's adding or completing to the new number on an open page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = browser.new_context()
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": site.url}])
        page = context.new_page()
        page.goto(f"{site.url}/queues/{queue}/")
        page.evaluate(WATCH)
        time.sleep(3)  # the socket is open, and the first patches are behind it
        took = list(_watch(page, queue, count))
        browser.close()
    return took


def _watch(page: Any, queue: str, count: int) -> Iterator[float]:
    from queuecore import Queue
    from tests.server.hands import Hands

    target, dice = Queue(queue), random.Random(2)
    hands = Hands(target, "browser")
    for number in range(count):
        job = _alone(hands.claim)[0] if number % 2 else None
        time.sleep(0.6 + dice.random())
        counts = _alone(target.get_job_counts)
        state = "completed" if job else "waiting"
        said = f"card-{state}:{counts[state] + 1}"
        page.evaluate("() => window.seen.clear()")
        begun = time.time()
        if job:
            _alone(hands.complete, job)
        else:
            _alone(target.add, "send-mail", {"n": 1})
        try:
            seen = page.wait_for_function(
                "(said) => window.seen.get(said)", arg=said, polling=20, timeout=10_000
            )
        except Exception as error:
            raise BenchError(f"the browser does not show {said}: {error}") from error
        yield seen.json_value() - begun * 1000


def _alone(act: Callable[..., Any], *args: Any) -> Any:
    # Playwright keeps an event loop in this thread, in which nothing of ours may block.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act, *args).result()
