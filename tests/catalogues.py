"""The catalogues of translations: brought up to date with the sources, and compiled.

``python -m tests.catalogues`` takes the strings out of the sources, brings each ``django.po`` in
line with them (translations stay; what is new is empty, what is gone goes) and compiles each
``django.mo``. Languages as arguments (``de fr``) leave the others alone; ``--check`` changes
nothing and says what is not current. What it writes depends on the sources alone: no dates, no
line numbers, the order of the sources.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileParser, write_po
from django.utils.translation.template import templatize

from tests.machine import ROOT

#: Each language, with how many plural forms it has here and which of them a number takes.
LANGUAGES = {
    "de": (2, "(n != 1)"),
    "fr": (2, "(n > 1)"),
    "es": (2, "(n != 1)"),
    "ja": (1, "0"),
}

_NAMES = {"de": "German", "fr": "French", "es": "Spanish", "ja": "Japanese"}

#: Each package that has catalogues, with the folders that its strings are in.
PACKAGES = {
    "queuecore": ("queuecore",),
    "dashboard": ("dashboard", "templates/queuecore_dashboard"),
}

_KEYWORDS = {
    name + lazy: arguments
    for name, arguments in {
        "gettext": None,
        "ngettext": (1, 2),
        "pgettext": ((1, "c"), 2),
        "npgettext": ((1, "c"), 2, 3),
    }.items()
    for lazy in ("", "_lazy")
} | {"_": None, "gettext_noop": None}
_WIDTH = 100


class Translations(Catalog):
    """A catalogue whose header says nothing that changes by itself."""

    def __init__(self, language: str) -> None:
        super().__init__(language, header_comment=f"# {_NAMES[language]}.", fuzzy=False)

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Language", str(self.locale_identifier)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=UTF-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", f"nplurals={self.num_plurals}; plural={self.plural_expr};\n"),
        ]

    @mime_headers.setter
    def mime_headers(self, value: object) -> None:
        """The header of a file that is read says nothing new."""

    @property
    def num_plurals(self) -> int:
        return LANGUAGES[str(self.locale_identifier)][0]

    @property
    def plural_expr(self) -> str:
        return LANGUAGES[str(self.locale_identifier)][1]


def sources(package: str) -> list[Path]:
    """The files that may hold strings of *package*."""
    found = (
        path
        for folder in PACKAGES[package]
        for kind in ("*.py", "*.html", "*.txt")
        for path in (ROOT / folder).rglob(kind)
    )
    return sorted(found)


def strings(path: Path) -> Iterator[tuple[str | tuple[str, ...], str | None, list[str]]]:
    """The strings of one file: each as itself (or with its plural), its context, its comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        # What is left of a template is calls between blots; indents would mean nothing.
        text = "\n".join(line.strip() for line in templatize(text).splitlines())
    file = io.BytesIO(text.encode())
    options = {"encoding": "utf-8"}
    for _line, id, comments, context in extract(
        "python", file, _KEYWORDS, ("Translators:",), options, strip_comment_tags=True
    ):
        yield id, context, comments


def template(package: str) -> Catalog:
    """Every string of *package*, with the files that it is in."""
    catalog = Catalog()
    for path in sources(package):
        place = path.relative_to(ROOT).as_posix()
        for id, context, comments in strings(path):
            catalog.add(id, None, [(place, 0)], auto_comments=comments, context=context)
    return catalog


def file(package: str, language: str, suffix: str = "po") -> Path:
    """Where the catalogue of *package* in *language* is."""
    return ROOT / package / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"


def read(package: str, language: str) -> Translations:
    """The catalogue as it is."""
    path = file(package, language)
    return parsed(path.read_bytes() if path.exists() else b"", language)


def parsed(content: bytes, language: str) -> Translations:
    """The catalogue that a file holds."""
    catalog = Translations(language)
    PoFileParser(catalog, abort_invalid=True).parse(content.decode().splitlines(keepends=True))
    return catalog


def updated(package: str, language: str, new: Catalog | None = None) -> Translations:
    """The catalogue with exactly the strings of the sources, and the translations it has."""
    old, catalog = read(package, language), Translations(language)
    for message in new or template(package):
        if message.id:
            known = old.get(_key(message), message.context)
            catalog.add(
                message.id,
                known.string if known and _shape(known) == _shape(message) else None,
                message.locations,
                known.flags & {"fuzzy"} if known else (),
                message.auto_comments,
                known.user_comments if known else (),
                context=message.context,
            )
    return catalog


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _shape(message: Message) -> object:
    return message.id if message.pluralizable else ""


def written(catalog: Translations) -> bytes:
    """The text of a catalogue."""
    target = io.BytesIO()
    write_po(target, catalog, width=_WIDTH, include_lineno=False)
    return target.getvalue().rstrip() + b"\n"


def compiled(catalog: Translations) -> bytes:
    """What Django reads of a catalogue."""
    target = io.BytesIO()
    write_mo(target, catalog)
    return target.getvalue()


def stale(package: str, language: str, new: Catalog | None = None) -> list[Path]:
    """The files of a catalogue that are not what their sources make."""
    content = written(updated(package, language, new))
    made = {
        file(package, language): content,
        file(package, language, "mo"): compiled(parsed(content, language)),
    }
    return [path for path, new in made.items() if not path.exists() or path.read_bytes() != new]


def bring(package: str, language: str, new: Catalog) -> int:
    """Write the files of a catalogue; how many of its strings have no translation yet."""
    content = written(updated(package, language, new))
    catalog = parsed(content, language)
    path = file(package, language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    file(package, language, "mo").write_bytes(compiled(catalog))
    return sum(not all(translations(one)) for one in catalog if one.id)


def translations(message: Message) -> list[str]:
    """The translation of a string, or all forms of it."""
    return [message.string] if isinstance(message.string, str) else list(message.string)


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    languages = [one for one in arguments if one != "--check"] or list(LANGUAGES)
    if unknown := set(languages) - set(LANGUAGES):
        sys.exit(f"No such language: {', '.join(sorted(unknown))}.")
    late = False
    for package in PACKAGES:
        new = template(package)
        for language in languages:
            if check:
                for path in stale(package, language, new):
                    print(f"{path.relative_to(ROOT)} is not current: run `make messages`.")
                    late = True
            elif missing := bring(package, language, new):
                print(f"{package} {language}: {missing} of {len(new)} strings to translate")
    return int(late)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
