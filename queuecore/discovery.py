"""Finds processors: imports ``processors.py`` of every installed app."""

from __future__ import annotations

import traceback
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps

from .errors import ConfigurationError
from .processors import Registry, registry


def discover() -> Registry:
    """Import every app's ``processors`` module and return the registry they filled.

    Raises:
        ConfigurationError: a module cannot be imported; the text names the file and line.
    """
    for config in apps.get_app_configs():
        module = f"{config.name}.processors"
        if config.name == "queuecore" or find_spec(module) is None:
            continue
        try:
            import_module(module)
        except ConfigurationError:
            raise
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise ConfigurationError(
                f"{module} cannot be imported: {type(error).__name__}: {error} "
                f"({last.filename}:{last.lineno})"
            ) from error
    return registry
