"""The partners' side of the webhooks, so that the demo has somebody to talk to.

Three partners with the manners of real ones: ``crm`` is quick and overloaded now and then,
``warehouse`` is slow, ``old-shop`` has closed.
"""

import asyncio
import random
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from demo.notifications import services


@dataclass(frozen=True)
class Partner:
    """How a partner answers: after *slowest* seconds at most, *busy* of all times with 503."""

    busy: float = 0.0
    slowest: float = 0.05
    gone: bool = False


PARTNERS = {
    "crm": Partner(busy=0.25),
    "warehouse": Partner(busy=0.05, slowest=6.0),
    "old-shop": Partner(gone=True),
}


@csrf_exempt  # the signature says who it is
@require_POST
async def receive(request: HttpRequest, endpoint: str) -> HttpResponse:
    """Take one webhook: 200, 401 (bad signature), 404, 410 (closed) or 503 (overloaded)."""
    partner = PARTNERS.get(endpoint)
    if partner is None:
        return HttpResponse("no such partner", status=404, content_type="text/plain")
    try:
        webhook_id = services.verify(services.secret_of(endpoint), request.headers, request.body)
    except services.BadSignature as error:
        return HttpResponse(str(error), status=401, content_type="text/plain")
    if partner.gone:
        return HttpResponse("this shop has closed", status=410, content_type="text/plain")
    await asyncio.sleep(random.uniform(partner.slowest / 4, partner.slowest))
    if random.random() < partner.busy:
        return HttpResponse("overloaded, come again", status=503, content_type="text/plain")
    return JsonResponse({"received": webhook_id})
