"""Reloader: what a worker process tells its supervisor of the files that it has loaded.

The supervisor looks at modules itself, since a process whose code is broken can't. It is told of
those that are imported later; and of changes among the files that apps watch by Django's signal
``autoreload_started``, unless a listener of ``file_changed`` deals with them here: as Django does
with templates and translations, which need no new process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from django.utils.autoreload import (
    StatReloader,
    autoreload_started,
    file_changed,
    iter_all_python_module_files,
)


def loaded_files() -> set[str]:
    """The files of all modules that this process has imported."""
    return {str(file) for file in iter_all_python_module_files()}


class Reloader(StatReloader):
    """Watches this process' files, and says what the supervisor has to know."""

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._say = say
        self._known: set[str] = set()

    def start(self) -> None:
        """Watch from now on, in a thread that ends with the process."""
        autoreload_started.send(sender=self)
        self._tell()
        threading.Thread(target=self.run_loop, name="queuecore-reloader", daemon=True).start()

    def tick(self) -> Iterator[None]:
        """One look a second."""
        for _ in super().tick():
            self._tell()
            yield

    def watched_files(self, include_globs: bool = True) -> Iterator[Path]:
        """What no module is: the supervisor looks at those."""
        for directory, patterns in self.directory_globs.items():
            for pattern in patterns:
                yield from directory.glob(pattern)

    def notify_file_changed(self, path: str | PathLike[str]) -> None:
        """Say that *path* has changed, unless somebody here has dealt with it."""
        answers = file_changed.send(sender=self, file_path=path)
        if not any(answer for _, answer in answers):
            self._say({"changed": str(path)})

    def _tell(self) -> None:
        found = loaded_files() | {str(file) for file in self.extra_files}
        if new := found - self._known:
            self._known |= new
            self._say({"files": sorted(new)})
