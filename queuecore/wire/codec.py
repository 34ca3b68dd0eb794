"""JSON as every BullMQ client can read it, the same with orjson and with the standard library.

Refused, because some peer could not read it or would read something else: NaN and infinities,
bytes, keys that are not strings, lone surrogates, integers beyond 64 bits, more than ``MAX_DEPTH``
levels, and objects such as model instances. ``datetime``, ``date``, ``time``, ``UUID`` and
``Decimal`` become strings; an enum becomes its value, a dataclass an object, a tuple an array.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from ..errors import NotSerializable

try:
    import orjson
except ImportError:  # the `speed` extra is not installed
    orjson = None  # type: ignore[assignment]

MAX_DEPTH = 100
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def dumps(value: Any, what: str = "data") -> bytes:
    """Encode *value* as compact UTF-8 JSON.

    *what* names the value in errors (``"data"``, ``"the result"``).

    Raises:
        NotSerializable: naming the path of the first thing that cannot be written.
    """
    return _dumps(value, what)


def loads(text: bytes | str) -> Any:
    """Decode JSON text.

    Raises:
        ValueError: the text is no JSON (peers and people write to the server too).
    """
    return _loads(text)


def _plain(value: Any) -> Any:
    """Turn one value that JSON does not know into one that it knows, or raise `TypeError`."""
    if isinstance(value, datetime | date | time_of_day):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(type(value).__name__)


def _with_orjson(value: Any, what: str) -> bytes:
    try:
        text = orjson.dumps(value, _plain, _OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise _explain(value, what, error) from error
    # orjson writes NaN as null and knows no depth limit of ours: two scans of the finished text
    # decide whether the slow walk that would find either is needed at all.
    if b"null" in text or text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        _walk(value, what, "", 0)
    return text


def _with_stdlib(value: Any, what: str) -> bytes:
    _walk(value, what, "", 0)
    try:
        return json.dumps(
            value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _explain(value, what, error) from error


def _explain(value: Any, what: str, error: BaseException) -> NotSerializable:
    """Find the culprit by a walk; whatever the walk lets pass is told in the encoder's words."""
    try:
        _walk(value, what, "", 0)
    except NotSerializable as found:
        return found
    return NotSerializable(f"{what} cannot be written as JSON: {error}")


def _walk(value: Any, what: str, path: str, depth: int) -> None:
    """Raise for the first value under *value* that the wire does not take."""
    if depth > MAX_DEPTH:
        raise NotSerializable(f"{what} is nested deeper than {MAX_DEPTH} levels; store it flatter")
    where = f"{what}{path}"
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotSerializable(
                f"{where} holds a lone surrogate, which is no valid text; "
                "clean it with text.encode('utf-8', 'replace').decode()"
            ) from None
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise NotSerializable(f"{where} is an integer of more than 64 bits; send it as str")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotSerializable(f"{where} is {value}, which JSON does not know; send None or str")
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(key) is not str:  # orjson takes no subclass
                raise NotSerializable(
                    f"{where} has the key {key!r} of type {type(key).__name__}; keys must be str"
                )
            _walk(key, what, f"{path} (a key)", depth)
            _walk(item, what, f"{path}[{key!r}]", depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _walk(item, what, f"{path}[{index}]", depth + 1)
    elif isinstance(value, bytes | bytearray | memoryview):
        raise NotSerializable(f"{where} is bytes; send text, for binary data base64 or a file's key")
    elif hasattr(value, "_meta") and hasattr(value, "pk"):
        raise NotSerializable(
            f"{where} is a {type(value).__name__} instance; pass its key (obj.pk) "
            "and load it again in the processor"
        )
    else:
        try:
            plain = _plain(value)
        except TypeError:
            raise NotSerializable(
                f"{where} is of type {type(value).__name__}, which JSON does not know; "
                "send dict, list, str, int, float, bool or None"
            ) from None
        _walk(plain, what, path, depth + 1)


if orjson is not None:
    _OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
    _dumps: Callable[[Any, str], bytes] = _with_orjson
    _loads: Callable[[bytes | str], Any] = orjson.loads
else:
    _dumps = _with_stdlib
    _loads = json.loads
