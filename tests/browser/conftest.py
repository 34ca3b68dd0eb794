"""A real web server and a real browser; a test fails on any console error or policy violation."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from playwright.async_api import async_playwright

from queuecore import Queue
from tests import machine
from tests.browser.remote import Loop, Remote
from tests.dashboard.conftest import emails, person  # noqa: F401 - fixtures
from tests.server.processes import Start, starting
from tests.servers import LAUNCHER, Server

START_SECONDS = 30


class Site:
    """A web server process: ``url``; ``log`` is what it wrote."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self._command = [part.replace("PORT", str(port)) for part in command]
        if sys.platform == "linux":  # it must not outlive the tests, however they end
            launcher = [sys.executable, "-IS", "-c", LAUNCHER, str(os.getpid())]
            self._command = launcher + self._command
        self._environment = environment
        self.start()

    def start(self) -> None:
        """Start it: again, once it was closed, at the same address."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=machine.ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/login/", timeout=5).close()
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)  # between two tries; the deadline ends it
        raise RuntimeError(f"The web server did not start:\n{self.log.read_text()}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


DAPHNE = ["-m", "daphne", "-b", "127.0.0.1", "-p", "PORT", "config.asgi:application"]


@pytest.fixture(scope="session")
def environment(server: Server, django_db_setup: None, django_db_blocker: Any) -> dict[str, str]:
    """The environment of a web server: the test's own database and queues."""
    from django.db import connection

    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.browser.settings",
        "QUEUECORE_TEST_HOME": settings.HOME.as_posix(),
        "QUEUECORE_TEST_DATABASE": str(connection.settings_dict["NAME"]),
        "QUEUECORE_TEST_URL": server.url,
        "PYTHONPATH": str(machine.ROOT),
        "PYTHONUNBUFFERED": "1",
    }


# One a module: it counts queues once a second, which tests elsewhere that count commands would see.
@pytest.fixture(scope="module")
def site(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Daphne with the project, as ``make demo`` runs it."""
    log = tmp_path_factory.mktemp("web") / "log"
    site = Site([sys.executable, *DAPHNE], environment, log)
    yield site
    site.close()


@pytest.fixture(scope="session")
def browser(browser_path: Path) -> Iterator[Remote]:
    """A headless Chromium."""
    loop = Loop()
    manager = async_playwright()
    playwright = loop.call(manager.start)
    browser = playwright.chromium.launch(
        executable_path=browser_path, args=["--no-sandbox", "--disable-dev-shm-usage"]
    )
    yield browser
    browser.close()
    playwright.stop()
    loop.close()


class Visitor:
    """Somebody with a browser: ``page``; ``signed_in`` names who; ``troubles`` must stay empty."""

    def __init__(self, context: Remote, url: str) -> None:
        self.context = context
        self.url = url
        self.troubles: list[str] = []
        self.expected: tuple[str, ...] = ()
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => console.error("
            "'CSP: ' + event.violatedDirective + ' ' + event.blockedURI));"
        )
        self.page = self.open()

    def open(self) -> Remote:
        """A further tab."""
        page = self.context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._console)
        return page

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.text} ({message.location.get('url', '')})")

    def go(self, path: str) -> Remote:
        """Open *path* and return the page."""
        self.page.goto(self.url + path)
        return self.page

    def go_until(self, path: str, text: str) -> Remote:
        """Open *path* again and again until it holds *text*: the server looks for new queues only
        every other second, and no page inserts rows by itself."""
        deadline = time.monotonic() + 20
        while True:
            page = self.go(path)
            if text in page.locator("main").inner_text() or time.monotonic() > deadline:
                return page

    def sign_in(self, client: Client) -> "Visitor":
        """Take over the session of a Django test client."""
        self.context.add_cookies(
            [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": self.url}]
        )
        return self


@pytest.fixture
def visit(browser: Remote, site: Site, transactional_db: None) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors: ``visit(theme="dark", width=390)``; none may have met any trouble."""
    visitors: list[Visitor] = []

    def make(
        *, theme: str = "light", width: int = 1440, height: int = 900, url: str = "", **options: Any
    ) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            **options,
        )
        visitors.append(Visitor(context, url or site.url))
        return visitors[-1]

    yield make
    troubles = []
    for visitor in visitors:
        visitor.context.close()
        troubles += [
            one
            for one in visitor.troubles
            if not any(expected in one for expected in visitor.expected)
        ]
    assert troubles == [], troubles


@pytest.fixture
def ada(visit: Callable[..., Visitor]) -> Callable[..., Visitor]:
    """Makes a visitor who is signed in and may do everything."""
    user = get_user_model().objects.create_superuser("ada", password="correct horse")

    def make(**options: Any) -> Visitor:
        client = Client()
        client.force_login(user)
        return visit(**options).sign_in(client)

    return make


@pytest.fixture
def start(child_environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts ``runworker`` processes."""
    yield from starting(child_environment, tmp_path)


@pytest.fixture
def many(emails: Queue) -> Queue:  # noqa: F811
    """The queue ``emails`` with sixty failed jobs more."""
    from tests.server.hands import Hands

    hands = Hands(emails, "mail-2")
    for number in range(60):
        emails.add("receipt", {"order": f"ord-{number:03}"}, job_id=f"r-{number:03}", lifo=True)
        (job,) = hands.claim()
        hands.fail(job, "ConnectionError: the relay is away")
    return emails
