"""Finds processors: imports ``processors.py`` of every installed app."""

from __future__ import annotations

import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps

from .errors import ConfigurationError, QueueCoreError
from .processors import Registry, registry

_OWN = str(Path(__file__).parent)


def discover() -> Registry:
    """Import every app's ``processors`` module and return the registry they filled.

    Raises:
        ConfigurationError: a module cannot be imported; the text names the file and line.
    """
    for config in apps.get_app_configs():
        module = f"{config.name}.processors"
        if config.name == "queuecore" or not _exists(module):
            continue
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
    return registry


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the app is a single module, which has no submodules
        return False


def _place(error: Exception) -> str:
    """``file:line`` of the innermost frame that is not queuecore's own."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_OWN, "<frozen"))
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
