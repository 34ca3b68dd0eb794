"""A confirmation: what will be done, with its figures, and the token without which it is not.

The server decides. What asks for confirmation is refused without the token of the page or dialog
that named it; the token holds user, action, target and what was counted, works for five minutes and
once (:mod:`queuecore.audit` refuses it a second time).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from queuecore.inspect import aliases

from .rendering import render

_SALT = "queuecore_dashboard.confirm"
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a dry run and the word under it."""

    value: SafeString | str
    word: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What is shown. ``fields`` are hidden inputs, ``target`` is what is acted upon."""

    action: str
    url: str
    title: str
    text: str
    verb: str
    icon: str
    alias: str
    queue: str
    target: str = ""
    danger: bool = False
    reason: bool = True
    figures: Sequence[Figure] = ()
    warning: str = ""
    fields: Sequence[tuple[str, str]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    choices: str = ""  # a template with the choices that lead to other figures
    possible: bool = True
    page: str = "queues"  # the place of the rail that it belongs to
    reason_note: str = ""  # what becomes of the reason, where it is more than kept
    keep: str = ""  # the word of the button that does nothing, where "Cancel" would mislead


def ask(
    request: HttpRequest, confirmation: Confirmation, back: str, **context: Any
) -> HttpResponse:
    """Show *confirmation*: as the inside of a dialog where a script asked, else as a page."""
    from .pages.shell import shell

    partial = request.headers.get("X-Queuecore-Dialog") == "1"
    values = {
        "confirmation": confirmation,
        "token": sign(request, confirmation),
        "back": back,
        "dialog": partial,
        **context,
    }
    if partial:
        return render(request, "queuecore_dashboard/confirm/_form.html", values)
    trail = [(confirmation.queue, back)] if confirmation.queue else []
    if confirmation.queue and len(aliases()) > 1:
        trail.insert(0, (confirmation.alias, ""))
    return render(
        request,
        "queuecore_dashboard/confirm/page.html",
        values | shell(request, page=confirmation.page, title=confirmation.title, trail=trail),
    )


def sign(request: HttpRequest, confirmation: Confirmation) -> str:
    """Return the token of a confirmation."""
    return signing.dumps(
        {
            "user": str(request.user.pk),
            "action": confirmation.action,
            "where": _where(confirmation.alias, confirmation.queue, confirmation.target),
            "facts": dict(confirmation.facts),
            "once": secrets.token_urlsafe(16),
        },
        salt=_SALT,
        compress=True,
    )


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A token that holds: what was counted for it, and the key under which it works once."""

    facts: Mapping[str, Any]
    once: str


def confirmed(
    request: HttpRequest, action: str, alias: str, queue: str, target: str = ""
) -> Confirmed | None:
    """Return what the request's token says; None without one, with a wrong or an old one."""
    try:
        value = signing.loads(request.POST.get("token", ""), salt=_SALT, max_age=_SECONDS)
    except signing.BadSignature:
        return None
    wanted = {
        "user": str(request.user.pk),
        "action": action,
        "where": _where(alias, queue, target),
    }
    if any(value.get(key) != wanted[key] for key in wanted):
        return None
    return Confirmed(value["facts"], f"confirm:{value['once']}")


def _where(alias: str, queue: str, target: str) -> str:
    return hashlib.sha256(json.dumps([alias, queue, target]).encode()).hexdigest()
