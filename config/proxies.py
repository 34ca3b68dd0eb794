"""The address of who asks, where proxies stand in front of the web server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


def behind_proxies(application: Application, count: int) -> Application:
    """*application*, told the address that the outermost of *count* proxies has seen.

    Each proxy appends to ``X-Forwarded-For`` whom it was asked by, so the last *count* entries are
    theirs; what stands before them anybody may have written. (daphne's ``--proxy-headers`` believes
    the first one.) A request with fewer entries did not come through all of them and keeps the
    address of its socket.
    """
    if not count:
        return application

    async def with_address(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            entries = [
                entry
                for name, value in scope["headers"]
                if name == b"x-forwarded-for"
                for entry in value.decode("latin-1").split(",")
            ]
            if len(entries) >= count and (address := _address(entries[-count])):
                scope = scope | {"client": (address, 0)}
        await application(scope, receive, send)

    return with_address


def _address(entry: str) -> str:
    """The IP address of an entry, which may have a port; empty if it has none."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return ""
