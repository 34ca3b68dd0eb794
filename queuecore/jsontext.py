"""JSON from strangers as tokens: cut, broken, deep or huge text is read as far as it goes.

The text is never turned into Python values: numbers keep every digit, a payload that ends in the
middle still shows what came before, and nesting costs no recursion. Values whose key names a
secret are masked here, in the one place that every page, row and fragment reads through, the
admin's and the command line's, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from . import conf
from .errors import ConfigurationError

#: A value whose key holds one of these is never shown, unless the setting names other words.
WORDS = (
    "password",
    "passwd",
    "token",
    "secret",
    "authorization",
    "api_key",
    "apikey",
    "card",
)
MASK = "••••••••"
MAX_DEPTH, MAX_NODES = 64, 5_000

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))
    | (?P<mark>[\[\]{}:,])
    | (?P<word>[^\s\[\]{}:,"]+)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# A value with its name before it, as errors and log lines have them: ``password=x``, ``token: x``,
# ``Authorization: Bearer x``. Spaces around an equals sign mean code, where only a text is a value.
_NAME = re.compile(
    r"""(?<![\w-])(?P<key>[\w-]++)["']?(?:=|:\s*+|\s*+=\s*+(?=["']))""",
)
_VALUE = re.compile(
    r"""(?P<quote>")(?:[^"\\]|\\.)*+"?|(?P<other>')(?:[^'\\]|\\.)*+'?
      |(?:(?:Bearer|Basic|Digest|Token)\s++)?[^\s,;&"'\\(){}\[\]]++""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_IN_ADDRESS = re.compile(r"(?<=://)([^/\s:@]*+):[^/\s@]++@")
_SHORT = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(slots=True)
class Node:
    """One value: ``kind`` is string, number, word, object or array; ``text`` is a scalar's own."""

    kind: str
    key: str | None = None
    text: str = ""
    children: list[Node] = field(default_factory=list)
    masked: bool = False
    cut: bool = False

    @property
    def container(self) -> bool:
        """Whether it holds other nodes."""
        return self.kind in ("object", "array")


def parse(text: str) -> Node | None:
    """Read *text*; None where it is no JSON at all. ``cut`` marks what was not read to its end."""
    tokens = _TOKEN.finditer(text)
    root: Node | None = None
    stack: list[Node] = []
    key: str | None = None
    count, skipping = 0, 0
    end = 0
    for match in tokens:
        if match.start() != end:
            return None
        end = match.end()
        mark = match["mark"]
        if skipping:  # inside something deeper than is shown
            skipping += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark or "", 0)
            continue
        if mark in ("}", "]"):
            if not stack:
                return None
            stack.pop()
            continue
        if mark in (":", ","):
            continue
        if root is not None and not stack:
            return None  # a second value behind the first: this is text, not JSON
        if match["string"] and key is None and stack and stack[-1].kind == "object":
            key = unescape(match["string"])
            continue
        if not mark and not match["string"] and not _scalar(match["word"]):
            return None
        node = _node(match, key)
        key = None
        count += 1
        if stack:
            parent = stack[-1]
            node.masked = parent.masked or is_secret(node.key)
            if count > MAX_NODES:
                parent.cut = True
                break
            parent.children.append(node)
        else:
            root = node
        if node.container:
            if len(stack) >= MAX_DEPTH:
                node.cut, skipping = True, 1
            else:
                stack.append(node)
    for node in stack:
        node.cut = True
    if text[end:].strip() and count <= MAX_NODES:
        return None
    return root


def pairs(text: str, limit: int = 12) -> Iterator[tuple[str, str]]:
    """Yield the top level as (key, short value) for a job's row; lists and scalars have no keys."""
    root = parse(text)
    if root is None:
        yield "", text
    elif root.kind == "object":
        for node in root.children[:limit]:
            yield node.key or "", brief(node)
    else:
        yield "", brief(root)


def brief(node: Node, room: int = 120) -> str:
    """Write a node in one line, at most about *room* characters, masked as everywhere."""
    if not node.container:
        return MASK if node.masked else node.text[:room]
    opening, closing = "{}" if node.kind == "object" else "[]"
    written = opening
    for index, child in enumerate(node.children):
        if len(written) > room:
            return written + "…"
        key = f"{child.key}: " if child.key is not None else ""
        written += (", " if index else "") + key + brief(child, room - len(written))
    return written + ("…" if node.cut else "") + closing


