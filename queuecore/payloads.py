"""Payload: the type that a processor's jobs must have as their data; reads JSON as that type.

A dataclass, a ``TypedDict``, a ``msgspec.Struct`` or a pydantic model, or a list or dict of these.
pydantic and msgspec check their own by their own rules, and are used only where a type is theirs.
A field that the type does not have is wrong in all of them, unless a pydantic model says ``extra``.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from .errors import InvalidPayload
from .shapes import Check, Path, Wrong, shape, unknown
from .wire import codec

# So many things that are wrong are told; the rest is counted.
_MOST_TOLD = 8


class Payload:
    """One declared type.

    Raises:
        ConfigurationError: data cannot be checked against it.
    """

    __slots__ = ("_check", "name", "type")

    def __init__(self, type_: Any) -> None:
        self.type = type_
        self._check = shape(type_, _foreign)
        name = getattr(type_, "__qualname__", None)
        self.name = f"{type_.__module__}.{name}" if isinstance(type_, type) and name else str(type_)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and self.type == other.type

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Payload {self.name}>"

    def check(self, data: Any, job: str, queue: str) -> None:
        """Refuse *data* that is not of the type, before it is sent.

        Raises:
            InvalidPayload, NotSerializable
        """
        self.read(codec.dumps(data), job, queue)

    def read(self, text: bytes, job: str, queue: str) -> Any:
        """The data of a job of this name, as the type has it.

        Raises:
            InvalidPayload: naming each field that is wrong by its path, without values, which may
                be secrets.
        """
        wrong: list[Wrong] = []
        value = None
        try:
            value = self._check(codec.loads(text), (), wrong)
        except RecursionError:
            wrong.append(Wrong((), "is nested too deeply"))
        except ValueError as error:
            if isinstance(error, InvalidPayload):
                raise
            wrong.append(Wrong((), f"is no JSON that can be read: {error}"))
        if not wrong:
            return value
        told = "; ".join(map(str, wrong[:_MOST_TOLD]))
        if (more := len(wrong) - _MOST_TOLD) > 0:
            told = f"{told}; and {more} more"
        raise InvalidPayload(
            f"the data of job {job!r} of queue {queue!r} is no {self.name}: {told}; correct it "
            "where the job is added, or the type that its processor declares"
        )


def _foreign(type_: Any) -> Check | None:
    """The check of a pydantic model or dataclass, or of a msgspec struct."""
    if hasattr(type_, "__pydantic_validator__"):
        return _pydantic(type_)
    if hasattr(type_, "__struct_fields__") and "msgspec" in sys.modules:
        return _msgspec(type_)
    return None


def _pydantic(type_: Any) -> Check:
    from pydantic import TypeAdapter, ValidationError

    adapter = TypeAdapter(type_)

    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        try:
            # As JSON: what is strict with Python's values takes a time as text from there.
            found = adapter.validate_json(codec.dumps(value))
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=False, include_input=False):
                wrong.append(Wrong((*path, *one["loc"]), _said(one["type"], one["msg"])))
            return None
        wrong += strangers(found, value, path)
        return found

    return check


def _said(kind: str, text: str) -> str:
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is no field"
    return f"is wrong: {text[:1].lower()}{text[1:]}"


def _msgspec(type_: Any) -> Check:
    import msgspec

    def check(value: Any, path: Path, wrong: list[Wrong]) -> Any:
        try:
            found = msgspec.json.decode(codec.dumps(value), type=type_)
        except msgspec.ValidationError as error:
            text, _, place = str(error).partition(" - at ")
            wrong.append(_of_msgspec(text, (*path, *_steps(place))))
            return None
        wrong += strangers(found, value, path)
        return found

    return check


def _of_msgspec(text: str, path: Path) -> Wrong:
    """Its words in ours, where they name a field that the path does not."""
    if found := re.fullmatch(r"Object missing required field `(.+)`", text):
        return Wrong((*path, found[1]), "is missing")
    if found := re.fullmatch(r"Object contains unknown field `(.+)`", text):
        return Wrong((*path, found[1]), "is no field")
    return Wrong(path, f"is wrong: {text[:1].lower()}{text[1:]}")


def _steps(place: str) -> Iterator[str | int]:
    """msgspec's path, such as ```$.items[2].price```, as steps."""
    for name, index in re.findall(r"\.([^.\[`]+)|\[([^\]]*)\]", place):
        yield name or (int(index) if index.isdigit() else index)


def strangers(found: Any, value: Any, path: Path) -> Iterator[Wrong]:
    """The fields of *value*, as JSON has it, that *found*, made of it, does not know."""
    if isinstance(value, list) and isinstance(found, list | tuple) and len(found) == len(value):
        for index, (inner, one) in enumerate(zip(found, value, strict=True)):
            yield from strangers(inner, one, (*path, index))
    if not isinstance(value, dict):
        return
    kind = type(found)
    names: Iterable[tuple[str, str]]
    known: set[Any] | None = None
    if isinstance(found, dict):
        names = [(key, key) for key in value if key in found]
    elif getattr(kind, "__pydantic_root_model__", False):
        yield from strangers(found.root, value, path)
        return
    elif hasattr(kind, "__pydantic_fields__"):
        names = list(_of_pydantic(kind))
        if not _config(kind).get("extra"):
            # What is computed is written with an instance, and made anew by it.
            known = {key for key, _ in names} | _computed(kind)
    elif hasattr(kind, "__struct_fields__"):
        names = list(zip(found.__struct_encode_fields__, found.__struct_fields__, strict=True))
        known = {key for key, _ in names} | {found.__struct_config__.tag_field}
    elif dataclasses.is_dataclass(kind):
        names = [(one.name, one.name) for one in dataclasses.fields(kind)]
        known = {key for key, _ in names}
    else:
        return
    for key in value:
        if known is not None and key not in known:
            yield Wrong((*path, key), unknown(key, [one for one in known if one]))
    for key, name in names:
        if key in value:
            inner = found[name] if isinstance(found, dict) else getattr(found, name, None)
            yield from strangers(inner, value[key], (*path, key))


def _config(kind: Any) -> Any:
    return getattr(kind, "model_config", None) or getattr(kind, "__pydantic_config__", None) or {}


def _computed(kind: Any) -> set[str]:
    computed = kind.__pydantic_decorators__.computed_fields.items()
    return {name for name, _ in computed} | {one.info.alias for _, one in computed}


def _of_pydantic(kind: Any) -> Iterator[tuple[str, str]]:
    """The keys that a pydantic class reads, each with the name of its field."""
    config = _config(kind)
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    for name, field in kind.__pydantic_fields__.items():
        alias = field.validation_alias or field.alias
        choices = getattr(alias, "choices", None) or ([alias] if alias else [])
        for one in choices:
            key = one if isinstance(one, str) else one.path[0]
            yield key, name
        if not choices or by_name:
            yield name, name
