"""Entries: a job as a row of the outbox keeps it, and back; see ``models.OutboxEntry``.

A row is written by one version of the code and read by another: what it says is checked when it is
read, and its number of version tells how.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .errors import InvalidOption
from .options import checked_job_name
from .wire.calls.adding import NewJob

#: What this code writes, and the newest that it reads.
VERSION = 1


def written(job: NewJob) -> dict[str, Any]:
    """The columns of *job*, all but those of its queue.

    Raises:
        InvalidOption: a text in it is none for every database.
    """
    for what, value in (("name of the job", job.name), ("job_id", job.id)):
        if "\0" in value:
            raise InvalidOption(f"the {what} holds a NUL, which databases do not store: {value!r}")
    options: dict[str, Any] = {"opts": json.loads(job.opts)}
    for name in ("delay", "priority", "lifo", "deduplication", "parent", "group"):
        if value := getattr(job, name):
            options[name] = value
    return {
        "job_id": job.id,
        "name": job.name,
        "data": job.data.decode(),
        "options": _dumps(options),
        "timestamp": job.timestamp,
        "version": VERSION,
    }


def read(row: Mapping[str, Any]) -> NewJob:
    """The job that the columns of *row* stand for.

    Raises:
        InvalidOption: they stand for none; the text says why.
    """
    try:
        json.loads(row["data"])
        options = json.loads(row["options"])
    except ValueError as error:
        raise InvalidOption(f"data or options of the row are no JSON: {error}") from None
    if row["version"] != VERSION:
        raise InvalidOption(f"the row is of version {row['version']}, which nobody reads any more")
    if not isinstance(options, dict) or not isinstance(options.get("opts"), dict):
        raise InvalidOption("the options of the row are no object with the job's opts")
    if strange := sorted(set(options) - set(_KINDS)):
        raise InvalidOption(f"the row has options that this version does not know: {strange}")
    for name, kind in _KINDS.items():
        if type(options.get(name, kind())) is not kind:
            raise InvalidOption(f"{name} of the row must be {kind.__name__}: {options[name]!r}")
    parent = options.get("parent")
    if parent and not (len(parent) == 2 and all(isinstance(one, str) for one in parent)):
        raise InvalidOption(f"parent of the row must be its key and its field, not {parent!r}")
    for name in ("deduplication", "group"):
        if name in options and not isinstance(options[name].get("id"), str):
            raise InvalidOption(f"{name} of the row has no id: {options[name]!r}")
    if not row["job_id"]:
        raise InvalidOption("the row has no job id")
    return NewJob(
        row["job_id"],
        checked_job_name(row["name"]),
        row["data"].encode(),
        _dumps(options["opts"]).encode(),
        row["timestamp"],
        options.get("delay", 0),
        options.get("priority", 0),
        options.get("lifo", False),
        options.get("deduplication"),
        (parent[0], parent[1]) if parent else None,
        options.get("group"),
    )


_KINDS: dict[str, type[Any]] = {
    "opts": dict,
    "delay": int,
    "priority": int,
    "lifo": bool,
    "deduplication": dict,
    "parent": list,
    "group": dict,
}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