def masked(text: str) -> str:
    """Return JSON text as it was, secrets replaced; text that is no JSON stays as it is."""
    if parse(text) is None:
        return text
    written: list[str] = []
    stack: list[tuple[str, bool]] = []
    key: str | None = None
    end = 0
    for match in _TOKEN.finditer(text):
        mark, token = match["mark"], match[0]
        secret = bool(stack and stack[-1][1]) or is_secret(key)
        if mark in ("{", "["):
            stack.append((mark, secret))
            key = None
        elif mark in ("}", "]"):
            if stack:
                stack.pop()
        elif not mark:
            is_key = bool(match["string"]) and key is None and bool(stack) and stack[-1][0] == "{"
            if is_key:
                key = unescape(match["string"])
            else:
                key = None
                if secret:
                    token = token[: len(token) - len(token.lstrip())] + f'"{MASK}"'
        written.append(token)
        end = match.end()
    return "".join(written) + text[end:]


def covered(text: str) -> str:
    """Return an error, a trace or a log line, the values in it that have a secret's name masked.

    So are passwords in addresses. What a sentence tells without naming it nobody can find.
    """
    if "=" not in text and ":" not in text:
        return text
    parts, at = [], 0
    for name in _NAME.finditer(text):
        if name.start() < at or not is_secret(name["key"]):
            continue
        if value := _VALUE.match(text, name.end()):
            quote = value["quote"] or value["other"] or ""
            parts += [text[at : name.end()], quote, MASK, quote]
            at = value.end()
    return _IN_ADDRESS.sub(rf"\1:{MASK}@", "".join(parts) + text[at:])


def harmless(text: str) -> str:
    """Return the beginning of an error, up to the first secret in it: what a filter may say."""
    shown = covered(text)
    if shown == text:
        return text
    same = (at for at, pair in enumerate(zip(text, shown, strict=False)) if pair[0] != pair[1])
    return text[: next(same, len(text))]


def is_secret(key: str | None) -> bool:
    """Whether a value of this key is masked (``QUEUECORE["DASHBOARD"]["MASK"]``).

    A short word must be a word of the key (``card`` in ``cardNumber``, not in ``discard``).
    """
    if key is None:
        return False
    named, whole = {word.lower() for word in _WORD.findall(key)}, key.lower()
    return any(
        word in named
        or (len(word) > 5 and word in whole)
        or (len(word) > 4 and whole.endswith(word))
        for word in words()
    )


def words() -> tuple[str, ...]:
    """The words of secrets, in lower case: ``QUEUECORE["DASHBOARD"]["MASK"]``, or :data:`WORDS`.

    Raises:
        ConfigurationError: the setting is no list of words.
    """
    value = conf.get_settings().dashboard.get("MASK")
    return WORDS if value is None else checked_words(value)


def checked_words(value: Any) -> tuple[str, ...]:
    """The words that the setting gives.

    Raises:
        ConfigurationError: it is no list of words.
    """
    given: list[Any] = list(value) if isinstance(value, list | tuple | set | frozenset) else [None]
    if not all(isinstance(word, str) and word for word in given):
        raise ConfigurationError(
            "QUEUECORE['DASHBOARD']['MASK'] must be a list of words that are not empty, "
            f"not {value!r}"
        )
    return tuple(word.lower() for word in given)


def unescape(token: str) -> str:
    """Return a JSON string's text; what is not valid in it stays as it is written."""
    body = token[1:-1] if len(token) > 1 and token.endswith('"') else token[1:]
    text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _SHORT[m[2]], body)
    # Two halves of a pair are one character; a lone half is shown by `visible` later.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _node(match: re.Match[str], key: str | None) -> Node:
    if match["mark"]:
        return Node("object" if match["mark"] == "{" else "array", key)
    if match["string"]:
        token = match["string"]
        whole = len(token) > 1 and token.endswith('"')
        return Node("string", key, unescape(token), cut=not whole)
    word = match["word"]
    return Node("number" if word[0] in "-0123456789" else "word", key, word)


def _scalar(word: str) -> bool:
    """Whether it is a number or a word of JSON, or the beginning of one at the cut."""
    return word[0] in "-0123456789" or any(
        known.startswith(word) for known in ("true", "false", "null", "NaN", "Infinity")
    )
