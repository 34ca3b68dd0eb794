"""Asking: the page between an action and its work, which says how many and what will happen.

What is asked is signed: who was asked what about which queues or jobs, and what was counted. An
action works with that token only, for ten minutes and once (the audit refuses it a second time).
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core import signing
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

_SALT = "queuecore.admin"
_SECONDS = 600
_LONGEST_REASON = 500


class Answer(forms.Form):
    """What is asked before every action: why."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("Kept with the record of what was done."),
        required=False,
        max_length=_LONGEST_REASON,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    @property
    def choices(self) -> dict[str, str]:
        """What changes how much is done: it must be as it was when that was counted."""
        return {}


@dataclass(frozen=True, slots=True)
class Token:
    """A token that holds: what was counted, and the key under which it works once."""

    facts: Mapping[str, Any]
    once: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is shown. *lines*: what is acted upon and what becomes of it; *chosen*: its keys."""

    action: str
    title: str
    text: str
    verb: str
    lines: Sequence[tuple[str, str]]
    form: Answer
    chosen: Sequence[str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    danger: bool = False
    possible: bool = True


def answered(
    request: HttpRequest, action: str, chosen: Sequence[str], form: Answer
) -> Token | None:
    """What the form's token says, if it was sent and holds for exactly this."""
    if "confirm" not in request.POST or not form.is_valid():
        return None
    try:
        value = signing.loads(request.POST.get("token", ""), salt=_SALT, max_age=_SECONDS)
    except signing.BadSignature:
        return None
    if value["of"] != _digest(request, action, chosen, form.choices):
        return None
    return Token(value["facts"], f"admin:{value['once']}")


def ask(admin: Any, request: HttpRequest, question: Question) -> TemplateResponse:
    """Show *question* in the look of the admin."""
    form = question.form
    token = signing.dumps(
        {
            "of": _digest(request, question.action, question.chosen, form.choices),
            "facts": dict(question.facts),
            "once": secrets.token_urlsafe(16),
        },
        salt=_SALT,
        compress=True,
    )
    request.current_app = admin.admin_site.name
    return TemplateResponse(
        request,
        "admin/queuecore/confirmation.html",
        {
            **admin.admin_site.each_context(request),
            "title": question.title,
            "subtitle": None,
            "original": _("Confirm"),
            "add": False,
            "change": True,
            "has_view_permission": True,
            "opts": admin.opts,
            "media": admin.media,
            "question": question,
            "token": token,
            "post_name": request.POST.getlist("action")[_index(request)],
            "across": request.POST.get("select_across", "0"),
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "checkbox": ACTION_CHECKBOX_NAME,
            "back": request.get_full_path(),
        },
    )


def place(key: str) -> str:
    """A short digest of a key, with which one token works once for each of several queues."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _index(request: HttpRequest) -> int:
    """Which of the page's two menus of actions was used."""
    text = request.POST.get("index", "0")
    index = int(text) if text in ("0", "1") else 0
    return min(index, len(request.POST.getlist("action")) - 1)


def _digest(
    request: HttpRequest, action: str, chosen: Sequence[str], choices: Mapping[str, str]
) -> str:
    said = json.dumps([str(request.user.pk), action, sorted(chosen), sorted(choices.items())])
    return hashlib.sha256(said.encode()).hexdigest()
