"""Fingerprints: what is one failure stays one, whatever ids its message names."""

import json
import zipfile

import pytest

from queuecore.errors import SandboxedError
from queuecore.worker.fingerprints import fingerprint, frame_of, normalised, sample


def raised(message: str, kind: type[BaseException] = ValueError) -> BaseException:
    try:
        raise kind(message)
    except BaseException as error:
        return error


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("order 4711 of 12.5 EUR", "order <n> of <n> EUR"),
        ("user 0b0f6d0e-8d3f-4d8c-a3b2-1a2b3c4d5e6f is gone", "user <uuid> is gone"),
        ("no answer of 10.0.0.17:5432", "no answer of <address>"),
        ("anna.smith+x@example.org bounced", "<email> bounced"),
        ("at 2026-11-24T10:00:00.123Z", "at <time>"),
        ("<Thing at 0x7f00deadbeef>", "<Thing at <hex>>"),
        ("commit deadbeef0123456789", "commit <hex>"),
        ("two\n  lines", "two lines"),
        ("\ud800", "\\ud<n>"),
    ],
)
def test_what_changes_is_taken_out(message: str, left: str) -> None:
    assert normalised(message) == left


def test_messages_are_bounded_in_length_and_in_time() -> None:
    for text in ("1" * 10**6, "a@" * 10**6, "0x" * 10**6, "2026-" * 10**6, " " * 10**6):
        assert len(normalised(text)) <= 300


def test_ids_make_no_difference_and_all_else_does() -> None:
    def id_of(name: str, error: BaseException) -> str:
        return fingerprint(name, error, str(error))[0]

    same = {id_of("a", raised("order 1")), id_of("a", raised("order 22"))}
    assert len(same) == 1
    others = {
        id_of("b", raised("order 1")),
        id_of("a", raised("user 1")),
        id_of("a", raised("order 1", KeyError)),
        id_of("a", ValueError("order 1")),  # of no frame
    }
    assert len(same | others) == 5


def test_the_frame_is_the_last_of_the_projects_own(tmp_path: object) -> None:
    try:
        zipfile.ZipFile("/nowhere")
    except OSError as error:
        inside = error
    name = test_the_frame_is_the_last_of_the_projects_own.__name__
    assert frame_of(inside) == f"{__name__}:{name}"
    assert frame_of(raised("x")) == f"{__name__}:raised"


def test_a_sandbox_tells_its_own() -> None:
    error = SandboxedError("boom", "OverflowError")
    error.sandbox_trace, error.sandbox_frame = "Traceback ...", "shop.tasks:send"  # type: ignore[attr-defined]
    _, kind, message, frame = fingerprint("a", error, "boom")
    assert (kind, message, frame) == ("OverflowError", "boom", "shop.tasks:send")


def test_a_sample_is_valid_and_small() -> None:
    error = raised("x" * 10**6)
    parts = fingerprint("n" * 10**5, error, "x" * 10**6)[1:]
    told = sample("n" * 10**5, "\ud800" * 500, error, "x" * 10**6, *parts)
    assert len(told) < 20_000
    assert json.loads(told)["kind"] == "ValueError"
