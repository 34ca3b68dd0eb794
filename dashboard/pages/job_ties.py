"""What ties a job to others besides its flow: its dead letter, and its trace."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from queuecore import Queue
from queuecore.errors import QueueCoreError
from queuecore.inspect import Inspector

from .. import links
from ..draw.icons import icon
from ..draw.markup import element
from ..draw.values import visible

# The beginning of a letter, as the script that fails a job writes it: its data may be long.
_LETTER = re.compile(r'\{"queue":("(?:[^"\\]|\\.)*"),"id":("(?:[^"\\]|\\.)*"),"name":')
# W3C Trace Context: version, trace, parent, flags.
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
#: The newest letters of each state among which that of a job is looked for.
_LOOKED = 50


def trace(opts: str) -> str:
    """The id of the trace that a job's options carry (``tm``); empty without."""
    try:
        carried = json.loads(json.loads(opts)["tm"])["traceparent"]
        match = _TRACE.fullmatch(carried)
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return match[1] if match else ""


def trace_fact(id: str) -> SafeString:
    """The id of a trace, to be copied."""
    words = _("Copy the trace id")
    return element(
        "span",
        element("code", id, id="job-trace"),
        element(
            "button",
            element("span", icon("copy", 14), class_="todo"),
            element("span", icon("check", 14), class_="done"),
            class_="copy script-only",
            type="button",
            data_copy="#job-trace",
            aria_label=words,
            title=words,
        ),
        class_="trace-id",
    )


def original(alias: str, data: str) -> tuple[str, str] | None:
    """Queue and id of the job whose dead letter has this data; None if it is none."""
    match = _LETTER.match(data)
    if match is None:
        return None
    try:
        qualified, job = json.loads(match[1]), json.loads(match[2])
    except ValueError:
        return None
    prefix = f"{Queue.existing('-', alias).connection.prefix}:"
    queue = qualified.removeprefix(prefix)
    return (queue, job) if qualified.startswith(prefix) and queue and job else None


def original_fact(shown: Any, seen: Any) -> SafeString | None:
    """Of a letter: the job that it is of, as a link where its queue may be seen."""
    found = original(shown.alias, shown.detail.data)
    if found is None or not seen.allows(shown.alias, found[0]):
        return None
    to = links.job_url(seen.mount, shown.alias, *found)
    return element("a", f"{visible(found[0])} {visible(found[1])}", href=to)


def letter_fact(shown: Any, seen: Any, connection: Any) -> SafeString | None:
    """Of a job that failed for good: its letter, or else the queue that has those."""
    crew = connection.crews.get(shown.queue)
    if crew is None or shown.detail.row.state != "failed":
        return None
    names = {worker.dead_letter for _process, worker in crew.members if worker.dead_letter}
    for name in sorted(names):
        if seen.allows(shown.alias, name):
            letter = _find(shown, name)
            if letter is None:
                to = links.jobs_url(seen.mount, shown.alias, name)
                return element("a", visible(name), href=to)
            to = links.job_url(seen.mount, shown.alias, name, letter)
            return element("a", f"{visible(name)} {visible(letter)}", href=to)
    return None


def _find(shown: Any, name: str) -> str | None:
    """The id of the job's newest letter in queue *name*, if it is one of the newest there."""
    inspector = Inspector(shown.alias)
    wanted = (shown.queue, shown.id)
    try:
        total = inspector.jobs(name, "waiting", limit=1).total
        for state in ("waiting", "completed", "failed"):
            offset = max(total - _LOOKED, 0) if state == "waiting" else 0
            rows = inspector.jobs(name, state, offset=offset, limit=_LOOKED).rows
            # The next to run is the oldest.
            for row in reversed(rows) if state == "waiting" else rows:
                if original(shown.alias, row.data_preview) == wanted:
                    return str(row.id)
    except QueueCoreError:
        pass  # the page says already that the server is away
    return None
