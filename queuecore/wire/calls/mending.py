"""Looking for what cannot be in a queue, and putting it right: one script a kind of damage.

Each script looks again at the moment at which it mends, so that a job in motion is never hurt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..keys import SUFFIXES, Keys
from .base import Call, Command, text
from .inspecting import escaped

# Ids that one call looks at, and parents, of which each brings its children.
SLICE, PARENTS = 100, 5
# Pending children of one parent that are looked at.
CHILDREN = 500
# Steps through lists that one call may take; a longer list is not walked at all.
STEPS = 100_000
# A delayed job is late if nobody took it for so many ms.
LATE_MS = 5_000
# A trimmed stream keeps up to a node more than was asked for.
SLACK = 200
# Entries of a stream that one command deletes.
TRIMMED = 10_000
# What BullMQ takes where nobody has said how long an event stream may get.
MOST_EVENTS = 10_000

LISTS = ("wait", "paused", "active")
SETS = ("completed", "failed", "delayed", "prioritized", "waiting-children")
_PARTS = ("lock", "logs", "dependencies", "processed", "failed", "unsuccessful")


@dataclass(frozen=True, slots=True)
class Slice:
    """What one look at a state saw: how many ids, the ids themselves (lists only), findings."""

    seen: int
    ids: list[str]
    found: list[tuple[str, str]]


def check_state(keys: Keys, state: str, first: int) -> Call[Slice]:
    """Look at some ids of *state* (a key's suffix) from place *first* on."""
    kind = "list" if state in LISTS else "zset"

    def decode(answer: list[Any]) -> Slice:
        return Slice(answer[0], [text(one) for one in answer[1]], _pairs(answer[2:]))

    return Call(
        "check_state",
        (keys[state],),
        (keys.base, state, kind, first, SLICE, CHILDREN),
        decode,
        repeatable=True,
    )


def check_keys(keys: Keys, ids: Sequence[str]) -> Call[list[tuple[str, str]]]:
    """Which of *ids* are jobs, locks or parts of jobs that stand in no sorted set."""
    return Call(
        "check_keys",
        [keys[one] for one in SETS],
        (keys.base, *ids),
        _pairs,
        repeatable=True,
    )


def scan(prefix: str, cursor: str) -> Command[tuple[str, list[str]]]:
    """One step through the keyspace: the next cursor and keys of this prefix."""
    return Command(
        ("SCAN", cursor, "MATCH", escaped(prefix) + ":*", "COUNT", 100),
        lambda answer: (text(answer[0]), [text(one) for one in answer[1]]),
    )


def candidates(rest: str) -> list[str]:
    """The ids of jobs to which the key *rest* (without prefix and queue) may belong."""
    if rest in SUFFIXES or rest.startswith(("metrics:", "de:", "dn:")):
        return []
    job_id, colon, part = rest.rpartition(":")
    return [rest, job_id] if colon and job_id and part in _PARTS else [rest]


def lengths(keys: Keys) -> list[Call[Any] | Command[Any]]:
    """How long the lists are, those of :data:`LISTS`."""
    return [Command(("LLEN", keys[one]), _number, tolerant=True) for one in LISTS]


def event_figures(keys: Keys) -> list[Call[Any] | Command[Any]]:
    """How long the event stream is, and how long it may get (None: nobody has said)."""
    return [
        Command(("XLEN", keys.events), _number, tolerant=True),
        Command(("HGET", keys.meta, "opts.maxLenEvents"), _maybe, tolerant=True),
    ]


def trim(keys: Keys, length: int) -> Command[int]:
    """Delete old events until about *length* are left, a bounded number of them."""
    return Command(("XTRIM", keys.events, "MAXLEN", "~", length, "LIMIT", TRIMMED), _number)


def mend_ghosts(keys: Keys, state: str, ids: Sequence[str]) -> Call[list[str] | None]:
    """Take ids without a job out of *state*; None if the list is too long."""
    kind = "list" if state in LISTS else "zset"
    return Call(
        "mend_ghosts",
        (keys[state], keys.stalled),
        (keys.base, kind, STEPS, *ids),
        _ids,
        repeatable=True,
    )


def mend_orphans(
    keys: Keys, now: int, ids: Sequence[str], dry: bool
) -> Call[list[tuple[str, str]] | None]:
    """Restore or delete jobs that stand nowhere: (what happens, id) of each; None: too long."""
    return Call(
        "mend_orphans",
        (*_states(keys), keys.events),
        (keys.base, now, int(dry), STEPS, *ids),
        _maybe_pairs,
        repeatable=True,
    )


def mend_twice(keys: Keys, ids: Sequence[str], dry: bool) -> Call[list[tuple[str, str]] | None]:
    """Leave jobs in one place: (the state that stays, id) of each; None: too long."""
    return Call(
        "mend_twice",
        (*_states(keys), keys.stalled),
        (keys.base, int(dry), STEPS, *ids),
        _maybe_pairs,
        repeatable=True,
    )


def mend_locks(keys: Keys, ids: Sequence[str], dry: bool) -> Call[list[str] | None]:
    """Delete locks of jobs that nobody runs; None if there are too many active ones."""
    return Call(
        "mend_locks", (keys.active,), (keys.base, int(dry), STEPS, *ids), _ids, repeatable=True
    )


def mend_stalled(keys: Keys, ids: Sequence[str]) -> Call[list[str] | None]:
    """Mark active jobs without a lock for the workers' check; None: too many active ones."""
    return Call(
        "mend_stalled",
        (keys.active, keys.stalled),
        (keys.base, STEPS, *ids),
        _ids,
        repeatable=True,
    )


def mend_markers(keys: Keys, now: int, dry: bool) -> Call[tuple[int, int]]:
    """Announce jobs: how many were ready, and how many late, that nothing had announced."""
    return Call(
        "mend_markers",
        (
            keys.meta,
            keys.wait,
            keys.prioritized,
            keys.delayed,
            keys.active,
            keys.marker,
            keys.limiter,
            keys.qc("groups"),
            keys.qc("group-delayed"),
            keys.qc("groups-limited"),
            keys.own_marker,
            keys.limits,
        ),
        (keys.base, now, int(dry), LATE_MS),
        tuple,
        repeatable=True,
    )


def mend_parents(keys: Keys, now: int, ids: Sequence[str]) -> Call[list[str] | None]:
    """Let parents forget children that are gone, and go on if they wait for none."""
    return Call(
        "mend_parents",
        (keys.waiting_children,),
        (keys.base, now, CHILDREN, *ids),
        _ids,
        repeatable=True,
    )


def mend_grouped(keys: Keys, now: int, ids: Sequence[str]) -> Call[list[str] | None]:
    """Give jobs their place in their groups, and the groups their turn."""
    return Call(
        "mend_grouped",
        (keys.waiting_children, keys.events),
        (keys.base, now, *ids),
        _ids,
        repeatable=True,
    )


def mend_group(
    keys: Keys, place: str, group: str, dry: bool, first: int
) -> Call[tuple[int, list[str]]]:
    """Take ids out of a group whose jobs are gone: how many it looked at, and which."""
    return Call(
        "mend_groups",
        (keys.waiting_children,),
        (keys.base, place, group, int(dry), first, SLICE),
        lambda answer: (answer[0], [text(one) for one in answer[1:]]),
        repeatable=True,
    )


def mend_group_counts(keys: Keys, dry: bool) -> Call[list[str] | None]:
    """Count what runs of the groups anew: those that were wrong; None: too many active jobs."""
    return Call(
        "mend_group_counts",
        (
            keys.active,
            *(keys.qc(one) for one in ("group-active", "group-running", "groups", "groups-maxed")),
        ),
        (keys.base, int(dry), STEPS),
        _ids,
        repeatable=True,
    )


def mend_deduplication(keys: Keys, ids: Sequence[str], dry: bool) -> Call[list[str] | None]:
    """Free deduplication ids whose owner is gone."""
    return Call(
        "mend_deduplication", (keys.meta,), (keys.base, int(dry), *ids), _ids, repeatable=True
    )


def _states(keys: Keys) -> tuple[str, ...]:
    return tuple(keys[one] for one in (*LISTS, *SETS))


def _ids(answer: Any) -> list[str] | None:
    return None if answer == -1 else [text(one) for one in answer]


def _pairs(flat: Sequence[Any]) -> list[tuple[str, str]]:
    words = [text(one) for one in flat]
    return list(zip(words[::2], words[1::2], strict=True))


def _maybe_pairs(answer: Any) -> list[tuple[str, str]] | None:
    return None if answer == -1 else _pairs(answer)


def _number(answer: Any) -> int:
    return int(answer or 0)


def _maybe(answer: Any) -> int | None:
    try:
        return None if answer is None else int(answer)
    except ValueError:
        return None
