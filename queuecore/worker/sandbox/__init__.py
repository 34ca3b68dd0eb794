"""Sandboxes: child processes that run processors, so that a job can be killed, or kill itself.

``pool``: the sandboxes of one worker. ``child``: one of them, as its worker sees it. ``output``:
what it prints. ``frames``: how the two speak. What runs in it is :mod:`queuecore.sandbox`.
"""

from __future__ import annotations

from .child import Spec
from .pool import Pool

__all__ = ["Pool", "Spec"]
