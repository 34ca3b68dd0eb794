"""Operations: what one would be done to, counted, before it is started."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Queue, access, operations
from queuecore.matching import Filter
from queuecore.models import Operation

from .. import links
from ..confirmations import Confirmation, Figure, ask
from ..draw import operation_cells
from ..draw.states import count_of_jobs
from ..draw.values import exact, number, visible
from .base import back_of, mount_of, snapshot_of

#: The most jobs a second that can be chosen; 0 is as many as the server bears.
RATES = (0, 1_000, 100, 10)
#: How long a dry run counts at most.
SECONDS = 1.0
#: What ends more than the jobs that a list shows is confirmed by the name of the queue.
TYPED = ("drain", "obliterate")
_DANGER = ("remove", "drain", "clean", "obliterate")


@dataclass(frozen=True, slots=True)
class Order:
    """An operation as a form asks for it."""

    action: str
    filter: Filter
    params: Mapping[str, Any] = field(default_factory=dict)
    rate: int = 0

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Order:
        """Read a form or an address.

        Raises:
            InvalidOption: the action does not exist, or does not fit the state or the filter.
        """
        action = values.get("action", "") or "retry"
        state = values.get("state", "") or "failed"
        filter = Filter.parse(state, values.get("q", ""))
        operations.required(action, filter)
        known = operations.ACTIONS[action].options
        # All of them, so that an address and the form made of it say the same.
        params: dict[str, Any] = {
            name: values[name] == "1" if values.get(name) in ("0", "1") else usual
            for name, usual in known.items()
        }
        maximum = values.get("maximum", "")
        good = maximum.isascii() and maximum.isdigit() and len(maximum) < 10
        params["maximum"] = int(maximum) if good else 0
        rate = values.get("rate", "")
        chosen = int(rate) if rate.isascii() and rate.isdigit() and len(rate) < 7 else 0
        return cls(action, filter, params, chosen if chosen in RATES else 0)

    @classmethod
    def of(cls, operation: Operation) -> Order:
        """The order that would start the same operation anew.

        Raises:
            InvalidOption: its action is not known any more.
        """
        filter = Filter.parse(operation.state, operation.query)
        operations.required(operation.action, filter)
        return cls(operation.action, filter, operation.params, operation.rate or 0)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The hidden fields of the form that starts it."""
        given = [("action", self.action), ("state", self.filter.state)]
        if not self.filter.everything:
            given.append(("q", str(self.filter)))
        return given + [(name, str(int(value))) for name, value in sorted(self.params.items())]

    @property
    def target(self) -> str:
        """The same as one text, for the token. The rate changes nothing of what is done."""
        return json.dumps(self.fields)

    def url(self, mount: str, alias: str, queue: str) -> str:
        """The address that asks whether to start it."""
        query = urlencode(self.fields)
        return f"{links.queue_url(mount, alias, queue)}operations/confirm/?{query}"


def operation_plan(
    request: HttpRequest, alias: str, queue: str, order: Order, wrong: str = ""
) -> HttpResponse:
    """Ask whether to start an operation, with the number of jobs that it would be done to now."""
    for permission in operations.required(order.action, order.filter):
        access.require(request.user, permission, alias, queue)
    snapshot_of(alias, queue)
    target = Queue.existing(queue, alias)
    plan = operations.plan(target, order.action, order.filter, order.params, seconds=SECONDS)
    count, total = plan.tally.estimate, plan.tally.total
    if maximum := order.params.get("maximum", 0):
        count = min(count, maximum)
    figures = [Figure(number(count), _will(order.action))]
    if not order.filter.everything or count < total:
        figures.append(Figure(number(max(total - count, 0)), _("stay as they are")))
    url = links.queue_url(mount_of(request), alias, queue)
    # What can be chosen stands in a field of its own.
    hidden = [one for one in order.fields if one[0] != "reset"]
    return ask(
        request,
        Confirmation(
            action="operation",
            url=f"{url}operations/start/",
            title=_title(order, count, queue),
            text=_text(order),
            verb=_verb(order.action, count),
            icon=operation_cells.ICONS.get(order.action, "play"),
            alias=alias,
            queue=queue,
            target=order.target,
            danger=order.action in _DANGER,
            figures=figures,
            warning=_warning(plan, count),
            fields=hidden,
            facts={"bound": plan.bound_ms, "count": count},
            choices="queuecore_dashboard/confirm/_operation_choices.html",
            possible=count > 0 or order.action == "obliterate",
        ),
        back=back_of(request, f"{url}jobs/"),
        order=order,
        query=visible(str(order.filter)),
        rates=rates(),
        keeps=order.params.get("reset", True) is False,
        resets=order.action == "retry",
        typed=order.action in TYPED,
        wrong=wrong,
    )


def _title(order: Order, count: int, queue: str) -> str:
    words = {
        "retry": _("Retry %(jobs)s of %(queue)s"),
        "promote": _("Promote %(jobs)s of %(queue)s"),
        "remove": _("Remove %(jobs)s of %(queue)s"),
        "clean": _("Clean %(jobs)s of %(queue)s"),
        "drain": _("Drain %(queue)s"),
        "obliterate": _("Obliterate %(queue)s"),
    }
    text = words.get(order.action, visible(order.action) + " %(queue)s")
    values = {"jobs": count_of_jobs(order.filter.state, count), "queue": visible(queue)}
    return text % {name: value for name, value in values.items() if f"%({name})s" in text}


def _text(order: Order) -> str:
    words = {
        "retry": _("They go back to waiting, the oldest first."),
        "promote": _("They may run as soon as a worker is free, those due first at first."),
        "remove": _("They go for good, with their data, results and logs, and their children."),
        "clean": _("They go for good, the oldest first."),
        "drain": _("Everything that waits goes for good. What runs goes on."),
        "obliterate": _("The queue is paused and deleted with everything in it."),
    }
    later = _("Jobs that arrive or end from now on are not touched.")
    text = words.get(order.action, "")
    return text if order.action == "obliterate" else f"{text} {later}".strip()


def _verb(action: str, count: int) -> str:
    words = {
        "retry": ngettext("Retry %(count)s job", "Retry %(count)s jobs", count),
        "promote": ngettext("Promote %(count)s job", "Promote %(count)s jobs", count),
        "remove": ngettext("Remove %(count)s job", "Remove %(count)s jobs", count),
        "clean": ngettext("Clean %(count)s job", "Clean %(count)s jobs", count),
        "drain": ngettext("Drain %(count)s job", "Drain %(count)s jobs", count),
        "obliterate": _("Obliterate queue"),
    }
    text = words.get(action, _("Start"))
    return text % {"count": exact(count)} if "%(count)s" in text else text


def _will(action: str) -> str:
    return {
        "retry": _("will be retried"),
        "promote": _("will be promoted"),
    }.get(action, _("will be removed") if action in _DANGER else _("are meant"))


def _warning(plan: operations.Plan, count: int) -> str:
    if plan.tally.complete:
        return "" if count else _("There are none now.")
    return _(
        "Counted %(looked)s of %(total)s jobs: the number is an estimate from those. All of them "
        "are looked at when it runs."
    ) % {"looked": exact(plan.tally.looked), "total": exact(plan.tally.total)}


def rates() -> list[tuple[int, str]]:
    """The rates that can be chosen, with their words."""
    words = [_("as fast as the server bears")]
    words += [_("%(count)s jobs a second") % {"count": exact(rate)} for rate in RATES[1:]]
    return list(zip(RATES, words, strict=True))
