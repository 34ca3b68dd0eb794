"""What is wrong with a server: asked by ``check --deploy``, and by ``runworker`` when it starts.

Plain checks never touch the network; these do, and say it where no server answers in time.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Warning

from . import conf, discovery
from .errors import ConfigurationError, QueueCoreError
from .inspect import Inspector
from .queue import Queue
from .wire.connections import get_connection
from .wire.readings import ServerInfo

logger = logging.getLogger("queuecore.worker")

#: The oldest Redis whose commands are enough: ``LMOVE``, ``ZRANGE ... BYSCORE``, ``GETDEL``.
OLDEST = (6, 2)

Checks = Sequence[AppConfig] | None


def check_reach(app_configs: Checks, **kwargs: Any) -> list[CheckMessage]:
    """W015: a server does not answer."""
    return [
        Warning(
            f"The Redis server of connection {alias!r} did not answer within a second.",
            hint="Start it, or correct the URL; what the other checks would ask it is not known.",
            id="queuecore.W015",
        )
        for alias, info in _servers()
        if info is None
    ]


def check_eviction(app_configs: Checks, **kwargs: Any) -> list[CheckMessage]:
    """W016: a server throws keys away when its memory is full."""
    return [
        Warning(
            f"The Redis server of connection {alias!r} {evicts(info)}.",
            hint="Set maxmemory-policy noeviction in its configuration, and give jobs a server "
            "that is no cache.",
            id="queuecore.W016",
        )
        for alias, info in _servers()
        if info is not None and evicts(info)
    ]


def check_version(app_configs: Checks, **kwargs: Any) -> list[CheckMessage]:
    """W017: a server is too old."""
    return [
        Warning(
            f"The Redis server of connection {alias!r} {is_old(info)}.",
            hint="Upgrade it to Redis 6.2 or newer, or to Valkey.",
            id="queuecore.W017",
        )
        for alias, info in _servers()
        if info is not None and is_old(info)
    ]


def check_served(app_configs: Checks, **kwargs: Any) -> list[CheckMessage]:
    """W018: jobs wait in a queue that has a processor here, and no worker serves it."""
    try:
        places = sorted(discovery.discover().queues)
    except ConfigurationError:
        return []  # E003 says so
    answering = {alias for alias, info in _servers() if info is not None}
    return [
        Warning(
            f"Jobs wait in queue {name!r} of connection {alias!r} ({waiting} now), and no worker "
            "serves it.",
            hint="Start one: manage.py runworker "
            f"{name if alias == 'default' else f'{alias}:{name}'}.",
            id="queuecore.W018",
        )
        for alias, name in places
        if alias in answering and (waiting := _unserved(Queue.existing(name, alias)))
    ]


def evicts(info: ServerInfo) -> str:
    """What to say of a server that throws keys away; empty where it does not."""
    if info.eviction_policy in ("noeviction", ""):
        return ""
    return (
        f"has the eviction policy {info.eviction_policy}: when its memory is full it deletes jobs"
    )


def is_old(info: ServerInfo) -> str:
    """What to say of a server that is too old; empty where it is not."""
    found = re.match(r"(\d+)\.(\d+)", info.version)
    if info.kind != "Redis" or not found or (int(found[1]), int(found[2])) >= OLDEST:
        return ""
    return f"is Redis {info.version}; QueueCore's scripts need 6.2 or newer, and fail on it"


async def tell_at_start(aliases: Sequence[str]) -> None:
    """Log once what is wrong with the servers of *aliases*; then rest as long as the process."""
    for alias in aliases:
        try:
            info = await Inspector(alias).aserver()
        except QueueCoreError:
            continue  # the workers say so, again and again
        for fault in (evicts, is_old) if info is not None else ():
            if info is not None and (text := fault(info)):
                logger.error("the Redis server of connection %r %s", alias, text)
    await asyncio.Event().wait()


def _servers() -> Iterator[tuple[str, ServerInfo | None]]:
    """Every connection, and what its server says of itself; None where it does not answer."""
    try:
        aliases = list(conf.get_settings().connections)
    except ConfigurationError:
        return  # E001 says so
    for alias in aliases:
        connection = get_connection(alias)
        info = None
        try:
            connection.url()
            if connection.answers():
                info = Inspector(alias).server()
                if info is None:
                    continue  # its user may not ask
        except ConfigurationError:
            continue  # E001 or E002 says so
        except QueueCoreError:
            pass
        yield alias, info


def _unserved(queue: Queue) -> int:
    """How many jobs wait that nobody would take."""
    try:
        waiting = sum(queue.get_job_counts("waiting", "prioritized").values())
        return waiting if waiting and queue.get_workers_count() == 0 else 0
    except QueueCoreError:
        return 0


#: All of them ask a server, so they belong to ``--deploy``.
CHECKS: tuple[Callable[..., list[CheckMessage]], ...] = (
    check_reach,
    check_eviction,
    check_version,
    check_served,
)
