"""A private server of the test process: all connections of the settings lead to it meanwhile.

Each process has its own: those of pytest-xdist and of ``manage.py test --parallel``, too. It starts
with the first command, and ends with the process. Every server that the settings name is a database
of it, prefixes stay as they are, and queues that modules made at their import follow.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from .. import conf, transactions
from ..conf import ConnectionSettings
from ..errors import ConfigurationError
from ..wire import clock as wire_clock
from ..wire import embedded
from ..wire.calls.base import Command
from ..wire.connections import follow_settings, get_connection
from .fake_clock import clock

_PREFIX = "queuecore-test-"
# What a server has unless it is told otherwise.
_DATABASES = 16

_uses = 0
_folder: Path | None = None
_owner = 0
_databases: dict[str, int] = {}
_write_rows = transactions.write_rows
_written: list[bool] = []


@contextmanager
def private_server() -> Iterator[None]:
    """Let every connection speak to this process's own server for a block, which may nest."""
    begin()
    try:
        yield
    finally:
        end()


def begin() -> None:
    """Begin what :func:`private_server` does; :func:`end` ends it."""
    global _uses
    if _uses == 0 or _owner != os.getpid():
        _prepare()
        conf.stand_in, wire_clock.make = _stand_in, lambda: clock
        transactions.write_rows = _noting
        _follow()
    _uses += 1


def end() -> None:
    """Leave the private server; the last one who leaves gives the connections back."""
    global _uses
    _uses -= 1
    if _uses == 0:
        clock.reset()
        conf.stand_in, wire_clock.make = None, wire_clock.Clock
        transactions.write_rows = _write_rows
        _follow()


def flush() -> None:
    """Empty the private server and let the clock show the time of now again."""
    clock.reset()
    _written.clear()
    if not _uses:
        raise ConfigurationError(
            "no private server is in use, and another one is not emptied: use "
            "queuecore.testing.private_server(), QueueCoreTestMixin, or the fixture queues"
        )
    if _folder is not None and embedded.is_held(_folder):
        get_connection().exchange(Command(("FLUSHALL",)))


def in_use() -> bool:
    """Whether the connections lead to the private server now."""
    return _uses > 0


def relay() -> None:
    """Move what the test has written by ``add_in_transaction``, whose transaction may be open.

    The database is asked only by those who wrote to it: not every test may.
    """
    from .. import outbox  # models: only where Django is set up

    if _written:
        outbox.relay_now()


def _noting(rows: Any, using: str | None = None) -> None:
    _write_rows(rows, using)
    _written.append(True)


def _follow() -> None:
    conf.get_settings.cache_clear()
    follow_settings()


def _stand_in(settings: ConnectionSettings) -> ConnectionSettings:
    """The same connection on the private server: a server of the settings is one database."""
    _, *server = astuple(settings)
    name = repr([one for one in server if one != settings.prefix])
    number = _databases.setdefault(name, len(_databases))
    if number >= _DATABASES:
        raise ConfigurationError(f"tests can stand in for {_DATABASES} servers, not for more")
    return ConnectionSettings(
        settings.alias, f"embedded:{_folder}?db={number}", settings.prefix, False
    )


def _prepare() -> None:
    """Have a folder of this process, and remove those of processes that were killed."""
    global _folder, _owner, _uses
    if _owner == os.getpid():
        return
    _uses, _owner = 0, os.getpid()
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*-*"):
        pid = left.name.removeprefix(_PREFIX).split("-")[0]
        if pid.isdigit() and not _runs(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    _folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{_owner}-", dir=parent))
    atexit.register(_remove, _folder, _owner)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        embedded.leave(folder, timeout=5)
        shutil.rmtree(folder, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True
