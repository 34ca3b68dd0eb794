"""Schedulers: what makes jobs again and again; a part of :class:`queuecore.Queue`.

There is no process that beats time. A scheduler always has one run that waits, as a delayed job,
and whichever worker starts that run adds the next one, one of Node's as well as one of ours
(``worker/advance.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from . import conf
from .errors import InvalidOption, SchedulerBusy
from .handle import WIRE_VERSION, Handle, known_id
from .job import Job
from .options import (
    JobOptions,
    Seconds,
    checked_job_name,
    checked_place,
    wire_options,
)
from .repeat import OF_A_RUN, Repeat, as_dict, checked_repeat, number, run_opts
from .wire import codec
from .wire.calls import scheduling
from .wire.calls.base import NOW, Argument, Command, Operation
from .wire.calls.scheduling import ALL_TAKEN, NextRun, Record
from .wire.keys import SUFFIXES

if TYPE_CHECKING:
    from .queue import Queue

# Runs have their own: what the scheduler says of them, and their ids.
NOT_OF_A_RUN = ("job_id", "delay", "timestamp", "deduplication", "parent")
_TRIES = 32


@dataclass(frozen=True, slots=True)
class JobScheduler:
    """One scheduler as it stands in the server; None is what it does not have.

    ``key``: its id. ``name``: of its jobs. ``next``: when it runs next. ``pattern`` and ``tz``, or
    ``every`` and ``offset`` (seconds): when it runs. ``limit``: runs in all. ``iteration_count``:
    runs made so far, the next one among them. ``data``, ``opts``: what its jobs get; ``opts`` as
    BullMQ writes them. ``legacy``: a repeatable job of BullMQ 5, see
    :meth:`Schedulers.migrate_repeatable_jobs`.
    """

    key: str
    name: str
    next: datetime | None
    pattern: str | None = None
    tz: str | None = None
    every: float | None = None
    offset: float | None = None
    limit: int | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    iteration_count: int | None = None
    data: Any = None
    opts: Any = None
    legacy: bool = False


class Schedulers(Handle):
    """Each method exists twice, ``upsert_job_scheduler`` and ``aupsert_job_scheduler``."""

    def upsert_job_scheduler(
        self,
        scheduler_id: str,
        *,
        pattern: str | None = None,
        every: Seconds | None = None,
        tz: str | None = None,
        limit: int | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        offset: Seconds | None = None,
        immediately: bool = False,
        name: str | None = None,
        data: Any = None,
        opts: JobOptions | None = None,
    ) -> Job:
        """Add a scheduler, or change it; its next run (BullMQ ``upsertJobScheduler``).

        A scheduler that is there keeps counting; its run that waits is replaced.

        Args:
            scheduler_id: an id of your own, without ``:``.
            pattern: a cron pattern of 5 fields, or 6 with the seconds first.
            every: seconds (or a timedelta) between two runs; the first is at once.
            tz: the time zone of the pattern; ``TIME_ZONE`` of the settings unless given.
            limit: how many runs, counted from this call.
            start_date, end_date: aware datetimes; no run before, none after (with *every*, the run
                that is due next when the end comes is the last).
            offset: with *every*, how long after each multiple of it (since 1970) it runs.
            immediately: with a pattern, run now, too.
            name: of its jobs; the id unless given.
            data: the payload of each run.
            opts: job options of each run, but for ``job_id``, ``delay``, ``timestamp`` and
                ``deduplication``.

        Raises:
            InvalidOption, NotSerializable: nothing was sent.
            SchedulerBusy: the next moments have runs already.
        """
        repeat = checked_repeat(
            pattern, every, tz, limit, start_date, end_date, offset, immediately
        )
        id = _checked_scheduler_id(scheduler_id)
        run = _checked_template(id if name is None else name, data, opts)
        return self._run(self._upsert(id, repeat, run, immediately))

    async def aupsert_job_scheduler(
        self,
        scheduler_id: str,
        *,
        pattern: str | None = None,
        every: Seconds | None = None,
        tz: str | None = None,
        limit: int | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        offset: Seconds | None = None,
        immediately: bool = False,
        name: str | None = None,
        data: Any = None,
        opts: JobOptions | None = None,
    ) -> Job:
        """See :meth:`upsert_job_scheduler`."""
        repeat = checked_repeat(
            pattern, every, tz, limit, start_date, end_date, offset, immediately
        )
        id = _checked_scheduler_id(scheduler_id)
        run = _checked_template(id if name is None else name, data, opts)
        return await self._arun(self._upsert(id, repeat, run, immediately))

    def get_job_scheduler(self, scheduler_id: str) -> JobScheduler | None:
        """The scheduler of this id, None if there is none (BullMQ ``getJobScheduler``)."""
        return self._run(self._get_job_scheduler(scheduler_id))

    async def aget_job_scheduler(self, scheduler_id: str) -> JobScheduler | None:
        """See :meth:`get_job_scheduler`."""
        return await self._arun(self._get_job_scheduler(scheduler_id))

    def get_job_schedulers(
        self, start: int = 0, end: int = -1, asc: bool = False
    ) -> list[JobScheduler]:
        """Schedulers by the time of their next runs (BullMQ ``getJobSchedulers``).

        Repeatable jobs of BullMQ 5 are among them, marked ``legacy``.

        Args:
            start, end: the range, both included, counted from 0; -1 is the last.
            asc: the one that runs next at the front; else the last.
        """
        return self._run(self._get_job_schedulers(start, end, asc))

    async def aget_job_schedulers(
        self, start: int = 0, end: int = -1, asc: bool = False
    ) -> list[JobScheduler]:
        """See :meth:`get_job_schedulers`."""
        return await self._arun(self._get_job_schedulers(start, end, asc))

    def get_job_schedulers_count(self) -> int:
        """How many schedulers there are (BullMQ ``getJobSchedulersCount``)."""
        return self._run(Command(("ZCARD", self.keys.repeat), int))

    async def aget_job_schedulers_count(self) -> int:
        """See :meth:`get_job_schedulers_count`."""
        return await self._arun(Command(("ZCARD", self.keys.repeat), int))

    def remove_job_scheduler(self, scheduler_id: str) -> bool:
        """Remove a scheduler; whether there was one (BullMQ ``removeJobScheduler``).

        Its delayed run goes with it; one that is ready or runs is not touched.
        """
        return self._run(scheduling.remove_job_scheduler(self.keys, _known(scheduler_id)))

    async def aremove_job_scheduler(self, scheduler_id: str) -> bool:
        """See :meth:`remove_job_scheduler`."""
        return await self._arun(scheduling.remove_job_scheduler(self.keys, _known(scheduler_id)))

    def migrate_repeatable_jobs(self) -> list[str]:
        """Make schedulers of the repeatable jobs of BullMQ 5; their ids.

        Name, data and options are those of the run that waits. Those whose end is reached stay as
        they are. BullMQ 6 has no repeatable jobs any more and loses their data.
        """
        return self._run(self._migrate_repeatable_jobs())

    async def amigrate_repeatable_jobs(self) -> list[str]:
        """See :meth:`migrate_repeatable_jobs`."""
        return await self._arun(self._migrate_repeatable_jobs())

    # The operations

    def _upsert(
        self, id: str, repeat: Repeat, run: NextRun, immediately: bool = False, count: int = 1
    ) -> Operation[Job]:
        now = yield NOW
        if repeat.end is not None and repeat.end < now:
            raise InvalidOption("end_date must lie in the future")
        yield self._introduction()
        template = run.opts
        record = _record(run.name, repeat, template, run.data)
        due = None
        if repeat.pattern is not None:
            due = now if immediately else repeat.first(now, run.name)
        for _ in range(_TRIES):
            run.opts = run_opts(template, id, repeat.wire(), now, count, due)
            answer = yield scheduling.upsert_job_scheduler(
                self.keys,
                id,
                WIRE_VERSION,
                now,
                run,
                record,
                due=due,
                every=repeat.every,
                offset=repeat.offset,
                start=repeat.start,
            )
            if isinstance(answer, tuple):
                return self._job_of(run, id, answer, now)
            if answer == ALL_TAKEN or due is None:
                break
            # A run of that moment has been: somebody had promoted it.
            due = repeat.first(due, run.name)
        raise SchedulerBusy(
            f"scheduler {id} of queue {self.name}: there are jobs already of all its next "
            f"{_TRIES} runs; remove those that are finished"
        )

    def _job_of(self, run: NextRun, scheduler: str, made: tuple[str, int], now: int) -> Job:
        job_id, delay = made
        fields = {
            b"name": run.name.encode(),
            b"data": run.data,
            b"opts": codec.dumps({**run.opts, "delay": delay, "jobId": job_id}),
            b"timestamp": b"%d" % now,
            b"delay": b"%d" % delay,
            b"priority": b"%d" % run.priority,
            b"rjk": scheduler.encode(),
        }
        return Job(cast("Queue", self), job_id, fields)

    def _get_job_scheduler(self, scheduler_id: str) -> Operation[JobScheduler | None]:
        record = yield from scheduling.get_job_scheduler(self.keys, _known(scheduler_id))
        return None if record is None else _scheduler(record)

    def _get_job_schedulers(self, start: int, end: int, asc: bool) -> Operation[list[JobScheduler]]:
        first, last = checked_place(start, "start"), checked_place(end, "end")
        records = yield from scheduling.get_job_schedulers(self.keys, first, last, bool(asc))
        return [found for found in map(_scheduler, records) if found is not None]

    def _migrate_repeatable_jobs(self) -> Operation[list[str]]:
        records = yield from scheduling.get_job_schedulers(self.keys, 0, -1, True)
        migrated: list[str] = []
        for record in records:
            found = _scheduler(record)
            if found is not None and found.legacy:
                made = yield from self._migrate(found, record)
                migrated += [made] if made else []
        return migrated

    def _migrate(self, found: JobScheduler, record: Record) -> Operation[str | None]:
        key, due, fields = record
        data, encoded = yield from scheduling.get_pending_run(self.keys, key, due)
        opts = as_dict(_loads(encoded))
        said = as_dict(opts.get("repeat"))
        repeat = Repeat.read(said | _legacy_fields(key) | fields)
        now = yield NOW
        if repeat.end is not None and repeat.end < now:
            return None
        # Its runs are told apart by their ids: this one can hold no key of several words.
        id = scheduling.plain_id(key)
        template = {name: value for name, value in opts.items() if name not in OF_A_RUN}
        if not template.get("attempts"):
            template.pop("attempts", None)  # what a run has that was given none
        run = NextRun(found.name, data, template, number(opts.get("priority")) or 0)
        run.lifo = opts.get("lifo") is True
        try:
            yield from self._upsert(id, repeat, run, count=number(said.get("count")) or 1)
        except InvalidOption:
            return None
        if id != key:
            yield scheduling.remove_job_scheduler(self.keys, key)
        return id


def _record(
    name: str, repeat: Repeat, template: dict[str, Any], data: bytes
) -> dict[str, Argument]:
    """The fields of the scheduler's hash, but for those that the script knows."""
    fields: dict[str, Argument] = {"name": name, **repeat.wire()}
    fields.pop("offset", None)
    if template:
        fields["opts"] = codec.dumps(template)
    if data != b"{}":
        fields["data"] = data
    return fields


