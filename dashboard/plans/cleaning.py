"""Cleaning: which jobs are meant, and how many of them there are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access
from queuecore.inspect import Inspector

from .. import links
from ..conf import get_settings
from ..confirmations import Confirmation, Figure, ask
from ..draw.states import jobs_of, label
from ..draw.values import exact, number, visible
from .base import back_of, mount_of, snapshot_of

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


def cleaning_plan(request: HttpRequest, alias: str, queue: str, wanted: Cleaning) -> HttpResponse:
    """Ask whether to clean, with the number of jobs that would go now."""
    access.require(request.user, "clean_queue", alias, queue)
    snapshot = snapshot_of(alias, queue)
    before = timezone.now() - timedelta(seconds=wanted.age)
    total = snapshot.counts[wanted.state]
    count = Inspector(alias).count_before(queue, wanted.state, before)
    going = min(wanted.limit, total if count is None else count)
    url = links.queue_url(mount_of(request), alias, queue)
    verb = ngettext("Remove %(count)s job", "Remove %(count)s jobs", going)
    if count is None and wanted.age and going:
        verb = ngettext("Remove up to %(count)s job", "Remove up to %(count)s jobs", going)
    return ask(
        request,
        Confirmation(
            action="clean",
            url=f"{url}clean/",
            title=_("Clean %(jobs)s of %(queue)s")
            % {"jobs": jobs_of(wanted.state), "queue": visible(queue)},
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
        back=back_of(request, url),
        wanted=wanted,
        state_choices=[(state, label(state)) for state in CLEANABLE],
        age_choices=_age_words(),
        limit_choices=[
            (limit, exact(limit)) for limit in LIMITS if limit <= get_settings().max_bulk
        ],
    )


def _age_words() -> list[tuple[int, str]]:
    words = (_("any age"), _("1 hour"), _("1 day"), _("7 days"), _("30 days"))
    return list(zip(AGES, words, strict=True))


def _chosen(text: str, known: tuple[int, ...], default: int | None = None) -> int:
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1
    return value if value in known else known[0] if default is None else default
