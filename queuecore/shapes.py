"""Shape: whether a value read from JSON is of an annotated type, and that value as the type has it.

For dataclasses and typed dicts, and for what stands in them; our own, so that it is the same
whatever else is installed. A type is what JSON as we write it can hold: None, bool, int, float,
str, datetime, date, time, UUID, Decimal, enums, literals, lists, tuples, dicts by text, unions,
dataclasses, typed dicts, msgspec structs and pydantic models.

Nothing is converted that is not of the type: ``"7"`` is no int. A float may be a whole number, and
what JSON has no type for is read from the text that we write.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from .errors import ConfigurationError, did_you_mean

Path = tuple[str | int, ...]


class Wrong(NamedTuple):
    """One thing that is not of the type: where it stands, and what is wrong with it."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{written(self.path)} {self.text}"


# Gives the value of the type, or adds to what is wrong.
Check = Callable[[Any, Path, list[Wrong]], Any]
# Makes the check of a class that others have made (pydantic, msgspec); None for all other types.
Foreign = Callable[[Any], Check | None]


def written(path: Path) -> str:
    """``items[2].price``; what stands at no place is the data itself."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier():
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text or "it"


def shape(type_: Any, foreign: Foreign) -> Check:
    """The check of a type.

    Raises:
        ConfigurationError: JSON cannot hold it; the text names the field.
    """
    return _Shapes(foreign).of(type_, _name(type_))


def _name(type_: Any) -> str:
    return getattr(type_, "__qualname__", None) or str(type_)


def kind(value: Any) -> str:
    """What a value read from JSON is."""
    return "None" if value is None else type(value).__name__


def _must(what: str, value: Any) -> str:
    return f"must be {what}, not {kind(value)}"


class _Shapes:
    """Makes checks; remembers those of classes, which may hold themselves."""

    def __init__(self, foreign: Foreign) -> None:
        self._foreign = foreign
        self._known: dict[Any, Check] = {}
        self._begun: set[Any] = set()

    def of(self, type_: Any, place: str) -> Check:
        if isinstance(type_, typing.NewType):
            return self.of(type_.__supertype__, place)
        if type(type_).__name__ == "TypeAliasType":  # of Python 3.12: `type Money = Decimal`
            return self._once(type_, lambda: self.of(type_.__value__, place))
        if get_origin(type_) is Annotated:
            return self.of(get_args(type_)[0], place)
        if (check := _SCALARS.get(type_) if _hashable(type_) else None) is not None:
            return check
        if (check := self._of_several(type_, place)) is not None:
            return check
        if isinstance(type_, type):
            return self._once(type_, lambda: self._of_class(type_, place))
        raise ConfigurationError(f"{place}: data cannot be checked against {type_!r}; {_ADVICE}")

    def _once(self, type_: Any, make: Callable[[], Check]) -> Check:
        if type_ in self._begun and type_ not in self._known:
            return lambda value, path, wrong: self._known[type_](value, path, wrong)
        if type_ not in self._known:
            self._begun.add(type_)
            self._known[type_] = make()
        return self._known[type_]

    def _of_several(self, type_: Any, place: str) -> Check | None:
        """The check of a type that is made of others."""
        origin, arguments = get_origin(type_) or type_, get_args(type_)
        if origin is Literal:
            return _one_of([(_plain(one), one) for one in arguments])
        if origin in (Union, types.UnionType):
            return _any_of([(one, self.of(one, place)) for one in arguments])
        if origin in (list, Sequence):
            return _list_of(self.of(arguments[0], f"{place}[]") if arguments else _anything)
        if origin in (dict, Mapping):
            if arguments and arguments[0] is not str:
                raise ConfigurationError(
                    f"{place}: the keys of a JSON object are texts; declare dict[str, ...] and "
                    "convert them in the processor"
                )
            return _dict_of(self.of(arguments[1], f"{place}[...]") if arguments else _anything)
        if origin is tuple:
            if not arguments:
                return _tuple_of(_anything)
            if len(arguments) == 2 and arguments[1] is Ellipsis:
                return _tuple_of(self.of(arguments[0], f"{place}[]"))
            return _row_of([self.of(one, f"{place}[{n}]") for n, one in enumerate(arguments)])
        return None

    def _of_class(self, type_: Any, place: str) -> Check:
        if (check := self._foreign(type_)) is not None:
            return check
        if dataclasses.is_dataclass(type_):
            return self._of_dataclass(type_, place)
        if issubclass(type_, dict) and hasattr(type_, "__required_keys__"):
            return self._of_typed_dict(type_, place)
        if issubclass(type_, Enum):
            return _one_of([(_plain(one), one) for one in type_])
        if hasattr(type_, "_meta") and hasattr(type_, "objects"):
            raise ConfigurationError(
                f"{place} is the model {type_.__name__}: jobs hold keys, not rows; declare its key "
                "(such as user_id: int) and load it in the processor"
            )
        raise ConfigurationError(f"{place}: JSON does not hold {type_.__name__}; {_ADVICE}")

    def _of_dataclass(self, type_: Any, place: str) -> Check:
        hints = _hints(type_, place)
        checks, needed, others = {}, [], set()
        for field in dataclasses.fields(type_):
            if not field.init:
                others.add(field.name)  # written with the instance, and made anew by it
                continue
            checks[field.name] = self.of(hints[field.name], f"{place}.{field.name}")
            if field.default is field.default_factory is dataclasses.MISSING:
                needed.append(field.name)
        return _object(type_, checks, needed, others)

    def _of_typed_dict(self, type_: Any, place: str) -> Check:
        checks, needed = {}, []
        for name, hint in _hints(type_, place).items():
            required = name in type_.__required_keys__
            # In text annotations the class itself does not see these.
            while (mark := str(get_origin(hint)).rpartition(".")[2]) in _MARKS:
                required = required if mark == "ReadOnly" else mark == "Required"
                (hint,) = get_args(hint)
            checks[name] = self.of(hint, f"{place}.{name}")
            if required:
                needed.append(name)
        return _object(dict, checks, needed, set())


_MARKS = ("Required", "NotRequired", "ReadOnly")
_ADVICE = (
    "use bool, int, float, str, None, list, dict, tuple, datetime, date, time, UUID, Decimal, an "
    "Enum, Literal, a dataclass or a TypedDict"
)


def _hints(type_: Any, place: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(type_, include_extras=True)
    except Exception as error:
        raise ConfigurationError(
            f"the annotations of {place} cannot be read: {error}; its types must be importable "
            "when the program runs, not only under TYPE_CHECKING"
        ) from error


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _plain(value: Any) -> Any:
    """What stands in JSON for a member of an enum or a literal."""
    while isinstance(value, Enum):
        value = value.value
    return str(value) if isinstance(value, UUID | Decimal) else value


# Checks


def _anything(value: Any, path: Path, wrong: list[Wrong]) -> Any:
    return value


def _exactly(type_: type) -> Check:
    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        if type(value) is type_:
            return value
        wrong.append(Wrong(path, _must(type_.__name__, value)))
        return None

    return check


def _nothing(value: Any, path: Path, wrong: list[Wrong]) -> None:
    if value is not None:
        wrong.append(Wrong(path, _must("None", value)))


def _float(value: Any, path: Path, wrong: list[Wrong]) -> Any:
    if type(value) in (int, float):
        return float(value)
    wrong.append(Wrong(path, _must("float", value)))
    return None


def _decimal(value: Any, path: Path, wrong: list[Wrong]) -> Any:
    if type(value) in (int, float, str):
        try:
            return Decimal(str(value))
        except InvalidOperation:
            wrong.append(Wrong(path, "must be a decimal number as text"))
            return None
    wrong.append(Wrong(path, _must("a decimal number as text", value)))
    return None


def _text_of(what: str, read: Callable[[str], Any]) -> Check:
    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        if type(value) is not str:
            wrong.append(Wrong(path, _must(what, value)))
            return None
        try:
            return read(value)
        except ValueError:
            wrong.append(Wrong(path, f"must be {what}"))
            return None

    return check


_SCALARS: dict[Any, Check] = {
    Any: _anything,
    object: _anything,
    None: _nothing,
    type(None): _nothing,
    bool: _exactly(bool),
    int: _exactly(int),
    str: _exactly(str),
    float: _float,
    Decimal: _decimal,
    datetime: _text_of("a time as ISO text (2030-01-31T12:00:00Z)", datetime.fromisoformat),
    date: _text_of("a date as ISO text (2030-01-31)", date.fromisoformat),
    time_of_day: _text_of("a time of day as ISO text (12:00:00)", time_of_day.fromisoformat),
    UUID: _text_of("a UUID as text", UUID),
}


def _one_of(members: list[tuple[Any, Any]]) -> Check:
    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        for plain, member in members:
            if type(plain) is type(value) and plain == value:
                return member
        known = ", ".join(repr(plain) for plain, _ in members)
        wrong.append(Wrong(path, f"must be one of {known}"))
        return None

    return check


def _any_of(members: list[tuple[Any, Check]]) -> Check:
    """The first that fits; where but one can, what is wrong with that."""
    others = [check for type_, check in members if type_ is not type(None)]
    optional = len(others) < len(members)
    names = ", ".join("None" if type_ is type(None) else _name(type_) for type_, _ in members)

    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        if value is None and optional:
            return None
        if len(others) == 1:
            return others[0](value, path, wrong)
        closest: list[Wrong] = []
        for other in others:
            mine: list[Wrong] = []
            found = other(value, path, mine)
            if not mine:
                return found
            # What fails inside of a value was of the right kind outside.
            if len(mine[0].path) > len(path) and not closest:
                closest = mine
        wrong += closest or [Wrong(path, f"must be one of these: {names}; not {kind(value)}")]
        return None

    return check


def _list_of(item: Check) -> Check:
    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        if type(value) is not list:
            wrong.append(Wrong(path, _must("list", value)))
            return None
        return [item(one, (*path, index), wrong) for index, one in enumerate(value)]

    return check


def _tuple_of(item: Check) -> Check:
    items = _list_of(item)

    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        found = items(value, path, wrong)
        return None if found is None else tuple(found)

    return check


def _row_of(items: list[Check]) -> Check:
    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        if type(value) is not list:
            wrong.append(Wrong(path, _must(f"a list of {len(items)}", value)))
        elif len(value) != len(items):
            wrong.append(Wrong(path, f"must be a list of {len(items)}, not of {len(value)}"))
        else:
            pairs = zip(items, value, strict=True)
            return tuple(one(v, (*path, n), wrong) for n, (one, v) in enumerate(pairs))
        return None

    return check


def _dict_of(item: Check) -> Check:
    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        if type(value) is not dict:
            wrong.append(Wrong(path, _must("dict", value)))
            return None
        return {key: item(one, (*path, key), wrong) for key, one in value.items()}

    return check


def _object(make: Any, checks: dict[str, Check], needed: list[str], others: set[str]) -> Check:
    """An object of these fields; *others* may be there, and are not looked at."""

    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        if type(value) is not dict:
            wrong.append(Wrong(path, _must(f"dict ({_name(make)})", value)))
            return None
        before = len(wrong)
        wrong += [Wrong((*path, name), "is missing") for name in needed if name not in value]
        given = {}
        for key, one in value.items():
            if (field := checks.get(key)) is not None:
                given[key] = field(one, (*path, key), wrong)
            elif key not in others:
                wrong.append(Wrong((*path, key), unknown(key, checks)))
        if len(wrong) > before:
            return None
        try:
            return make(**given)
        except (TypeError, ValueError) as error:  # its own rules, in __post_init__
            wrong.append(Wrong(path, f"is refused: {error}"))
            return None

    return check


def unknown(key: str, known: typing.Iterable[str]) -> str:
    """What is wrong with a field that the type does not have."""
    return f"is no field{did_you_mean(key, known)}"
