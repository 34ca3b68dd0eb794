"""Changes: the files of a project's code, and which of them has changed since it was last asked.

Their times are looked at once a second, which costs a few milliseconds and works on every file
system. What stands beside the code and is not imported counts only when it is new (a
``processors.py``, say), or while the code does not start: then the fault may be there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sysconfig
from collections.abc import Iterable, Iterator

LOOK = 1.0
# A change is seldom alone: an editor formats what it has saved, and git writes many files.
_SETTLE, _MOST = 0.2, 50

_INSTALLED = ("site-packages", "dist-packages")
_LIBRARY = os.path.realpath(sysconfig.get_path("stdlib")) + os.sep

Stamp = tuple[int, int] | None


class Changes:
    """What is known of *files*."""

    def __init__(self, files: Iterable[str]) -> None:
        self._needy = 0
        self._code: dict[str, Stamp] = {}
        self._beside: dict[str, Stamp] = {}
        self._folders: set[str] = set()
        self._told: str | None = None
        self._woken = asyncio.Event()
        self.add(files)

    def __len__(self) -> int:
        return len(self._code)

    def add(self, files: Iterable[str]) -> None:
        """Look at these, too, for changes from now on."""
        for file in files:
            if file not in self._code:
                self._code[file] = self._beside.pop(file, None) or _stamp(file)
                folder = os.path.dirname(file)
                if folder not in self._folders and _is_own(file):
                    self._folders.add(folder)
                    for other in _modules(folder):
                        if other not in self._code:
                            self._beside[other] = _stamp(other)

    def tell(self, file: str) -> None:
        """Somebody else has seen a change."""
        self._told = file
        self._woken.set()

    @contextlib.contextmanager
    def needed(self) -> Iterator[None]:
        """Somebody waits inside for a change: without one the code does not start."""
        packages = {inner for folder in self._folders for inner in _packages(folder)}
        beside = {*self._beside, *(file for folder in packages for file in _modules(folder))}
        self._beside = {file: _stamp(file) for file in beside if file not in self._code}
        self._needy += 1
        try:
            yield
        finally:
            self._needy -= 1

    async def next(self) -> str:
        """The next file that changes, once nothing changes any more."""
        while (found := self._told or await asyncio.to_thread(self._look)) is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK)
        for _ in range(_MOST):
            await asyncio.sleep(_SETTLE)
            if not await asyncio.to_thread(self._look):
                break
        self._told = None
        self._woken.clear()
        return found

    def _look(self) -> str | None:
        changed = [*_changed(self._code), *(_changed(self._beside) if self._needy else ())]
        for folder in tuple(self._folders):
            for file in _modules(folder):
                if file not in self._code and file not in self._beside:
                    self._code[file] = _stamp(file)
                    changed.append(file)
        return changed[0] if changed else None


def _changed(known: dict[str, Stamp]) -> Iterable[str]:
    """Those that were written; one that is gone is about to be written, or is missed by others."""
    found = []
    for file, old in tuple(known.items()):
        new = _stamp(file)
        if new != old:
            known[file] = new
            if new is not None:
                found.append(file)
    return found


def _stamp(file: str) -> Stamp:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _is_own(file: str) -> bool:
    """Whether it is the project's, and not installed for it."""
    return not file.startswith(_LIBRARY) and not any(one in file for one in _INSTALLED)


def _modules(folder: str) -> list[str]:
    """The modules in *folder*; hidden ones are an editor's."""
    try:
        with os.scandir(folder) as found:
            return [one.path for one in found if one.name.endswith(".py") and one.name[0] != "."]
    except OSError:
        return []


def _packages(folder: str) -> list[str]:
    """The packages directly below *folder*: an app that is new may have the fault."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        return [one.path for one in found if os.path.exists(os.path.join(one.path, "__init__.py"))]
    return []
