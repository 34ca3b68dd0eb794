"""Tasks that the tests enqueue, declared for the backend that is `default` when it is imported."""

import asyncio
from typing import Any

from queuecore.contrib.tasks.framework import IS_DJANGOS

if IS_DJANGOS:
    from django.tasks import task
else:
    from django_tasks import task


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task()
async def add_later(a: int, b: int = 0) -> int:
    await asyncio.sleep(0)
    return a + b


@task
def echo(*args: Any, **kwargs: Any) -> Any:
    return {"args": args, "kwargs": kwargs}


@task
def fail(text: str = "no") -> None:
    raise ValueError(text)


@task
async def fail_later(text: str = "no") -> None:
    raise ValueError(text)


@task
def fail_in_a_chain() -> None:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise RuntimeError("Traceback (most recent call last):\nKeyError: no") from error


@task
def return_what_json_lacks() -> Any:
    return lambda: True


@task(takes_context=True)
def tell(context: Any, *args: Any) -> Any:
    return [context.task_result.id, context.attempt, *args]


@task(takes_context=True)
async def tell_later(context: Any) -> Any:
    return [context.task_result.id, context.attempt]


def no_task() -> None:
    raise AssertionError("it was run")


renamed = task(no_task)
