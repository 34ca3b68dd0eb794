"""``healthz`` and ``readyz``: what load balancers and monitors ask, without signing in.

They tell strangers nothing of queues, connections or addresses, and cost Redis one look a second
however often they are asked.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse

from queuecore.errors import QueueCoreError
from queuecore.history import history_of
from queuecore.inspect import Inspector, aliases

from ..guard import guarded

_KEPT_S = 1.0
_LONGEST_S = 86_400


@dataclass(frozen=True, slots=True)
class Look:
    """Whether all connections answer, and the age of the oldest history; None if there is none."""

    at: float
    redis: bool
    collector: float | None


_last: Look | None = None
_one = threading.Lock()


@guarded("GET", anonymous=True)
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; whatever else is wrong."""
    return JsonResponse({"alive": True})


@guarded("GET", anonymous=True)
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether Redis answers: 200, else 503.

    With ``?collector=60`` also whether somebody has written history in the last 60 seconds.
    """
    asked = request.GET.get("collector", "")
    if asked and not (asked.isascii() and asked.isdecimal() and 0 < int(asked[:9]) <= _LONGEST_S):
        return JsonResponse({"error": f"collector= takes 1 to {_LONGEST_S} seconds"}, status=400)
    found = _look()
    ready = found.redis
    if asked:
        ready = ready and found.collector is not None and found.collector <= int(asked)
    age = None if found.collector is None else round(found.collector, 1)
    answer = {"ready": ready, "redis": found.redis, "collector_age": age}
    return JsonResponse(answer, status=200 if ready else 503)


def _look() -> Look:
    global _last
    with _one:  # while a server hangs, those who ask wait for one answer
        if _last is None or time.monotonic() - _last.at >= _KEPT_S:
            _last = _look_again()
        return _last


def _look_again() -> Look:
    redis, ages = True, []
    for alias in aliases():
        inspector, history = Inspector(alias), history_of(alias)
        try:
            inspector.server()
            history.refresh()
        except QueueCoreError:
            redis = False
        if history.last_second:
            ages.append(max(0.0, inspector.now_ms() / 1000 - history.last_second))
        else:
            ages.append(float("inf"))
    oldest = max(ages, default=float("inf"))
    return Look(time.monotonic(), redis, None if oldest == float("inf") else oldest)
