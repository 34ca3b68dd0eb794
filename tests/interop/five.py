"""All that BullMQ 5 does otherwise than 6 on the wire, where we do as 6 does.

A test that compares us with both applies the list: where a script stands here, 5 must differ, or
the row is one too many; where it does not, 5 must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.interop.node import Peer

# By the comparison, then by its script.
ONLY_FIVE: dict[str, dict[str, str]] = {
    "acts": {
        "retry a failed one": "5 forgets the priority of a job that is retried",
        "retry a failed one from scratch": "the same",
    },
    "acts of a paused queue": {
        "retry a failed one": "5 forgets the priority of a job that is retried",
        "retry a failed one from scratch": "the same",
        "clean waiting, at most 0": "5 has another word for what waits in a paused queue",
        "clean waiting, at most 1": "the same",
    },
    "flows": {
        "a child whose parent was removed": "5 takes a parent that is gone for one that waits",
        "no child, deduplicated, put off": "it came with 6.7",
    },
    "flows afterwards": {
        "retry all failed children, fail_parent_on_failure":
            "5 leaves them alone: their parents do not wait for them again",
        "retry all failed children, ignore_dependency_on_failure": "the same",
    },
    "deduplication": {
        "rescheduled": "it came with 6.7",
        "the_last_is_forgotten_with_what_it_follows": "5 keeps it for a job that is gone",
    },
}  # fmt: skip

# What 5 writes besides, which nobody reads; it is taken out before the comparison.
FIVE_WRITES = {
    "the event debounced": "the older name of deduplicated, told as well",
    "the field nrjid": "of a scheduler's run: the id of the next one",
}


@contextmanager
def otherwise_at(peer: Peer, comparison: str, script: str) -> Iterator[None]:
    """Compare with *peer*, which must differ if it is 5 and the list says so."""
    if peer.major == 5 and script in ONLY_FIVE[comparison]:
        with pytest.raises(AssertionError):
            yield
    else:
        yield
