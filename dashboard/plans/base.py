"""What all plans share: the queue they are about, and where Cancel leads."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest

from queuecore.inspect import Inspector

from ..guard import came_from
from ..health import exists


def snapshot_of(alias: str, queue: str) -> Any:
    """What is known of the queue now.

    Raises:
        Http404: there is none of that name.
    """
    found = Inspector(alias).snapshots([queue])[queue]
    if not exists(found):
        raise Http404("no such queue")
    return found


def mount_of(request: HttpRequest) -> str:
    """Return the path under which the dashboard is mounted."""
    return str(request.viewer.mount)  # type: ignore[attr-defined]


def back_of(request: HttpRequest, fallback: str) -> str:
    """Where Cancel leads: the page it came from, unless that is this very confirmation."""
    back = came_from(request)
    return fallback if back == mount_of(request) or "/confirm/" in back else back