def _checked_scheduler_id(value: Any) -> str:
    known = _known(value) if isinstance(value, str) else ""
    if not known:
        raise InvalidOption(f"a scheduler's id must be a text that is not empty, not {value!r}")
    if ":" in known:
        raise InvalidOption(
            f"the scheduler's id {known!r} holds ':', which separates keys; use '-' instead"
        )
    return known


def _checked_template(name: str, data: Any, opts: JobOptions | None) -> NextRun:
    given = cast("dict[str, Any]", {} if opts is None else opts)
    if not isinstance(given, Mapping):
        raise InvalidOption(f"opts must be a dict of job options, not {opts!r}")
    for wrong in NOT_OF_A_RUN:
        if wrong in given:
            raise InvalidOption(f"{wrong} is no option of a scheduler's jobs, which have their own")
    defaults = conf.get_settings().default_job_options
    merged = {
        **{key: value for key, value in defaults.items() if key not in NOT_OF_A_RUN},
        **given,
    }
    checked = wire_options(merged, SUFFIXES)
    encoded = codec.dumps({} if data is None else data)
    if checked.size_limit is not None and len(encoded) > checked.size_limit:
        raise InvalidOption(
            f"data has {len(encoded)} bytes as JSON, more than its size_limit of "
            f"{checked.size_limit}; store it elsewhere and pass its key"
        )
    template = codec.loads(checked.encoded)
    if "attempts" not in merged:
        del template["attempts"]
    return NextRun(checked_job_name(name), encoded, template, checked.priority, checked.lifo)


