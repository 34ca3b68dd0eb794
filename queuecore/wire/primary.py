"""Where the primary is: asked of Sentinels, or of the nodes of a Cluster, at each connect.

A URL that names several hosts is ``redis+sentinel://s1:26379,s2:26379/service/0`` or
``redis+cluster://n1:7000,n2:7001``; with ``rediss`` before the plus sign they are asked, and the
server is reached, over TLS. All that a connection keeps is in one slot of a Cluster, that of its
prefix, and so on one primary: only where that is differs from a server of its own. A socket that
fails, or an answer that sends it elsewhere, ends with a new socket and so with a new question.
"""

from __future__ import annotations

import asyncio
import binascii
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import redis
import redis.asyncio.connection
import redis.connection
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from ..errors import ConfigurationError

Address = tuple[str, int]
SCHEMES = tuple(f"redis{tls}+{kind}" for kind in ("sentinel", "cluster") for tls in ("", "s"))
SLOTS = 16384
#: Seconds for one answer of a Sentinel, or of a node about the others: then the next one is asked.
PATIENCE = 1.0
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]\s]+)(?::([0-9]{1,5}))?")
_PORTS = {"sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Several:
    """A URL of several hosts, read. ``server``: the URL of one server of them, for its options."""

    kind: str
    hosts: tuple[Address, ...]
    service: str
    server: str
    asked: str

    @property
    def tls(self) -> bool:
        return self.server.startswith("rediss")


def is_several(url: str) -> bool:
    """Whether *url* names Sentinels or nodes of a Cluster."""
    return url.partition("://")[0] in SCHEMES


@cache
def read(url: str) -> Several:
    """Read a URL of several hosts.

    Raises:
        ValueError: it cannot be read; the text holds nothing of it.
    """
    scheme, _, rest = url.partition("://")
    tls, kind = scheme.removeprefix("redis").split("+")
    rest, _, query = rest.partition("?")
    place, _, path = rest.partition("/")
    user, at, listed = place.rpartition("@")
    hosts = []
    for one in listed.split(","):
        found = _HOST.fullmatch(one)
        if found is None or not 0 < int(found[2] or _PORTS[kind]) < 65536:
            raise ValueError("its hosts are written as host:port, with commas between")
        hosts.append((found[1].strip("[]"), int(found[2] or _PORTS[kind])))
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        if not service:
            raise ValueError("it ends with the name that the Sentinels give the primary: /mymaster")
    elif path not in ("", "0"):
        raise ValueError("a Cluster has the database 0 only")
    options = parse_qsl(query, keep_blank_values=True)
    ours = [(name, value) for name, value in options if not name.startswith("sentinel_")]
    theirs = dict(
        [(name, value) for name, value in ours if name.startswith("ssl_")]
        + [
            (name.removeprefix("sentinel_"), value)
            for name, value in options
            if name.startswith("sentinel_")
        ]
    )
    if kind == "cluster" and len(ours) < len(options):
        raise ValueError("options that begin with sentinel_ are of no use for a Cluster")
    with_tls = theirs.pop("ssl", "true" if tls else "false").lower() not in ("false", "0", "no")
    if not with_tls:
        theirs = {name: value for name, value in theirs.items() if not name.startswith("ssl_")}
    server = f"redis{tls}://{user}{at}any/{path}?{urlencode(ours)}"
    asked = f"redis{'s' if with_tls else ''}://any/?{urlencode(theirs)}"
    return Several(kind, tuple(hosts), service, server, server if kind == "cluster" else asked)


def slot(key: str) -> int:
    """The slot of a Cluster in which *key* is: by its hash tag, where it has one."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return binascii.crc_hqx((tag if opened and closed and tag else key).encode(), 0) % SLOTS


def has_tag(prefix: str) -> bool:
    """Whether all keys of *prefix* are in one slot: its first ``{`` is closed, not at once."""
    _, opened, rest = prefix.partition("{")
    return bool(opened) and rest.find("}") > 0


class Finder:
    """Asks one host after another where the primary is; the one that answered is asked first."""

    def __init__(self, hosts: tuple[Address, ...], asked: str) -> None:
        self._seeds = hosts
        self._hosts = list(hosts)
        self._asked = asked
        self._lock = threading.Lock()

    def find(self) -> Address:
        """The address of the primary, by the first host that knows it.

        Raises:
            redis.ConnectionError: none does.
        """
        failures = []
        for host in list(self._hosts):
            try:
                answer = self._ask(host)
                found = self._read(host, answer)
            except (redis.RedisError, OSError) as error:
                failures.append(f"{host[0]}:{host[1]}: {error or type(error).__name__}")
                self.doubt(host)
            else:
                return found
        raise redis.ConnectionError(f"{self._named} ({'; '.join(failures)})")

    def doubt(self, host: Address | None = None) -> None:
        """Ask *host*, or the one that was asked last, after all others from now on."""
        with self._lock:
            host = host or self._hosts[0]
            if host in self._hosts:
                self._hosts.remove(host)
                self._hosts.append(host)

    _question: tuple[str, ...] = ()
    _named = ""

    def _read(self, host: Address, answer: Any) -> Address:
        raise NotImplementedError

    def _ask(self, host: Address) -> Any:
        parsed = dict(parse_url(self._asked))
        kind = parsed.pop("connection_class", redis.connection.Connection)
        mine = {"host": host[0], "port": host[1], "protocol": 2, "decode_responses": False}
        patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
        parsed.pop("db", None)
        sock = kind(**{**parsed, **mine, **patience, "retry": Retry(NoBackoff(), 0)})
        try:
            sock.connect()
            sock.send_command(*self._question)
            return sock.read_response()
        finally:
            sock.disconnect()


class Sentinels(Finder):
    """The primary that the Sentinels call *service*."""

    def __init__(self, hosts: tuple[Address, ...], asked: str, service: str) -> None:
        super().__init__(hosts, asked)
        self._question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        self._service = service
        self._named = f"no Sentinel names a primary for {service!r}"

    def _read(self, host: Address, answer: Any) -> Address:
        if not answer:
            raise redis.RedisError(f"it knows no {self._service!r}")
        return answer[0].decode(), int(answer[1])


class Nodes(Finder):
    """The primary of one *slot* of a Cluster; its nodes are known by any one of them."""

    _question = ("CLUSTER", "SLOTS")

    def __init__(self, hosts: tuple[Address, ...], asked: str, slot: int) -> None:
        super().__init__(hosts, asked)
        self._slot = slot
        self._named = f"no node of the Cluster names a primary for slot {slot}"

    def _read(self, host: Address, answer: Any) -> Address:
        nodes, primary = [host], None
        for first, last, *members in answer:
            for number, member in enumerate(members):
                # An empty name is the node that was asked; ? one that nobody knows yet.
                name = (member[0] or b"").decode()
                address = (name or host[0], int(member[1]))
                if name == "?":
                    continue
                nodes.append(address)
                if number == 0 and first <= self._slot <= last:
                    primary = address
        if primary is None:
            raise redis.RedisError(f"no node has slot {self._slot}")
        with self._lock:
            self._hosts = list(dict.fromkeys((*nodes, *self._hosts, *self._seeds)))
        return primary


@cache
def finder(url: str, prefix: str) -> Finder:
    """Who finds the primary of *url* for what is kept under *prefix*.

    Raises:
        ConfigurationError: the keys of *prefix* are in many slots of a Cluster.
    """
    several = read(url)
    if several.kind == "sentinel":
        return Sentinels(several.hosts, several.asked, several.service)
    if not has_tag(prefix):
        raise ConfigurationError(untagged(prefix))
    return Nodes(several.hosts, several.asked, slot(prefix))


def untagged(prefix: str) -> str:
    """What is wrong with a prefix without a hash tag in a Cluster."""
    return (
        f"the prefix {prefix!r} has no hash tag, so that a Cluster would put the keys of its "
        f"queues into different slots, where no script can use them together: write it as "
        f"'{{{prefix}}}', in Node's BullMQ, too"
    )


class _PrimaryMixin:
    """What both kinds of socket share: the finder, and the judgement on what was found."""

    host: str
    port: int

    def __init__(self, *, finder: Finder, **options: Any) -> None:
        self._finder = finder
        super().__init__(**options)

    def _judge(self, role: Any) -> None:
        if isinstance(role, list) and role and role[0] != b"master":
            self._finder.doubt()
            raise redis.ConnectionError(
                f"{self.host}:{self.port} was named as the primary, but is a replica: a failover "
                "is under way"
            )


class _Primary(_PrimaryMixin):
    """A socket for threads that asks for the primary whenever it connects."""

    def _connect(self) -> Any:
        self.host, self.port = self._finder.find()
        try:
            return super()._connect()  # type: ignore[misc]
        except OSError:
            self._finder.doubt()
            raise

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health)  # type: ignore[misc]
        self.send_command("ROLE")  # type: ignore[attr-defined]
        try:
            role = self.read_response()  # type: ignore[attr-defined]
        except redis.exceptions.NoPermissionError:
            return  # a user without that right: writes will tell
        self._judge(role)


class _AsyncPrimary(_PrimaryMixin):
    """The same for an event loop, which goes on meanwhile."""

    async def _connect(self) -> Any:
        self.host, self.port = await asyncio.to_thread(self._finder.find)
        try:
            return await super()._connect()  # type: ignore[misc]
        except OSError:
            self._finder.doubt()
            raise

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)  # type: ignore[misc]
        await self.send_command("ROLE")  # type: ignore[attr-defined]
        try:
            role = await self.read_response()  # type: ignore[attr-defined]
        except redis.exceptions.NoPermissionError:
            return
        self._judge(role)


class Plain(_Primary, redis.connection.Connection):
    pass


class Tls(_Primary, redis.connection.SSLConnection):
    pass


class AsyncPlain(_AsyncPrimary, redis.asyncio.connection.Connection):
    pass


class AsyncTls(_AsyncPrimary, redis.asyncio.connection.SSLConnection):
    pass


def socket_class(url: str, awaits: bool) -> Callable[..., Any]:
    """The class of the sockets of a URL of several hosts."""
    if read(url).tls:
        return AsyncTls if awaits else Tls
    return AsyncPlain if awaits else Plain
