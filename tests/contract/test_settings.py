"""The project's settings: required keys, kept secrets, database addresses."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment
from config.proxies import behind_proxies
from tests.machine import ROOT

REFUSED = """
import asyncio
from config.asgi import application

async def nothing(*_):
    return {"type": "websocket.connect"}

headers = [(b"host", b"localhost"), (b"origin", b"http://evil.example")]
asyncio.run(application({
    "type": "websocket", "path": "/ws/", "query_string": b"", "client": ("10.0.0.1", 5),
    "headers": [*headers, (b"x-forwarded-for", b"6.6.6.6, 1.2.3.4")],
}, nothing, nothing))
"""
SHOW = "from config import settings as s; print(s.DEBUG, s.SECRET_KEY)"


def settings(tmp_path: Path, code: str = SHOW, **variables: str) -> subprocess.CompletedProcess:
    """What a fresh process with exactly these variables says about config.settings."""
    base = {"PATH": os.environ["PATH"], "QUEUECORE_HOME": str(tmp_path / "home")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=base | variables,
        capture_output=True,
        text=True,
        check=False,
    )


class TestWithoutDebug:
    @pytest.mark.parametrize("missing", ["DJANGO_SECRET_KEY", "QUEUECORE_URL"])
    def test_each_key_is_required(self, tmp_path: Path, missing: str) -> None:
        keys = {"DJANGO_SECRET_KEY": "long", "QUEUECORE_URL": "redis://there"}
        del keys[missing]
        answer = settings(tmp_path, **keys)
        assert answer.returncode != 0
        assert f"{missing} is not set, and DJANGO_DEBUG is off." in answer.stderr
        assert not (tmp_path / "home" / "secret_key").exists()

    def test_both_keys_are_enough(self, tmp_path: Path) -> None:
        answer = settings(tmp_path, DJANGO_SECRET_KEY="long", QUEUECORE_URL="redis://there")
        assert answer.stdout == "False long\n"


class TestSecretKey:
    def test_is_made_once_and_readable_by_its_owner_alone(self, tmp_path: Path) -> None:
        first = settings(tmp_path, DJANGO_DEBUG="1")
        again = settings(tmp_path, DJANGO_DEBUG="1")
        assert first.stdout == again.stdout
        key = (tmp_path / "home" / "secret_key").read_text()
        assert first.stdout == f"True {key}\n"
        assert len(key) >= 50
        assert stat.S_IMODE((tmp_path / "home" / "secret_key").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700

    def test_is_the_same_for_all_who_start_at_once(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(16) as pool:
            keys = set(pool.map(environment.stored_secret, [tmp_path / "home" / "key"] * 64))
        assert len(keys) == 1
        assert [path.name for path in (tmp_path / "home").iterdir()] == ["key"]


class TestDatabase:
    def test_postgres(self) -> None:
        entry = environment.database("postgres://us%40er:p%2Fw@db:5433/jobs?sslmode=require")
        assert entry["ENGINE"] == "django.db.backends.postgresql"
        assert (entry["USER"], entry["PASSWORD"]) == ("us@er", "p/w")
        assert (entry["HOST"], entry["PORT"], entry["NAME"]) == ("db", "5433", "jobs")
        assert entry["OPTIONS"] == {"sslmode": "require"}
        assert entry["CONN_MAX_AGE"] == 0

    def test_connections_are_kept_where_the_environment_says_so(self, tmp_path: Path) -> None:
        code = "from config.settings import DATABASES as d; print(d['default']['CONN_MAX_AGE'])"
        there = {"DJANGO_DEBUG": "1", "DATABASE_URL": "postgres://db/jobs"}
        assert settings(tmp_path, code, **there).stdout == "0\n"
        assert settings(tmp_path, code, **there, DATABASE_CONN_MAX_AGE="60").stdout == "60\n"
        answer = settings(tmp_path, code, **there, DATABASE_CONN_MAX_AGE="-1")
        assert "DATABASE_CONN_MAX_AGE must be a whole number of at least 0" in answer.stderr

    @pytest.mark.parametrize(
        ("url", "name"),
        [("sqlite:///jobs.db", "jobs.db"), ("sqlite:////var/jobs.db", "/var/jobs.db")],
    )
    def test_sqlite(self, url: str, name: str) -> None:
        assert environment.database(url)["NAME"] == name

    def test_another_scheme_is_refused(self) -> None:
        with pytest.raises(ImproperlyConfigured, match="'mysql'"):
            environment.database("mysql://host/name")


class TestProxies:
    @pytest.mark.parametrize(
        ("count", "headers", "client"),
        [
            (0, ["6.6.6.6"], "10.0.0.1"),
            (1, ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            (1, ["6.6.6.6", "1.2.3.4"], "1.2.3.4"),  # as two headers
            (2, ["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
            (2, ["6.6.6.6"], "10.0.0.1"),  # not through both of them
            (1, [], "10.0.0.1"),
            (1, ["1.2.3.4:567"], "1.2.3.4"),
            (1, ["2001:DB8::1"], "2001:db8::1"),
            (1, ["[2001:db8::1]:567"], "2001:db8::1"),
            (1, ["unknown"], "10.0.0.1"),
            (1, ["<script>"], "10.0.0.1"),
        ],
    )
    @pytest.mark.parametrize("kind", ["http", "websocket"])
    async def test_whose_address(
        self, kind: str, count: int, headers: list[str], client: str
    ) -> None:
        seen: list[Any] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["client"][0])

        scope = {
            "type": kind,
            "client": ("10.0.0.1", 5),
            "headers": [(b"x-forwarded-for", one.encode()) for one in headers],
        }
        await behind_proxies(application, count)(scope, None, None)
        assert seen == [client]
        assert scope["client"] == ("10.0.0.1", 5)

    @pytest.mark.parametrize(("count", "client"), [("0", "10.0.0.1"), ("1", "1.2.3.4")])
    def test_of_the_project(self, tmp_path: Path, count: str, client: str) -> None:
        """A socket of another site is refused, and the log says from where it came."""
        answer = settings(tmp_path, REFUSED, DJANGO_DEBUG="1", DJANGO_PROXIES=count)
        assert f"refused a websocket from {client}: Origin" in answer.stderr

    def test_no_number(self, tmp_path: Path) -> None:
        answer = settings(tmp_path, DJANGO_DEBUG="1", DJANGO_PROXIES="yes")
        assert "DJANGO_PROXIES must be a whole number of at least 0, not 'yes'" in answer.stderr


def test_manage_takes_debug_as_default(tmp_path: Path) -> None:
    code = (
        "import os, sys, manage; sys.argv = ['manage.py', 'version']; manage.main();"
        "print(os.environ['DJANGO_DEBUG'])"
    )
    assert settings(tmp_path, code).stdout.splitlines()[-1] == "1"
    assert settings(tmp_path, code, DJANGO_DEBUG="0").stdout.splitlines()[-1] == "0"


def test_queuecore_stands_before_who_else_has_a_runworker() -> None:
    from config.settings import INSTALLED_APPS

    assert INSTALLED_APPS[0] == "queuecore"
    assert "channels" not in INSTALLED_APPS
    assert INSTALLED_APPS.index("daphne") < INSTALLED_APPS.index("django.contrib.staticfiles")
