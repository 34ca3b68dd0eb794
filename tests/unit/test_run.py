"""Carrying out operations, blocking and awaited: what is sent again, and what is not."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from queuecore.errors import QueueCoreError, ServerUnavailable, SynchronousCall
from queuecore.wire import absence
from queuecore.wire import run as running
from queuecore.wire.absence import Absence, hurried
from queuecore.wire.calls.base import NOW, Call, Command, Operation
from queuecore.wire.clock import Clock, FixedClock

READ = Command(("GET", "x"))
WRITE = Command(("LPUSH", "x", "1"), repeatable=False)
SCRIPT = Call("promote", (), (), repeatable=False)
HARMLESS = Call("get_state", (), (), repeatable=True)
UNSENT = ServerUnavailable("cannot be reached", sent=False)
UNKNOWN = ServerUnavailable("did not answer", sent=True)


class Connection:
    """Answers from a list; an exception in it is raised."""

    def __init__(self, *answers: Any, clock: Clock | None = None) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.clock = clock or FixedClock(1000)
        self.absence = Absence(lambda: self.exchange(READ) == "PONG")

    def exchange(self, request: Any) -> Any:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aexchange(self, request: Any) -> Any:
        return self.exchange(request)


@pytest.fixture(params=["run", "arun"])
def carry_out(request: pytest.FixtureRequest) -> Iterator[Callable[[Any, Any], Any]]:
    if request.param == "run":
        yield running.run
    else:
        yield lambda connection, operation: asyncio.run(running.arun(connection, operation))


def two_steps() -> Operation[Any]:
    first = yield READ
    second = yield [READ, READ]
    return first, second


def test_a_generator_receives_each_answer(carry_out: Any) -> None:
    connection = Connection(1, [2, 3])
    assert carry_out(connection, two_steps()) == (1, [2, 3])
    assert connection.asked == [READ, [READ, READ]]
    assert carry_out(Connection(7), READ) == 7


def test_now_is_answered_by_the_clock(carry_out: Any) -> None:
    def operation() -> Operation[int]:
        return (yield NOW) + (yield NOW)

    connection = Connection(clock=FixedClock(1000))
    assert carry_out(connection, operation()) == 2000
    assert connection.asked == []


def test_a_stale_clock_asks_the_server_first(carry_out: Any) -> None:
    def operation() -> Operation[int]:
        return (yield NOW)

    connection = Connection(*[1_700_000_000.0] * 3, clock=Clock())
    assert carry_out(connection, operation()) == pytest.approx(1_700_000_000_000, abs=1000)
    assert connection.asked
    assert set(connection.asked) == {running.TIME}


def test_an_error_is_thrown_into_the_operation(carry_out: Any) -> None:
    def operation() -> Operation[Any]:
        try:
            yield READ
        except QueueCoreError as error:
            return f"caught {error}", (yield READ)

    assert carry_out(Connection(QueueCoreError("boom"), 5), operation()) == ("caught boom", 5)
    with pytest.raises(QueueCoreError, match="boom"):
        carry_out(Connection(QueueCoreError("boom")), two_steps())


@pytest.mark.parametrize(
    "request_", [READ, HARMLESS, [READ, HARMLESS]], ids=["read", "call", "all"]
)
def test_what_does_no_harm_is_sent_again(carry_out: Any, request_: Any) -> None:
    connection = Connection(UNKNOWN, UNSENT, "answer")

    def operation() -> Operation[Any]:
        return (yield request_)

    assert carry_out(connection, operation()) == "answer"
    assert len(connection.asked) == 3


@pytest.mark.parametrize("request_", [WRITE, SCRIPT, [READ, SCRIPT]], ids=["write", "call", "one"])
def test_a_write_of_unknown_fate_is_not_sent_again(carry_out: Any, request_: Any) -> None:
    def operation() -> Operation[Any]:
        return (yield request_)

    connection = Connection(UNKNOWN)
    with pytest.raises(ServerUnavailable, match="did not answer"):
        carry_out(connection, operation())
    assert len(connection.asked) == 1
    assert carry_out(Connection(UNSENT, UNSENT, "done"), operation()) == "done"


def test_patience_ends(carry_out: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.1)
    connection = Connection(*[UNSENT] * 100)
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        carry_out(connection, READ)
    assert 2 <= len(connection.asked) <= 5


def test_a_lost_server_makes_the_clock_ask_again(carry_out: Any) -> None:
    clock = Clock()
    clock.set(1_700_000_000.0, 0, 0)
    connection = Connection(UNSENT, "answer", clock=clock)
    carry_out(connection, READ)
    assert clock.stale


def test_blocking_in_an_event_loop_names_the_method_and_its_twin() -> None:
    connection = Connection(1)

    def get_something() -> Any:
        return running.run(connection, READ)

    async def main() -> None:
        get_something()

    with pytest.raises(SynchronousCall, match=r"^get_something\(\) .*; await aget_something\(\)"):
        asyncio.run(main())
    assert connection.asked == []


def test_the_operations_of_one_loop_do_not_wait_for_each_other() -> None:
    gate = asyncio.Event()

    class Slow(Connection):
        async def aexchange(self, request: Any) -> Any:
            if request is WRITE:
                await gate.wait()
            return self.exchange(request)

    async def main() -> list[Any]:
        connection = Slow("quick", "slow")
        slow = asyncio.ensure_future(running.arun(connection, WRITE))
        quick = await running.arun(connection, READ)
        gate.set()
        return [quick, await slow]

    assert asyncio.run(main()) == ["quick", "slow"]


def test_who_is_in_a_hurry_asks_no_server_that_is_known_to_be_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = Connection(UNKNOWN, 1, UNKNOWN, "silence", "PONG", 2)
    with pytest.raises(ServerUnavailable):
        running.run(connection, WRITE)
    assert running.run(connection, WRITE) == 1  # who has time asks all the same
    with hurried():
        with pytest.raises(ServerUnavailable):
            running.run(connection, WRITE)
        asked = len(connection.asked)
        for _ in range(3):
            with pytest.raises(ServerUnavailable, match="did not answer") as caught:
                running.run(connection, WRITE)
            assert not caught.value.sent
        assert len(connection.asked) == asked
        monkeypatch.setattr(absence, "REMEMBERED", 0)
        monkeypatch.setattr(absence, "LOOK", 0)
        connection.absence.note(UNKNOWN)
        with pytest.raises(ServerUnavailable):  # looked, and it is silent
            running.run(connection, WRITE)
        assert running.run(connection, WRITE) == 2
