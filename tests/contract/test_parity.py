"""The table of BullMQ's features is true: each row has a name here and a test; it is current."""

import inspect

import pytest

from tests import parity

ROWS = parity.rows()
HERE = [row for row in ROWS if not row.because]


@pytest.mark.parametrize("row", HERE, ids=lambda row: row.theirs)
def test_a_row_has_its_name_here(row: parity.Row) -> None:
    assert parity.exists(row.ours), f"there is no {row.ours} here"


@pytest.mark.parametrize("row", HERE, ids=lambda row: row.theirs)
def test_a_method_that_talks_to_the_server_has_its_twin(row: parity.Row) -> None:
    import queuecore

    owner, _, member = row.ours.partition(".")
    if owner not in ("Queue", "Job", "FlowProducer", "QueueEventsProducer") or not member:
        return
    found = getattr(getattr(queuecore, owner), member)
    if inspect.isfunction(found) and "_run(" in inspect.getsource(found):
        assert hasattr(getattr(queuecore, owner), f"a{member}")


def test_every_row_has_a_test() -> None:
    proven = parity.proofs()
    assert not [row.theirs for row in HERE if row.theirs not in proven]


def test_every_mark_names_a_row() -> None:
    known = {row.theirs for row in HERE}
    assert not {name: tests for name, tests in parity.proofs().items() if name not in known}


def test_no_row_stands_there_twice() -> None:
    names = [row.theirs for row in ROWS]
    assert len(names) == len(set(names))


def test_what_is_not_here_has_a_reason() -> None:
    assert all(row.because for row in ROWS if not row.ours)


def test_the_page_is_current() -> None:
    assert parity.text() == parity.PAGE.read_text(), "run: python -m tests.parity"
