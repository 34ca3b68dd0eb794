"""Connections: a server and a prefix, by alias; and the links (dedicated sockets) of a worker.

redis-py's own retries are off everywhere: it would send a script again whose answer was lost,
and so run it twice. What may be repeated is decided in :mod:`queuecore.wire.run` and by the
worker's receipts. Every socket has a deadline for connecting and for each answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary, WeakSet

import redis
import redis.asyncio
import redis.asyncio.connection
import redis.connection
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from .. import conf
from ..errors import (
    ConfigurationError,
    NotReplicated,
    QueueCoreError,
    ScriptError,
    ServerRefused,
    ServerUnavailable,
)
from . import clock, embedded, primary, resp
from .absence import LOOK, Absence
from .calls.base import Argument, Call, Command, Operation, Request
from .link import ELSEWHERE, Link
from .run import anow, arun, run
from .scripts import Script, load

T = TypeVar("T")
Requests = list[Call[Any] | Command[Any]]

CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 5.0
# The least that a URL may say instead: calls that wait on the server do so for up to 4 s.
_TIMEOUTS = {"socket_timeout": ANSWER_TIMEOUT, "socket_connect_timeout": 0.1}
# So many requests of all threads, or of one event loop, are under way at once; more wait for their
# turn. What waits on the server holds a socket of its own meanwhile, and takes no turn.
TURNS = 64
_SOCKETS = 2**31
# `embedded:/a/folder?db=1` is an embedded server that lies there, and not in the project: of tests.
_ELSEWHERE_EMBEDDED = "embedded:"

_ADDING = frozenset(("add_jobs", "add_richer_jobs", "add_flow", "upsert_job_scheduler"))

# Answers that pass by themselves or by an operator's hand; the work is kept and tried again.
_PASSING = {
    *("OOM", "READONLY", "LOADING", "MISCONF", "BUSY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN"),
    *("TRYAGAIN", "MOVED", "ASK", "NOAUTH", "WRONGPASS", "NOPERM", "UNBLOCKED", "EXECABORT"),
}
# redis-py strips the code of the errors for which it has a class.
_CODE_OF = {
    "AskError": "ASK",
    "AuthenticationError": "NOAUTH",
    "AuthenticationWrongNumberOfArgsError": "NOAUTH",
    "BusyLoadingError": "LOADING",
    "ClusterDownError": "CLUSTERDOWN",
    "MasterDownError": "MASTERDOWN",
    "MaxConnectionsError": "ERR",
    "MovedError": "MOVED",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "TryAgainError": "TRYAGAIN",
}


class Connection:
    """One server and prefix.

    ``run`` and ``arun`` carry out operations over pooled sockets, blocking ones for threads and
    one pool an event loop. :meth:`link` makes a socket for one owner.
    """

    def __init__(
        self, alias: str, url: str | None, prefix: str, wait: tuple[int, int] | None = None
    ) -> None:
        self.alias = alias
        self._wait = wait  # for how many replicas adds wait, and for how many ms
        self.prefix = prefix
        self.clock = clock.make()
        self.absence = Absence(self.answers)
        self._url = url
        self._embedded: tuple[Path, str] | None = None
        self._reviving = threading.Lock()
        self._lock = threading.Lock()
        self._pool: redis.ConnectionPool | None = None
        self._turns = threading.Semaphore(TURNS)
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopPool] = WeakKeyDictionary()
        self._pid = os.getpid()
        self._client_name: str | None = None
        self._ensured = float("-inf")

    def __repr__(self) -> str:
        return f"<Connection {self.alias!r} prefix={self.prefix!r}>"

    def run(self, operation: Operation[T] | Call[T] | Command[T]) -> T:
        """Carry out *operation*, blocking; see :func:`queuecore.wire.run.run`."""
        return run(self, operation)

    async def arun(self, operation: Operation[T] | Call[T] | Command[T]) -> T:
        """Carry out *operation*, awaiting; see :func:`queuecore.wire.run.arun`."""
        return await arun(self, operation)

    def sibling(self, client_name: str | None = None) -> Connection:
        """The same server and prefix over sockets of its own, for one owner; shares the clock."""
        other = Connection(self.alias, self._url, self.prefix, self._wait)
        other._client_name = client_name
        other.clock = self.clock
        other.absence = self.absence
        return other

    async def anow(self) -> int:
        """The server-corrected time in ms; asks the server only if the last answer is old."""
        return await anow(self)

    def link(self, client_name: str | None = None) -> Link:
        """A dedicated socket for the running event loop, named *client_name* on the server."""
        return Link(self, client_name, ANSWER_TIMEOUT)

    def exchange(self, request: Request) -> Any:
        """Send one request or pipeline over a pooled socket and return its decoded answer(s).

        Raises:
            ServerUnavailable: with ``sent`` false if nothing can have been carried out.
        """
        requests, single = _as_list(request)
        pool = self._sync_pool()
        with contextlib.nullcontext() if _waits(requests) else self._turns:
            answers = self._answers(pool, requests)
        if len(answers) > len(requests):
            self._check_wait(answers.pop())
        return _decoded(requests, answers, single)

    def _answers(self, pool: redis.ConnectionPool, requests: Requests) -> list[Any]:
        try:
            sock = pool.get_connection()
        except (redis.RedisError, OSError) as error:
            self.revive(error)
            raise self.unreachable(error, sent=False) from error
        try:
            sock.send_packed_command(_packed(requests))
            answers = [_read(sock) for _ in requests]
            for index in _unknown_scripts(answers):
                sock.send_packed_command([resp.pack(_eval(requests[index]))])
                answers[index] = _read(sock)
            if self._wait is not None and _adds(requests, answers):
                sock.send_packed_command([resp.pack(("WAIT", *self._wait))])
                answers.append(_read(sock))
            if _elsewhere(answers):
                sock.disconnect()
                self.doubt()
                pool.disconnect(inuse_connections=False)
        except BaseException as error:
            sock.disconnect()
            if isinstance(error, redis.RedisError | OSError):
                raise self.unreachable(error, sent=True) from error
            raise
        finally:
            pool.release(sock)
        return answers

    async def aexchange(self, request: Request) -> Any:
        """Like :meth:`exchange`, over the running event loop's pool."""
        requests, single = _as_list(request)
        pool, turns, _ = await self._async_pool()
        async with contextlib.nullcontext() if _waits(requests) else turns:
            answers = await self._aanswers(pool, requests)
        if len(answers) > len(requests):
            self._check_wait(answers.pop())
        return _decoded(requests, answers, single)

    async def _aanswers(self, pool: redis.asyncio.ConnectionPool, requests: Requests) -> list[Any]:
        try:
            sock = await pool.get_connection()
        except (redis.RedisError, OSError) as error:
            await asyncio.to_thread(self.revive, error)
            raise self.unreachable(error, sent=False) from error
        try:
            await sock.send_packed_command(_packed(requests))
            answers = [await _aread(sock) for _ in requests]
            for index in _unknown_scripts(answers):
                await sock.send_packed_command([resp.pack(_eval(requests[index]))])
                answers[index] = await _aread(sock)
            if self._wait is not None and _adds(requests, answers):
                await sock.send_packed_command([resp.pack(("WAIT", *self._wait))])
                answers.append(await _aread(sock))
            if _elsewhere(answers):
                await sock.disconnect(nowait=True)
                self.doubt()
                await pool.disconnect(inuse_connections=False)
        except BaseException as error:
            # A cancelled exchange leaves an answer under way: the socket must not be used again.
            await sock.disconnect(nowait=True)
            if isinstance(error, redis.RedisError | OSError):
                raise self.unreachable(error, sent=True) from error
            raise
        finally:
            await pool.release(sock)
        return answers

    def _check_wait(self, answer: Any) -> None:
        """Hold what WAIT answered against what the settings ask for.

        Raises:
            NotReplicated: too few replicas have the jobs.
        """
        assert self._wait is not None
        if isinstance(answer, int) and answer >= self._wait[0]:
            return
        raise NotReplicated(
            f"the jobs were added on connection {self.alias!r}, but {answer} of {self._wait[0]} "
            f"replicas acknowledged that within {self._wait[1] / 1000:g} s (WAIT_REPLICAS): they "
            "would be lost if the primary failed now; to add them again makes second ones, unless "
            "they have ids of their own"
        )

    def close(self) -> None:
        """Close the idle blocking sockets (before a fork, after a test)."""
        with self._lock:
            if self._pool is not None:
                self._pool.disconnect()

    def interrupt(self) -> None:
        """End the blocking exchanges that are under way in other threads: their sockets break."""
        if self._pool is not None:
            for sock in list(self._pool._in_use_connections):
                if (found := getattr(sock, "_sock", None)) is not None:
                    with contextlib.suppress(OSError):
                        found.shutdown(socket.SHUT_RDWR)

    async def aclose(self) -> None:
        """Close the running event loop's sockets; its end does so by itself."""
        found = self._pools.pop(asyncio.get_running_loop(), None)
        if found is not None:
            await found[-1].aclose()

    def arguments(self, client_name: str | None = None) -> dict[str, Any]:
        """redis-py's keyword arguments for one socket of this connection.

        Raises:
            ConfigurationError: the URL cannot be read.
        """
        url = self.url()
        try:
            several = primary.read(url) if primary.is_several(url) else None
        except ValueError as error:
            raise ConfigurationError(f"{self._named_url()} cannot be read: {error}") from None
        if several is not None:
            url = several.server
        try:
            parsed = dict(parse_url(url))
        except ValueError:
            # Its words may hold a piece of the password.
            raise ConfigurationError(
                f"{self._named_url()} cannot be read: check host, port and options; special "
                "letters of a password are written as %XX"
            ) from None
        self._check_parsed(url, parsed)
        parsed.pop("connection_class", None)
        if several is not None:
            del parsed["host"]
            parsed["finder"] = primary.finder(self.url(), self.prefix)
        return {
            "protocol": 2,
            "decode_responses": False,
            "socket_timeout": ANSWER_TIMEOUT,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "socket_keepalive": True,
            "retry": Retry(NoBackoff(), 0),
            "client_name": client_name,
            **parsed,
        }

    def _named_url(self) -> str:
        """How a message calls the URL: as the user has set it."""
        settings = conf.get_settings().connections.get(self.alias)
        named = f"the URL of connection {self.alias!r}"
        if settings is not None and settings.from_environment:
            named += " (the environment variable QUEUECORE_URL)"
        return named

    def _check_parsed(self, url: str, parsed: dict[str, Any]) -> None:
        """Refuse what redis-py passes over, or what would break waiting calls."""
        path = "" if "path" in parsed else urlsplit(url).path.removeprefix("/")
        # Its words may hold a piece of the password, too.
        if (path and not (path.isascii() and path.isdigit())) or parsed.get("db", 0) < 0:
            raise ConfigurationError(
                f"{self._named_url()} names a database that is no whole number: it ends like "
                "redis://host:6379/0 (a / in a password is written as %2F)"
            )
        for name, least in _TIMEOUTS.items():
            if name in parsed and not least <= parsed[name] <= 3600:  # also refuses NaN
                raise ConfigurationError(
                    f"{self._named_url()} has {name}={parsed[name]:g}: it must be {least:g} to "
                    "3600 seconds"
                )

    def check(self) -> None:
        """Look at the URL, if there is one, without touching the network.

        Raises:
            ConfigurationError: no socket could be made of it.
        """
        if self._url is not None and self._place() is None:
            self._options(_socket_class(self._url, redis))

    def url(self) -> str:
        """The server's URL; starts the embedded server where settings give none."""
        place = self._place()
        if place is None:
            assert self._url is not None
            return self._url
        if self._url is None and not conf.debug():
            raise ConfigurationError(
                "no Redis is configured: set QUEUECORE['CONNECTIONS']['default']['URL'] or the "
                "environment variable QUEUECORE_URL, such as redis://localhost:6379/0 "
                "(the embedded server is for DEBUG only; tests, which run with DEBUG off, get a "
                "server of their own by queuecore.testing: docs/howto/testing.md)"
            )
        # Once: every socket needs its address, and one that is away is revived (or waited for)
        # where a socket fails, not in an event loop that opens another.
        if self._embedded is None or self._embedded[0] != place:
            self._embedded = (place, embedded.ensure(place))
        _, mark, options = (self._url or "").partition("?")
        return self._embedded[1] + mark + options

    def _place(self) -> Path | None:
        """Where the embedded server of this connection lies; None if it has another server."""
        if self._url is None:
            return conf.project_dir()
        if self._url.startswith(_ELSEWHERE_EMBEDDED):
            return Path(self._url.removeprefix(_ELSEWHERE_EMBEDDED).partition("?")[0])
        return None

    def move(self, url: str | None, wait: tuple[int, int] | None) -> None:
        """Speak to another server from now on: for tests, whose queues may be older than they."""
        self.close()
        with self._lock:
            self._url, self._wait, self._embedded, self._pool = url, wait, None, None
            self._pools = WeakKeyDictionary()
        self.clock = clock.make()
        self.absence.over()

    def shares_server(self, other: Connection) -> bool:
        """Whether *other* speaks to the same database of the same server."""
        if self is other:
            return True
        mine, theirs = self.arguments(None), other.arguments(None)
        places = ("host", "port", "path", "finder")
        return all(mine.get(one) == theirs.get(one) for one in places) and (
            mine.get("db") or 0
        ) == (theirs.get("db") or 0)

    async def connect(self, client_name: str | None) -> Any:
        """A connected redis-py socket of its own, for a :class:`Link`."""
        kind = _socket_class(self.url(), redis.asyncio)
        sock = kind(**self._options(kind, client_name))
        await sock.connect()
        return sock

    def decode(self, request: Call[Any] | Command[Any], answer: Any) -> Any:
        """Decode an answer, or raise the error that it is."""
        return _decode(request, answer)

    def revive(self, error: BaseException) -> None:
        """Start the embedded server again if it is ours and gone; at most once a second.

        *error* is what a new socket met: where that waited in vain, the server is there, but it
        stands still, and nothing can be started in its place.
        """
        place = self._place()
        if place is None or _in_vain(error):
            return
        if time.monotonic() - self._ensured > 1 and self._reviving.acquire(blocking=False):
            self._ensured = time.monotonic()
            # What goes wrong is told by the next attempt to connect, in its own words.
            try:
                with contextlib.suppress(QueueCoreError):
                    embedded.ensure(place)
            finally:
                self._reviving.release()

    def doubt(self) -> None:
        """The server turned out to be the wrong one: somebody else is asked for the primary."""
        if self._url is not None and primary.is_several(self._url):
            primary.finder(self._url, self.prefix).doubt()

    def answers(self) -> bool:
        """Whether the server answers a socket of its own within :data:`.absence.LOOK` seconds."""
        kind = _socket_class(self.url(), redis)
        sock = kind(**self._options(kind) | {"socket_timeout": LOOK})
        try:
            sock.connect()
            sock.send_command("PING")
            _read(sock)
        except (redis.RedisError, OSError):
            return False
        finally:
            sock.disconnect()
        return True

    def _sync_pool(self) -> redis.ConnectionPool:
        if self._pool is None or self._pid != os.getpid():
            with self._lock:
                if self._pool is None or self._pid != os.getpid():
                    self._pid = os.getpid()
                    kind = _socket_class(self.url(), redis)
                    # `arguments` names the host or path itself, so that one dict serves all.
                    self._turns = threading.Semaphore(TURNS)  # a fork's parent may hold some
                    self._pool = redis.ConnectionPool(
                        connection_class=kind, max_connections=_SOCKETS, **self._options(kind)
                    )
        return self._pool

    async def _async_pool(self) -> _LoopPool:
        loop = asyncio.get_running_loop()
        found = self._pools.get(loop)
        if found is None:
            kind = _socket_class(self.url(), redis.asyncio)
            pool = redis.asyncio.ConnectionPool(
                connection_class=kind, max_connections=_SOCKETS, **self._options(kind)
            )
            closer = _close_with_loop(pool)
            found = self._pools[loop] = (pool, asyncio.Semaphore(TURNS), closer)
            await anext(closer)
        return found

    def _options(self, kind: type, client_name: str | None = None) -> dict[str, Any]:
        options = self.arguments(client_name or self._client_name)
        if "Unix" in kind.__name__:
            options.pop("socket_keepalive")
            options.pop("socket_connect_timeout")
        else:
            options["socket_keepalive_options"] = _KEEPALIVE
        try:
            kind(**options)
        except TypeError as error:
            raise ConfigurationError(
                f"{self._named_url()} has an option that redis-py does not take: "
                f"{str(error).partition(' got an ')[2] or error}"
            ) from None
        return options

    def unreachable(self, error: BaseException, *, sent: bool) -> ServerUnavailable:
        code = _code(error)
        if code in _PASSING:
            return ServerRefused(_refusal(self.alias, code, error), code=code)
        how = "did not answer" if sent else "cannot be reached"
        return ServerUnavailable(
            f"the Redis server of connection {self.alias!r} {how}: {error or type(error).__name__}",
            sent=sent,
        )


