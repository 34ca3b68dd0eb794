"""Visible: text of unknown origin, made fit to be shown to people, on a page or in a terminal."""

from __future__ import annotations

import re

# C0 but tab and line feed, DEL and C1, zero-width and direction marks, line separators, interlinear
# annotations, tags, and surrogates, which no encoder takes.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def visible(text: object) -> str:
    """Return the text with control and direction characters shown instead of obeyed.

    Line feeds and tabs stay; C0 controls become their Unicode pictures, the rest ``⟨U+202E⟩``.
    """
    return _INVISIBLE.sub(_show, str(text))


def one_line(text: object) -> str:
    """The text as :func:`visible` shows it, with line feeds and tabs as pictures, too."""
    return visible(text).replace("\n", "␊").replace("\t", "␉")


def _show(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"⟨U+{code:04X}⟩"
