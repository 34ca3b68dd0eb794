"""Payloads: JSON is read as the declared type, or the error names each field that is wrong."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType, NotRequired, Required, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from django.contrib.auth.models import User
from pydantic.alias_generators import to_camel
from typing_extensions import TypeAliasType

from queuecore.errors import ConfigurationError, InvalidPayload, NotSerializable
from queuecore.payloads import Payload
from queuecore.wire import codec

NOW = datetime(2030, 1, 31, 12, 30, tzinfo=UTC)
ID = UUID("6f9c2f4e-0c58-4f3c-9d7f-3f3a1c2b5d10")
UserId = NewType("UserId", int)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Item:
    price: Decimal
    sku: str = "none"


class Marks(TypedDict, total=False):
    a: Required[int]
    b: NotRequired[str | None]


@dataclasses.dataclass
class Order:
    user_id: UserId
    items: list[Item]
    marks: Marks | None = None
    when: datetime | None = None
    day: date | None = None
    at: time | None = None
    id: UUID | None = None
    rate: float = 1
    colour: Colour = Colour.RED
    mode: Literal["a", 3] = "a"
    tags: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    pair: tuple[int, str] = (1, "x")
    some: tuple[int, ...] = ()
    either: int | list[Item] | None = None
    note: Annotated[str, "of the shop"] = ""
    anything: Any = None
    parts: list[Order] = dataclasses.field(default_factory=list)
    doubled: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")
        self.doubled = 2 * self.user_id


class OrderDict(TypedDict):
    user_id: int
    items: list[Marks]


class StructItem(msgspec.Struct):
    price: Decimal
    sku: str = "none"


class OrderStruct(msgspec.Struct):
    user_id: int
    items: list[StructItem]
    when: datetime | None = None


class ModelItem(pydantic.BaseModel):
    price: Decimal
    sku: str = "none"


class OrderModel(pydantic.BaseModel):
    user_id: int
    items: list[ModelItem]
    when: datetime | None = None


@dataclasses.dataclass
class OrderOfOthers:
    struct: StructItem
    model: ModelItem


def read(type_: Any, value: Any) -> Any:
    return Payload(type_).read(codec.dumps(value), "buy", "orders")


def wrong(type_: Any, value: Any) -> str:
    """What is told of each field."""
    with pytest.raises(InvalidPayload) as caught:
        read(type_, value)
    text = str(caught.value)
    begin = "the data of job 'buy' of queue 'orders' is no "
    assert text.startswith(begin)
    end = "; correct it where the job is added, or the type that its processor declares"
    assert text.endswith(end)
    return text.removesuffix(end).removeprefix(begin).partition(": ")[2]


WHOLE = Order(
    UserId(7),
    [Item(Decimal("1.20")), Item(Decimal(3), "x")],
    {"a": 1, "b": None},
    NOW,
    NOW.date(),
    NOW.time(),
    ID,
    2,
    Colour.BLUE,
    3,
    {"x": [1]},
    (2, "z"),
    (1, 2, 3),
    [Item(Decimal(1))],
    "n",
    {"k": None},
    [Order(UserId(8), [])],
)


@pytest.mark.parametrize(
    "instance",
    [
        WHOLE,
        OrderStruct(7, [StructItem(Decimal("1.20"))], NOW),
        OrderModel(user_id=7, items=[ModelItem(price=Decimal("1.20"))], when=NOW),
        OrderOfOthers(StructItem(Decimal(1)), ModelItem(price=Decimal(2))),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_instance_comes_back_as_it_was_sent(instance: Any) -> None:
    found = read(type(instance), instance)
    assert found == instance
    assert type(found) is type(instance)


@pytest.mark.parametrize("type_", [Order, OrderStruct, OrderModel])
def test_what_is_left_out_has_its_default(type_: Any) -> None:
    found = read(type_, {"user_id": 7, "items": [{"price": "2.5"}]})
    assert (found.user_id, found.items[0].price, found.items[0].sku) == (7, Decimal("2.5"), "none")
    assert found.when is None


@pytest.mark.parametrize(
    ("type_", "number"),
    [
        (Order, "user_id must be int, not str"),
        (OrderStruct, "user_id is wrong: expected `int`, got `str`"),
        (OrderModel, "user_id is wrong: input should be a valid integer, unable to parse string"),
    ],
)
def test_every_kind_of_type_names_the_field_by_its_path(type_: Any, number: str) -> None:
    assert wrong(type_, {"user_id": "seven", "items": []}).startswith(number)
    assert wrong(type_, {"items": []}) == "user_id is missing"
    good = {"price": "1"}
    assert wrong(type_, {"user_id": 1, "items": [good, good, {"sku": "s"}]}) == (
        "items[2].price is missing"
    )
    assert wrong(type_, {"user_id": 1, "items": [good, good, {"price": []}]}).startswith(
        "items[2].price "
    )
    # Unknown fields, which msgspec and pydantic would pass over.
    stranger = {"user_id": 1, "items": [{"price": "1", "skuu": "s"}], "colr": 1}
    told = wrong(type_, stranger)
    assert "items[0].skuu is no field; did you mean 'sku'?" in told
    assert "colr is no field" in told


def test_a_typed_dict_is_a_dict_of_these_values() -> None:
    assert read(OrderDict, {"user_id": 1, "items": [{"a": 1}]}) == {
        "user_id": 1,
        "items": [{"a": 1}],
    }
    assert wrong(OrderDict, {"user_id": 1, "items": [{"b": 2, "coffee": 3}]}) == (
        "items[0].a is missing; items[0].b must be str, not int; items[0].coffee is no field"
    )


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("user_id", True, "user_id must be int, not bool"),
        ("user_id", 1.5, "user_id must be int, not float"),
        ("rate", "1", "rate must be float, not str"),
        ("rate", True, "rate must be float, not bool"),
        ("rate", -1, "it is refused: rate must not be negative"),
        ("when", 5, "when must be a time as ISO text (2030-01-31T12:00:00Z), not int"),
        ("when", "soon", "when must be a time as ISO text (2030-01-31T12:00:00Z)"),
        ("day", "2030-13-01", "day must be a date as ISO text (2030-01-31)"),
        ("at", "25:00", "at must be a time of day as ISO text (12:00:00)"),
        ("id", "x", "id must be a UUID as text"),
        ("colour", "green", "colour must be one of 'red', 'blue'"),
        ("mode", "3", "mode must be one of 'a', 3"),
        ("mode", None, "mode must be one of 'a', 3"),
        ("tags", {"a b": ["x"]}, "tags['a b'][0] must be int, not str"),
        ("tags", [], "tags must be dict, not list"),
        ("pair", [1], "pair must be a list of 2, not of 1"),
        ("pair", [1, 2], "pair[1] must be str, not int"),
        ("some", [1, None], "some[1] must be int, not None"),
        ("either", "x", "either must be one of these: int, list, None; not str"),
        ("either", [{"sku": 1}], "either[0].price is missing; either[0].sku must be str, not int"),
        ("items", None, "items must be list, not None"),
        ("items", [5], "items[0] must be dict (Item), not int"),
        ("items", [{"price": "a"}], "items[0].price must be a decimal number as text"),
        ("items", [{"price": []}], "items[0].price must be a decimal number as text, not list"),
        ("parts", [{"items": []}], "parts[0].user_id is missing"),
        ("note", None, "note must be str, not None"),
    ],
)
def test_what_is_wrong_is_told(field: str, value: Any, told: str) -> None:
    assert wrong(Order, {"user_id": 1, "items": [], field: value}) == told


@pytest.mark.parametrize("value", [None, [], "text", 7])
def test_data_that_is_no_object(value: Any) -> None:
    assert wrong(Order, value) == f"it must be dict (Order), not {_kind(value)}"


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def test_lists_of_types_are_types() -> None:
    assert read(list[Item], [{"price": 1}]) == [Item(Decimal(1))]
    assert wrong(list[Item], [{"price": 1}, {}]) == "[1].price is missing"
    assert wrong(dict[str, int], {"a": "b"}) == "a must be int, not str"


def test_values_are_told_of_by_nobody() -> None:
    secret = "hunter2"
    value = {"user_id": secret, "items": [{"price": secret}], "when": secret, "id": secret}
    for type_ in (Order, OrderModel, OrderStruct):
        with pytest.raises(InvalidPayload) as caught:
            read(type_, value)
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_many_errors_are_counted() -> None:
    said = wrong(list[int], ["x"] * 30)
    assert said.count("must be int") == 8
    assert said.endswith("; and 22 more")


def test_no_json_and_json_of_any_depth() -> None:
    with pytest.raises(InvalidPayload, match="it is no JSON that can be read"):
        Payload(Order).read(b"{", "buy", "orders")
    deep = b'{"user_id":1,"items":[],"parts":[' * 5000 + b"]}" * 5000
    with pytest.raises(InvalidPayload, match=r"nested too deeply|no JSON"):
        Payload(Order).read(deep, "buy", "orders")


class Aliased(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(populate_by_name=True)
    user: int = pydantic.Field(alias="userId")
    other: int = pydantic.Field(0, validation_alias=pydantic.AliasChoices("o", "oo"))


class Lax(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore")
    n: int


class Tagged(msgspec.Struct, tag="one", rename="camel"):
    user_id: int


@pydantic.dataclasses.dataclass
class Both:
    n: int
    inner: Lax


class Computed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel)
    user_id: int

    @pydantic.computed_field
    @property
    def twice_it(self) -> int:
        return 2 * self.user_id


class Rows(pydantic.RootModel[dict[str, Computed]]):
    pass


@pydantic.dataclasses.dataclass
class Renamed:
    user: int = pydantic.Field(alias="userId")
    plain: Item | None = None


@pytest.mark.parametrize(
    "instance",
    [Computed(userId=3), Rows({"a": Computed(userId=3)}), Renamed(userId=4)],
    ids=lambda one: type(one).__name__,
)
def test_what_is_written_by_another_name_or_computed_comes_back(instance: Any) -> None:
    assert read(type(instance), instance) == instance


def test_strangers_are_found_in_all_of_them() -> None:
    assert wrong(Rows, {"a": {"userId": 1, "b": 2}}).startswith("a.b is no field")
    assert wrong(Renamed, {"userId": 1, "user": 1}).startswith("user is no field")
    assert wrong(Renamed, {"userId": 1, "plain": {"price": "1", "s": 1}}) == "plain.s is no field"


def test_pydantic_and_msgspec_keep_their_own_rules() -> None:
    assert read(Aliased, {"userId": 1, "oo": 2}).other == 2
    assert read(Aliased, {"user": 1}).user == 1
    assert read(Lax, {"n": "5", "more": 1}).n == 5
    assert read(Tagged, Tagged(5)).user_id == 5
    assert read(Tagged, {"type": "one", "userId": 5}).user_id == 5
    assert "user_id is no field" in wrong(Tagged, {"type": "one", "userId": 5, "user_id": 5})
    assert read(Both, {"n": 1, "inner": {"n": 2, "m": 1}}).inner.n == 2


class NoJson:
    pass


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (User, "is the model User: jobs hold keys, not rows; declare its key"),
        (set[int], "x: data cannot be checked against set"),
        (NoJson, "x: JSON does not hold NoJson; use bool, int"),
        (dict[int, str], "x: the keys of a JSON object are texts"),
        (bytes, "x: JSON does not hold bytes"),
    ],
)
def test_a_type_that_json_cannot_hold_is_refused_when_it_is_declared(type_: Any, told: str) -> None:
    made = dataclasses.make_dataclass("Made", [("x", type_)])
    with pytest.raises(ConfigurationError) as caught:
        Payload(made)
    assert told in str(caught.value)
    assert str(caught.value).startswith("Made.x")


def test_types_that_are_only_for_checkers_are_told() -> None:
    made = dataclasses.make_dataclass("Made", [("x", "Nowhere")])
    with pytest.raises(ConfigurationError, match="not only under TYPE_CHECKING"):
        Payload(made)


def test_rows_and_querysets_are_refused_with_what_to_send() -> None:
    with pytest.raises(NotSerializable, match=r"data\['user'\] is a User instance; pass its key"):
        codec.dumps({"user": User(pk=1)})
    with pytest.raises(NotSerializable, match=r"is a QuerySet of User; pass its keys \(list"):
        codec.dumps({"users": User.objects.all()})


def test_named_types() -> None:
    items = TypeAliasType("items", list[Item])  # `type items = list[Item]` of Python 3.12
    assert read(items, [{"price": 1}]) == [Item(Decimal(1))]
