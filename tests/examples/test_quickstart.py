"""README's example and the quickstart, as a new user runs them: from an empty folder to a job."""

import re
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.examples.markdown import blocks
from tests.examples.site import Site, until
from tests.machine import ROOT
from tests.servers import Server, exists

pytestmark = pytest.mark.timeout(300)

SILENT = "System check identified no issues (0 silenced).\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(address: str) -> tuple[int, str, str]:
    """Status, final address and text of a page; 0 while nobody listens."""
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status, answer.url, answer.read().decode()
    except OSError as error:
        return getattr(error, "code", 0), address, ""


def embedded(text: str) -> int:
    """The number of lines of code that *text* asks a user to write."""
    return sum(bool(line.strip()) and not line.startswith("#") for line in text.splitlines())


def test_readme(site: Site, server: Server) -> None:
    site.append("mysite/settings.py", 'INSTALLED_APPS.append("shop")')
    written = 0
    for block in blocks(ROOT / "README.md"):
        if block.language == "python":
            written += embedded(block.text)
            site.play(block)
    assert written <= 20
    assert site.manage("check").stdout == SILENT
    # The example's job waits a minute; an operator lets it run now.
    site.shell("assert emails.get_job_counts('delayed') == {'delayed': 1}; emails.promote_jobs()")
    site.manage("runworker", "--burst")
    site.shell(
        "(job,) = emails.get_jobs('completed')\n"
        "assert job.returnvalue == {'sent': True}, job.returnvalue\n"
        "assert job.get_logs()[0] == ['to user 7'], job.get_logs()\n"
        "assert job.opts['removeOnComplete'] == {'count': 1000, 'age': 604800}, job.opts"
    )


def test_quickstart(new_site: Callable[..., Site]) -> None:
    quickstart(new_site(None))


def quickstart(site: Site) -> None:
    """Type what the page says, in a project without Redis: the embedded server."""
    for block in blocks(ROOT / "docs/quickstart.md"):
        site.play(block)
    owner = int((site.folder / ".queuecore/server.lock").read_text())
    assert site.manage("check").stdout == SILENT
    site.manage("runworker", "emails", "--burst", "--concurrency", "20")
    site.shell(
        "counts = emails.get_job_counts()\n"
        "assert counts['completed'] == 1000 and not counts['failed'], counts\n"
        "job = emails.get_job(emails.get_jobs('completed', 0, 0)[0].id)\n"
        "assert job.returnvalue == job.data and job.progress == 50"
    )
    the_dashboard_answers(site)
    site.close()
    until(lambda: not exists(owner), "the end of the embedded server")
    assert not sockets_of(site.folder)


def the_dashboard_answers(site: Site) -> None:
    port = free_port()
    mount = f"http://127.0.0.1:{port}/queues/"
    server = site.background("python", "manage.py", "runserver", f"127.0.0.1:{port}", "--noreload")
    with server:
        until(lambda: fetch(mount)[0], "the start of runserver")
        status, address, page = fetch(mount)
        assert (status, address) == (200, f"{mount}login/?next=/queues/")
        assert "<form" in page
        for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
            assert fetch(f"http://127.0.0.1:{port}{name}")[0] == 200, name
    log = (site.folder / "background.log").read_text()
    assert "Starting ASGI/Daphne" in log, log
    assert "Traceback" not in log, log


def sockets_of(folder: Path) -> list[Path]:
    """What is left of the embedded server's socket directory."""
    from queuecore.wire.launcher import Place

    return [path for path in [Place(folder).socket] if path.exists()]
