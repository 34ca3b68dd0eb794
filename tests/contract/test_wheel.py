"""The wheel: what is in it, what it asks for, and that it stands in a project of someone else's."""

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.machine import ROOT

pytestmark = pytest.mark.timeout(300)

SETTINGS = """
SECRET_KEY = "of a project of someone else's"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "shop.urls"
# The worst order for us: the host's app of the name `dashboard` comes first.
INSTALLED_APPS = [
    "dashboard", "queuecore", "queuecore_dashboard", "django_htmx", "django.contrib.auth",
    "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
    "OPTIONS": {"context_processors": ["django.template.context_processors.request"]}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite3"}}
STATIC_URL = "static/"
USE_TZ = True
"""

URLS = """
from django.urls import include, path
urlpatterns = [
    path("ops/queues/", include("queuecore_dashboard.urls")),
    path("", include("dashboard.urls")),
]
"""

HOST_URLS = """
from django.shortcuts import render
from django.urls import path
app_name = "dashboard"
urlpatterns = [path("", lambda request: render(request, "overview.html"), name="overview")]
"""

# Run inside the host project; each line of its output is one fact that a test looks for.
VISIT = """
import re
import django
django.setup()
from django.contrib.auth import get_user_model
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.template.loader import get_template
from django.test import Client
import dashboard, queuecore, queuecore_dashboard

assert "site-packages" not in dashboard.__file__ and "wheel" in queuecore_dashboard.__file__
assert "wheel" in queuecore.__file__
call_command("check", fail_level="WARNING")
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
call_command("migrate", verbosity=0)
client = Client()
assert client.get("/").content == b"the shop's own overview"
signed_out = client.get("/ops/queues/", follow=True)
assert signed_out.status_code == 200, signed_out.status_code
assert signed_out.request["PATH_INFO"].startswith("/ops/queues/login/"), signed_out.request
assert b"<form" in signed_out.content
client.force_login(get_user_model().objects.create_superuser("admin", password="x"))
page = client.get("/ops/queues/")
assert page.status_code == 200, page.status_code
text = page.content.decode()
assert "the shop's own overview" not in text
names = set(re.findall(r'(?:href|src)="/static/([^"?]+)', text))
assert any(name.startswith("queuecore_dashboard/") for name in names), names
for name in names:
    assert finders.find(name), name
style = next(name for name in names if name.endswith(".css"))
assert "wheel" in finders.find(style), style
assert "wheel" in get_template("queuecore_dashboard/layout.html").origin.name
# The catalogues are in the wheel, and the host needs no LocaleMiddleware.
german = client.get("/ops/queues/", headers={"Accept-Language": "de"}).content.decode()
assert '<html lang="de"' in german and "Gehe zu" in german
# Under WSGI there is no socket to be had: the page is told to poll and gets no address to try.
assert 'data-live-poll="/ops/queues/live/poll/"' in text
assert "data-live-socket" not in text
polled = client.get("/ops/queues/live/poll/", {"topic": "overview"})
assert polled.status_code == 200, polled.content
# One line of the host's asgi.py changes that.
from queuecore_dashboard.asgi import live
live(None)
text = client.get("/ops/queues/").content.decode()
assert 'data-live-socket="/ops/queues/ws/"' in text
print("stands")
"""


def files_in_git(folder: str) -> set[str]:
    listed = subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard", folder], cwd=ROOT, text=True
    )
    return {line for line in listed.splitlines() if (ROOT / line).exists()}


def test_has_every_file_of_both_apps_and_nothing_else(wheel: Path) -> None:
    moved = {
        "queuecore/": "queuecore/",
        "dashboard/": "queuecore_dashboard/",
        "templates/queuecore_dashboard/": "queuecore_dashboard/templates/queuecore_dashboard/",
        "static/queuecore_dashboard/": "queuecore_dashboard/static/queuecore_dashboard/",
    }
    expected = {
        place + name.removeprefix(folder)
        for folder, place in moved.items()
        for name in files_in_git(folder)
    }
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == expected
    assert "queuecore/py.typed" in names


def test_asks_for_little_and_offers_the_rest(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Name"] == "django-queuecore"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    needed = {each.name for each in requirements if "extra" not in str(each.marker)}
    assert needed == {"django", "redis", "croniter"}
    assert set(metadata.get_all("Provides-Extra", [])) == {
        *("dashboard", "embedded", "speed", "tasks", "prometheus", "opentelemetry")
    }


@pytest.fixture
def host(wheel: Path, tmp_path: Path) -> Path:
    """A project that owns a `dashboard` app and a template of our page's name."""
    for name, text in {
        "shop/__init__.py": "",
        "shop/settings.py": SETTINGS,
        "shop/urls.py": URLS,
        "dashboard/__init__.py": "",
        "dashboard/urls.py": HOST_URLS,
        "dashboard/templates/overview.html": "the shop's own overview",
        "dashboard/templates/layout.html": "the shop's own overview",
        "visit.py": VISIT,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "wheel")
    return tmp_path


def test_stands_in_a_project_that_owns_a_dashboard(host: Path, server) -> None:
    answer = subprocess.run(
        [sys.executable, "visit.py"],
        cwd=host,
        env={
            "PATH": os.environ["PATH"],
            # The host's own folder first, as with manage.py; the wheel where site-packages are.
            "PYTHONPATH": os.pathsep.join([str(host), str(host / "wheel")]),
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "QUEUECORE_URL": server.url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.endswith("stands\n")
