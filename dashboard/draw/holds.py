"""What holds a waiting job back besides the jobs before it: said of the queue, for its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from queuecore.limits import LimitInfo

from .values import clipped


def hold(queue: Any, named: Sequence[LimitInfo]) -> str:
    """What keeps workers from the jobs of a queue now; empty where nothing does.

    ``queue``: a :class:`..health.Health`. ``named``: the limits that it shares with others.
    """
    snapshot = queue.snapshot
    if snapshot.paused:
        return _("Waits until the queue is resumed: it is paused.")
    if queue.workers is not None and not queue.workers:
        return _("Waits for a worker: none works this queue now.")
    for one in named:
        if one.maxed or one.limited:
            return _(
                "Waits for the limit %(limit)s, which this queue shares with others: it is used up."
            ) % {"limit": clipped(one.name)}
    if snapshot.limiter_ttl_ms > 0:
        return _("Waits for the queue's rate limit, which is used up at the moment.")
    if snapshot.concurrency and queue.counts.get("active", 0) >= snapshot.concurrency:
        return _("Waits for the queue's global concurrency: as many jobs run as may.")
    return ""