_LoopPool = tuple[redis.asyncio.ConnectionPool, asyncio.Semaphore, AsyncGenerator[None, None]]


async def _close_with_loop(pool: redis.asyncio.ConnectionPool) -> AsyncGenerator[None, None]:
    """Close *pool* when its event loop ends: loops close the generators that they have begun."""
    try:
        yield
    finally:
        await pool.disconnect()


_connections: dict[str, Connection] = {}
# All that are in use: a queue that a module made keeps the one of the settings of that time.
_made: WeakSet[Connection] = WeakSet()
_registry_lock = threading.Lock()


def get_connection(alias: str = "default") -> Connection:
    """The process-wide connection *alias* of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such alias.
    """
    if not isinstance(alias, str):
        raise ConfigurationError(f"the alias of a connection is a text, not {alias!r}")
    found = _connections.get(alias)
    settings = conf.get_settings().connection(alias)
    wanted = (settings.url, settings.prefix, settings.wait)
    if found is None or (found._url, found.prefix, found._wait) != wanted:
        with _registry_lock:
            found = _connections[alias] = Connection(alias, *wanted)
            _made.add(found)
    return found


def follow_settings() -> None:
    """Let connections that were made before speak to the servers that the settings name now."""
    known = conf.get_settings().connections
    for one in list(_made):
        settings = known.get(one.alias)
        if settings is not None and settings.prefix == one.prefix:
            one.move(settings.url, settings.wait)


