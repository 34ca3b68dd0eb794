"""Health of the web process, for load balancers and probes.

``path("", include("queuecore.contrib.health"))`` gives ``/healthz`` (this process answers) and
``/readyz`` (and every Redis that the settings name answers it). Nobody needs to sign in: they tell
the names of connections, and nothing else. However often they are asked, Redis is once a second.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..errors import QueueCoreError
from ..inspect import aliases
from ..wire.calls.base import Command
from ..wire.connections import get_connection

#: What the servers get to answer, all at once; and for how long what they said is passed on.
DEADLINE, REMEMBERED = 2.0, 1.0


class Readiness:
    """Which servers answer; one of all who ask looks, and the others get what was known."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: Mapping[str, bool] | None = None
        self._until = 0.0

    def known(self) -> Mapping[str, bool] | None:
        """What was found a moment ago; or what is known while somebody looks."""
        if time.monotonic() < self._until or self._lock.locked():
            return self._known
        return None

    def look(self) -> Mapping[str, bool]:
        """Whether each connection's server answers, by alias; blocks for two seconds at most."""
        with self._lock:
            if self._known is None or time.monotonic() >= self._until:
                self._known = _ask(aliases())
                self._until = time.monotonic() + REMEMBERED
            return self._known


def _ask(names: list[str]) -> dict[str, bool]:
    pool = ThreadPoolExecutor(max(len(names), 1), thread_name_prefix="queuecore-ready")
    asked = {name: pool.submit(_answers, name) for name in names}
    done, _ = wait(asked.values(), timeout=DEADLINE)
    pool.shutdown(wait=False, cancel_futures=True)
    return {name: one in done and one.result() for name, one in asked.items()}


def _answers(alias: str) -> bool:
    try:
        connection = get_connection(alias)
        # The first has a short deadline; the second is refused while the server loads its data.
        return connection.answers() and connection.run(Command(("PING",), bool))
    except QueueCoreError:
        return False


_readiness = Readiness()


@login_not_required
@require_safe
@never_cache
async def healthz(request: HttpRequest) -> JsonResponse:
    """200: this process answers. Nothing else is asked: starting it again would help nobody."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
@never_cache
async def readyz(request: HttpRequest) -> JsonResponse:
    """200 if every server answers, else 503; ``connections`` says which does not."""
    found = _readiness.known()
    if found is None:
        found = await asyncio.to_thread(_readiness.look)
    ready = all(found.values())
    body = {
        "status": "ok" if ready else "away",
        "connections": {name: "ok" if answers else "away" for name, answers in found.items()},
    }
    return JsonResponse(body, status=200 if ready else 503)


urlpatterns = [
    path("healthz", healthz, name="queuecore-healthz"),
    path("readyz", readyz, name="queuecore-readyz"),
]
