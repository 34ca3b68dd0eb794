"""What all fragments share."""

from __future__ import annotations

from typing import Any

from ...draw.markup import element
from ..state import Patch

Patches = dict[str, Patch]


def cell(id: str, body: Any) -> Patch:
    """Return the patch of a ``<span>`` that holds *body*: a cell of a row, a figure, a word."""
    return Patch(html=element("span", body, id=id))
