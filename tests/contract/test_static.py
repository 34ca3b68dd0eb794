"""Static files of the project: served in the event loop, as they are and compressed; and daphne,
told to end with requests under way, does.
"""

import contextlib
import gzip
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory

from config.static import StaticFiles
from tests.machine import ROOT

# The project with one page more, which answers after an hour.
SETTINGS = """
from config.settings import *

ROOT_URLCONF = "slow_urls"
"""
URLS = """
import asyncio

from django.urls import path

from config.urls import urlpatterns as rest

async def wait(request):
    print("it waits")
    await asyncio.sleep(3600)

urlpatterns = [path("wait/", wait), *rest]
"""


@pytest.fixture
def files(tmp_path: Path, settings: Any) -> Path:
    """A folder that is served."""
    settings.STATIC_ROOT = tmp_path
    settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = False
    (tmp_path / "page.css").write_bytes(b"body {}\n" * 30_000)
    (tmp_path / "page.css.gz").write_bytes(gzip.compress((tmp_path / "page.css").read_bytes()))
    return tmp_path


async def rest(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the rest")


async def body(response: Any) -> bytes:
    if not response.streaming:
        return bytes(response.content)
    found = b"".join([piece async for piece in response])
    response.close()
    return found


async def ask(middleware: StaticFiles, path: str, method: str = "get", **headers: str) -> Any:
    request = getattr(AsyncRequestFactory(), method)(path, headers=headers)
    answer = middleware(request)
    assert isinstance(answer, Awaitable)
    return await answer


class TestInTheEventLoop:
    """pytest makes an error of every warning, of Django's about streams that block, say."""

    async def test_a_file(self, files: Path) -> None:
        answer = await ask(StaticFiles(rest), "/static/page.css")
        assert answer.is_async
        assert await body(answer) == (files / "page.css").read_bytes()
        assert answer["Content-Type"].startswith("text/css")

    async def test_a_compressed_file(self, files: Path) -> None:
        answer = await ask(StaticFiles(rest), "/static/page.css", accept_encoding="gzip")
        assert answer["Content-Encoding"] == "gzip"
        assert gzip.decompress(await body(answer)) == (files / "page.css").read_bytes()

    async def test_a_part(self, files: Path) -> None:
        answer = await ask(StaticFiles(rest), "/static/page.css", range="bytes=5-9")
        assert (answer.status_code, await body(answer)) == (206, b"{}\nbo")

    async def test_answers_without_a_body(self, files: Path) -> None:
        middleware = StaticFiles(rest)
        head = await ask(middleware, "/static/page.css", "head")
        assert (head.status_code, await body(head)) == (200, b"")
        same = await ask(middleware, "/static/page.css", if_modified_since=head["Last-Modified"])
        assert (same.status_code, await body(same)) == (304, b"")

    async def test_the_file_is_closed_with_the_answer(self, files: Path) -> None:
        answer = await ask(StaticFiles(rest), "/static/page.css")
        answer.close()  # as by a browser that goes away: pytest finds a file left open

    async def test_what_is_no_file(self, files: Path) -> None:
        assert await body(await ask(StaticFiles(rest), "/static/none.css")) == b"the rest"

    async def test_with_debug_files_are_served_from_where_they_lie(self, settings: Any) -> None:
        settings.WHITENOISE_USE_FINDERS = settings.WHITENOISE_AUTOREFRESH = True
        answer = await ask(StaticFiles(rest), "/static/queuecore_dashboard/live.js")
        assert await body(answer) == (ROOT / "static/queuecore_dashboard/live.js").read_bytes()


def test_in_threads_as_whitenoise_does(files: Path) -> None:
    middleware = StaticFiles(lambda request: HttpResponse("the rest"))
    answer: Any = middleware(RequestFactory().get("/static/page.css"))
    assert b"".join(answer) == (files / "page.css").read_bytes()
    answer.close()
    other: Any = middleware(RequestFactory().get("/"))
    assert other.content == b"the rest"


class Web:
    """daphne on the project in *folder*, and what it says."""

    def __init__(self, folder: Path, debug: bool) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "slow_settings",
            "DJANGO_DEBUG": str(int(debug)),
            "DJANGO_SECRET_KEY": "long",
            "QUEUECORE_URL": "redis://127.0.0.1:1",
        }
        self.folder = folder
        self.log = folder / "web.log"
        if not debug:
            assert self.run("manage.py", "collectstatic", "--no-input").wait() == 0, self.said
        self.process = self.run("-m", "daphne", "-p", self.port, "config.asgi:application")

    @property
    def said(self) -> str:
        return self.log.read_text()

    def run(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-W", "default", *arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    def until(self, so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not so():
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(self.said)
            time.sleep(0.02)  # between two looks; the deadline ends it

    def until_it_serves(self) -> None:
        def serves() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(self.port))) == 0

        self.until(serves)

    def get(self, path: str, **headers: str) -> tuple[http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200, (path, answer.status)
            return answer.headers, answer.read()


@pytest.fixture(params=["without debug", "with debug"])
def web(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Web]:
    for name in ("config", "dashboard", "demo", "queuecore", "static", "templates"):
        ignore = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "manage.py", tmp_path)
    (tmp_path / "slow_settings.py").write_text(SETTINGS)
    (tmp_path / "slow_urls.py").write_text(URLS)
    web = Web(tmp_path, debug=request.param == "with debug")
    try:
        web.until_it_serves()
        yield web
    finally:
        web.process.kill()
        web.process.wait()


def test_daphne_serves_files_and_ends_with_requests_under_way(web: Web) -> None:
    _, page = web.get("/login/")
    (path,) = re.findall(r'href="(/static/queuecore_dashboard/base[^"]*\.css)"', page.decode())
    headers, body = web.get(path, **{"Accept-Encoding": "gzip"})
    if web.environment["DJANGO_DEBUG"] == "0":
        assert path != "/static/queuecore_dashboard/base.css"  # the manifest's name
        assert "immutable" in headers["Cache-Control"]
        assert headers["Content-Encoding"] == "gzip"
        body = gzip.decompress(body)
    assert body == (ROOT / "static/queuecore_dashboard/base.css").read_bytes()

    under_way = [socket.create_connection(("127.0.0.1", int(web.port))) for _ in range(5)]
    for connection in under_way:
        connection.sendall(b"GET /wait/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
    web.until(lambda: web.said.count("it waits") == len(under_way))
    web.process.send_signal(signal.SIGTERM)
    assert web.process.wait(10) == 0, web.said
    for connection in under_way:
        connection.close()
    assert "Warning" not in web.said
