"""Schedulers: what makes jobs again and again; a part of :class:`queuecore.Queue`.

There is no process that beats time. A scheduler always has one run that waits, as a delayed job,
and whichever worker starts that run adds the next one, one of Node's as well as one of ours
(``worker/advance.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from . import conf
from .authors import Author, read_author
from .errors import InvalidOption, SchedulerBusy, SchedulerNotFound
from .fires import upcoming
from .handle import WIRE_VERSION, Handle, known_id
from .job import Job
from .options import (
    JobOptions,
    Seconds,
    checked_job_name,
    checked_place,
    wire_options,
)
from .payloads import Payload
from .processors import payload_of
from .repeat import OF_A_RUN, Repeat, as_dict, checked_repeat, number, run_opts
from .wire import codec
from .wire.calls import adding, scheduling
from .wire.calls.adding import NewJob
from .wire.calls.base import NOW, Argument, Command, Operation
from .wire.calls.scheduling import ALL_TAKEN, LEGACY, NextRun, Record
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
    :meth:`Schedulers.migrate_repeatable_jobs`. ``paused_at``: since when it is paused; ``next`` is
    then the run that was taken away.
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
    paused_at: datetime | None = None

    @property
    def repeat(self) -> Repeat:
        """When it runs, as the wire says it."""
        return Repeat(
            pattern=self.pattern,
            every=None if self.every is None else round(self.every * 1000),
            tz=self.tz,
            limit=self.limit,
            start=_ms(self.start_date),
            end=_ms(self.end_date),
            offset=None if self.offset is None else round(self.offset * 1000),
        )


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
        by: str = "",
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
            by: who makes it by hand; unless given, it counts as defined in code (ours alone).

        Raises:
            InvalidOption, NotSerializable, InvalidPayload: nothing was sent.
            SchedulerBusy: the next moments have runs already.
        """
        repeat = checked_repeat(
            pattern, every, tz, limit, start_date, end_date, offset, immediately
        )
        id = _checked_scheduler_id(scheduler_id)
        run = self._template(id if name is None else name, data, opts)
        return self._run(self._put(id, repeat, run, immediately, by))

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
        by: str = "",
    ) -> Job:
        """See :meth:`upsert_job_scheduler`."""
        repeat = checked_repeat(
            pattern, every, tz, limit, start_date, end_date, offset, immediately
        )
        id = _checked_scheduler_id(scheduler_id)
        run = self._template(id if name is None else name, data, opts)
        return await self._arun(self._put(id, repeat, run, immediately, by))

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

    def pause_job_scheduler(self, scheduler_id: str) -> bool:
        """Let a scheduler make no runs until it is resumed; whether there is one (ours alone).

        Its delayed run goes; one that is ready or runs is not touched. BullMQ knows no pause: its
        getters do not see the scheduler meanwhile, and an upsert by anybody ends the pause.

        Raises:
            InvalidOption: it is a repeatable job of BullMQ 5.
        """
        return self._run(self._pause_job_scheduler(scheduler_id))

    async def apause_job_scheduler(self, scheduler_id: str) -> bool:
        """See :meth:`pause_job_scheduler`."""
        return await self._arun(self._pause_job_scheduler(scheduler_id))

    def resume_job_scheduler(self, scheduler_id: str) -> Job:
        """Let a paused scheduler go on; its next run, the first after now (ours alone).

        What was due during the pause is not made up for.

        Raises:
            SchedulerNotFound: none of this id is paused.
            InvalidOption: its end or its limit is reached.
        """
        return self._run(self._resume_job_scheduler(scheduler_id))

    async def aresume_job_scheduler(self, scheduler_id: str) -> Job:
        """See :meth:`resume_job_scheduler`."""
        return await self._arun(self._resume_job_scheduler(scheduler_id))

    def get_paused_job_schedulers(self, start: int = 0, end: int = -1) -> list[JobScheduler]:
        """The schedulers that are paused, the one paused first at the front (ours alone).

        Args:
            start, end: the range, both included, counted from 0; -1 is the last.
        """
        return self._run(self._get_paused_job_schedulers(start, end))

    async def aget_paused_job_schedulers(self, start: int = 0, end: int = -1) -> list[JobScheduler]:
        """See :meth:`get_paused_job_schedulers`."""
        return await self._arun(self._get_paused_job_schedulers(start, end))

    def run_job_scheduler(self, scheduler_id: str) -> Job:
        """Add one job as the scheduler would, now; the schedule is not touched (ours alone).

        The job has an id of its own and counts towards no limit. Works for a paused one, too.

        Raises:
            SchedulerNotFound: there is none of this id.
        """
        return self._run(self._run_job_scheduler(scheduler_id))

    async def arun_job_scheduler(self, scheduler_id: str) -> Job:
        """See :meth:`run_job_scheduler`."""
        return await self._arun(self._run_job_scheduler(scheduler_id))

    def change_job_scheduler(
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
        by: str = "",
    ) -> Job:
        """Change when a scheduler runs; its jobs stay as they are; its next run (ours alone).

        As an upsert that names the same jobs: see :meth:`upsert_job_scheduler` for the arguments. A
        paused scheduler goes on with it. *by* changes it; who made it stays the same.

        Raises:
            SchedulerNotFound: there is none of this id.
            InvalidOption: the schedule makes no sense, or it is a repeatable job of BullMQ 5.
            SchedulerBusy: the next moments have runs already.
        """
        repeat = checked_repeat(pattern, every, tz, limit, start_date, end_date, offset, False)
        return self._run(self._change_job_scheduler(scheduler_id, repeat, by))

    async def achange_job_scheduler(
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
        by: str = "",
    ) -> Job:
        """See :meth:`change_job_scheduler`."""
        repeat = checked_repeat(pattern, every, tz, limit, start_date, end_date, offset, False)
        return await self._arun(self._change_job_scheduler(scheduler_id, repeat, by))

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

    def _template(self, name: str, data: Any, opts: JobOptions | None) -> NextRun:
        declared = payload_of(self.alias, self.name, name)
        return _checked_template(name, data, opts, declared, self.name)

    def _put(
        self, id: str, repeat: Repeat, run: NextRun, immediately: bool, by: str
    ) -> Operation[Job]:
        """Upsert a scheduler, and note who did."""
        made = yield from self._upsert(id, repeat, run, immediately)
        now = yield NOW
        kept = Author(by, "").record(repeat, now) if by else None
        yield scheduling.set_author(self.keys, id, kept)
        return made

    def _upsert(
        self,
        id: str,
        repeat: Repeat,
        run: NextRun,
        immediately: bool = False,
        count: int = 1,
        due: int | None = None,
    ) -> Operation[Job]:
        """Put a scheduler down; *due*: when one that runs every so often runs next."""
        now = yield NOW
        if repeat.end is not None and repeat.end < now:
            raise InvalidOption("end_date must lie in the future")
        yield self._introduction()
        template = run.opts
        if "group" in template:
            yield adding.allow_groups(self.keys)
        record = _record(run.name, repeat, template, run.data)
        begin = due if due is not None else repeat.start
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
                start=begin,
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
        return None if record is None else read_record(record)

    def _get_job_schedulers(self, start: int, end: int, asc: bool) -> Operation[list[JobScheduler]]:
        first, last = checked_place(start, "start"), checked_place(end, "end")
        records = yield from scheduling.get_job_schedulers(self.keys, first, last, bool(asc))
        return [found for found in map(read_record, records) if found is not None]

    def _pause_job_scheduler(self, scheduler_id: str) -> Operation[bool]:
        now = yield NOW
        answer = yield scheduling.pause_job_scheduler(self.keys, _known(scheduler_id), now)
        if answer == LEGACY:
            raise InvalidOption(
                f"{scheduler_id!r} is a repeatable job of BullMQ 5, which cannot be paused: make a "
                "scheduler of it by migrate_repeatable_jobs() first"
            )
        return bool(answer == 1)

    def _resume_job_scheduler(self, scheduler_id: str) -> Operation[Job]:
        found = yield from scheduling.get_paused_job_scheduler(self.keys, _known(scheduler_id))
        if found is None:
            raise SchedulerNotFound(f"no scheduler {scheduler_id!r} of {self.name!r} is paused")
        _, record = found
        repeat = Repeat.read(record[2])
        count = number(record[2].get("count")) or 1
        if repeat.limit is not None and count > repeat.limit:
            raise InvalidOption(f"scheduler {scheduler_id!r} has made all of its runs")
        due = None
        if repeat.every:
            now = yield NOW
            # On the beat that it had; without a run before, the script would begin a new one.
            due = next(upcoming(replace(repeat, end=None), "", now, record[1]), None)
            if repeat.start is not None and due is not None:
                due = max(due, repeat.start)
        return (yield from self._upsert(record[0], repeat, _run_of(record), count=count, due=due))

    def _get_paused_job_schedulers(self, start: int, end: int) -> Operation[list[JobScheduler]]:
        first, last = checked_place(start, "start"), checked_place(end, "end")
        found = yield from scheduling.get_paused_job_schedulers(self.keys, first, last)
        return [read_scheduler(record, since) for since, record in found]

    def _any_record(self, scheduler_id: str) -> Operation[Record]:
        """The record of a scheduler, paused or not."""
        id = _known(scheduler_id)
        record = yield from scheduling.get_job_scheduler(self.keys, id)
        if record is None:
            paused = yield from scheduling.get_paused_job_scheduler(self.keys, id)
            if paused is None:
                raise SchedulerNotFound(f"there is no scheduler {id!r} of queue {self.name!r}")
            record = paused[1]
        return record

    def _run_job_scheduler(self, scheduler_id: str) -> Operation[Job]:
        record = yield from self._any_record(scheduler_id)
        run = _run_of(record)
        if "ic" not in record[2]:  # a repeatable job of BullMQ 5
            data, encoded = yield from scheduling.get_pending_run(self.keys, record[0], record[1])
            said = as_dict(_loads(encoded))
            run.data = data
            run.opts = {name: value for name, value in said.items() if name not in OF_A_RUN}
            run.name = run.name or as_dict(_legacy_fields(record[0])).get("name", "")
        opts = {**run.opts, "attempts": run.opts.get("attempts", 0)}
        for wrong in ("deduplication", "parent", "jobId", "delay"):
            opts.pop(wrong, None)
        # No id is given: the queue's own numbers are nobody else's.
        job = NewJob("", run.name, run.data, codec.dumps(opts), 0, 0, run.priority, run.lifo)
        (made,) = yield from cast("Queue", self)._add([job])
        yield scheduling.remember_hand_run(self.keys, record[0], made.id)
        return made

    def _change_job_scheduler(self, scheduler_id: str, repeat: Repeat, by: str) -> Operation[Job]:
        record = yield from self._any_record(scheduler_id)
        if "ic" not in record[2]:
            raise InvalidOption(
                f"{scheduler_id!r} is a repeatable job of BullMQ 5: make it a scheduler by "
                "migrate_repeatable_jobs() first"
            )
        written = yield scheduling.get_author(self.keys, record[0])
        before = read_author(written, Repeat.read(record[2]))
        made = yield from self._upsert(record[0], repeat, _run_of(record))
        now = yield NOW
        author = Author(before.made if before else "", by)
        kept = author.record(repeat, now) if author.made or by else None
        yield scheduling.set_author(self.keys, record[0], kept)
        return made

    def _migrate_repeatable_jobs(self) -> Operation[list[str]]:
        records = yield from scheduling.get_job_schedulers(self.keys, 0, -1, True)
        migrated: list[str] = []
        for record in records:
            found = read_record(record)
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


def _checked_template(
    name: str, data: Any, opts: JobOptions | None, payload: Payload | None, queue: str
) -> NextRun:
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
    if payload is not None:
        payload.read(encoded, name, queue)
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


def _run_of(record: Record) -> NextRun:
    """What the runs of a scheduler get, as its record says."""
    said = record[2]
    opts = as_dict(_loads(said.get("opts")))
    return NextRun(
        said.get("name", ""),
        said.get("data", "{}").encode("utf-8", "backslashreplace"),
        opts,
        number(opts.get("priority")) or 0,
        opts.get("lifo") is True,
    )


def read_scheduler(record: Record, paused_since: int) -> JobScheduler:
    """The record of a scheduler that is paused."""
    found = read_record(record) or JobScheduler(record[0], "", None)
    return replace(found, paused_at=_time(paused_since))


def read_record(record: Record) -> JobScheduler | None:
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


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


def _loads(value: Any) -> Any:
    try:
        return None if value is None else codec.loads(value)
    except ValueError:
        return None
