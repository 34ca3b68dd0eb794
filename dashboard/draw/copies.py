"""A job as text to be taken along: the Python or Node that adds its like, and JSON; secrets masked.

There is no cURL: what adds jobs over HTTP is a form of this dashboard, with a session and a token
that works once, and a command that cannot work would only look like help.
"""

from __future__ import annotations

import json
import pprint
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from queuecore import Backoff, Keep, jsontext
from queuecore.recipe import options_of

from .values import duration_text, visible


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


def backoff(opts: str) -> str:
    """The wait between two attempts in words: ``exponential, 5.0 s``; empty where there is none."""
    found = options_of(_object(opts)).get("backoff")
    if not isinstance(found, Backoff):
        return ""
    # Translators: a kind of back-off and its first delay.
    return _("%(type)s, %(delay)s") % {
        "type": visible(found.type),
        "delay": duration_text(float(found.delay)),  # type: ignore[arg-type]
    }


def as_json(name: str, data: str, opts: str) -> str:
    """Name, data and options as BullMQ's ``addBulk`` takes them; empty where they are not whole."""
    try:
        value = json.loads(jsontext.masked(data) or "null")
    except (ValueError, RecursionError):
        return ""
    options = _object(opts)
    given = {"name": name, "data": value, "opts": _object(jsontext.masked(json.dumps(options)))}
    return visible(json.dumps(given, indent=2, ensure_ascii=False))


def as_node(queue: str, name: str, data: str, opts: str, prefix: str = "bull") -> str:
    """The module that adds such a job by BullMQ for Node; empty where the data is no whole JSON."""
    try:
        value = json.loads(jsontext.masked(data) or "null")
    except (ValueError, RecursionError):
        return ""
    options = _object(opts)
    known = {_NODE[key]: one for key, one in options.items() if key in _NODE and one}
    at = '{ host: "localhost", port: 6379 }'
    more = "" if prefix == "bull" else f", prefix: {_literal(prefix)}"
    lines = [
        'import { Queue } from "bullmq";',
        "",
        f"const queue = new Queue({_literal(queue)}, {{ connection: {at}{more} }});",
        f"await queue.add({_literal(name)}, {_literal(value)}, {_literal(known)});",
        "await queue.close();",
    ]
    return visible("\n".join(lines))


#: BullMQ's options that belong to no single job, by the names they are stored under.
_NODE = {
    "attempts": "attempts",
    "backoff": "backoff",
    "delay": "delay",
    "kl": "keepLogs",
    "lifo": "lifo",
    "priority": "priority",
    "removeOnComplete": "removeOnComplete",
    "removeOnFail": "removeOnFail",
    "sizeLimit": "sizeLimit",
    "stackTraceLimit": "stackTraceLimit",
}


def _literal(value: Any) -> str:
    # JSON is JavaScript, but for a key that would set the prototype.
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text.replace('"__proto__":', '["__proto__"]:')


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
