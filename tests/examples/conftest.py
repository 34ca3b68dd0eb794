"""Fixtures of the examples: the wheel installed in a folder, and projects that use it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.examples.site import Site
from tests.servers import Server


@pytest.fixture(scope="session")
def packages(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed the wheel, as site-packages would have it."""
    folder = tmp_path_factory.mktemp("site-packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(folder), str(wheel)], check=True)
    return folder


@pytest.fixture
def new_site(packages: Path, tmp_path: Path) -> Iterator[Callable[[str | None], Site]]:
    """Makes a project that talks to the server of the given address, or to an embedded one."""
    sites: list[Site] = []

    def make(url: str | None) -> Site:
        sites.append(Site(tmp_path / f"site{len(sites)}", packages, url))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(new_site: Callable[[str | None], Site], server: Server) -> Site:
    """A project whose examples talk to the test's server."""
    return new_site(server.url)
