"""Plans: what an action would do, counted, for the confirmation before it.

Nothing here changes anything. Pages show plans for a GET, actions for a POST without the token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access
from queuecore.inspect import Inspector

from . import links
from .conf import get_settings
from .confirmations import Confirmation, Figure, ask
from .draw.states import label
from .draw.values import exact, number, visible
from .guard import came_from
from .health import exists

#: The most jobs that can be ticked: one page of the longest list.
TICKED = 100

CLEANABLE = ("completed", "failed", "waiting", "prioritized", "delayed")
AGES = (0, 3_600, 86_400, 7 * 86_400, 30 * 86_400)
LIMITS = (100, 1_000, 10_000)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What is to be cleaned: jobs of *state* older than *age* seconds, at most *limit*."""

    state: str
    age: int
    limit: int

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Cleaning:
        """Read a form; what is not one of the choices becomes the first one."""
        state = values.get("state", "")
        return cls(
            state if state in CLEANABLE else CLEANABLE[0],
            _chosen(values.get("age", ""), AGES),
            min(_chosen(values.get("limit", ""), LIMITS, 1_000), get_settings().max_bulk),
        )

    @property
    def target(self) -> str:
        """The same in words, for the record."""
        return f"state:{self.state} age>{self.age}s limit:{self.limit}"


def pause_plan(request: HttpRequest, alias: str, queue: str) -> HttpResponse:
    """Ask whether to pause a queue."""
    access.require(request.user, "pause_queue", alias, queue)
    snapshot = snapshot_of(alias, queue)
    waiting = snapshot.counts["waiting"] + snapshot.counts["prioritized"]
    url = links.queue_url(_mount(request), alias, queue)
    return ask(
        request,
        Confirmation(
            action="pause",
            url=f"{url}pause/",
            title=_("Pause %(queue)s") % {"queue": visible(queue)},
            text=_("Workers take no further jobs until it is resumed. Running jobs go on."),
            verb=_("Pause queue"),
            icon="pause",
            alias=alias,
            queue=queue,
            figures=[
                Figure(number(waiting), _("will wait")),
                Figure(number(snapshot.counts["active"]), _("run on")),
                Figure(number(snapshot.counts["delayed"]), _("delayed")),
            ],
            warning=_("It is paused already.") if snapshot.paused else "",
        ),
        back=_back(request, url),
    )


def resume_plan(request: HttpRequest, alias: str, queue: str) -> HttpResponse:
    """Ask whether to resume a queue; for links, which change nothing themselves."""
    access.require(request.user, "pause_queue", alias, queue)
    snapshot = snapshot_of(alias, queue)
    waiting = snapshot.counts["waiting"] + snapshot.counts["prioritized"]
    url = links.queue_url(_mount(request), alias, queue)
    words = ngettext("%(count)s job waits for it.", "%(count)s jobs wait for it.", waiting)
    return ask(
        request,
        Confirmation(
            action="resume",
            url=f"{url}resume/",
            title=_("Resume %(queue)s") % {"queue": visible(queue)},
            text=_("Workers take jobs again at once.") + " " + words % {"count": exact(waiting)},
            verb=_("Resume queue"),
            icon="play",
            alias=alias,
            queue=queue,
            warning="" if snapshot.paused else _("It is not paused."),
        ),
        back=_back(request, url),
    )


def removal_plan(request: HttpRequest, alias: str, queue: str, job_id: str) -> HttpResponse:
    """Ask whether to remove one job."""
    access.require(request.user, "remove", alias, queue)
    row = Inspector(alias).rows(queue, [job_id])[0]
    if row is None:
        raise Http404("no such job")
    url = links.job_url(_mount(request), alias, queue, job_id)
    running = row.state == "active"
    return ask(
        request,
        Confirmation(
            action="remove",
            url=f"{url}remove/",
            title=_("Remove job %(id)s") % {"id": visible(job_id)},
            text=_("%(name)s, %(state)s: the job goes for good, with its data, result and log.")
            % {"name": visible(row.name), "state": label(row.state).lower()},
            verb=_("Remove job"),
            icon="remove",
            alias=alias,
            queue=queue,
            target=job_id,
            danger=True,
            warning=_("A worker is running it now, so it cannot be removed.") if running else "",
            possible=not running,
        ),
        back=_back(request, url),
    )


