"""Django's transactions: run something after the commit, write rows of the outbox within it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.utils import timezone

from . import conf
from .errors import ConfigurationError, InvalidOption

#: How to wake the relays that run in this process.
wake: set[Callable[[], None]] = set()


def on_commit(action: Callable[[], object], using: str | None = None) -> None:
    """Call *action* once the transaction of the database *using* commits; at once without one."""
    transaction.on_commit(action, using=using)


def outbox_databases() -> tuple[str, ...]:
    """The databases whose outboxes are moved: those of the settings, else where the router sends
    the outbox's writes.

    Not all that have the table: a replica has it, too, and shows rows that are gone.
    """
    return conf.get_settings().outbox.databases or (router.db_for_write(_model()),)


def write_rows(rows: Sequence[Mapping[str, Any]], using: str | None = None) -> None:
    """Write *rows* of the outbox in the present transaction of the database *using*.

    Raises:
        InvalidOption: a transaction of another database is meant, as it seems.
        ConfigurationError: no relay looks into this database.
    """
    model, known = _model(), outbox_databases()
    alias = using or router.db_for_write(model)
    if alias not in known:
        raise ConfigurationError(
            f"no relay looks into the outbox of the database {alias!r}: name it in "
            f"QUEUECORE['OUTBOX']['DATABASES'], where now {', '.join(map(repr, known))} would be"
        )
    if using is None and not connections[alias].in_atomic_block:
        for other in connections.all(initialized_only=True):
            if other.in_atomic_block:
                raise InvalidOption(
                    f"the row would go to the database {alias!r}, and the transaction that runs is "
                    f"one of {other.alias!r}: give using={other.alias!r}, or using={alias!r} for a "
                    "row that does not belong to it"
                )
    now = timezone.now()
    objects = [model(created_at=now, **row) for row in rows]
    if len(objects) == 1:
        objects[0].save(using=alias, force_insert=True)
    else:
        model._default_manager.using(alias).bulk_create(objects, batch_size=500)
    for one in tuple(wake):
        # Registered only where a relay runs: others' tests count what runs after a commit.
        transaction.on_commit(one, using=alias, robust=True)


def _model() -> Any:
    """The outbox's table: by name, since what adds jobs stands below the models."""
    return apps.get_model("queuecore", "OutboxEntry")
