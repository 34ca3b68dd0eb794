"""What settings.py reads from outside: switches, the secret key, the database's address."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def flag(name: str, default: bool = False) -> bool:
    """Whether the environment variable ``name`` is 1, true, yes or on."""
    value = os.environ.get(name)
    return default if value is None else value.strip().lower() in {"1", "true", "yes", "on"}


def number(name: str) -> int:
    """The environment variable ``name``, a whole number; 0 without it.

    Raises ImproperlyConfigured for anything else.
    """
    value = os.environ.get(name, "").strip() or "0"
    if not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number of at least 0, not {value!r}")
    return int(value)


def words(name: str) -> list[str]:
    """The comma-separated words of the environment variable ``name``."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def required(name: str, hint: str) -> str:
    """The environment variable ``name``; raises ImproperlyConfigured with ``hint`` without it."""
    if value := os.environ.get(name):
        return value
    raise ImproperlyConfigured(f"{name} is not set, and DJANGO_DEBUG is off. {hint}")


def own_directory(path: Path) -> Path:
    """``path`` as a directory that only this user may read."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def stored_secret(path: Path, size: int = 48) -> str:
    """The random secret of ``size`` bytes kept in ``path`` (mode 0600), made at the first call.

    Web and worker may start at the same moment: each writes a file of its own, the first link
    wins, and all read what it points to.
    """
    if not path.exists():
        own_directory(path.parent)
        mine = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(size))
        with contextlib.suppress(FileExistsError):
            os.link(mine, path)
        mine.unlink()
    return path.read_text().strip()


def database(url: str, keep: int = 0) -> dict[str, Any]:
    """Django's DATABASES entry for ``url``; connections to Postgres are kept ``keep`` seconds.

    ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
    ``postgres://user:password@host:5432/name?sslmode=require`` (what follows ``?`` goes to
    OPTIONS). Raises ImproperlyConfigured for another scheme.
    """
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if parts.scheme == "sqlite":
        return sqlite(parts.path[1:])
    if parts.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": keep,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": options,
        }
    raise ImproperlyConfigured(
        f"DATABASE_URL has the scheme {parts.scheme!r}: use sqlite:///file or "
        "postgres://user:password@host:5432/name."
    )


def sqlite(path: str | Path) -> dict[str, Any]:
    """Django's DATABASES entry for an SQLite file that web and worker write at the same time."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            # Readers go on while one writes, and who must write says so at BEGIN: no transaction
            # fails half way because another one was quicker.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
