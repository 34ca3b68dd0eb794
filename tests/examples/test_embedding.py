"""The page of docs/howto/embed.md, in one project that makes it as hard as it may."""

from collections.abc import Callable

import pytest

from tests.examples.embedding import embed, visit
from tests.examples.site import Site
from tests.servers import Server

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def embedded(new_site: Callable[..., Site], server: Server) -> Site:
    """The project of the page, with all that the page names."""
    return embed(new_site(server.url))


@pytest.mark.slow
def test_in_a_project_of_others(embedded: Site) -> None:
    visit(embedded, "python", "-m", "daphne", "-p", "{port}", "--root-path", "{root}")
    visit(embedded, "python", "serve.py", "{port}", live=False)


@pytest.mark.slow  # the quickstart is seen under runserver, too
def test_runserver_and_without_the_admin(new_site: Callable[..., Site], server: Server) -> None:
    site = embed(new_site(server.url), admin=False)
    visit(site, "python", "manage.py", "runserver", "127.0.0.1:{port}", "--noreload")
