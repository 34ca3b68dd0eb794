"""Rules that no single page shows: what templates, scripts and modules may not hold."""

import re
from pathlib import Path

import pytest

from tests.machine import ROOT

TEMPLATES = sorted((ROOT / "templates" / "queuecore_dashboard").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "queuecore_dashboard").glob("*.js"))
STYLES = sorted((ROOT / "static" / "queuecore_dashboard").glob("*.css"))
MODULES = sorted((ROOT / "dashboard").rglob("*.py"))

# Names and letters of keys are the same in every language; code is code.
_SAME = re.compile(r"QueueCore|<kbd[^>]*>.*?</kbd>|<code>.*?</code>|<pre.*?</pre>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_TRANSLATED = re.compile(r"{% blocktranslate.*?{% endblocktranslate %}", re.DOTALL)
_TEMPLATE = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)
_SPOKEN = re.compile(r'\b(?:aria-label|title|placeholder|alt|data-word-\w+)="([^"]*)"')


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_every_word_of_a_template_can_be_translated(path: Path) -> None:
    text = _TRANSLATED.sub("", path.read_text())
    spoken = [_TEMPLATE.sub("", value) for value in _SPOKEN.findall(text)]
    bare = _TAG.sub(" ", _TEMPLATE.sub("", _SAME.sub("", text)))
    for words in (bare, *spoken):
        assert not re.search(r"[A-Za-z]{2,}", words), words.strip()


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_templates_hold_nothing_inline_and_trust_nobody(path: Path) -> None:
    text = path.read_text()
    for pattern in (
        r"\|safe\b",
        r"autoescape off",
        r"<style",
        r"\sstyle=",
        r"\son\w+=",
        r"hx-on",
        r"<script(?![^>]* src=)",
        r"https?://",
        r"csrf_exempt",
    ):
        assert not re.search(pattern, text), pattern


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_one_module_alone_says_that_a_text_is_markup(path: Path) -> None:
    text = path.read_text()
    if name(path) != "dashboard/draw/markup.py":
        assert "mark_safe" not in text
        assert "SafeString(" not in text
    assert "csrf_exempt" not in text
    assert not re.search(r"^(?:from|import) dashboard\b", text, re.MULTILINE), "import relatively"


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_scripts_stand_alone_and_write_text_only(path: Path) -> None:
    text = path.read_text()
    for pattern in (
        r"^\s*import\b",
        r"\bexport\b",
        r"\.(?:inner|outer)HTML\s*\+?=|insertAdjacentHTML|document\.write",
        r"\beval\(|new Function",
        r"https?://(?!www\.w3\.org/)",
    ):
        assert not re.search(pattern, text, re.MULTILINE), pattern


@pytest.mark.parametrize("path", STYLES, ids=name)
def test_styles_fetch_nothing(path: Path) -> None:
    assert not re.search(r"@import|url\(|@font-face", path.read_text())


def test_colours_come_from_the_tokens() -> None:
    """Outside of base.css a colour is a token or, rarely, a pair for both themes."""
    for path in STYLES:
        if path.name == "base.css":
            continue
        for line in path.read_text().splitlines():
            bare = re.sub(r"light-dark\([^;]*\)", "", line)
            found = re.findall(r"#[0-9a-fA-F]{3,8}\b", bare)
            band = ".band" in line
            assert not found or band or found in (["#fff"], ["#b9c2ce"]), f"{path.name}: {line}"
