"""Recipe: the options of a job that exists, as ``Queue.add`` takes them, to add another like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import InvalidOption
from .options import Backoff, Group, JobOptions, Keep

_WHOLE = {
    "attempts": "attempts",
    "priority": "priority",
    "kl": "keep_logs",
    "stackTraceLimit": "stack_trace_limit",
    "sizeLimit": "size_limit",
}
_KEPT = {"removeOnComplete": "remove_on_complete", "removeOnFail": "remove_on_fail"}


def options_of(opts: Mapping[str, Any]) -> JobOptions:
    """The keyword arguments of ``Queue.add`` that BullMQ's options object *opts* stands for.

    What belongs to that one job is left out: its id, time, parent, deduplication and scheduler. So
    is what cannot be read, whoever wrote it.
    """
    found: dict[str, Any] = {}
    for name, ours in _WHOLE.items():
        value = _whole(opts.get(name))
        if value:
            found[ours] = value
    if delay := _whole(opts.get("delay")):
        found["delay"] = _seconds(delay)
    if opts.get("lifo") is True:
        found["lifo"] = True
    if (backoff := _backoff(opts.get("backoff"))) is not None:
        found["backoff"] = backoff
    if (group := _group(opts.get("group"))) is not None:
        found["group"] = group
        found.pop("priority", None)
    for name, ours in _KEPT.items():
        if (kept := _kept(opts.get(name))) is not None:
            found[ours] = kept
    return found  # type: ignore[return-value]


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**53 and value == int(value) else None


def _seconds(ms: int) -> int | float:
    return ms // 1000 if ms % 1000 == 0 else ms / 1000


def _backoff(value: Any) -> Backoff | None:
    if (fixed := _whole(value)) is not None:
        return Backoff.fixed(_seconds(fixed)) if fixed else None
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        return None
    jitter = value.get("jitter")
    jitter = jitter if isinstance(jitter, int | float) and not isinstance(jitter, bool) else 0
    try:
        return Backoff(value["type"], _seconds(_whole(value.get("delay")) or 0), jitter)
    except InvalidOption:
        return None


def _group(value: Any) -> Group | None:
    if not isinstance(value, Mapping):
        return None
    try:
        return Group(value["id"], _whole(value.get("priority")) or 0)
    except (KeyError, InvalidOption):
        return None


def _kept(value: Any) -> bool | int | Keep | None:
    if isinstance(value, bool):
        return value or None
    if (count := _whole(value)) is not None:
        return count
    if not isinstance(value, Mapping):
        return None
    given = {name: _whole(value.get(name)) for name in ("count", "age", "limit")}
    given = {name: one for name, one in given.items() if one is not None}
    return Keep(**given) if given else None
