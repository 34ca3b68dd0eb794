"""Texts that a queue's owner may meet, and what no page may make of them."""

from html.parser import HTMLParser

CORPUS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<svg/onload=alert(1)>",
    "</title></style></textarea><script>alert(1)</script>",
    "<div hx-get=/queues/ hx-trigger=load hx-on::load=alert(1)>",
    "<form id=act action=//evil.example><button>",
    "javascript:alert(1)",
    "{{ 7|add:7 }}{% load static %}",
    "&lt;script&gt;&#60;script&#62;",
    "abc\u202egpj.exe\u2066\u200b",
    "nul\x00 bell\x07 esc\x1b[31m cr\r del\x7f",
    "=cmd|' /C calc'!A0",
    "~2E~2E/..%2f",
    "a:b/c?d#e&f;g",
    "名前 имя \U0001f9e8",
    "x" * 3_000,
]

_TAGS = {"script", "img", "iframe", "object", "embed", "link", "base", "meta", "form", "style"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _TAGS:
            self.bad.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith(("on", "hx-on", "style")) or (
                name in ("href", "src", "formaction") and (value or "").startswith("javascript:")
            ):
                self.bad.append(f"{tag} {name}={value}")
            if name.startswith("hx-") and name != "hx-disable":
                self.bad.append(f"{tag} {name}")


def assert_harmless(markup: str) -> None:
    """Fail if a fragment holds an element or attribute that acts, or an invisible character."""
    reader = _Reader()
    reader.feed(markup)
    assert not reader.bad, reader.bad
    for character in "\x00\x07\x1b\x7f\u202e\u2066\u200b":
        assert character not in markup, f"U+{ord(character):04X} is not shown"


class PageReader(HTMLParser):
    """Reads a whole page; ``bad`` collects elements and attributes that are not our own."""

    OWN_SCRIPTS = ("/static/queuecore_dashboard/", "/static/django_htmx/")

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("img", "iframe", "object", "embed", "base", "style"):
            self.bad.append(f"<{tag}>")
        if tag == "script" and not (given.get("src") or "").startswith(self.OWN_SCRIPTS):
            self.bad.append("<script>")
        if tag == "form" and (given.get("action") or "/").startswith("//"):
            self.bad.append("form elsewhere")
        for name, value in attrs:
            if name.startswith(("on", "hx-on", "style", "hx-get", "hx-post", "hx-trigger")):
                self.bad.append(f"{tag} {name}={value}")
            if name in ("href", "src", "formaction") and not _ours(value or ""):
                self.bad.append(f"{tag} {name}={value}")


def _ours(address: str) -> bool:
    return address.startswith(("/", "?", "#")) and not address.startswith("//")
