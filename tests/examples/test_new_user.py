"""A new user: a fresh environment of each Python, the wheel from pip, the quickstart line by line.

Then the hardest project of docs/howto/embed.md, under every kind of server. pip fetches what the
wheel asks for from where this machine's pip always does.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.embedding import embed, visit
from tests.examples.site import Site
from tests.examples.test_quickstart import quickstart
from tests.matrix import find_python
from tests.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# The oldest and the newest pair that are supported.
PAIRS = {"3.11": "5.2", "3.13": "6."}
SERVERS = ["uvicorn", "websockets", "gunicorn"]


@pytest.fixture(scope="module", params=PAIRS)
def python(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A Python with the wheel and what its extras bring, and nothing else."""
    base = find_python(request.param)
    if base is None:
        pytest.fail(f"Python {request.param} was not found: on PATH, or by pyenv")
    folder = tmp_path_factory.mktemp("venv") / request.param
    subprocess.run([base, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    wanted = [f"{wheel}[embedded,dashboard,speed]", *SERVERS]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    version = subprocess.check_output([python, "-m", "django", "--version"], text=True)
    assert version.startswith(PAIRS[request.param]), version
    return python


@pytest.fixture
def new(python: str, tmp_path: Path) -> Iterator[Callable[[str | None], Site]]:
    """Makes a fresh project of that Python."""
    sites: list[Site] = []

    def make(url: str | None) -> Site:
        folder = tmp_path / "site"
        folder.mkdir()
        sites.append(Site(folder, None, url, python).start())
        return sites[-1]

    yield make
    for site in sites:
        site.close()


def test_the_quickstart(new: Callable[[str | None], Site]) -> None:
    began = time.monotonic()
    quickstart(new(None))
    print(f"{time.monotonic() - began:.1f} s")


@pytest.mark.parametrize("admin", [True, False])
def test_the_hardest_project(
    new: Callable[[str | None], Site], server: Server, admin: bool
) -> None:
    site = embed(new(server.url), admin=admin)
    visit(site, "python", "manage.py", "runserver", "127.0.0.1:{port}", "--noreload")
    visit(site, "python", "-m", "uvicorn", "--port", "{port}")
    visit(site, "python", "-m", "daphne", "-p", "{port}", "--root-path", "{root}")
    visit(site, "python", "serve.py", "{port}", live=False)
    site.environment["SCRIPT_NAME"] = "/intern"
    visit(site, "python", "-m", "gunicorn", "-b", "127.0.0.1:{port}", "mysite.wsgi", live=False)
