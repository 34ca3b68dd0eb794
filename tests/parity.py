"""What of BullMQ is here, and the test that proves it: ``python -m tests.parity`` writes the page.

A row of ``parity.txt`` says what BullMQ for Node calls a thing and what it is called here. A test
says what it proves: ``@pytest.mark.parity("Queue.addBulk")``, on a function, a class or a module.
``docs/reference/bullmq-parity.md`` is made of both, and ``tests/contract/test_parity.py`` fails if
it is stale, a row has no test, a test proves what is no row, or a name does not exist here.
"""

import ast
import inspect
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django

from tests.machine import ROOT

ROWS = Path(__file__).with_name("parity.txt")
PAGE = ROOT / "docs" / "reference" / "bullmq-parity.md"

HEAD = """# BullMQ and QueueCore

<!-- Written by: python -m tests.parity -->

What BullMQ for Node has, what it is called here, and tests that prove it. A method that talks to
the server has a twin for event loops, with an `a` before its name: `add` and `aadd`. Durations are
seconds here.
"""


@dataclass(frozen=True)
class Row:
    """One thing of BullMQ's: its name there, and its name here, or why it has none."""

    group: str
    theirs: str
    ours: str
    because: str = ""


def rows() -> list[Row]:
    """The rows of ``parity.txt``: ``theirs = ours``, or ``theirs: why it is not here``."""
    found, group = [], ""
    for line in ROWS.read_text().splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        elif line and not line.startswith("#"):
            theirs, is_here, ours = line.partition(" = ")
            if is_here:
                found.append(Row(group, theirs, ours))
            else:
                theirs, _, because = line.partition(": ")
                found.append(Row(group, theirs, "", because))
    return found


def proofs() -> dict[str, list[tuple[str, str]]]:
    """What each marked test proves: by BullMQ's name, the test's file and its own name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if "node_modules" in path.parts:
            continue
        text = path.read_text()
        if "mark.parity(" in text:
            name = path.relative_to(ROOT).as_posix()
            for proven, test in _marks(ast.parse(text)):
                found.setdefault(proven, []).append((name, test))
    return found


def _marks(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "pytestmark":
            for name in _names(node.value):
                yield name, ""
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                    for decorator in inner.decorator_list:
                        for name in _names(decorator):
                            yield name, f"{node.name}.{inner.name}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                for name in _names(decorator):
                    yield name, node.name


def _names(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.parity":
            yield from (ast.literal_eval(argument) for argument in call.args)


def exists(ours: str) -> bool:
    """Whether something of this name is here: ``Queue.add``, ``JobOptions.delay``, ``Keep``."""
    import queuecore
    from queuecore.conf import Settings, WorkerSettings
    from queuecore.options import JobOptions

    owner, _, member = ours.partition(".")
    if owner == "JobOptions":
        return member in JobOptions.__annotations__
    if owner == "Setting":
        return member in Settings.__dataclass_fields__
    if owner == "WorkerSettings":
        return member in WorkerSettings.__dataclass_fields__
    if owner.endswith("()"):  # an argument of a class
        return member in inspect.signature(getattr(queuecore, owner[:-2])).parameters
    found = getattr(queuecore, owner, None)
    return found is not None and (not member or hasattr(found, member))


def text() -> str:
    """The page."""
    proven, out, group = proofs(), [HEAD], ""
    for row in rows():
        if row.group != group:
            group = row.group
            out.append(f"\n## {group}\n\n| BullMQ | here | proven by |\n|---|---|---|\n")
        theirs = re.sub(r"([|])", r"\\\1", row.theirs)
        if row.because:
            out.append(f"| `{theirs}` | not here | {row.because} |\n")
            continue
        links = [_link(*one) for one in proven.get(row.theirs, [])]
        out.append(f"| `{theirs}` | `{row.ours}` | {', '.join(links[:3])} |\n")
    return "".join(out)


def _link(path: str, test: str) -> str:
    words = (test or Path(path).stem).rpartition(".")[2].removeprefix("test_").replace("_", " ")
    return f"[{words}](../../{path})"


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    PAGE.write_text(text())
