"""The translations: current, whole, with the same places to fill in; no text is outside them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser

import pytest
from babel.messages import Catalog, Message

from tests.catalogues import LANGUAGES, PACKAGES, read, stale, template, translations
from tests.machine import ROOT

STATIC = ROOT / "static/queuecore_dashboard"
TEMPLATES = ROOT / "templates/queuecore_dashboard"

CATALOGUES = [(package, language) for package in PACKAGES for language in LANGUAGES]
#: What Python and templates fill in: ``%(count)s``, ``{name}``, and a percent sign as such.
PLACES = re.compile(r"%\(\w+\)[a-z]|%%|%[a-z]|\{\w*\}")


@cache
def extracted(package: str) -> Catalog:
    return template(package)


def messages(package: str, language: str) -> Iterator[tuple[Message, list[str]]]:
    for message in read(package, language):
        if message.id:
            yield message, translations(message)


@pytest.mark.parametrize(("package", "language"), CATALOGUES)
def test_is_current(package: str, language: str) -> None:
    """The catalogue has exactly the strings of the sources; what Django reads is made of it."""
    late = [str(path) for path in stale(package, language, extracted(package))]
    assert not late, "run `make messages`, and translate what it tells of"


@pytest.mark.parametrize(("package", "language"), CATALOGUES)
def test_is_whole(package: str, language: str) -> None:
    """Every string is translated, in as many forms as the language has for numbers."""
    missing, fuzzy, forms = [], [], LANGUAGES[language][0]
    for message, said in messages(package, language):
        if not all(text.strip() for text in said):
            missing.append(message.id)
        if message.fuzzy:
            fuzzy.append(message.id)
        assert len(said) == (forms if message.pluralizable else 1), message.id
    assert not missing
    assert not fuzzy


@pytest.mark.parametrize(("package", "language"), CATALOGUES)
def test_keeps_the_places_to_fill_in(package: str, language: str) -> None:
    """Each translation has the places of its string; a first plural form may spell its number."""
    for message, said in messages(package, language):
        ids = [message.id] if isinstance(message.id, str) else list(message.id)
        allowed = [sorted(PLACES.findall(id)) for id in ids]
        for form, text in enumerate(said):
            if text:
                found = sorted(PLACES.findall(text))
                few = message.pluralizable and form == 0 and LANGUAGES[language][0] > 1
                assert found in allowed or (few and set(found) <= set(allowed[-1])), (ids, text)
                assert (text[0].isspace(), text[-1].isspace()) == (
                    ids[0][0].isspace(),
                    ids[0][-1].isspace(),
                ), (ids, text)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_places_have_names(package: str) -> None:
    """Translators put what is filled in where their language wants it, so each has a name."""
    for message in extracted(package):
        ids = [message.id] if isinstance(message.id, str) else message.id
        for id in ids:
            assert not re.search(r"%[a-z]|\{\}", id.replace("%%", "")), id


# --- What stands outside the catalogues -------------------------------------------------------

#: Texts of templates that are the same in every language.
NAMES = {"QueueCore", "Esc", "Ctrl", "Shift"}
LETTERS = re.compile(r"[^\W\d_]{2,}")
BLOCKS = re.compile(r"{%\s*(blocktranslate|blocktrans|comment)\b.*?{%\s*end\1\s*%}", re.DOTALL)
TAGS = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
SPOKEN = {"title", "aria-label", "aria-description", "placeholder", "alt", "label"}
#: Elements whose text is code.
CODE = {"code", "pre"}


class _Texts(HTMLParser):
    """The texts of a page that people read or hear."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.code += tag in CODE
        self.texts += [value or "" for name, value in attrs if name in SPOKEN]

    def handle_endtag(self, tag: str) -> None:
        self.code -= tag in CODE

    def handle_data(self, data: str) -> None:
        if not self.code:
            self.texts.append(data)


def test_templates_have_no_text_of_their_own() -> None:
    found = []
    for path in sorted(TEMPLATES.rglob("*.html")):
        texts = _Texts()
        texts.feed(TAGS.sub("", BLOCKS.sub("", path.read_text())))
        found += [
            f"{path.name}: {text.strip()}"
            for text in texts.texts
            if not set(LETTERS.findall(text)) <= NAMES
        ]
    assert not found


#: Names and what comes from elsewhere: libraries, languages, headers of HTTP, Python.
PROPER = {
    *("Deutsch", "Development", "Django", "English", "Infinity", "Java", "Node", "Python"),
    *("Allow", "Cookie", "Lax", "Location", "Origin", "Referer", "Traceback"),
}
#: Two words or more with a capital or an end, or one word with a capital.
SENTENCE = re.compile(r"^[A-Z][\w'’]* .*[a-z]{2}|[a-z]{2} [a-z]+[.!?…]|^[A-Z][a-z]{2,}[.!?…]?$")
TRANSLATES = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext"}
#: What operators read in the log, and setup reads on the console, is English.
ENGLISH = {
    "debug",
    "info",
    "warning",
    "error",
    "exception",
    "log_response",
    "getLogger",
    "Warning",
    "Error",
}


class _Literals(ast.NodeVisitor):
    """The sentences of a module that nobody translates."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in TRANSLATES | ENGLISH:
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Errors are for programmers: what pages say of them is said elsewhere."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if getattr(node.targets[0], "id", "") != "__all__":
            self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        text = node.value
        if isinstance(text, str) and SENTENCE.search(text) and text not in PROPER:
            self.found.append(f"{node.lineno}: {text}")


def test_modules_have_no_text_of_their_own() -> None:
    found = []
    for path in sorted((ROOT / "dashboard").rglob("*.py")):
        if path.name not in ("checks.py", "conf.py", "copies.py", "languages.py"):
            literals = _Literals()
            literals.visit(ast.parse(path.read_text()))
            found += [f"{path.relative_to(ROOT)}:{text}" for text in literals.found]
    assert not found


JS_COMMENT = re.compile(r"^\s*(//|\*|/\*).*$|(?<=[\s;{}])//.*$", re.MULTILINE)
JS_LITERAL = re.compile(r"\"([^\"\\\n]*)\"|'([^'\\\n]*)'|`([^`]*)`")
#: Names of keys.
JS_NAMES = {"Escape", "Backspace", "Enter", "Home", "End", "Tab", "ArrowDown", "ArrowUp"}


def test_scripts_have_no_text_of_their_own() -> None:
    """The words that scripts show come with the page; nor do they choose a language."""
    found = []
    for path in sorted(STATIC.glob("*.js")):
        source = JS_COMMENT.sub("", path.read_text())
        for groups in JS_LITERAL.findall(source):
            text = next(filter(None, groups), "")
            if SENTENCE.search(text) and text not in JS_NAMES:
                found.append(f"{path.name}: {text}")
            if re.fullmatch(r"[a-z]{2}-[A-Z]{2}", text):
                found.append(f"{path.name}: {text} is not every reader's language")
    assert not found
