"""The sockets of a worker: what ends them, and how they come back."""

import asyncio

import pytest
import redis

from queuecore.errors import ServerUnavailable
from queuecore.wire.calls.base import Command
from queuecore.wire.connections import get_connection
from queuecore.wire.link import Link
from tests.server.working import until
from tests.servers import Server

PING = Command(("PING",))


async def client_id(link: Link) -> int:
    return await link.send(Command(("CLIENT", "ID"), int))


async def test_a_socket_lost_while_nobody_waited_is_opened_again(
    server: Server, redis_client: redis.Redis
) -> None:
    """Nothing of the next request was sent on it: its fate is not unknown, and no error is told."""
    link = get_connection().link()
    redis_client.client_kill_filter(_id=await client_id(link))
    await until(lambda: link._stream and link._stream.lost)
    assert await link.send(PING) == b"PONG"
    await link.close()


async def test_a_socket_lost_during_a_request_leaves_its_fate_unknown(
    server: Server, redis_client: redis.Redis
) -> None:
    link = get_connection().link()
    number = await client_id(link)
    waiting = asyncio.create_task(link.send(Command(("BLPOP", "nothing", 4))))
    await until(lambda: [c for c in redis_client.client_list() if c["cmd"] == "blpop"])
    redis_client.client_kill_filter(_id=number)
    with pytest.raises(ServerUnavailable, match="did not answer") as caught:
        await waiting
    assert caught.value.sent
    assert await link.send(PING) == b"PONG"
    await link.close()


async def test_what_cannot_be_packed_leaves_nobody_waiting(server: Server) -> None:
    """A future that nobody awaits any more would be complained about when the socket ends."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    link = get_connection().link()
    await link.open()
    stream = link._stream
    assert stream is not None
    with pytest.raises(UnicodeEncodeError):
        await link.send(Command(("ECHO", "\ud800")))
    await link.close()
    assert stream._waiter is None
    assert await link.send(PING) == b"PONG"
    await link.close()
    assert complaints == []
