"""Services: made once, given to constructors, and another one in a test."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from queuecore import Job, Processor, services
from queuecore.errors import ConfigurationError
from queuecore.services import override, provide, service


class Mailer:
    pass


class Clock:
    pass


def make_clock() -> Clock:
    return Clock()


class Newsletters(Processor):
    def __init__(
        self, mailer: Mailer = provide(Mailer), clock: Clock = provide(f"{__name__}.make_clock")
    ) -> None:
        self.mailer, self.clock = mailer, clock

    def process(self, job: Job) -> None: ...


class Special(Newsletters):
    def __init__(self, more: int = 0) -> None:
        super().__init__()
        self.more = more


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(services, "_made", {})
    yield
    assert not services._replaced


def test_a_constructor_gets_what_its_defaults_say_once_a_process() -> None:
    first, second = Newsletters(), Special(5)
    assert type(first.mailer) is Mailer
    assert type(first.clock) is Clock
    assert (first.mailer, first.clock) == (second.mailer, second.clock)
    assert second.more == 5
    mine = Mailer()
    assert Newsletters(mine).mailer is mine
    assert Newsletters(mailer=mine).clock is first.clock


def test_a_test_swaps_them() -> None:
    before, fake = Newsletters(), Mailer()
    with override(Mailer, fake) as given, override(make_clock, Clock()) as clock:
        assert given is fake
        assert Newsletters().mailer is fake
        assert Newsletters().clock is clock
        with override(Mailer, other := Mailer()):
            assert service(Mailer) is other
        assert service(Mailer) is fake
    assert Newsletters().mailer is before.mailer

    @override(f"{__name__}.Mailer", fake)
    def within() -> Mailer:
        return Newsletters().mailer

    assert within() is fake
    assert Newsletters().mailer is before.mailer


class Attributes(Processor):
    mailer = provide(Mailer)
    other = provide(Mailer)

    def process(self, job: Job) -> None: ...


@dataclass
class Fields(Processor):
    mailer: Mailer = provide(Mailer)

    def process(self, job: Job) -> None: ...


def test_attributes_of_a_class_and_fields_of_a_dataclass_are_services_too() -> None:
    assert type(Attributes().mailer) is Mailer
    assert Attributes().mailer is Attributes().other is Fields().mailer
    fake = Mailer()
    mine = Attributes()
    mine.mailer = fake
    assert (mine.mailer, mine.other) == (fake, Fields().mailer)
    assert Fields(fake).mailer is fake
    with override(Mailer, fake):
        assert Attributes().mailer is Fields().mailer is fake
    assert Attributes().mailer is not fake


def sender(mailer: Mailer = provide(Mailer), *, clock: Clock = provide(make_clock)) -> tuple:
    return mailer, clock


def test_a_factory_gets_services_too_and_those_of_a_test_are_not_kept() -> None:
    with override(Mailer, fake := Mailer()):
        assert service(sender)[0] is fake
    assert service(sender) == (service(Mailer), service(make_clock))
    assert service(sender) is service(sender)


def test_threads_share_them() -> None:
    ready, found = threading.Barrier(8), []

    def ask() -> None:
        ready.wait()
        found.append(service(Mailer))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def round_one(two: object = provide(f"{__name__}.round_two")) -> object:
    return two


def round_two(one: object = provide(round_one)) -> object:
    return one


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(ConfigurationError, match="round_one -> round_two -> round_one"):
        service(round_one)
    with pytest.raises(ConfigurationError, match="its dotted path, not 5"):
        provide(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"provide\(\) names 'nowhere.make', which cannot"):
        service("nowhere.make")
