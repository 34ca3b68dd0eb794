"""JSON of strangers: read as far as it goes, masked, and shown as text whatever it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from dashboard.draw import jsontext, payload
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
