"""A queue's outbox in Redis: which relay has it, and which of its jobs are added already.

One hash for each queue and database holds ``holder`` and ``until``, and a token for each job that
was added while its row was not deleted yet. It is gone while there is nothing to hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..keys import Keys
from .base import NOW, Call, Operation, text


def take_outbox(keys: Keys, source: str, holder: str, lease_ms: int) -> Operation[list[str] | None]:
    """Take the outbox *source* of the queue: the tokens that are there; None: another has it."""
    now = yield NOW
    answer: list[str] | None = yield Call(
        "take_outbox",
        (keys.outbox(source),),
        (holder, now, lease_ms),
        lambda answer: [text(one) for one in answer[1:]] if answer[0] else None,
        repeatable=True,
    )
    return answer


def settle_outbox(
    keys: Keys, source: str, holder: str, lease_ms: int, tokens: Sequence[str] = ()
) -> Operation[bool]:
    """Forget *tokens*, whose rows are gone, and hold on for *lease_ms* more, or let go with 0.

    False: another relay has the outbox by now.
    """
    now = yield NOW
    held: bool = yield Call(
        "settle_outbox",
        (keys.outbox(source),),
        (holder, now, lease_ms, *tokens),
        lambda answer: answer == 1,
        repeatable=True,
    )
    return held


def marks(source: str, holder: str, tokens: Sequence[str]) -> list[dict[str, object]]:
    """What the script that adds jobs must know of each of an outbox's, by ``add_jobs``."""
    found: list[dict[str, object]] = [{"token": token} for token in tokens]
    found[0]["outbox"] = [source, holder]
    return found
