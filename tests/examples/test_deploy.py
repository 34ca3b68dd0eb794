"""docs/howto/deploy.md as it stands: its units are sound, and its nginx serves a live page."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests import machine
from tests.examples.markdown import blocks
from tests.servers import Server

pytestmark = pytest.mark.slow

PARTS = ("config", "dashboard", "demo", "queuecore", "static", "templates", "manage.py")
PASSWORD = "correct horse battery"
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    include /etc/nginx/mime.types;
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/mysite.conf;
}}
"""


def named(name: str) -> str:
    """The block of the page that is the file *name*: its first line says so."""
    page = machine.ROOT / "docs/howto/deploy.md"
    for block in blocks(page):
        if block.text.partition("\n")[0].endswith(f"/{name}"):
            return block.text
    pytest.fail(f"deploy.md has no file {name}")


def found(program: str) -> str:
    """The program; its absence is a failure, never a skip."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        pytest.fail(f"{program} was not found on this machine: `make test-slow` brings it")
    return path


@pytest.fixture
def host(tmp_path: Path, server: Server) -> Path:
    """The folder of the page's /srv/mysite, with the project, and its environment beside it."""
    folder = tmp_path / "mysite"
    folder.mkdir()
    for part in PARTS:
        source = machine.ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    (folder / ".venv").symlink_to(sys.prefix)
    (tmp_path / "mysite.env").write_text(
        set_to(
            named("mysite.env"),
            DJANGO_SECRET_KEY="x" * 60,
            QUEUECORE_URL=server.url,
            DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3",
        )
    )
    return folder


def set_to(text: str, **values: str) -> str:
    """An environment file, some of its values others."""
    for name, value in values.items():
        text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        assert count == 1, name
    return text.replace("queues.example.com", "localhost")


def moved(text: str, host: Path, ports: dict[str, int]) -> str:
    """A file of the page for this machine: other folders and ports, the repository's project."""
    text = text.replace("/srv/mysite", host.as_posix()).replace("mysite.asgi", "config.asgi")
    text = text.replace("/etc/mysite.env", (host.parent / "mysite.env").as_posix())
    text = text.replace("/etc/letsencrypt/live/queues.example.com", host.parent.as_posix())
    text = text.replace("queues.example.com", "localhost")
    for old, port in ports.items():
        text = re.sub(rf"(server 127\.0\.0\.1:){old}\b", rf"\g<1>{port}", text)
        text = re.sub(rf"listen {old}\b", f"listen 127.0.0.1:{port}", text)
    return text


def environment(host: Path) -> dict[str, str]:
    """What systemd would make of the environment file."""
    lines = (host.parent / "mysite.env").read_text().splitlines()
    own = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    return {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings", **own}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def running(host: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes in the project's folder, with its environment; all end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        with (host.parent / f"log-{len(started)}").open("wb") as log:
            started.append(
                subprocess.Popen(
                    command,
                    cwd=host,
                    env=environment(host),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        return started[-1]

    yield start
    for process in reversed(started):
        process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def command_of(unit: str, host: Path, **instance: str) -> list[str]:
    """``ExecStart`` of a unit, its specifiers filled in."""
    line = re.search(r"^ExecStart=(.+)$", moved(unit, host, {}), re.MULTILINE)
    assert line
    return line[1].replace("%i", instance["i"]).split()


def test_systemd_has_nothing_to_say_of_the_units(host: Path) -> None:
    for name, instance in (("mysite-web@", "8001"), ("mysite-worker@", "1")):
        unit = host.parent / f"{name}{instance}.service"
        unit.write_text(moved(named(f"{name}.service"), host, {}))
        answer = subprocess.run(
            [found("systemd-analyze"), "verify", "--man=no", str(unit)],
            capture_output=True,
            text=True,
            check=False,
        )
        said = [line for line in answer.stderr.splitlines() if unit.name in line]
        assert (answer.returncode, said) == (0, []), answer.stderr


def test_the_page_is_live_behind_nginx(
    host: Path,
    running: Callable[..., subprocess.Popen[bytes]],
    browser_path: Path,
) -> None:
    folder = host.parent
    ports = {one: free_port() for one in ("80", "443", "8001", "8002")}
    options = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [
            *(found("openssl"), "req", *options.split()),
            *("-keyout", "privkey.pem", "-out", "fullchain.pem"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    (folder / "mysite.conf").write_text(moved(named("mysite.conf"), host, ports))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder))
    nginx = [found("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    tested = subprocess.run([*nginx, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "[warn]" not in tested.stderr

    # The commands of the first start, but for those of the host.
    manage = [sys.executable, "manage.py"]
    for command, *more in (
        ("migrate", "--verbosity", "0"),
        ("collectstatic", "--no-input", "--verbosity", "0"),
        ("queues", "presets"),
        ("createsuperuser", "--no-input", "--username", "ada", "--email", "ada@example.com"),
    ):
        done = subprocess.run(
            [*manage, command, *more],
            cwd=host,
            env=environment(host) | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    web = named("mysite-web@.service")
    running(*command_of(web, host, i=str(ports["8001"])))
    running(*command_of(web, host, i=str(ports["8002"])))
    running(sys.executable, *command_of(named("mysite-worker@.service"), host, i="1")[1:])
    running(*nginx)

    url = f"https://localhost:{ports['443']}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_context(ignore_https_errors=True).new_page()
        deadline = time.monotonic() + 40
        while True:
            try:
                answer = page.goto(f"{url}/login/")
                if answer is not None and answer.status == 200:
                    break
            except Exception:
                assert time.monotonic() < deadline, (folder / "error.log").read_text()
            time.sleep(0.1)  # between two looks; the deadline ends it
        page.fill("[name=username]", "ada")
        page.fill("[name=password]", PASSWORD)
        page.click("main [type=submit]")
        page.locator("[data-live-badge][data-state=live]").wait_for(timeout=30_000)
        page.goto(f"{url}/workers/")
        page.locator("main").get_by_text(socket.gethostname()).first.wait_for()  # of the worker
        styled = page.evaluate("getComputedStyle(document.body).margin")
        assert styled == "0px"  # static files come through nginx
        redirect = page.request.get(
            f"http://localhost:{ports['80']}/login/", max_redirects=0, ignore_https_errors=True
        )
        assert (redirect.status, redirect.headers["location"]) == (301, "https://localhost/login/")
        browser.close()
