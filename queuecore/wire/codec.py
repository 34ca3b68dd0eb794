"""JSON as every BullMQ client can read it, the same with orjson and with the standard library.

Refused, because some peer could not read it or would read something else: NaN and infinities,
bytes, keys that are not strings, lone surrogates, integers beyond 64 bits, more than ``MAX_DEPTH``
levels, and objects such as model instances. ``datetime``, ``date``, ``time``, ``UUID`` and
``Decimal`` become strings; an enum becomes its value, a dataclass, a pydantic model and a msgspec
struct an object, a tuple an array.
"""

from __future__ import annotations

import json
import math
import sys
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
    _FAST = False
else:
    _FAST = True

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

    Half a surrogate pair, which JavaScript writes where it cut an emoji in two, is read as U+FFFD;
    an integer of more than 64 bits as a float.

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
    if (pydantic := getattr(type(value), "__pydantic_serializer__", None)) is not None:
        return pydantic.to_python(value, mode="json", by_alias=True)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(type(value), "__struct_fields__") and (msgspec := sys.modules.get("msgspec")):
        return msgspec.to_builtins(value)
    raise TypeError(type(value).__name__)


def _write_by_orjson(value: Any, what: str) -> bytes:
    try:
        text = orjson.dumps(value, _plain, _OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise _explain(value, what, error) from error
    # orjson writes NaN as null and knows no depth limit of ours: two scans of the finished text
    # decide whether the slow walk that would find either is needed at all.
    if b"null" in text or text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        _walk(value, what, "", 0)
    # A short text of orjson's holds the page of memory that it was written into; its copy does not.
    # Many jobs held at once (`add_bulk`) cost a hundredth of the memory so, and half of the time.
    return b"%b" % text if len(text) < 65_536 else text


def _write_by_stdlib(value: Any, what: str) -> bytes:
    _walk(value, what, "", 0)
    try:
        return json.dumps(
            value, default=_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _explain(value, what, error) from error


def _read_by_orjson(text: bytes | str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        # orjson refuses halves of surrogate pairs; whatever else is wrong is found there again.
        return _read_by_stdlib(text)


def _read_by_stdlib(text: bytes | str) -> Any:
    try:
        value = json.loads(
            text, parse_int=_integer, parse_float=_finite, parse_constant=_no_constant
        )
    except RecursionError:
        raise ValueError("the JSON is nested too deeply to be read") from None
    halves = b"\\ud" if isinstance(text, bytes) else "\\ud"
    return _mended(value) if halves in text.lower() else value  # type: ignore[operator]


def _mended(value: Any) -> Any:
    """*value* with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return value


def _integer(digits: str) -> int | float:
    if len(digits) < 19:
        return int(digits)
    number = _finite(digits)
    if abs(number) > 2.0**65:
        return number
    exact = int(digits)
    return exact if _INT_MIN <= exact <= _INT_MAX else number


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the JSON holds a number beyond every float: {digits[:40]}")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


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
        raise NotSerializable(
            f"{where} is bytes; send text, for binary data base64 or a file's key"
        )
    elif hasattr(value, "_meta") and hasattr(value, "pk"):
        raise NotSerializable(
            f"{where} is a {type(value).__name__} instance; pass its key (obj.pk) "
            "and load it again in the processor"
        )
    elif hasattr(value, "model") and hasattr(value, "values_list") and hasattr(value, "query"):
        raise NotSerializable(
            f"{where} is a {type(value).__name__} of {value.model.__name__}; pass its keys "
            "(list(queryset.values_list('pk', flat=True))) and load the rows again in the processor"
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


if _FAST:
    _OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
    _dumps: Callable[[Any, str], bytes] = _write_by_orjson
    _loads: Callable[[bytes | str], Any] = _read_by_orjson
else:
    _dumps = _write_by_stdlib
    _loads = _read_by_stdlib
