"""JSON of strangers: read as far as it goes, masked, and shown as text whatever it is."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from dashboard.draw import job_cells, job_panels, logs, payload
from dashboard.pages import job_parts
from queuecore import jsontext
from tests.dashboard.hostile import CORPUS, assert_harmless

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    jsontext.parse(text)
    jsontext.masked(text)
    list(jsontext.pairs(text))
    assert_harmless(payload.tree(text))
    assert_harmless(payload.one_line(text))


@given(VALUES, st.booleans(), st.data())
def test_what_was_cut_is_read_up_to_the_cut(
    value: object, ascii: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    assert jsontext.parse(text) is not None
    end = data.draw(st.integers(1, len(text)))
    if text[:end].strip(" -"):
        assert jsontext.parse(text[:end]) is not None, text[:end]


@given(VALUES)
def test_masking_leaves_everything_else_as_it_was(value: object) -> None:
    text = json.dumps(value)
    if "•" not in jsontext.masked(text):
        assert jsontext.masked(text) == text


def test_numbers_keep_every_digit() -> None:
    assert "123456789012345678901234567890.10" in payload.tree(
        '{"big": 123456789012345678901234567890.10}'
    )


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "user_password",
        "Password",
        "apiToken",
        "api_token",
        "accesstoken",
        "card",
        "cardNumber",
        "credit-card",
        "Authorization",
        "client_secret",
        "x-api_key",
    ],
)
def test_secrets_are_masked_wherever_they_stand(key: str) -> None:
    text = json.dumps({"a": [{key: {"deep": ["hunter2", 4711]}}], "b": {key: "hunter2"}})
    for shown in (
        payload.tree(text),
        payload.one_line(text),
        payload.one_line(text[:-3]),
        jsontext.masked(text),
        jsontext.masked(text[:-4]),
    ):
        assert "hunter2" not in shown
        assert "4711" not in shown
        assert jsontext.MASK in shown


NAMED = [
    "login with password=hunter2 failed",
    "password: hunter2",
    "ValueError: password='hun ter2 hunter2'",
    'api_key = "hunter2"',
    "bad header Authorization: Bearer hunter2",
    "GET https://host/?a=1&access_token=hunter2&b=2 401",
    "redis://worker:hunter2@cache:6379/0 is away",
    '{"user": "ann", "secret": "hunter2", cut',
    "{'client_secret': 'hunter2'}",
]


@pytest.mark.parametrize("text", NAMED)
def test_secrets_in_errors_traces_and_logs_are_masked(text: str) -> None:
    trace = f'Traceback:\n  File "/app/tasks.py", line 3, in run\n    call()\nValueError: {text}'
    detail = SimpleNamespace(fields={"failedReason": text, "stacktrace": trace}, field_sizes={})
    shown = [
        job_cells.error(text),
        job_panels.attempt(1, trace, open_now=True),
        job_panels.attempt(1, text, open_now=True),
        logs.found([(0, text)], ""),
        logs.live(SimpleNamespace(lines=[f"\x1b[31m{text}"], total=1)),
        str(job_parts.raw(detail)),
    ]
    for one in shown:
        assert "hunter2" not in one
        assert jsontext.MASK in one
    assert "hunter2" not in jsontext.harmless(text)
    assert text.startswith(jsontext.harmless(text))
    for cut in range(len(text)):
        assert text.startswith(jsontext.harmless(text[:cut]))


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'password'",
        "password = request.POST['password']",
        "the token has expired",
        "https://host:8000/a@b",
        "discard: 5",
        "=" * 50_000 + " " * 50_000 + "a" * 50_000 + "://" * 50_000,
    ],
)
def test_what_names_no_value_stays(text: str) -> None:
    assert jsontext.covered(text) == text
    assert jsontext.harmless(text) == text


@pytest.mark.parametrize("key", ["discard", "wildcards", "tokens_used", "secretary", "cardinality"])
def test_words_that_only_sound_like_secrets(key: str) -> None:
    hidden = (
        key == "secretary"
    )  # a long word hides whatever holds it: rather too much than too little
    assert jsontext.is_secret(key) is hidden


def test_the_masked_words_are_a_setting(settings: Settings) -> None:
    settings.QUEUECORE = {**settings.QUEUECORE, "DASHBOARD": {"MASK": ["Iban"], "COLLECT": False}}
    assert jsontext.is_secret("iban")
    assert not jsontext.is_secret("password")


@pytest.mark.parametrize("depth", [10, 64, 65, 200, 5_000])
def test_depth_is_bounded(depth: int) -> None:
    shown = payload.tree("[" * depth + "1" + "]" * depth)
    assert ("… not shown" in shown) is (depth > jsontext.MAX_DEPTH)
    assert shown.count("<details") <= jsontext.MAX_DEPTH + 1


def test_width_is_bounded() -> None:
    root = jsontext.parse(json.dumps(list(range(20_000))))
    assert root is not None
    assert root.cut
    assert len(root.children) <= jsontext.MAX_NODES


def test_what_is_no_json_is_shown_as_it_is() -> None:
    for text in ("hello, world", "{broken]", "12 monkeys", "undefined", "1,2"):
        assert jsontext.parse(text) is None
        assert "<pre" in payload.tree(text)


def test_a_cut_value_says_so() -> None:
    assert "Cut after 3 bytes of 5.0 MB." in payload.tree("[1,", 5_000_000)
    assert "Cut" not in payload.tree('"ü"', 4)


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_texts_stay_texts(text: str) -> None:
    for value in (text, json.dumps({text: text}), json.dumps([text])):
        assert_harmless(payload.tree(value))
        assert_harmless(payload.one_line(value))


def test_nothing_in_a_payload_is_live_for_htmx() -> None:
    assert payload.tree("{}").startswith('<div class="payload" hx-disable>')
