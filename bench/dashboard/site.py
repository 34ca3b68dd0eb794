"""The project behind a real daphne, with users who are signed in."""

from __future__ import annotations

import html
import os
import re
import secrets
import socket
import sys
import time
from pathlib import Path

from bench.dashboard.processes import Child, Visitor
from bench.trials import BenchError
from tests import machine
from tests.servers import Server

#: Sockets of one user that the dashboard takes.
SOCKETS = 10
_SHOWN = re.compile(r'data-live-id="([^"]*)"')


def prepare(server: Server, folder: Path, settings: str = "bench.dashboard.settings") -> None:
    """Make this process one of the project's, with an empty database of its own in *folder*."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": settings,
        "DJANGO_DEBUG": "0",
        "DJANGO_SECRET_KEY": secrets.token_hex(32),
        "QUEUECORE_URL": server.url,
        "QUEUECORE_HOME": str(folder),
        "PYTHONPATH": str(machine.ROOT),
    }
    for name in ("DATABASE_URL", "DJANGO_ALLOWED_HOSTS", "DJANGO_BEHIND_TLS", "DJANGO_PROXIES"):
        os.environ.pop(name, None)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def sign_in(users: int) -> list[str]:
    """Make so many people who may do everything; the session cookie of each."""
    from django.conf import settings
    from django.contrib import auth
    from django.contrib.auth import get_user_model
    from django.contrib.sessions.backends.db import SessionStore

    cookies = []
    for number in range(users):
        user = get_user_model().objects.create_superuser(f"user-{number}", password="-")
        session = SessionStore()
        session[auth.SESSION_KEY] = str(user.pk)
        session[auth.BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        cookies.append(f"{settings.SESSION_COOKIE_NAME}={session.session_key}")
    return cookies


class Site(Child):
    """Daphne with ``config.asgi``: ``url``."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
        super().__init__([*command, "config.asgi:application"], dict(os.environ), log)
        deadline = time.monotonic() + 30
        while True:
            try:
                Visitor(self.url).ask("/login/")
                return
            except OSError:
                if self.gone() or time.monotonic() > deadline:
                    raise BenchError(f"the web server did not start: {self.log()}") from None
                time.sleep(0.05)


def shown(page: bytes) -> list[str]:
    """The ids on a page that its socket asks for, in their order."""
    return list(dict.fromkeys(html.unescape(one) for one in _SHOWN.findall(page.decode())))
