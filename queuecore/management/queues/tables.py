"""Tables: rows laid out in columns, as wide as the terminal at most, whatever the cells hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from queuecore.visible import one_line

_GAP = "  "
_INVISIBLE = ("Mn", "Me", "Cf")

Paint = Callable[[str], str]


class Cell(NamedTuple):
    """A text with its colour, where there are colours."""

    text: str
    paint: Paint | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``right`` for numbers.

    Where the terminal is too narrow, the columns with the highest ``spare`` are left out first (0:
    never), then those with a ``least`` are cut down to that.
    """

    title: str
    right: bool = False
    least: int = 0
    spare: int = 0


def breadth(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(one) in _INVISIBLE
        else 2
        if unicodedata.east_asian_width(one) in "WF"
        else 1
        for one in text
    )


def cut(text: str, most: int) -> str:
    """The text, with … at its end where it is broader than *most*."""
    if breadth(text) <= most:
        return text
    kept, taken = "", 0
    for one in text:
        taken += breadth(one)
        if taken > most - 1:
            break
        kept += one
    return kept + "…"


def lay_out(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell | str]],
    width: int | None = None,
    head: Paint | None = None,
) -> list[str]:
    """The lines of a table; control characters in its cells are shown, not obeyed.

    Args:
        width: of the terminal; None where nobody looks, and nothing is cut.
        head: the colour of the titles.
    """
    cells = [[one if isinstance(one, Cell) else Cell(one) for one in row] for row in rows]
    cells = [[Cell(one_line(text), paint) for text, paint in row] for row in cells]
    cells.insert(0, [Cell(column.title, head) for column in columns])
    shown = list(range(len(columns)))
    widths = [max(breadth(row[at].text) for row in cells) for at in shown]
    if width is not None:
        shown = _kept(columns, widths, width)
        widths = _narrowed(columns, widths, shown, width)
    return [
        _GAP.join(
            _placed(row[at], widths[at], columns[at].right, last=at == shown[-1]) for at in shown
        ).rstrip()
        for row in cells
    ]


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[at] for at in shown) + len(_GAP) * (len(shown) - 1)


def _kept(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The columns that there is room for."""
    shown = list(range(len(columns)))

    def needed() -> int:
        least = [
            min(own, columns[at].least) if columns[at].least else own
            for at, own in enumerate(widths)
        ]
        return _total(least, shown)

    while needed() > width and any(columns[at].spare for at in shown):
        shown.remove(max(shown, key=lambda at: (columns[at].spare, at)))
    return shown


def _narrowed(
    columns: Sequence[Column], widths: Sequence[int], shown: Sequence[int], width: int
) -> list[int]:
    """The widths, with the broadest columns that may be cut, cut."""
    narrow = list(widths)
    while _total(narrow, shown) > width:
        able = [at for at in shown if columns[at].least and narrow[at] > columns[at].least]
        if not able:
            break
        narrow[max(able, key=lambda at: narrow[at])] -= 1
    return narrow


def _placed(cell: Cell, width: int, right: bool, *, last: bool) -> str:
    text = cut(cell.text, width)
    blank = " " * (width - breadth(text))
    painted = cell.paint(text) if cell.paint and text else text
    if right:
        return blank + painted
    return painted if last else painted + blank
