"""Functions of the project that a setting names by their dotted paths."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from .errors import ConfigurationError


@cache
def load_function(path: str, setting: str) -> Callable[..., Any]:
    """The function at *path*; *setting* is where it is named, for the error.

    Raises:
        ConfigurationError: it cannot be imported, or is no function.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:  # whatever the module raises
        raise ConfigurationError(
            f"{setting} names {path!r}, which cannot be imported: {error or type(error).__name__}"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"{setting} names {path!r}, which is no function")
    return found  # type: ignore[no-any-return]
