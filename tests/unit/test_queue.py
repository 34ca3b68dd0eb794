"""How concurrent `aadd` calls share calls to the server."""

import asyncio
from typing import Any, cast

from queuecore.queue import _Adder


class Server:
    """Stands in for a queue: each call to it is answered when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[Any], asyncio.Future[list[Any]]]] = []

    def _add(self, prepared: list[Any]) -> list[Any]:
        return prepared

    def _arun(self, prepared: list[Any]) -> asyncio.Future[list[Any]]:
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.calls.append((prepared, answer))
        return answer

    async def called(self, times: int) -> None:
        for _ in range(1000):
            if len(self.calls) >= times:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.calls)} calls, not {times}: nobody sends any more")

    def answer(self, *calls: int) -> None:
        for call in calls:
            prepared, answer = self.calls[call]
            answer.set_result(prepared)


def test_what_arrives_while_two_calls_are_under_way_shares_the_next() -> None:
    async def scene() -> list[list[str]]:
        server = Server()
        adder = cast(Any, _Adder(cast(Any, server)))
        adding = [asyncio.ensure_future(adder.add(name)) for name in ("a", "b")]
        await server.called(1)
        adding.append(asyncio.ensure_future(adder.add("c")))
        await server.called(2)
        adding += [asyncio.ensure_future(adder.add(name)) for name in ("d", "e")]
        await asyncio.sleep(0)
        server.answer(0)
        await server.called(3)
        server.answer(1, 2)
        assert await asyncio.gather(*adding) == ["a", "b", "c", "d", "e"]
        return [prepared for prepared, _ in server.calls]

    assert asyncio.run(asyncio.wait_for(scene(), 5)) == [["a", "b"], ["c"], ["d", "e"]]


def test_who_adds_just_as_both_calls_end_does_not_wait_for_ever() -> None:
    """Both answers arrive in one turn of the loop, and only the first caller adds again."""

    async def scene() -> str:
        server = Server()
        adder = cast(Any, _Adder(cast(Any, server)))

        async def twice() -> Any:
            await adder.add("a")
            return await adder.add("again")

        first = asyncio.ensure_future(twice())
        await server.called(1)
        second = asyncio.ensure_future(adder.add("b"))
        await server.called(2)
        server.answer(0, 1)
        await server.called(3)
        server.answer(2)
        await second
        return str(await first)

    assert asyncio.run(asyncio.wait_for(scene(), 5)) == "again"
