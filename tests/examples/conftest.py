"""Fixtures of the examples: the wheel installed in a folder, and projects that use it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.site import Site
from tests.servers import Server

MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def packages(wheel: Path, made_once: MadeOnce) -> Path:
    """Where pip has installed the wheel, as site-packages would have it."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    return made_once(
        "site-packages",
        lambda folder: subprocess.run([*command, "--target", str(folder), str(wheel)], check=True),
    )


@pytest.fixture(scope="session")
def project(packages: Path, made_once: MadeOnce) -> Path:
    """What ``startproject`` and ``startapp`` make: each site begins as a copy of it."""
    return made_once("project", lambda folder: Site(folder, packages, None).start())


@pytest.fixture(scope="session")
def migrated(project: Path, packages: Path, made_once: MadeOnce, server: Server) -> Path:
    """That project with ``queuecore`` and its app ``shop`` installed, and migrated."""

    def fill(folder: Path) -> None:
        site = Site(folder, packages, server.url).copy(project)
        site.environment["QUEUECORE_URL"] = server.url
        site.append("mysite/settings.py", 'INSTALLED_APPS = ["queuecore", "shop", *INSTALLED_APPS]')
        site.manage("migrate")

    return made_once("migrated", fill)


@pytest.fixture
def new_site(packages: Path, project: Path, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes a project that talks to the server of the given address, or to an embedded one."""
    sites: list[Site] = []

    def make(url: str | None, start: Path = project) -> Site:
        sites.append(Site(tmp_path / f"site{len(sites)}", packages, url).copy(start))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(new_site: Callable[..., Site], server: Server) -> Site:
    """A project whose examples talk to the test's server."""
    return new_site(server.url)


@pytest.fixture
def shop(new_site: Callable[..., Site], migrated: Path, server: Server) -> Site:
    """A project with ``queuecore`` and an app ``shop``, and the test's server as its own."""
    site = new_site(server.url, migrated)
    site.environment["QUEUECORE_URL"] = server.url
    return site
