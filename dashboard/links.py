"""Addresses of the pages, also where no request is: any name is one segment of a path.

``[A-Za-z0-9_-]`` stand as they are, ``.`` too except in ``.`` and ``..``, every other byte of the
UTF-8 text is ``~XX``. Servers decode ``%2F`` before routing, so percent-encoding would not do. Each
name has exactly one spelling; another one is no address.
"""

from __future__ import annotations

import re

DEFAULT = "default"

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_ENCODED = re.compile(r"~([0-9A-F]{2})")


def encode(name: str) -> str:
    """Return *name* as one segment of a path (and as part of an element's id)."""
    if name in (".", ".."):
        return name.replace(".", "~2E")
    return "".join(
        chr(byte) if byte in _PLAIN else f"~{byte:02X}"
        for byte in name.encode("utf-8", "surrogatepass")
    )


def decode(segment: str) -> str:
    """Return the name that :func:`encode` made *segment* of.

    Raises:
        ValueError: it is no segment of ours.
    """
    raw = _ENCODED.sub(lambda match: chr(int(match[1], 16)), segment).encode("latin-1")
    try:
        name = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        name = ""
    if encode(name) != segment:
        raise ValueError(f"{segment!r} is no encoded name")
    return name


class NameConverter:
    """Django's path converter for names of queues, ids of jobs and aliases of connections."""

    regex = r"[A-Za-z0-9_.~-]+"

    def to_python(self, value: str) -> str:
        return decode(value)

    def to_url(self, value: str) -> str:
        return encode(value)


def connection_url(mount: str, alias: str) -> str:
    """Return where the pages of one connection begin: the default one has no segment."""
    return mount if alias == DEFAULT else f"{mount}@{encode(alias)}/"


def queue_url(mount: str, alias: str, queue: str) -> str:
    """Return the address of a queue's page."""
    return f"{connection_url(mount, alias)}queues/{encode(queue)}/"


def jobs_url(mount: str, alias: str, queue: str, state: str = "") -> str:
    """Return the address of a queue's job list, on one state's tab."""
    return f"{queue_url(mount, alias, queue)}jobs/" + (f"?state={state}" if state else "")


def job_url(mount: str, alias: str, queue: str, job_id: str) -> str:
    """Return the address of a job's page."""
    return f"{queue_url(mount, alias, queue)}jobs/{encode(job_id)}/"


def groups_url(mount: str, alias: str, queue: str) -> str:
    """Return the address of the list of a queue's groups."""
    return f"{queue_url(mount, alias, queue)}groups/"


def group_url(mount: str, alias: str, queue: str, group: str) -> str:
    """Return the address of a group's page."""
    return f"{groups_url(mount, alias, queue)}{encode(group)}/"


def scheduler_url(mount: str, alias: str, queue: str, scheduler: str) -> str:
    """Return the address of a scheduler's page."""
    at = connection_url(mount, alias)
    return f"{at}schedulers/{encode(queue)}/{encode(scheduler)}/"


def system_url(mount: str, alias: str) -> str:
    """Return the address of the page about a connection's server."""
    return f"{connection_url(mount, alias)}system/"


def operation_url(mount: str, number: int) -> str:
    """Return the address of an operation's page."""
    return f"{mount}operations/{number}/"


def dom_id(kind: str, *names: str) -> str:
    """Return an element's id for something that has foreign names, the same wherever it is made."""
    # "~" never opens an encoded name's id part alone, so joined names stay apart.
    return "~~".join([kind, *(encode(name) for name in names)])
