"""The same patches over plain HTTP, for pages without a socket: a request, a topic."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from queuecore import access
from queuecore.connected import hurried
from queuecore.inspect import Inspector

from ..guard import mount
from ..headers import secure
from .fragments import fragments
from .state import Topic, connections_status, good_ids, read, viewer_of


@require_safe
def poll(request: HttpRequest) -> HttpResponseBase:
    """Answer every patch of ``?topic=`` for the ids on screen (``&id=``, repeated).

    401 and 403 say what closing a socket with 4401 and 4403 says.
    """
    if not request.user.is_authenticated:
        return _answer(request, {"error": "signed out"}, status=401)
    if not access.can(request.user, "view"):
        return _answer(request, {"error": "forbidden"}, status=403)
    text, ids = request.GET.get("topic", ""), request.GET.getlist("id")
    topic = Topic.parse(text)
    viewer = viewer_of(request.user, get_language() or "", mount())
    if topic is None or not good_ids(ids) or not viewer.may_watch(topic):
        return _answer(request, {"topic": text[:1_000], "gone": True})
    with hurried():
        state = read(topic, ids)
    shown = [state[topic.alias]] if topic.alias else list(state.connections.values())
    read_at = max((one.read_at for one in shown if one.read_at), default=None)
    # The page keeps what it has shown last: nothing is known that could stand there instead.
    known = any(one.error is None for one in shown)
    patches = fragments(state, topic, viewer, ids) if known else {}
    return _answer(
        request,
        {
            "topic": text,
            "at": round(read_at.timestamp() * 1000) if read_at else 0,
            "now": Inspector().now_ms(),
            "connections": connections_status(shown),
            "patches": [
                {
                    "id": name,
                    **({"html": patch.html} if patch.text is None else {"text": patch.text}),
                }
                for name, patch in patches.items()
            ],
        },
    )


def _answer(request: HttpRequest, body: dict[str, object], status: int = 200) -> HttpResponseBase:
    return secure(request, JsonResponse(body, status=status))
