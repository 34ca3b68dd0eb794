"""What users may rely on: every public name and its parameters, and a twin for each method.

``public_names.txt`` is what was promised. A change of it is a change for users, so it belongs in
CHANGELOG.md; ``python -m tests.contract.test_public_names`` writes it anew.
"""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import django
import pytest

FILE = Path(__file__).with_name("public_names.txt")

# Names of BullMQ's documentation that users of QueueCore write, whatever else is exported.
PROMISED = [
    "Queue",
    "Job",
    "JobSpec",
    "QueueEvents",
    "Worker",
    "processor",
    "Processor",
    "Backoff",
    "Deduplication",
    "Group",
    "Keep",
    "RateLimit",
    "UnrecoverableError",
    "DelayedError",
    "WaitingError",
    "WaitingChildrenError",
    "RateLimitError",
    "JobFailed",
]


def parameters(function: object) -> str:
    """The parameters of ``function`` without their types: names, kinds, defaults."""
    signature = inspect.signature(function)  # type: ignore[arg-type]
    bare = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name not in {"self", "cls"}
    ]
    return str(inspect.Signature(bare))


def members(owner: type) -> Iterator[tuple[str, object]]:
    """The public members that ``owner`` or a class of ours below it defines, sorted."""
    for name in sorted(dir(owner)):
        home = next((each for each in owner.__mro__ if name in vars(each)), object)
        if not name.startswith("_") and home.__module__.startswith("queuecore"):
            yield name, getattr(owner, name)


def public_names() -> Iterator[str]:
    import queuecore

    for name in sorted(queuecore.__all__):
        value = getattr(queuecore, name)
        if isinstance(value, type) and issubclass(value, Exception):
            yield f"{name} ({value.__mro__[1].__name__})"
        else:
            yield f"{name}{parameters(value)}"
        if isinstance(value, type):
            for member, found in members(value):
                star = "async " if inspect.iscoroutinefunction(found) else ""
                yield f"  {star}{member}{parameters(found) if callable(found) else ''}"


def test_are_what_was_promised() -> None:
    now = list(public_names())
    promised = FILE.read_text().splitlines()
    gone = [line for line in promised if line not in now]
    new = [line for line in now if line not in promised]
    assert now == promised, f"gone: {gone}, new: {new}. {__doc__}"


@pytest.mark.parametrize("name", PROMISED)
def test_has(name: str) -> None:
    import queuecore

    assert name in queuecore.__all__


@pytest.mark.parametrize("name", ["Queue", "Job"])
def test_every_async_method_has_a_twin_with_the_same_parameters(name: str) -> None:
    import queuecore

    owner = getattr(queuecore, name)
    methods = {member: found for member, found in members(owner) if callable(found)}
    twins = [member for member, found in methods.items() if inspect.iscoroutinefunction(found)]
    assert len(twins) > 10
    for twin in twins:
        assert twin.startswith("a"), twin
        assert twin[1:] in methods, f"{name}.{twin} has no sync twin"
        assert parameters(methods[twin[1:]]) == parameters(methods[twin]), twin


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    FILE.write_text("\n".join(public_names()) + "\n")
