"""Finds processors: imports ``processors.py`` of every installed app.

Where ``TASKS`` has a backend of ours, ``tasks.py`` of every app, too.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings

from .errors import ConfigurationError, QueueCoreError
from .processors import Registry, registry

_DJANGO = str(Path(django.__file__).parent)
# Ours, the framework's, its backport's, what has no file: no mistake of a project is there.
_NO_PROJECT = (str(Path(__file__).parent), f"{_DJANGO}/", f"{_DJANGO}_tasks/", "<")


logger = logging.getLogger("queuecore")


def discover() -> Registry:
    """Import every app's ``processors`` module and return the registry they filled, with the queues
    that ``TASKS`` names.

    Raises:
        ConfigurationError: a module cannot be imported; the text names the file and line.
    """
    for module in _modules("processors"):
        _import(module)
    return _with_tasks() if _has_tasks() else registry


def _modules(name: str) -> Iterable[str]:
    for config in apps.get_app_configs():
        module = f"{config.name}.{name}"
        if config.name != "queuecore" and _exists(module):
            yield module


def _import(module: str) -> None:
    try:
        import_module(module)
    except QueueCoreError as error:
        # Ours: the text says all but the place, and often that, too.
        text, place = str(error), _place(error)
        raise ConfigurationError(text if place in text else f"{text} ({place})") from error
    except Exception as error:
        raise ConfigurationError(
            f"{module} cannot be imported: {type(error).__name__}: {error} ({_place(error)})"
        ) from error


def _has_tasks() -> bool:
    """Whether ``TASKS`` names a backend that may be ours: one that is not the framework's."""
    return any(not path.startswith(("django.tasks.", "django_tasks.")) for path in _task_backends())


def _task_backends() -> list[str]:
    named = getattr(settings, "TASKS", None) or {}
    return [str(one.get("BACKEND")) for one in named.values()]


def _with_tasks() -> Registry:
    from .contrib.tasks import framework

    try:
        framework.check()
    except ImportError as error:
        if any(path.startswith("queuecore.") for path in _task_backends()):
            raise ConfigurationError(f"TASKS cannot be used: {error}") from error
        return registry
    from .contrib.tasks import serving

    ours = serving.backends()
    if not ours:
        return registry
    found = [*_modules("tasks"), *(name for one in ours for name in one.modules)]
    for module in found:
        try:
            _import(module)
        except ConfigurationError as error:
            # Other people's apps have a tasks.py for Celery or another that this project lacks.
            lacks = str(getattr(error.__cause__, "name", "")).partition(".")[0]
            if not isinstance(error.__cause__, ModuleNotFoundError) or _exists(lacks):
                raise
            logger.warning("%s; its tasks are left out", error)
    named = [
        value.queue_name
        for module in found
        for value in vars(sys.modules.get(module, object)).values()
        if isinstance(value, framework.Task)
    ]
    return serving.serve(registry, named)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the app is a single module, which has no submodules
        return False


def _place(error: Exception) -> str:
    """``file:line`` of the innermost frame that is not queuecore's or Django's own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(_NO_PROJECT)
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