def aliases() -> list[str]:
    """The aliases of all configured connections, ``default`` first."""
    return list(conf.get_settings().connections)


_KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (
        ("TCP_KEEPIDLE", 10),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 2),
        ("TCP_USER_TIMEOUT", 10_000),
    )
    if hasattr(socket, name)
}


def _socket_class(url: str, module: Any) -> Any:
    if primary.is_several(url):
        try:
            return primary.socket_class(url, module is redis.asyncio)
        except ValueError:
            pass  # whoever makes a socket of it says so
    classes = module.connection
    if url.startswith("unix://"):
        return classes.UnixDomainSocketConnection
    return classes.SSLConnection if url.startswith("rediss://") else classes.Connection


def _as_list(request: Request) -> tuple[Requests, bool]:
    if isinstance(request, list):
        return request, False
    assert isinstance(request, Call | Command), f"not a request: {request!r}"
    return [request], True


def _adds(requests: Requests, answers: list[Any]) -> bool:
    """Whether jobs were added, or the scheduler that will add them, and the server took them."""
    return any(isinstance(one, Call) and one.script in _ADDING for one in requests) and not any(
        isinstance(one, Exception) for one in answers
    )


def _waits(requests: Requests) -> bool:
    """Whether the server answers only when something happens there."""
    return any(isinstance(one, Command) and "BLOCK" in one.args for one in requests)


