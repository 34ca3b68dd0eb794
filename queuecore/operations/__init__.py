"""Operations: one action on many jobs, carried out bit by bit while everything else goes on.

``start`` writes one down; whichever process leads carries it out, a chunk at a time, and goes on
where another one has left it. ``plan`` counts before, ``pause``, ``resume`` and ``abort`` steer it.
"""

from .actions import ACTIONS, Action, Work, register
from .orders import (
    LONGEST_REASON,
    MOST_FAILURES,
    Plan,
    abort,
    pause,
    plan,
    required,
    resume,
    set_rate,
    start,
)
from .runner import Runner, beside, ensure_running, stop

__all__ = [
    "ACTIONS",
    "LONGEST_REASON",
    "MOST_FAILURES",
    "Action",
    "Plan",
    "Runner",
    "Work",
    "abort",
    "beside",
    "ensure_running",
    "pause",
    "plan",
    "register",
    "required",
    "resume",
    "set_rate",
    "start",
    "stop",
]
