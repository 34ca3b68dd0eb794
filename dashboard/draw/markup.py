"""Builds HTML and SVG elements; the only place that says "this text is markup".

Children and attribute values are escaped unless they are markup already, so that whatever comes
from a queue stays text. Nothing here can make a ``style`` or an event-handler attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import Any

from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

Child = Any  # str, SafeString, number, None, or an iterable of these

_ATTRIBUTE = re.compile(r"(?!on|style)[a-zA-Z][a-zA-Z0-9:-]*")
_PLACE = re.compile(r"%\((\w+)\)s")
_VOID = frozenset({"br", "hr", "img", "input"})


def element(name: str, *children: Child, **attributes: Any) -> SafeString:
    """Return ``<name attributes>children</name>``.

    An attribute's name loses a trailing ``_`` (``class_``), other ``_`` become ``-``. None and
    False leave an attribute out, True gives it without a value.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = _attribute(key)
        parts.append(f" {key}" if value is True else f' {key}="{escape(str(value))}"')
    parts.append(">")
    if name not in _VOID:
        parts.append(join(children))
        parts.append(f"</{name}>")
    return mark_safe("".join(parts))  # noqa: S308 - every part is escaped above


@lru_cache(maxsize=1_000)
def _attribute(key: str) -> str:
    key = key.rstrip("_").replace("_", "-")
    if not _ATTRIBUTE.fullmatch(key):
        raise ValueError(f"The attribute {key!r} is not allowed: it would run or style inline")
    return key


def join(children: Iterable[Child]) -> SafeString:
    """Return the children as one piece of markup; text among them is escaped."""
    return mark_safe("".join(_flat(children)))  # noqa: S308 - every part is escaped below


def phrase(text: str, **parts: Child) -> SafeString:
    """Return a sentence with markup in its places: ``phrase(_("late by %(time)s"), time=...)``."""
    pieces = _PLACE.split(text)
    return join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None or child == "":
            continue
        if type(child) is SafeString:
            yield child
        elif isinstance(child, str):
            yield conditional_escape(child)
        elif isinstance(child, Iterable):
            yield from _flat(child)
        else:
            yield escape(str(child))