def _packed(requests: Requests) -> list[bytes]:
    """All requests in one piece; redis-py's own packing looks at every word three times."""
    return [b"".join([resp.pack(_evalsha(one)) for one in requests])]


def _evalsha(request: Call[Any] | Command[Any]) -> Iterable[Argument]:
    if isinstance(request, Command):
        return request.args
    return ("EVALSHA", load(request.script).sha, len(request.keys), *request.keys, *request.args)


def _eval(request: Call[Any] | Command[Any]) -> Iterable[Argument]:
    assert isinstance(request, Call)
    return ("EVAL", load(request.script).source, len(request.keys), *request.keys, *request.args)


def _read(sock: Any) -> Any:
    """One answer; an error of the command itself is an answer too, a lost socket raises."""
    try:
        return sock.read_response()
    except redis.ResponseError as error:
        return error


async def _aread(sock: Any) -> Any:
    try:
        return await sock.read_response()
    except redis.ResponseError as error:
        return error


def _in_vain(error: BaseException | None) -> bool:
    """Whether *error*, or what led to it, is an answer that did not come in time."""
    while error is not None and not isinstance(error, redis.TimeoutError | TimeoutError):
        error = error.__cause__ or error.__context__
    return error is not None


def _elsewhere(answers: list[Any]) -> bool:
    """Whether a new connection may do better: the server is no primary any more, say."""
    return any(isinstance(one, Exception) and _code(one) in ELSEWHERE for one in answers)


