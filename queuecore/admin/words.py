"""Words of the admin: states, numbers, times and refusals as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..errors import (
    JobIsLocked,
    JobNotFound,
    JobNotInState,
    PendingSchedulerRun,
    QueueCoreError,
    ServerUnavailable,
)
from ..recorded import ChildrenOutOfReach
from ..visible import visible

STATES: Mapping[str, Any] = {
    "waiting": gettext_lazy("waiting"),
    "prioritized": gettext_lazy("prioritized"),
    "active": gettext_lazy("active"),
    "delayed": gettext_lazy("delayed"),
    "waiting-children": gettext_lazy("waiting for children"),
    "completed": gettext_lazy("completed"),
    "failed": gettext_lazy("failed"),
}
DASH = "–"


def state(name: str) -> str:
    """The word of a job's state; that of a state which is not known here is its name."""
    return str(STATES.get(name) or visible(name))


def number(value: int) -> str:
    """The number with the active language's separators."""
    return number_format(value, use_l10n=True, force_grouping=True)


def moment(at: datetime | None) -> str:
    """A time as the project tells it, to the second; a dash where there is none."""
    if at is None:
        return DASH
    local = timezone.localtime(at) if timezone.is_aware(at) else at
    return f"{date_format(local, 'DATE_FORMAT')} {date_format(local, 'H:i:s')}"


def where(alias: str, queue: str, *, several: bool) -> str:
    """A queue's name, its connection before it where there are several."""
    return f"{visible(alias)} / {visible(queue)}" if several else visible(queue)


def away(error: ServerUnavailable, alias: str) -> str:
    """What is said instead of what could not be read."""
    return _("Redis cannot be reached on the connection %(connection)s: %(error)s") % {
        "connection": visible(alias),
        "error": visible(error),
    }


def refusal(error: QueueCoreError) -> str:
    """What it means to the person who asked for it."""
    if isinstance(error, ServerUnavailable):
        return _("Redis cannot be reached, so nobody knows whether it was done: %(error)s") % {
            "error": visible(error)
        }
    if isinstance(error, JobNotFound):
        return _("The job does not exist any more.")
    if isinstance(error, JobIsLocked):
        return _("A worker is running the job now. Try again when it has ended.")
    if isinstance(error, PendingSchedulerRun):
        return _("The job is the next run of a scheduler. Remove or change the scheduler instead.")
    if isinstance(error, ChildrenOutOfReach):
        return _(
            "Children of the job, which go with it, stand in queues in which you remove nothing."
        )
    if isinstance(error, JobNotInState):
        return _("The job is no longer in a state in which this can be done.")
    return visible(error)


def not_permitted(permissions: Sequence[str]) -> str:
    """What is said to somebody who may not."""
    return _("You lack the permission for it on this queue (%(permissions)s).") % {
        "permissions": ", ".join(f"queuecore.{one}" for one in permissions)
    }


def done_already() -> str:
    """What is said to a second click."""
    return _("That was done already, by the first click.")
