"""Names: which task a job's name means.

Whoever may write to the server names what a worker runs. So a name only ever leads to a task that
the project has declared, and no module is imported for it that is not the project's own.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings

from .framework import Task

logger = logging.getLogger("queuecore.worker")


def find_task(name: str, modules: Iterable[str] = ()) -> Task[Any, Any] | None:
    """The task whose module path is *name*; None if the project has none.

    Args:
        modules: packages of the project besides its apps.
    """
    module, _, attribute = name.rpartition(".")
    if not module or not _is_loaded(module, modules):
        return None
    # Not by getattr(), which a module may answer by code of its own.
    found = vars(sys.modules[module]).get(attribute)
    return found if isinstance(found, Task) and found.module_path == name else None


def is_foreign(name: str, modules: Iterable[str] = ()) -> bool:
    """Whether *name* is a thing of somebody else's module, which no version of the project makes
    a task."""
    module, _, attribute = name.rpartition(".")
    loaded = sys.modules.get(module)
    return loaded is not None and attribute in vars(loaded) and not is_ours(module, modules)


def is_ours(module: str, modules: Iterable[str] = ()) -> bool:
    """Whether *module* belongs to the project: to an app, or the package of settings or URLs."""
    roots = {config.name for config in apps.get_app_configs()} | set(modules)
    # Settings that a test overrides do not know their module.
    for path in (os.environ.get("DJANGO_SETTINGS_MODULE"), getattr(settings, "ROOT_URLCONF", "")):
        package, dot, _ = str(path).partition(".")
        if dot:
            roots.add(package)
    parts = module.split(".")
    return any(".".join(parts[: end + 1]) in roots for end in range(len(parts)))


def _is_loaded(module: str, modules: Iterable[str]) -> bool:
    if module in sys.modules:
        return True
    if not is_ours(module, modules):
        return False
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):  # something that it imports is missing
            logger.exception("%s cannot be imported, so its tasks are unknown", module)
        return False
    except Exception:
        logger.exception("%s cannot be imported, so its tasks are unknown", module)
        return False
    return True
