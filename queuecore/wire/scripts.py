"""Loads ``queuecore/lua``: headers, includes, digests.

Each file opens with a header that people and this loader read alike: one sentence, then
``KEYS:``, ``ARGV:``, ``Returns:``, ``Errors:`` and ``Follows:`` (the BullMQ operation). Lines of
the form ``--- @include "includes/name"`` pull in shared functions, each file once, depth first.

``python -m queuecore.wire.scripts NAME`` prints a script as the server gets it, with the file and
line each line came from.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..errors import ScriptError

LUA = Path(__file__).parent.parent / "lua"
_INCLUDE = re.compile(r'^--- @include "([a-z0-9_/]+)"\s*$')
_FIELD = re.compile(r"^-- (KEYS|ARGV|Returns|Errors|Follows): ?(.*)$")
_AT_LINE = re.compile(r"user_script:(\d+)")


@dataclass(frozen=True, slots=True)
class Script:
    """One composed script.

    ``keys`` and ``argv`` are the names in its header; a name that ends in ``...`` repeats.
    ``origin[n - 1]`` is the ``(file, line)`` of line *n*.
    """

    name: str
    source: bytes
    sha: str
    keys: tuple[str, ...]
    argv: tuple[str, ...]
    origin: tuple[tuple[str, int], ...]

    def explain(self, message: str) -> str:
        """Rewrite the ``user_script:N`` of a server's error as the file and line it came from."""

        def place(match: re.Match[str]) -> str:
            line = int(match[1])
            if not 0 < line <= len(self.origin):
                return match[0]
            file, number = self.origin[line - 1]
            return f"{file}.lua:{number}"

        return _AT_LINE.sub(place, message)


@cache
def load(name: str) -> Script:
    """Compose the script *name* (without ``.lua``); composed once a process.

    Raises:
        ScriptError: the file, or one it includes, is missing, or the includes go in a circle.
    """
    lines: list[str] = []
    origin: list[tuple[str, int]] = []
    _compose(name, lines, origin, done=set(), path=())
    source = "\n".join(lines).encode()
    header = _header(LUA / f"{name}.lua")
    return Script(
        name=name,
        source=source,
        sha=hashlib.sha1(source, usedforsecurity=False).hexdigest(),
        keys=_names(header.get("KEYS", "")),
        argv=_names(header.get("ARGV", "")),
        origin=tuple(origin),
    )


def names() -> list[str]:
    """The names of all scripts, sorted."""
    return sorted(path.stem for path in LUA.glob("*.lua"))


def _compose(
    name: str,
    lines: list[str],
    origin: list[tuple[str, int]],
    done: set[str],
    path: tuple[str, ...],
) -> None:
    if name in path:
        raise ScriptError(f"Lua includes go in a circle: {' -> '.join((*path, name))}")
    file = LUA / f"{name}.lua"
    if not file.is_file():
        raise ScriptError(f"there is no {name}.lua in queuecore/lua{_wanted_by(path)}")
    for number, line in enumerate(file.read_text().splitlines(), 1):
        include = _INCLUDE.match(line)
        if include is None:
            # Comments are for readers of the files; the server need not parse them.
            lines.append("" if line.lstrip().startswith("--") else line)
            origin.append((name, number))
        elif include[1] not in done:
            _compose(include[1], lines, origin, done, (*path, name))
            done.add(include[1])


def _wanted_by(path: tuple[str, ...]) -> str:
    return f" (included by {path[-1]}.lua)" if path else ""


def _header(file: Path) -> dict[str, str]:
    """The fields of the comment block at the top; an indented line goes on with its field."""
    fields: dict[str, str] = {}
    current = ""
    for line in file.read_text().splitlines():
        if not line.startswith("--") or line.startswith("---"):
            break
        found = _FIELD.match(line)
        if found:
            current = found[1]
            fields[current] = found[2]
        elif current and line.startswith("--   "):
            fields[current] += " " + line[2:].strip()
    return fields


def _names(text: str) -> tuple[str, ...]:
    """The comma-separated names of a ``KEYS:`` or ``ARGV:`` field; parentheses explain a name."""
    bare = re.sub(r"\([^)]*\)", "", text)
    return tuple(word for part in bare.split(",") if (word := part.strip()) and word != "none")


def main(name: str) -> None:
    """Print the composed script *name* with the origin of each line."""
    script = load(name)
    for number, (line, (file, at)) in enumerate(
        zip(script.source.decode().split("\n"), script.origin, strict=True), 1
    ):
        print(f"{number:4} {file}.lua:{at:<4} {line}")


if __name__ == "__main__":
    main(sys.argv[1])
