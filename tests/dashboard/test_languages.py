"""Every page in every language: no sentence is left in English, numbers and dates are the reader's.

The hostile texts' pages and planted queue serve here, with words in the places of the texts; empty
pages and all dialogs are looked at, too.
"""

import ast
import html
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import redis
from django.test import Client
from django.utils import translation

from dashboard.draw import values
from dashboard.draw.audit_problems import sentence
from dashboard.languages import CODES
from queuecore import Queue, audit
from tests.catalogues import LANGUAGES, PACKAGES, read, translations
from tests.dashboard.addresses import PAGES, address
from tests.dashboard.planting import plant
from tests.dashboard.test_hostile import PAGES as PLANTED
from tests.dashboard.test_live import application, make_user, pages  # noqa: F401 - fixtures
from tests.machine import ROOT
from tests.servers import Server

# An attribute that a machine reads as another number, if it reads it at all; titles are for people.
NUMBER_FOR_PEOPLE = re.compile(
    r"""(?<![\w-])(?!title=)[\w-]+=["'](?:-?\d+,\d+|-?[1-9]\d{0,2}(?:\.\d{3})+)["']"""
)
PLACE_OR_TAG = re.compile(r"%\(\w+\)[a-z]|%%|<[^>]+>")


def test_the_catalogues_are_of_the_languages_that_can_be_chosen() -> None:
    assert {"en", *LANGUAGES} == set(CODES)


def sentences(language: str) -> Iterator[str]:
    """The English of the catalogues: each run of more than three words that is translated."""
    for package in PACKAGES:
        for message in read(package, language):
            ids = [message.id] if isinstance(message.id, str) else message.id
            said = " ".join(translations(message)) if message.id else ""
            for id in ids:
                for piece in PLACE_OR_TAG.split(id):
                    if len(piece.split()) > 3 and piece.strip() not in said:
                        yield " ".join(html.unescape(piece).split())


def spoken(client: Client, paths: list[str]) -> str:
    """What people see and hear on the pages, with whatever else is in their markup."""
    texts = []
    for path in paths:
        answer = client.get(path, follow=True)
        assert answer.status_code in (200, 400, 404), (path, answer.status_code)
        texts.append(html.unescape(answer.content.decode()))
    return " ".join(" ".join(texts).split())


def test_a_language_with_one_form_names_the_number_in_it(admin: Client) -> None:
    admin.post("/preferences/keep/", {"language": "ja"})
    page = admin.get("/preferences/").content.decode()
    assert "1 秒ごと" in page
    assert "%(" not in page


# Two of them in the quick tier, all in the long one: they show the same pages.
@pytest.mark.parametrize(
    "language",
    [pytest.param(one, marks=() if one in ("de", "ja") else pytest.mark.slow) for one in LANGUAGES],
)
def test_no_page_has_a_sentence_in_english(
    language: str,
    admin: Client,
    server: Server,
    redis_client: redis.Redis,
    request: pytest.FixtureRequest,
    settings: Any,
) -> None:
    settings.USE_THOUSAND_SEPARATOR = True
    admin.post("/preferences/keep/", {"language": language})
    empty = ["/", "/queues/", "/schedulers/", "/workers/", "/operations/", "/audit/", "/missing/"]
    said = spoken(admin, [*empty, "/system/", "/preferences/"])
    assert f'<html lang="{language}"' in said
    planted = plant(redis_client, lambda place: f"Z{place}Z")
    said += spoken(admin, [path for paths, _shown in PLANTED.values() for path in paths(planted)])
    request.getfixturevalue("emails")
    dialogs = [address(name) for name, (method, _needs) in PAGES.items() if method == "GET"]
    said += spoken(admin, dialogs)
    said += spoken(admin, [f"/queues/emails/jobs/?q=zzz&state={state}" for state in ("failed",)])
    assert sorted({one for one in sentences(language) if one in said}) == []
    assert NUMBER_FOR_PEOPLE.findall(said) == []


@pytest.mark.parametrize(
    ("language", "number", "short", "time", "day"),
    [
        ("en", "1,234,567", "1.20", "1 h 05 m", "4 March"),
        ("de", "1.234.567", "1,20", "1 h 05 min", "4. März"),
        ("fr", "1\xa0234\xa0567", "1,20", "1 h 05 min", "4 mars"),
        ("es", "1\xa0234\xa0567", "1,20", "1 h 05 min", "4 de marzo"),
        ("ja", "1,234,567", "1.20", "1 時間 05 分", "3月4日"),
    ],
)
def test_numbers_durations_and_dates_are_the_readers(
    language: str, number: str, short: str, time: str, day: str
) -> None:
    with translation.override(language):
        assert values.exact(1_234_567) == number
        assert values.short(1_200_000) == (short, "M")
        assert values.duration_text(3_900) == time
        assert values.dated(date(2026, 3, 4), "j F") == day


@pytest.mark.django_db(transaction=True)
async def test_two_sockets_in_two_languages_get_their_own_words(pages, emails: Queue) -> None:  # noqa: F811
    from asgiref.sync import sync_to_async

    user = await sync_to_async(make_user)("olga", "view")
    words = {"de": "Fehlgeschlagene Jobs", "en": "Failed jobs"}
    opened = {code: await pages(user, path=f"/ws/?lang={code}") for code in words}
    for page in opened.values():
        await page.subscribe("overview", "summary")
    for code, page in opened.items():
        await page.until(lambda page: page.shown)
        shown = " ".join(str(text) for text in page.shown.values())
        assert words[code] in shown
        assert not any(word in shown for other, word in words.items() if other != code)


def test_every_problem_of_the_record_has_a_sentence() -> None:
    def text(node: ast.expr) -> str:
        if isinstance(node, ast.JoinedStr):
            return "".join(text(one) for one in node.values)
        return str(node.value) if isinstance(node, ast.Constant) else "7"

    tree = ast.parse((ROOT / "queuecore/audit.py").read_text())
    said = [
        text(node.args[1])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "found.add"
    ]
    assert len(said) > 7
    with translation.override("de"):
        for one in [*said, audit._gap(7, 7), audit._gap(7, 9), audit._gap(7, 12)]:
            assert (one == "7") or not re.search(r"\b(is|was|entry)\b", sentence(f"9 {one}")), one


def test_the_admin_speaks_it_too(admin: Client) -> None:
    page = admin.get("/admin/queuecore/queuescope/add/", headers={"Accept-Language": "de"})
    text = page.content.decode()
    assert "Queue-Bereich hinzufügen" in text
    assert "Der Name einer Queue oder ein Muster wie mail-*." in text