def many_plan(
    request: HttpRequest, action: str, alias: str, queue: str, ids: list[str]
) -> HttpResponse:
    """Ask whether to do *action* to the ticked jobs, and say how many of them fit."""
    for permission in (action, "bulk"):
        access.require(request.user, permission, alias, queue)
    rows = Inspector(alias).rows(queue, ids)
    fits = {
        "retry": ("failed", "completed"),
        "promote": ("delayed",),
        "remove": ("waiting", "prioritized", "delayed", "waiting-children", "completed", "failed"),
    }[action]
    able = sum(row is not None and row.state in fits for row in rows)
    url = links.queue_url(_mount(request), alias, queue)
    count, name = {"count": able}, {"count": len(ids), "queue": visible(queue)}
    titles = {
        "retry": ngettext(
            "Retry %(count)s job in %(queue)s", "Retry %(count)s jobs in %(queue)s", len(ids)
        ),
        "promote": ngettext(
            "Promote %(count)s job in %(queue)s", "Promote %(count)s jobs in %(queue)s", len(ids)
        ),
        "remove": ngettext(
            "Remove %(count)s job from %(queue)s", "Remove %(count)s jobs from %(queue)s", len(ids)
        ),
    }
    verbs = {
        "retry": ngettext("Retry %(count)s job", "Retry %(count)s jobs", able),
        "promote": ngettext("Promote %(count)s job", "Promote %(count)s jobs", able),
        "remove": ngettext("Remove %(count)s job", "Remove %(count)s jobs", able),
    }
    texts = {
        "retry": _("They go back to waiting and start again at attempt 1."),
        "promote": _("They may run as soon as a worker is free."),
        "remove": _("They go for good, with their data, results and logs."),
    }
    words = {
        "retry": _("will be retried"),
        "promote": _("will be promoted"),
        "remove": _("will be removed"),
    }
    return ask(
        request,
        Confirmation(
            action=f"{action}-many",
            url=f"{url}bulk/{action}/",
            title=titles[action] % name,
            text=texts[action],
            verb=verbs[action] % count,
            icon=action,
            alias=alias,
            queue=queue,
            target=json.dumps(ids),
            danger=action == "remove",
            figures=[
                Figure(number(able), words[action]),
                Figure(number(len(ids) - able), _("skipped, not in a fitting state")),
            ],
            fields=[("id", job_id) for job_id in ids],
            possible=able > 0,
        ),
        back=_back(request, f"{url}jobs/"),
    )


def cleaning_plan(request: HttpRequest, alias: str, queue: str, wanted: Cleaning) -> HttpResponse:
    """Ask whether to clean, with the number of jobs that would go now."""
    access.require(request.user, "clean_queue", alias, queue)
    snapshot = snapshot_of(alias, queue)
    before = timezone.now() - timedelta(seconds=wanted.age)
    total = snapshot.counts[wanted.state]
    count = Inspector(alias).count_before(queue, wanted.state, before)
    going = min(wanted.limit, total if count is None else count)
    url = links.queue_url(_mount(request), alias, queue)
    verb = ngettext("Remove %(count)s job", "Remove %(count)s jobs", going)
    if count is None and wanted.age and going:
        verb = ngettext("Remove up to %(count)s job", "Remove up to %(count)s jobs", going)
    return ask(
        request,
        Confirmation(
            action="clean",
            url=f"{url}clean/",
            title=_("Clean %(state)s jobs of %(queue)s")
            % {"state": label(wanted.state).lower(), "queue": visible(queue)},
            text=_("The oldest go first. Jobs that arrive or end later are not touched."),
            verb=verb % {"count": exact(going)},
            icon="clean",
            alias=alias,
            queue=queue,
            target=wanted.target,
            danger=True,
            figures=[
                Figure(number(going), _("will be removed")),
                Figure(number(max(0, total - going)), _("stay")),
            ],
            facts={"before": before.isoformat(), "count": going},
            choices="queuecore_dashboard/confirm/_clean_choices.html",
            possible=going > 0,
        ),
        back=_back(request, url),
        wanted=wanted,
        state_choices=[(state, label(state)) for state in CLEANABLE],
        age_choices=_age_words(),
        limit_choices=[
            (limit, exact(limit)) for limit in LIMITS if limit <= get_settings().max_bulk
        ],
    )


def ticked(request: HttpRequest) -> list[str]:
    """Return the ticked ids, each once, in order."""
    return list(dict.fromkeys(request.POST.getlist("id")))


def _age_words() -> list[tuple[int, str]]:
    words = (_("any age"), _("1 hour"), _("1 day"), _("7 days"), _("30 days"))
    return list(zip(AGES, words, strict=True))


def _chosen(text: str, known: tuple[int, ...], default: int | None = None) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
    return value if value in known else known[0] if default is None else default


def snapshot_of(alias: str, queue: str) -> Any:
    """What is known of the queue now.

    Raises:
        Http404: there is none of that name.
    """
    found = Inspector(alias).snapshots([queue])[queue]
    if not exists(found):
        raise Http404("no such queue")
    return found


def _mount(request: HttpRequest) -> str:
    return str(request.viewer.mount)  # type: ignore[attr-defined]


def _back(request: HttpRequest, fallback: str) -> str:
    """Where Cancel leads: the page it came from, unless that is this very confirmation."""
    back = came_from(request)
    return fallback if back == _mount(request) or "/confirm/" in back else back
