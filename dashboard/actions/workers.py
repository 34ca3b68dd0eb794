"""Orders to workers: pause, resume, drain and stop; to one, to a process's, to the ticked ones.

Cooperative: each process carries them out with its next heartbeat. Whoever has a scope orders the
workers of queues in it alone, whatever else their process works.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import access, audit, recorded
from queuecore.errors import QueueCoreError, ServerUnavailable
from queuecore.fleet import Sent

from .. import crew
from ..confirmations import Confirmation, Figure, ask, confirmed
from ..draw.values import number, visible
from ..guard import came_from, guarded
from ..live.state import LiveState, Topic, Viewer, read
from .base import answer, explain, place, reason_of

#: The most that are ordered at once: all rows of a page, or a whole fleet.
TICKED = 500

VERBS = tuple(recorded.ORDERS)


@guarded("GET")
def confirm(request: HttpRequest, verb: str) -> HttpResponse:
    """Ask whether to give an order, and say whom it would reach."""
    _check(request, verb)
    return _plan(request, verb, _chosen(request, request.GET.getlist("id"), whole=True))


@guarded("POST")
def order(request: HttpRequest, verb: str) -> HttpResponse:
    """Give an order that was confirmed; without a confirmation, ask for it."""
    ids = list(dict.fromkeys(request.POST.getlist("id")))
    if verb not in VERBS:
        raise Http404("no such order")
    token = confirmed(request, f"workers-{verb}", "", "", json.dumps(ids))
    if token is None:
        if not access.can(request.user, "manage_workers"):
            _refuse(request, verb, ids)
        return _plan(request, verb, _chosen(request, ids, whole=True))
    found = _chosen(request, ids)
    if not found:
        return answer(request, "info", _("None of these workers is there any more."))
    reached = missing = 0
    again = ""
    groups: defaultdict[tuple[str, str], list[crew.Member]] = defaultdict(list)
    for one in found:
        groups[one.alias, one.worker.queue].append(one)
    for (alias, queue), own in sorted(groups.items()):
        try:
            sent = _give(request, verb, alias, queue, own, token.once)
        except audit.AlreadyDone:
            again = _("That was done already, by the first click.")
        except (PermissionDenied, ServerUnavailable):
            raise
        except QueueCoreError as error:
            return answer(request, "error", explain(error))
        else:
            reached += len(sent.workers)
            missing += len(sent.missing)
    if again and not reached:
        return answer(request, "info", again)
    return answer(request, "done" if reached else "error", _said(verb, reached, missing))


def _give(
    request: HttpRequest,
    verb: str,
    alias: str,
    queue: str,
    found: Sequence[crew.Member],
    once: str,
) -> Sent:
    """Order the workers of one queue; on record as one action, since rights go by the queue."""
    ip, key = audit.client_ip(request), f"{once}:{place(alias, queue)}"
    by = recorded.By(request.user, reason_of(request), ip, key)
    members = [(one.process, one.worker) for one in found]
    return recorded.order(verb, alias, queue, members, by)


def _refuse(request: HttpRequest, verb: str, ids: Sequence[str]) -> None:
    """Record that somebody tried who may not.

    Raises:
        PermissionDenied: always.
    """
    with audit.record(
        actor=request.user,
        ip=audit.client_ip(request),
        action=f"{verb}_worker",
        params={"workers": [one[:80] for one in ids[:TICKED]]},
        reason=reason_of(request),
    ):
        access.require(request.user, "manage_workers")


def _check(request: HttpRequest, verb: str) -> None:
    if verb not in VERBS:
        raise Http404("no such order")
    access.require(request.user, "manage_workers")


def _chosen(request: HttpRequest, ids: Sequence[str], *, whole: bool = False) -> list[crew.Member]:
    """The workers that are meant, as far as they are there and may be seen.

    With *whole* also those of the processes and the fleets that the request names.
    """
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    values = request.POST if request.method == "POST" else request.GET
    processes = values.getlist("process")[:TICKED] if whole else []
    fleets = values.getlist("fleet")[:TICKED] if whole else []
    if not ids and not processes and not fleets:
        return []
    state: LiveState = read(Topic("workers"))
    wanted = set(ids[:TICKED])
    return [
        one
        for one in crew.members(state, seen)
        if one.key in wanted
        or f"{one.alias}:{one.process.id}" in processes
        or (one.fleet and f"{one.alias}:{one.fleet}" in fleets)
    ][:TICKED]


def _plan(request: HttpRequest, verb: str, found: Sequence[crew.Member]) -> HttpResponse:
    for one in found:
        access.require(request.user, "manage_workers", one.alias, one.worker.queue)
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    count = len(found)
    reached = [one for one in found if one.process.health != "lost"]
    # One order's ids in the order of the form: the token holds exactly these.
    ids = [one.key for one in found]
    mount = f"{seen.mount}workers/"
    queue = visible(found[0].worker.queue) if found else ""
    titles = {
        "pause": ngettext("Pause a worker of %(queue)s", "Pause %(count)s workers", count),
        "resume": ngettext("Resume a worker of %(queue)s", "Resume %(count)s workers", count),
        "drain": ngettext(
            "Drain and stop a worker of %(queue)s", "Drain and stop %(count)s workers", count
        ),
    }
    texts = {
        "pause": ngettext(
            "It takes no further jobs until it is resumed; what it runs goes on. "
            "Other workers of the queue go on, too.",
            "They take no further jobs until they are resumed; what they run goes on. "
            "Other workers of their queues go on, too.",
            count,
        ),
        "resume": ngettext("It takes jobs again.", "They take jobs again.", count),
        "drain": ngettext(
            "It takes no further jobs, finishes what it runs, however long that takes, and ends. "
            "A process whose last worker has ended exits with code 0: whether it is started "
            "again is up to whatever supervises it. This cannot be taken back.",
            "They take no further jobs, finish what they run, however long that takes, and end. "
            "A process whose last worker has ended exits with code 0: whether it is started "
            "again is up to whatever supervises it. This cannot be taken back.",
            count,
        ),
    }
    busy = sum(one.worker.busy for one in reached)
    homes = len({(one.alias, one.process.id) for one in reached})
    verbs = {"pause": _("Pause"), "resume": _("Resume"), "drain": _("Drain and stop")}
    warning = ""
    if not found:
        warning = _("None of these workers is there any more.")
    elif len(reached) < count:
        lost = count - len(reached)
        warning = ngettext(
            "%(count)s of them has not been heard of for too long and gets no order.",
            "%(count)s of them have not been heard of for too long and get no order.",
            lost,
        ) % {"count": lost}
    elif any(one.process.health == "late" for one in reached):
        warning = _("A process is late: it hears the order when it comes back within 30 s.")
    elif verb == "pause" and any(one.fleet for one in reached):
        warning = _("A process that a fleet's supervisor starts later is not paused.")
    return ask(
        request,
        Confirmation(
            action=f"workers-{verb}",
            url=f"{mount}order/{verb}/",
            title=titles[verb] % {"count": count, "queue": queue},
            text=texts[verb],
            verb=verbs[verb],
            icon={"pause": "pause", "resume": "play", "drain": "drain"}[verb],
            alias="",
            queue="",
            target=json.dumps(ids),
            danger=verb == "drain",
            figures=[
                Figure(number(len(reached)), ngettext("worker", "workers", len(reached))),
                Figure(number(homes), ngettext("process", "processes", homes)),
                Figure(number(busy), ngettext("job runs there", "jobs run there", busy)),
            ],
            warning=warning,
            fields=[("id", key) for key in ids],
            possible=bool(reached),
            page="workers",
        ),
        back=_back(request, mount),
    )


def _said(verb: str, reached: int, missing: int) -> str:
    words = {
        "pause": ngettext(
            "Asked %(count)s worker to pause.", "Asked %(count)s workers to pause.", reached
        ),
        "resume": ngettext(
            "Asked %(count)s worker to go on.", "Asked %(count)s workers to go on.", reached
        ),
        "drain": ngettext(
            "Asked %(count)s worker to drain and stop.",
            "Asked %(count)s workers to drain and stop.",
            reached,
        ),
    }[verb] % {"count": reached}
    if reached:
        words += " " + _("It hears that with its next heartbeat.")
    if missing:
        words += " " + ngettext(
            "%(count)s was not there any more.", "%(count)s were not there any more.", missing
        ) % {"count": missing}
    return words


def _back(request: HttpRequest, fallback: str) -> str:
    back = came_from(request)
    mount = request.viewer.mount  # type: ignore[attr-defined]
    return fallback if back == mount or "/confirm/" in back or "/order/" in back else back
