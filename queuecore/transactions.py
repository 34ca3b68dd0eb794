"""Django's transactions: run something after the commit."""

from __future__ import annotations

from collections.abc import Callable

from django.db import transaction


def on_commit(action: Callable[[], object], using: str | None = None) -> None:
    """Call *action* once the transaction of the database *using* commits; at once without one."""
    transaction.on_commit(action, using=using)
