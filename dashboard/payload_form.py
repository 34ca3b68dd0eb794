"""A payload that is edited: JSON text for a form, and what was typed as a value.

Secrets are masked in a form as everywhere; a masked value that comes back as it was shown stands
for what the job holds there. Characters that nobody sees are written as escapes, so that they are
seen and are not lost.
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.translation import gettext as _

from queuecore.errors import QueueCoreError
from queuecore.jsontext import MASK, is_secret
from queuecore.processors import payload_of

from .draw.values import visible

#: The longest payload that is edited here, in bytes.
LONGEST = 256_000
_UNSEEN = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_MISSING = object()


class WrongPayload(ValueError):
    """What was typed cannot be the data of a job; the text says why."""


def shown(text: str) -> str | None:
    """The JSON *text* of a job, laid out for a form, secrets masked; None if it is no JSON."""
    try:
        return _write(_masked(json.loads(text or "null"), False))
    except (ValueError, RecursionError):
        return None


def read(typed: str, original: str) -> Any:
    """What was *typed* as a value, masked values as in the JSON text *original*.

    Raises:
        WrongPayload: it is no JSON, too long, or masks something that the job does not hold.
    """
    if len(typed.encode("utf-8", "surrogatepass")) > 2 * LONGEST:
        raise WrongPayload(_("The data is too long to be edited here."))
    try:
        value = json.loads(typed, parse_constant=_no_constant)
    except RecursionError:
        raise WrongPayload(_("The data is nested too deeply.")) from None
    except ValueError as error:
        raise WrongPayload(_("This is no JSON: %(why)s") % {"why": visible(error)}) from None
    try:
        old = json.loads(original or "null")
    except (ValueError, RecursionError):
        old = _MISSING
    return _restored(value, old, False)


def _masked(value: Any, secret: bool) -> Any:
    if isinstance(value, dict):
        return {key: _masked(one, secret or is_secret(key)) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, secret) for one in value]
    return MASK if secret else value


def _restored(value: Any, old: Any, secret: bool) -> Any:
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        return {
            key: _restored(one, before.get(key, _MISSING), secret or is_secret(key))
            for key, one in value.items()
        }
    if isinstance(value, list):
        known = old if isinstance(old, list) else []
        return [
            _restored(one, known[index] if index < len(known) else _MISSING, secret)
            for index, one in enumerate(value)
        ]
    if secret and value == MASK:
        if old is _MISSING or isinstance(old, dict | list):
            raise WrongPayload(
                _("A masked value stands where the job has none. Write the value itself there.")
            )
        return old
    return value


def check(value: Any, alias: str, queue: str, name: str) -> None:
    """Hold *value* against the type that the processor of these jobs declares, if it is known here.

    Raises:
        WrongPayload: it is not of that type; the text names the fields.
    """
    if (declared := payload_of(alias, queue, name)) is not None:
        try:
            declared.check(value, name, queue)
        except QueueCoreError as error:
            raise WrongPayload(visible(error)) from None


def _write(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
