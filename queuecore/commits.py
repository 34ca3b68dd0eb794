"""Commits: adds that belong to a transaction of the database; a part of :class:`queuecore.Queue`.

Two kinds: *on commit* adds to Redis once the transaction has committed, *in transaction* writes a
row of the outbox, which commits or rolls back with everything else and is moved to Redis by
:mod:`queuecore.outbox`. Both check the job at once, and keep it as it was then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Unpack
from uuid import uuid4

from . import signals, transactions
from .entries import written
from .errors import InvalidOption, SynchronousCall
from .handle import Handle
from .options import JobOptions, JobSpec
from .telemetry import Adding, get_telemetry

if TYPE_CHECKING:
    from .wire.calls.adding import NewJob


class Commits(Handle):
    """Adding with a transaction of the database.

    No method has an async twin: a transaction belongs to one thread, and Django has none in
    coroutines. They are called in the function that is given to ``sync_to_async``.
    """

    if TYPE_CHECKING:

        def _prepare(
            self, name: str, data: Any, options: JobOptions, metadata: str | None = None
        ) -> NewJob: ...

        def _prepare_bulk(
            self, jobs: Iterable[JobSpec], metadata: str | None = None
        ) -> list[NewJob]: ...

        def _add(self, prepared: list[NewJob]) -> Any: ...

    def add_on_commit(
        self,
        name: str,
        data: Any = None,
        *,
        using: str | None = None,
        **options: Unpack[JobOptions],
    ) -> None:
        """Add a job once the current database transaction has committed; at once outside of one.

        The job is checked now. It has no id yet, so nothing is returned: give a ``job_id`` if you
        need one. If Redis is away after the commit, the error comes out of the ``atomic`` block,
        whose rows are committed all the same, and the job is lost; so it is if the process dies in
        between. :meth:`add_in_transaction` loses none.

        Args:
            using: the database alias whose transaction is meant (default: ``default``).

        Raises:
            SynchronousCall: an event loop runs in this thread, where no transaction can be.
            InvalidOption, NotSerializable: now, before the commit.
            ServerUnavailable: after the commit; callbacks that were registered later do not run.
        """
        self._in_thread("add_on_commit")
        with self._adding("add", [name]) as span:
            prepared = self._prepare(name, data, options, span.metadata if span else None)
        transactions.on_commit(lambda: self._add_now([prepared]), using=using)

    def add_bulk_on_commit(self, jobs: Iterable[JobSpec], *, using: str | None = None) -> None:
        """Add many jobs once the current database transaction has committed; see
        :meth:`add_on_commit` and :meth:`Queue.add_bulk`."""
        self._in_thread("add_bulk_on_commit")
        jobs = listed(jobs)
        with self._adding("addBulk", jobs) as span:
            prepared = self._prepare_bulk(jobs, span.metadata if span else None)
        if prepared:
            transactions.on_commit(lambda: self._add_now(prepared), using=using)

    def add_in_transaction(
        self,
        name: str,
        data: Any = None,
        *,
        using: str | None = None,
        **options: Unpack[JobOptions],
    ) -> str:
        """Add a job with the current database transaction, and return the id that it will have.

        A row of the outbox is written: if the transaction commits, the job is added, once, whatever
        dies or is away meanwhile; if it rolls back, it never is. Redis is not asked, so that the
        site takes work while it is away. The relay, which runs in ``runworker``, moves the row
        soon; ``delay`` and ``expires`` count from now. Outside of a transaction the row is one of
        its own.

        Args:
            using: the database alias whose transaction is meant (default: where the router sends
                writes of the outbox, which is ``default`` without one).

        Raises:
            SynchronousCall: an event loop runs in this thread, where no transaction can be.
            InvalidOption, NotSerializable: nothing was written.
            ConfigurationError: no relay looks into this database.
        """
        self._in_thread("add_in_transaction")
        with self._adding("add", [name]) as span:
            prepared = self._prepare(name, data, options, span.metadata if span else None)
            (id,) = self._write([prepared], using)
            if span:
                span.added([id])
        return id

    def add_bulk_in_transaction(
        self, jobs: Iterable[JobSpec], *, using: str | None = None
    ) -> list[str]:
        """Add many jobs with the current database transaction, and return the ids that they will
        have, in order; see :meth:`add_in_transaction`."""
        self._in_thread("add_bulk_in_transaction")
        jobs = listed(jobs)
        with self._adding("addBulk", jobs) as span:
            prepared = self._prepare_bulk(jobs, span.metadata if span else None)
            ids = self._write(prepared, using)
            if span:
                span.added(ids)
        return ids

    def _add_now(self, prepared: list[NewJob]) -> None:
        signals.tell_added(self._run(self._add(prepared)))

    def _write(self, prepared: list[NewJob], using: str | None) -> list[str]:
        now = self.connection.clock.now_ms()
        rows = []
        for job in prepared:
            if "maxSize" in (job.group or {}):
                raise InvalidOption(
                    "a group's max_size is for add(): here nobody would learn that the group was "
                    "full; leave it out"
                )
            # Known now, so that it can be stored beside what the job is about.
            job.id = job.id or str(uuid4())
            job.timestamp = job.timestamp or now
            rows.append({"connection": self.alias, "queue": self.name, **written(job)})
        transactions.write_rows(rows, using)
        return [job.id for job in prepared]

    def _adding(self, operation: str, jobs: Sequence[Any]) -> AbstractContextManager[Adding | None]:
        """The span of whoever asks for the jobs, which may have ended at the commit."""
        if (telemetry := get_telemetry()) is None:
            return nullcontext()
        names = [one if isinstance(one, str) else str(getattr(one, "name", "")) for one in jobs]
        where = f"{self.name}.{names[0]}" if operation == "add" else self.name
        return telemetry.adding(operation, self.name, where, names)

    def _in_thread(self, method: str) -> None:
        if asyncio._get_running_loop() is not None:
            raise SynchronousCall(
                f"{method}() belongs to the thread of the transaction: call it within the "
                "function that you give to sync_to_async(); outside of transactions await "
                f"{'aadd_bulk' if 'bulk' in method else 'aadd'}()"
            )


def listed(jobs: Any) -> list[Any]:
    """The jobs of a bulk as a list.

    Raises:
        InvalidOption: they are no iterable.
    """
    if not isinstance(jobs, Iterable):
        raise InvalidOption(
            f"the jobs to add are a list of JobSpec(name, data, **options), not {jobs!r}"
        )
    return list(jobs)
