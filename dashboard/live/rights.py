"""Whose socket is it, and what may it show: asked when it opens, and again every few seconds.

A socket outlives logout, a changed password and lost permissions unless somebody looks. The look
costs the same few queries for one user and for a hundred.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user, get_user_model
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.core.handlers.asgi import ASGIRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from queuecore import access

from ..languages import supported
from .state import Viewer

SIGNED_OUT, FORBIDDEN = 4401, 4403


@dataclass(frozen=True, slots=True)
class Identity:
    """Who opened a socket: a session, its user, and the page's language and mount."""

    session_key: str
    user_pk: Any
    language: str
    mount: str


def identify(request: ASGIRequest, mount: str) -> tuple[Identity, Viewer] | int:
    """Who sent the handshake *request*; the code to close with if that is nobody with a right.

    Asks the database, so it belongs into a thread.
    """
    engine = import_module(settings.SESSION_ENGINE)
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    request.session = engine.SessionStore(key)
    user = get_user(request)
    if not user.is_authenticated or key is None:
        return SIGNED_OUT
    identity = Identity(key, user.pk, _language(request.GET.get("lang", "")), mount)
    rights = access.rights([user]).get(user.pk, access.Rights())
    return (identity, _viewer(identity, rights)) if rights.view else FORBIDDEN


def recheck(identities: Collection[Identity]) -> dict[Identity, Viewer | int]:
    """The class of viewers of each identity now, or the code to close its socket with.

    Asks the database, so it belongs into a thread.
    """
    sessions = _sessions({one.session_key for one in identities})
    found = get_user_model()._default_manager.filter(pk__in={one.user_pk for one in identities})
    users = {user.pk: user for user in found if user.is_active}
    rights = access.rights(list(users.values()))
    answer: dict[Identity, Viewer | int] = {}
    for identity in identities:
        user = users.get(identity.user_pk)
        if user is None or not _belongs(sessions.get(identity.session_key, {}), user):
            answer[identity] = SIGNED_OUT
        else:
            own = rights.get(user.pk, access.Rights())
            answer[identity] = _viewer(identity, own) if own.view else FORBIDDEN
    return answer


def _viewer(identity: Identity, rights: access.Rights) -> Viewer:
    return Viewer(rights.scope, rights.payload, identity.language, identity.mount, rights.audit)


def _language(asked: str) -> str:
    """The language of the page that opens the socket."""
    return supported(asked) or settings.LANGUAGE_CODE


def _sessions(keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """The content of each session that still lives."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if store is DatabaseSessions:
        rows = store.get_model_class().objects.filter(
            session_key__in=keys, expire_date__gt=timezone.now()
        )
        return {row.session_key: row.get_decoded() for row in rows}
    return {key: store(key).load() for key in keys}


def _belongs(session: dict[str, Any], user: Any) -> bool:
    """Whether *user* is signed in with *session*, and has the same password since."""
    if session.get(SESSION_KEY) != user._meta.pk.value_to_string(user):
        return False
    if not hasattr(user, "get_session_auth_hash"):
        return True
    # After a rotation of SECRET_KEY, the old keys still count, as in Django's own check.
    known = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    stored = session.get(HASH_SESSION_KEY, "")
    return any(constant_time_compare(stored, one) for one in known)
