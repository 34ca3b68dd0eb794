"""Servers that stand in for each other, on loopback: a Sentinel set and a Cluster, for tests."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import redis

from tests.machine import find_server
from tests.servers import LAUNCHER, Server, private_folder

PATIENCE = 60
DATA = {"bind": "127.0.0.1", "repl-diskless-sync-delay": "0"}


class Ensemble:
    """What both have: servers with ports; ``url`` names all that a client is told of."""

    def __init__(self) -> None:
        self.servers: list[Server] = []
        self.ports: dict[Server, int] = {}

    def start_server(self, **options: str) -> Server:
        """One server with a port of its own."""
        port = free_port()
        server = Server(persist=True, options={"port": str(port)} | DATA | options)
        self.servers.append(server.start())
        self.ports[server] = port
        return server

    def close(self) -> None:
        """End all of it."""
        for server in self.servers:
            server.close()


class SentinelSet(Ensemble):
    """A primary, two replicas, and three Sentinels that know it as ``jobs``."""

    def __init__(self) -> None:
        super().__init__()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.folder = private_folder()
        first, *others = [self.start_server() for _ in range(3)]
        self.first = first
        for other in others:
            with other.client() as client:
                client.execute_command("REPLICAOF", "127.0.0.1", self.ports[first])
        self.sentinels = [self._start_sentinel(n) for n in range(3)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/jobs/0"
        wait(self._complete, "a Sentinel set that knows itself")

    def _start_sentinel(self, number: int) -> int:
        port, binary = free_port(), find_server()
        config = self.folder / f"sentinel-{number}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.folder}\nlogfile {config}.log\n"
            f"sentinel monitor jobs 127.0.0.1 {self.ports[self.first]} 2\n"
            "sentinel down-after-milliseconds jobs 1500\nsentinel failover-timeout jobs 6000\n"
        )
        command = [str(binary), str(config), "--sentinel"]
        self._processes.append(launched(command))
        return port

    def primary(self) -> Server:
        """The server that all Sentinels name now."""
        named = set()
        for port in self.sentinels:
            with redis.Redis(port=port, decode_responses=True) as client:
                named.add(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "jobs")[1])
        (found,) = [one for one in self.servers if {str(self.ports[one])} == named]
        return found

    def _complete(self) -> bool:
        for port in self.sentinels:
            with redis.Redis(port=port, decode_responses=True) as client:
                state = client.execute_command("SENTINEL", "MASTER", "jobs")
                known = (
                    dict(zip(state[::2], state[1::2], strict=True))
                    if isinstance(state, list)
                    else state
                )
                if (int(known["num-slaves"]), int(known["num-other-sentinels"])) != (2, 2):
                    return False
        with self.first.client() as client:
            return online(client) == 2

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        super().close()


class Cluster(Ensemble):
    """Three primaries with a replica each."""

    def __init__(self) -> None:
        super().__init__()
        nodes = [
            self.start_server(
                **{
                    "cluster-enabled": "yes",
                    "cluster-node-timeout": "2000",
                    "cluster-port": str(free_port()),
                    "cluster-replica-validity-factor": "0",
                }
            )
            for _ in range(6)
        ]
        primaries, replicas = nodes[:3], nodes[3:]
        bounds = [0, 5461, 10923, 16384]
        for index, node in enumerate(primaries):
            with node.client() as client:
                first, last = bounds[index], bounds[index + 1] - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        with nodes[0].client() as client:
            for node in nodes[1:]:
                bus = node.options["cluster-port"]
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.ports[node], bus)
        wait(lambda: all(self._knows(node, 6) for node in nodes), "a Cluster that knows itself")
        for primary, replica in zip(primaries, replicas, strict=True):
            with primary.client() as client:
                id = client.execute_command("CLUSTER", "MYID")
            with replica.client() as client:
                client.execute_command("CLUSTER", "REPLICATE", id)
        wait(self._complete, "a Cluster that is whole")
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{self.ports[one]}" for one in nodes)

    @staticmethod
    def _knows(node: Server, count: int) -> bool:
        with node.client() as client:
            info = str(client.execute_command("CLUSTER", "INFO"))
        return f"cluster_known_nodes:{count}" in info and "cluster_state:ok" in info

    def _complete(self) -> bool:
        for node in self.servers[:3]:
            with node.client() as client:
                if online(client) != 1:
                    return False
        return all(self._knows(node, 6) for node in self.servers)

    def owner(self, slot: int) -> Server:
        """The primary of *slot*, by a node that lives."""
        for node in self.servers:
            if node.pid is None:
                continue
            with node.client() as client:
                role = client.execute_command("ROLE")[0]
                mine = client.execute_command("CLUSTER", "SLOTS")
            ports = [
                int(members[0][1])
                for first, last, *members in raw(mine)
                if int(first) <= slot <= int(last)
            ]
            if role == "master" and ports == [self.ports[node]]:
                return node
        raise LookupError(f"no node that lives has slot {slot}")


def online(client: redis.Redis) -> int:
    """How many replicas have all of the data."""
    info = client.info("replication")
    return sum(info.get(f"slave{n}", {}).get("state") == "online" for n in range(3))


def raw(answer: Any) -> list[Any]:
    """CLUSTER SLOTS as the server gave it, whatever the client has made of it."""
    if isinstance(answer, dict):
        return [[*range_, found["primary"]] for range_, found in answer.items()]
    return list(answer)


def launched(command: list[str]) -> subprocess.Popen[bytes]:
    """A server process that dies with this one."""
    if sys.platform == "linux":
        command = [sys.executable, "-IS", "-c", LAUNCHER, str(os.getpid()), *command]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )


def free_port() -> int:
    """A port that nobody has, and that is not handed out to those who connect."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait(what: Callable[[], object], named: str, timeout: float = PATIENCE) -> None:
    """Wait until ``what()`` is true; a server that does not answer yet is not there yet."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if what():
                return
        except (redis.RedisError, OSError, ValueError, LookupError):
            pass
        assert time.monotonic() < deadline, f"no {named} within {timeout} s"
        time.sleep(0.05)  # between two looks; the deadline ends it
