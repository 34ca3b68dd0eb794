"""Tasks that are tried again: the fields are those of our backend, so it must be `default`."""

from typing import Any

from queuecore import Backoff
from queuecore.contrib.tasks.framework import IS_DJANGOS

if IS_DJANGOS:
    from django.tasks import task
else:
    from django_tasks import task

asked: list[tuple[str, int, str]] = []


def wait(error: BaseException, result: Any) -> float | None:
    """An hour after the first try, at once after the second, then no more."""
    asked.append((str(error), result.attempts, result.status))
    return {1: 3600, 2: 0}.get(result.attempts)


@task(max_attempts=3)
def thrice(until: int = 3) -> str:
    return _run(until)


@task(max_attempts=3)
async def thrice_later(until: int = 3) -> str:
    return _run(until)


@task(max_attempts=2, backoff=Backoff.fixed(3600))
def with_backoff() -> None:
    raise ValueError("again")


@task(max_attempts=9, backoff=wait)
def with_a_function() -> None:
    raise ValueError("again")


@task(max_attempts=3)
def return_what_json_lacks() -> Any:
    runs.append(0)
    return object()


runs: list[int] = []


def _run(until: int) -> str:
    runs.append(len(runs) + 1)
    if len(runs) < until:
        raise ValueError(f"try {len(runs)}")
    return f"try {len(runs)}"
