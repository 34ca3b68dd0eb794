"""Any name is one segment of an address, and has exactly one spelling."""

import pytest
from django.urls import resolve, reverse
from hypothesis import given
from hypothesis import strategies as st

from dashboard import links

NAMES = st.text(min_size=1).filter(lambda name: "\x00" not in name)


@given(NAMES)
def test_a_name_comes_back_as_it_was(name: str) -> None:
    segment = links.encode(name)
    assert links.decode(segment) == name
    assert set(segment) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.~")


@given(NAMES)
def test_an_address_leads_to_the_name_it_was_made_of(name: str) -> None:
    address = reverse("queuecore_dashboard:job", kwargs={"queue": name, "job": name})
    match = resolve(address)
    assert match.kwargs == {"queue": name, "job": name}
    assert address == links.job_url("/", "default", name, name)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("emails", "emails"),
        ("a/b", "a~2Fb"),
        ("..", "~2E~2E"),
        (".", "~2E"),
        ("a.b", "a.b"),
        ("~", "~7E"),
        ("@x", "~40x"),
        ("ü", "~C3~BC"),
        ("100%", "100~25"),
        ("\ud800", "~ED~A0~80"),
    ],
)
def test_what_is_encoded_and_what_is_not(name: str, segment: str) -> None:
    assert links.encode(name) == segment


@pytest.mark.parametrize("segment", ["~61", "~", "~2", "~2f", "a~zz", "~C3", "~2Ea", "..", "."])
def test_a_second_spelling_is_no_address(segment: str) -> None:
    with pytest.raises(ValueError, match="no encoded name"):
        links.decode(segment)


def test_another_connection_has_its_own_segment() -> None:
    assert links.queue_url("/q/", "eu west", "a:b") == "/q/@eu~20west/queues/a~3Ab/"
    assert links.queue_url("/q/", "default", "a:b") == "/q/queues/a~3Ab/"


@given(st.lists(NAMES, min_size=2, max_size=2), st.lists(NAMES, min_size=2, max_size=2))
def test_elements_of_two_names_never_share_an_id(one: list[str], other: list[str]) -> None:
    if one != other:
        assert links.dom_id("q", *one) != links.dom_id("q", *other)
