"""A job as text to be taken along: the Python that adds one like it, and JSON; secrets masked."""

from __future__ import annotations

import json
import pprint
from collections.abc import Mapping
from typing import Any

from queuecore import Backoff, Keep
from queuecore.recipe import options_of

from . import jsontext
from .values import visible


def as_python(queue: str, name: str, data: str, opts: str, alias: str = "default") -> str:
    """The call of ``Queue.add`` that adds such a job; empty where the data is no whole JSON."""
    try:
        value = json.loads(jsontext.masked(data) or "null")
        written = _indented(pprint.pformat(value, width=92, sort_dicts=False))
    except (ValueError, RecursionError):
        return ""
    options = dict(options_of(_object(opts)))
    names = ["Queue", *sorted({type(one).__name__ for one in options.values() if _ours(one)})]
    where = repr(queue) if alias == "default" else f"{queue!r}, {alias!r}"
    lines = [
        f"from queuecore import {', '.join(sorted(names))}",
        "",
        f"Queue({where}).add(",
        f"    {name!r},",
        f"{written},",
        *(f"    {key}={_python(one)}," for key, one in options.items()),
        ")",
    ]
    return visible("\n".join(lines))


def as_json(name: str, data: str, opts: str) -> str:
    """Name, data and options as BullMQ's ``addBulk`` takes them; empty where they are not whole."""
    try:
        value = json.loads(jsontext.masked(data) or "null")
    except (ValueError, RecursionError):
        return ""
    options = _object(opts)
    given = {"name": name, "data": value, "opts": _object(jsontext.masked(json.dumps(options)))}
    return visible(json.dumps(given, indent=2, ensure_ascii=False))


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _ours(value: Any) -> bool:
    return isinstance(value, Backoff | Keep)


def _python(value: Any) -> str:
    if isinstance(value, Keep):
        given = {name: getattr(value, name) for name in ("count", "age", "limit")}
        return f"Keep({', '.join(f'{k}={v!r}' for k, v in given.items() if v is not None)})"
    if isinstance(value, Backoff):
        jitter = f", jitter={value.jitter!r}" if value.jitter else ""
        if value.type in ("fixed", "exponential"):
            return f"Backoff.{value.type}({value.delay!r}{jitter})"
        return f"Backoff.custom({value.type!r}, {value.delay!r})"
    return repr(value)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
