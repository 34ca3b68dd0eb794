"""Reads our Markdown files: their code blocks with the marks above them, their headings, links.

A block of an example is marked by a comment on the line above it, which readers do not see:

``<!-- example: shop/processors.py -->``  goes to the end of that file
``<!-- example: edit, shop/tasks.py -->`` is a diff that fits one place of that file
``<!-- example: whole, shop/tasks.py -->`` is that file from now on
``<!-- example: shell -->``               runs as in ``manage.py shell``; names stay
``<!-- example: commands -->``            each line is a command; it must end well
``<!-- example: not run, because ... -->``
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.machine import ROOT

_MARK = re.compile(r"<!-- example: (.+) -->")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: where it begins, its language, its mark (empty without one), its text."""

    place: str
    language: str
    mark: str
    text: str


def documents() -> list[Path]:
    """Every Markdown file that users read."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path: Path) -> Iterator[Block]:
    """The fenced blocks of a file, in order."""
    lines = path.read_text().splitlines()
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines):
        if opened is None and line.startswith("```"):
            above = lines[number - 1] if number else ""
            mark = _MARK.fullmatch(above.strip())
            opened = (number, line[3:].strip(), mark[1] if mark else "")
        elif opened is not None and line.startswith("```"):
            begin, language, named = opened
            text = "\n".join(lines[begin + 1 : number]) + "\n"
            yield Block(f"{path.name}:{begin + 1}", language, named, text)
            opened = None


def prose(path: Path) -> str:
    """The text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(path: Path) -> list[str]:
    """The targets of all links and pictures."""
    return _LINK.findall(prose(path))


def anchors(path: Path) -> set[str]:
    """The fragments that the headings of a file can be reached by."""
    headings = re.findall(r"^#+ (.+)$", prose(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows in *text*, without heads and rulers."""
    found = []
    for line in text.splitlines():
        if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found
