"""Operations on many jobs: started after a confirmation that counted, then steered."""

from __future__ import annotations

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access, audit, operations
from queuecore.errors import InvalidOption
from queuecore.models import Operation

from .. import links
from ..confirmations import confirmed
from ..draw import operation_cells
from ..draw.filter_words import explained
from ..guard import guarded
from ..plans.operations import RATES, TYPED, Order, operation_plan
from .base import answer, form_key, reason_of


@guarded("POST")
def start(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Start an operation on what the confirmation counted; its moment is the bound."""
    try:
        order = Order.parse(request.POST)
    except InvalidOption as error:
        return answer(request, "error", explained(error))
    token = confirmed(request, "operation", alias, queue, order.target)
    if token is None or "count" in request.POST:
        _refuse(request, order, alias, queue)
        return operation_plan(request, alias, queue, order)
    if order.action in TYPED and request.POST.get("typed", "") != queue:
        return operation_plan(request, alias, queue, order, _("That is not the queue's name."))
    try:
        made = operations.start(
            actor=request.user,
            action=order.action,
            alias=alias,
            queue=queue,
            filter=order.filter,
            bound_ms=int(token.facts["bound"]),
            planned=int(token.facts["count"]),
            params=order.params,
            reason=reason_of(request),
            rate=order.rate or None,
            ip=audit.client_ip(request),
            once=token.once,
        )
    except audit.AlreadyDone:
        return answer(request, "info", _("That was started already, by the first click."))
    except InvalidOption as error:
        return answer(request, "error", explained(error))
    mount = request.viewer.mount  # type: ignore[attr-defined]
    text = _("Started: %(what)s.") % {"what": operation_cells.word(made.action, made.state)}
    return answer(request, "done", text, links.operation_url(mount, made.pk))


@guarded("POST")
def steer(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Pause, resume or abort an operation, or change its rate; asks for what it itself asks for."""
    found = find(request, pk)
    act = _VERBS.get(verb)
    if act is None:
        raise Http404("no such order")
    level, text = "done", ""
    try:
        with audit.record(
            actor=request.user,
            ip=audit.client_ip(request),
            action=f"{verb}_operation",
            alias=found.connection,
            queue=found.queue,
            target=str(found.pk),
            params={"rate": request.POST.get("rate", "")[:10]} if verb == "rate" else {},
            reason=reason_of(request),
            once=form_key(request, verb, str(pk)),
        ) as entry:
            for permission in permissions_of(found):
                access.require(request.user, permission, found.connection, found.queue)
            done, text = act(request, found)
            if not done:
                level, text = (
                    "info",
                    _("The operation is not in a state in which that can be done."),
                )
                entry.fail("not in a fitting state")
    except audit.AlreadyDone:
        level, text = "info", _("That was done already, by the first click.")
    return answer(request, level, text)


def find(request: HttpRequest, pk: int) -> Operation:
    """The operation, if its queue may be seen.

    Raises:
        Http404: there is none.
    """
    found = Operation.objects.filter(pk=pk).first()
    seen = request.viewer  # type: ignore[attr-defined]
    if found is None or not seen.allows(found.connection, found.queue):
        raise Http404("no such operation")
    return found


def permissions_of(operation: Operation) -> tuple[str, ...]:
    """What steering it asks for; of an action that is not known any more, what all ask for."""
    try:
        return operations.required(operation.action, Order.of(operation).filter)
    except InvalidOption:
        return ("bulk",)


def _pause(request: HttpRequest, operation: Operation) -> tuple[bool, str]:
    return operations.pause(operation), _("It rests after the present chunk.")


def _resume(request: HttpRequest, operation: Operation) -> tuple[bool, str]:
    return operations.resume(operation), _("It goes on.")


def _abort(request: HttpRequest, operation: Operation) -> tuple[bool, str]:
    done = operations.abort(operation, request.user.get_username())
    return done, _("Aborted. What was done stays done.")


def _rate(request: HttpRequest, operation: Operation) -> tuple[bool, str]:
    given = request.POST.get("rate", "")
    if given not in map(str, RATES):
        return False, ""
    return operations.set_rate(operation, int(given) or None), _("The rate is changed.")


_VERBS: dict[str, Callable[[HttpRequest, Operation], tuple[bool, str]]] = {
    "pause": _pause,
    "resume": _resume,
    "abort": _abort,
    "rate": _rate,
}


def _refuse(request: HttpRequest, order: Order, alias: str, queue: str) -> None:
    """Record that somebody tried who may not.

    Raises:
        PermissionDenied: then.
    """
    needed = operations.required(order.action, order.filter)
    if all(access.can(request.user, one, alias, queue) for one in needed):
        return
    with audit.record(
        actor=request.user,
        ip=audit.client_ip(request),
        action=order.action,
        alias=alias,
        queue=queue,
        target=f"state:{order.filter.state} {order.filter}".rstrip(),
        reason=reason_of(request),
    ):
        for permission in needed:
            access.require(request.user, permission, alias, queue)