def _unknown_scripts(answers: list[Any]) -> list[int]:
    return [i for i, one in enumerate(answers) if isinstance(one, redis.exceptions.NoScriptError)]


def _decoded(requests: Requests, answers: list[Any], single: bool) -> Any:
    if single:
        return _decode(requests[0], answers[0])
    return [_decode(one, answer) for one, answer in zip(requests, answers, strict=True)]


_IN_SCRIPT = re.compile(r": -([A-Z]+) ")


def _decode(request: Call[Any] | Command[Any], answer: Any) -> Any:
    if isinstance(answer, Exception):
        if isinstance(request, Command) and request.tolerant:
            return request.decode(None)
        raise _failed(request, answer) from answer
    return request.decode(answer)


def _failed(request: Call[Any] | Command[Any], error: Exception) -> QueueCoreError:
    code = _code(error)
    if code in _PASSING:
        return ServerRefused(_refusal("", code, error), code=code)
    if isinstance(request, Call):
        script: Script = load(request.script)
        return ScriptError(f"{request.script} failed on the server: {script.explain(str(error))}")
    return ScriptError(f"{request.args[0]!r} failed on the server: {error}")


def _code(error: BaseException) -> str:
    if (known := _CODE_OF.get(type(error).__name__)) is not None:
        return known
    text = str(error)
    # Redis 6.2 wraps an error that ends a script: "Error running script ...: -OOM command not ...".
    if text.startswith("Error running script") and (inner := _IN_SCRIPT.search(text)):
        return inner[1]
    return text.partition(" ")[0]


_ADVICE: dict[str, str] = {
    "OOM": "the server's memory is full; raise maxmemory or remove finished jobs",
    "READONLY": "the server is a replica now; point the URL at the primary, or at its Sentinels",
    "MOVED": "another node of the Cluster has the keys; a URL redis+cluster://host:port finds it",
    "LOADING": "the server is loading its data",
    "MISCONF": "the server cannot save its data; check its disk",
    "NOAUTH": "the server wants another user or password; check the URL",
    "WRONGPASS": "the server refused user or password; check the URL",
    "NOPERM": "the server's user lacks a permission",
}


def _refusal(alias: str, code: str, error: BaseException) -> str:
    of = f" of connection {alias!r}" if alias else ""
    advice = _ADVICE.get(code, "it is tried again")
    return f"the Redis server{of} refused with {code}: {advice} ({error})"
