"""A stack trace of Python or Node as frames; those of libraries are folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from queuecore.jsontext import covered

_PYTHON = re.compile(r'^\s*File "(?P<file>[^"]*)", line (?P<line>\d+)(?:, in (?P<name>.*))?$')
_NODE = re.compile(
    r"^\s*at (?:(?P<name>.*?) \()?(?P<file>(?:file://|node:)?[^()\s][^()]*?):(?P<line>\d+)(?::\d+)?\)?$"
)
_LIBRARY = re.compile(
    r"site-packages/|dist-packages/|/lib/python\d|/queuecore/|node_modules/|^node:|^<frozen "
)
_CARETS = re.compile(r"^\s*[~^]+\s*$")
_MOST = 200  # frames; a recursion error has a thousand, all alike


@dataclass(slots=True)
class Frame:
    """One call: where, in what, and the source lines that the trace itself quotes."""

    file: str
    line: int
    name: str
    library: bool
    code: list[str] = field(default_factory=list)

    @property
    def short_file(self) -> str:
        """The path without what every path of a machine begins with."""
        path = self.file.removeprefix("file://")
        for mark in ("site-packages/", "dist-packages/", "node_modules/"):
            if mark in path:
                return path.rpartition(mark)[2]
        return "/".join(path.split("/")[-3:]) if path.count("/") > 3 else path

    @property
    def package(self) -> str:
        """The library it belongs to, for the words of a folded group."""
        path = re.split(
            r"(?:site|dist)-packages/|node_modules/|/lib/python[\d.]+/|/(?=queuecore/)", self.file
        )[-1]
        if self.file.startswith(("node:", "<")):
            return path.split(":")[-1].split("/")[0].strip("<>").removeprefix("frozen ")
        return path.split("/")[0].removesuffix(".py")


@dataclass(slots=True)
class FrameGroup:
    """Neighbouring frames of libraries (folded), or one frame of the application (shown)."""

    library: bool
    frames: list[Frame]

    @property
    def packages(self) -> str:
        """The libraries' names, each once, in order."""
        return ", ".join(dict.fromkeys(frame.package for frame in self.frames))


@dataclass(slots=True)
class Trace:
    """One attempt's trace: the error's class and message, its frames, and the text as stored."""

    error: str
    message: str
    groups: list[FrameGroup]
    text: str


def read(text: str) -> Trace:
    """Read one stack trace; text without frames has none, and its first line is the message."""
    text = covered(text)
    frames: list[Frame] = []
    before: list[str] = []  # Node names the error first,
    after: list[str] = []  # Python last, and of a chain the last is the one that counts
    current: Frame | None = None
    for line in text.splitlines():
        match = _PYTHON.match(line) or _NODE.match(line)
        if match:
            file = match["file"]
            library = bool(_LIBRARY.search(file))
            current = Frame(file, int(match["line"]), match["name"] or "", library)
            frames.append(current)
            after.clear()
        elif current and line.startswith("    "):
            if not _CARETS.match(line):
                current.code.append(line.strip())
        elif line.strip() and not line.startswith("Traceback"):
            current = None
            (after if frames else before).append(line)
    error, message = split("\n".join(after or before) or text.strip())
    return Trace(error, message, list(_grouped(frames[-_MOST:])), text)


def split(reason: str) -> tuple[str, str]:
    """Split ``ValueError: bad input`` into class and message; a class alone needs capitals."""
    reason = covered(reason)
    head, colon, tail = reason.partition(":")
    name = head.strip().rpartition(".")[2]
    if colon and re.fullmatch(r"[A-Z]\w*", name) and re.search(r"[a-z]", name) and " " not in head:
        return name, tail.strip()
    return "", reason


def _grouped(frames: list[Frame]) -> Iterator[FrameGroup]:
    for library, run in groupby(frames, key=lambda frame: frame.library):
        if library:
            yield FrameGroup(True, list(run))
        else:
            for frame in run:
                yield FrameGroup(False, [frame])