def _known(scheduler_id: Any) -> str:
    return known_id(scheduler_id)


def _scheduler(record: Record) -> JobScheduler | None:
    """A record as a value; None where there is nothing but an id."""
    key, due, fields = record
    legacy = "ic" not in fields
    said = _legacy_fields(key) | fields if legacy else fields
    if not said:
        return None
    repeat = Repeat.read(said)
    return JobScheduler(
        key=key,
        name=said.get("name", ""),
        next=_time(due),
        pattern=repeat.pattern,
        tz=repeat.tz,
        every=None if repeat.every is None else repeat.every / 1000,
        offset=None if repeat.offset is None else repeat.offset / 1000,
        limit=repeat.limit,
        start_date=_time(repeat.start),
        end_date=_time(repeat.end),
        iteration_count=number(fields.get("ic")),
        data=_loads(fields.get("data")),
        opts=_loads(fields.get("opts")),
        legacy=legacy,
    )


def _legacy_fields(key: str) -> dict[str, str]:
    """What stands in the key of a repeatable job of BullMQ before 5.10."""
    parts = key.split(":", 4)
    if len(parts) < 5:
        return {}
    name, _, end, tz, last = parts
    kind = "every" if last.isdigit() else "pattern"
    said = {"name": name, "endDate": end, "tz": tz, kind: last}
    return {field: value for field, value in said.items() if value}


def _time(ms: int | None) -> datetime | None:
    try:
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _loads(value: Any) -> Any:
    try:
        return None if value is None else codec.loads(value)
    except ValueError:
        return None
