"""Fingerprints: which failures are of one kind, however their messages differ in ids and numbers.

A kind is the job's name, the exception's class, its message without what changes from job to job,
and the last frame of the project's own code, without the line, which moves with every edit.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from hashlib import sha1
from typing import Any

from ..wire.codec import dumps
from . import finish

#: Characters of each part, and bytes of a sample's traceback, of which the end says most.
MOST_NAME, MOST_MESSAGE, MOST_FRAME, MOST_TRACE = 100, 300, 200, 4096
_READ = 2000  # characters of a message that are looked at

_CHANGING = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}"), "<email>"),
    (
        re.compile(
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
        ),
        "<time>",
    ),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<hex>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{12,}\b"), "<hex>"),
    (re.compile(r"\d+(?:[.,_]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)  # fmt: skip
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARIES = tuple(
    sorted({*sysconfig.get_paths().values(), os.path.dirname(os.__file__), _OURS, sys.base_prefix})
)


def fingerprint(name: str, error: BaseException, reason: str) -> tuple[str, str, str, str]:
    """What tells the kind of a failure: id, exception class, normalised message, frame."""
    kind, message, frame = class_of(error), normalised(reason), frame_of(error)
    parts = "\0".join((name[:MOST_NAME], kind, message, frame))
    id = sha1(parts.encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()[:16]
    return id, kind, message, frame


def sample(
    name: str, job_id: str, error: BaseException, reason: str, kind: str, message: str, frame: str
) -> bytes:
    """What is told of a kind: its parts and one failure of it, as JSON."""
    told: dict[str, Any] = {
        "name": _valid(name[:MOST_NAME]),
        "kind": kind,
        "message": message,
        "frame": frame,
        "job": _valid(job_id[:MOST_FRAME]),
        "reason": _valid(reason[:_READ]),
        "trace": _valid(finish.trace(error)[-MOST_TRACE:]),
    }
    return dumps(told, "the sample")


def normalised(message: str) -> str:
    """*message* without ids, addresses, times and numbers; at most 300 characters."""
    message = _valid(message[:_READ])
    for pattern, word in _CHANGING:
        message = pattern.sub(word, message)
    return message.strip()[:MOST_MESSAGE]


def class_of(error: BaseException) -> str:
    """The class of *error* with its module, but for Python's own; that of a sandbox's error."""
    theirs = getattr(error, "kind", None)
    if isinstance(theirs, str) and getattr(error, "sandbox_trace", None) is not None:
        return _valid(theirs[:MOST_NAME])
    kind = type(error)
    whole = kind.__qualname__
    if kind.__module__ != "builtins":
        whole = f"{kind.__module__}.{whole}"
    return _valid(str(whole)[:MOST_NAME])


def frame_of(error: BaseException) -> str:
    """The last frame of the project's code, as ``module:function``; else the last of all.

    Empty where the error has no traceback.
    """
    theirs = getattr(error, "sandbox_frame", None)
    if isinstance(theirs, str):
        return _valid(theirs[:MOST_FRAME])
    last = own = None
    found = error.__traceback__
    while found is not None:
        last = found.tb_frame
        if not last.f_code.co_filename.startswith((*_LIBRARIES, "<frozen")):
            own = last
        found = found.tb_next
    frame = own or last
    if frame is None:
        return ""
    return _valid(f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}"[:MOST_FRAME])


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
