"""Job options and the small values they are made of; no I/O.

The names are BullMQ's in snake_case. Durations are seconds (`int`, `float`) or `timedelta` here
and milliseconds on the wire, but for ``age``, which BullMQ keeps in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from json import dumps
from typing import Any, Protocol, TypedDict, Unpack

from .errors import InvalidOption, did_you_mean

Seconds = int | float | timedelta

# BullMQ keeps a priority in the upper bits of a score.
MAX_PRIORITY = 2_097_151
# `default_job_options` and per-job options in one: what a job has when nobody says otherwise.
DEFAULT_STACK_TRACE_LIMIT = 10


def milliseconds(value: Seconds, what: str) -> int:
    """Convert a duration to whole milliseconds.

    Raises:
        InvalidOption: it is negative, not finite or no duration.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOption(f"{what} must be seconds or a timedelta, not {value!r}")
    if not 0 <= value < 2**43:  # also refuses NaN
        raise InvalidOption(f"{what} must be at least 0 seconds and finite, not {value!r}")
    return round(value * 1000)


@dataclass(frozen=True, slots=True)
class Keep:
    """How many finished jobs of a queue to keep, and how long.

    ``count``: the newest so many. ``age``: seconds (or a timedelta) since they finished.
    ``limit``: how many too old ones one finish removes at most (BullMQ's default is 1000).
    Eviction happens when another job finishes, as in BullMQ.
    """

    count: int | None = None
    age: Seconds | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("count", "limit"):
            value = getattr(self, name)
            if value is not None:
                checked_whole(value, f"Keep({name}=...)")
        if self.age is not None:
            milliseconds(self.age, "Keep(age=...)")

    def wire(self) -> dict[str, int]:
        """BullMQ's ``{count, age, limit}``; the age in whole seconds."""
        out = {}
        if self.age is not None:
            out["age"] = -(-milliseconds(self.age, "age") // 1000)
        if self.count is not None:
            out["count"] = self.count
        if self.limit is not None:
            out["limit"] = self.limit
        return out


@dataclass(frozen=True, slots=True)
class Backoff:
    """The wait between two tries; make one by :meth:`fixed`, :meth:`exponential`, :meth:`custom`.

    ``jitter`` (0 to 1) is the random share of the wait: 0.5 waits between half and all of it.
    """

    type: str
    delay: Seconds = 0
    jitter: float = 0

    def __post_init__(self) -> None:
        if not self.type or not isinstance(self.type, str):
            raise InvalidOption("a Backoff needs a type: 'fixed', 'exponential' or a name of yours")
        _no_surrogates(self.type, "the type of a Backoff")
        milliseconds(self.delay, "the delay of a Backoff")
        if not isinstance(self.jitter, int | float) or not 0 <= self.jitter <= 1:
            raise InvalidOption(
                f"the jitter of a Backoff lies between 0 and 1, not {self.jitter!r}"
            )

    @classmethod
    def fixed(cls, delay: Seconds, jitter: float = 0) -> Backoff:
        """Wait *delay* before each further try."""
        return cls("fixed", delay, jitter)

    @classmethod
    def exponential(cls, delay: Seconds, jitter: float = 0) -> Backoff:
        """Wait *delay*, then twice, four times, ... as long."""
        return cls("exponential", delay, jitter)

    @classmethod
    def custom(cls, name: str, delay: Seconds = 0) -> Backoff:
        """Let ``WORKER["BACKOFF_STRATEGY"]`` decide; it is given *name*."""
        return cls(name, delay)

    def wire(self) -> dict[str, Any]:
        """BullMQ's ``{type, delay, jitter}``; the delay in milliseconds."""
        out: dict[str, Any] = {"type": self.type, "delay": milliseconds(self.delay, "delay")}
        if self.jitter:
            out["jitter"] = self.jitter
        return out


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``max`` jobs started in ``duration`` (seconds or timedelta), over all workers."""

    max: int
    duration: Seconds

    def __post_init__(self) -> None:
        if isinstance(self.max, bool) or not isinstance(self.max, int) or self.max < 1:
            raise InvalidOption(
                f"RateLimit(max=...) must be a whole number of at least 1, not {self.max!r}"
            )
        if milliseconds(self.duration, "RateLimit(duration=...)") == 0:
            raise InvalidOption("RateLimit(duration=...) must be at least a millisecond")


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Lets one job of a queue stand for all that are added under the same ``id`` meanwhile.

    An add that finds the id taken adds nothing and returns the job that has it. With ``id`` alone
    the job has it until it is finished or removed. ``ttl``: for so many seconds (or a timedelta)
    instead, finished or not. ``extend``: each add that is turned away starts the ``ttl`` anew.
    ``replace``: a new job takes the place of one that is still delayed. ``reschedule``: an add that
    is turned away gives its own delay to the one that is still delayed (of BullMQ's peers, only 6.7
    and later do so). ``keep_last_if_active``: the last add that came while the job ran runs after
    it; ``ttl`` has no say then.

    Follows BullMQ's ``deduplication``.
    """

    id: str
    ttl: Seconds | None = None
    extend: bool = False
    replace: bool = False
    keep_last_if_active: bool = False
    reschedule: bool = False

    def __post_init__(self) -> None:
        checked_deduplication_id(self.id)
        if self.ttl is not None and milliseconds(self.ttl, "Deduplication(ttl=...)") == 0:
            raise InvalidOption(
                "Deduplication(ttl=...) must be at least a millisecond; leave it out to hold the "
                "id until the job is finished"
            )
        for name in ("extend", "replace", "keep_last_if_active", "reschedule"):
            if not isinstance(value := getattr(self, name), bool):
                raise InvalidOption(f"Deduplication({name}=...) is True or False, not {value!r}")
        if self.extend and self.ttl is None:
            raise InvalidOption("Deduplication(extend=True) needs a ttl, which it starts anew")
        if self.reschedule and self.replace:
            raise InvalidOption(
                "Deduplication(replace=True) replaces the delayed job, with its delay: "
                "reschedule=True is for keeping it; give one of them"
            )

    def wire(self) -> dict[str, Any]:
        """BullMQ's ``{id, ttl, extend, replace, keepLastIfActive, reschedule}``; ms."""
        out: dict[str, Any] = {"id": self.id}
        if self.ttl is not None:
            out["ttl"] = milliseconds(self.ttl, "ttl")
        if self.extend:
            out["extend"] = True
        if self.replace:
            out["replace"] = True
        if self.keep_last_if_active:
            out["keepLastIfActive"] = True
        if self.reschedule:
            out["reschedule"] = True
        return out


@dataclass(frozen=True, slots=True)
class Batch:
    """Several jobs for one call of a processor, which gets a list of them.

    Args:
        size: the most jobs of a batch.
        min_size: wait for at least so many, but no longer than *timeout*.
        timeout: seconds (or a timedelta) from the first job on; needed with *min_size*.

    Raises:
        InvalidOption: a number is out of its range, or *min_size* has no *timeout*.
    """

    size: int
    min_size: int = 1
    timeout: Seconds | None = None

    def __post_init__(self) -> None:
        for name in ("size", "min_size"):
            if checked_whole(getattr(self, name), f"Batch({name}=...)") < 1:
                raise InvalidOption(f"Batch({name}=...) must be at least 1")
        if self.min_size > self.size:
            raise InvalidOption("Batch(min_size=...) must be at most its size")
        if self.timeout is not None and not milliseconds(self.timeout, "Batch(timeout=...)"):
            raise InvalidOption("Batch(timeout=...) must be at least a millisecond")
        if self.min_size > 1 and self.timeout is None:
            raise InvalidOption(
                f"Batch(min_size={self.min_size}) needs a timeout: jobs would wait for others that "
                "may never come"
            )

    @property
    def seconds(self) -> float:
        """The longest that a job waits for others."""
        return 0 if self.timeout is None else milliseconds(self.timeout, "timeout") / 1000


class TelemetryOptions(TypedDict, total=False):
    """What a job carries of a trace, where the setting ``TELEMETRY`` has a say.

    ``metadata``: this text instead of that of the present span. ``omit_context``: nothing, so that
    the job's run begins a trace of its own.
    """

    metadata: str
    omit_context: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Lets a job wait in a group of its queue, which workers serve in turn with the other groups.

    Args:
        id: the group, a tenant's name say; text that is not empty.
        priority: the job's place inside its group: 0 (runs first) to 2,097,151.
        max_size: refuse the job if so many wait in the group already; not for ``add_bulk``.

    Raises:
        InvalidOption: one of them is out of its range.

    Only workers of ours take grouped jobs. Follows BullMQ Pro's ``group``.
    """

    id: str
    priority: int = 0
    max_size: int | None = None

    def __post_init__(self) -> None:
        checked_group_id(self.id)
        checked_priority(self.priority)
        if self.max_size is not None and not checked_whole(self.max_size, "Group(max_size=...)"):
            raise InvalidOption("Group(max_size=...) must be at least 1")

    def wire(self) -> dict[str, Any]:
        """BullMQ Pro's ``{id, priority, maxSize}``."""
        out: dict[str, Any] = {"id": self.id}
        if self.priority:
            out["priority"] = self.priority
        if self.max_size is not None:
            out["maxSize"] = self.max_size
        return out


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What each group of a queue may do at most, over all workers that have it.

    Args:
        concurrency: jobs of one group that run at once.
        limit: starts of one group in a time.

    Raises:
        InvalidOption: both are missing, or one is no limit.

    ``Queue.set_group_concurrency`` and ``set_group_rate_limit`` say otherwise for a single group.
    Follows BullMQ Pro's ``group`` of a worker.
    """

    concurrency: int | None = None
    limit: RateLimit | None = None

    def __post_init__(self) -> None:
        if self.concurrency is None and self.limit is None:
            raise InvalidOption("GroupLimits needs a concurrency, a limit, or both")
        if self.concurrency is not None and not checked_whole(
            self.concurrency, "GroupLimits(concurrency=...)"
        ):
            raise InvalidOption("GroupLimits(concurrency=...) must be at least 1")
        if self.limit is not None and not isinstance(self.limit, RateLimit):
            raise InvalidOption(
                f"GroupLimits(limit=...) must be a RateLimit(max, duration), not {self.limit!r}"
            )

    def wire(self) -> str:
        """``concurrency,max,duration`` as the claim takes it; the duration in ms."""
        limit = self.limit
        rate = "," if limit is None else f"{limit.max},{milliseconds(limit.duration, 'duration')}"
        return f"{'' if self.concurrency is None else self.concurrency},{rate}"


class JobOptions(TypedDict, total=False):
    """The keyword arguments of ``Queue.add`` and :class:`JobSpec`.

    ``delay``: before the job can run. ``priority``: 0 (none, runs first) to 2,097,151; lower runs
    earlier. ``attempts``: tries in all. ``backoff``: between tries; a number is a fixed wait.
    ``job_id``: an id of your own, which makes the add idempotent. ``lifo``: run before what waits.
    ``remove_on_complete``, ``remove_on_fail``: True removes, a number or :class:`Keep` keeps the
    newest. ``keep_logs``: log rows kept. ``stack_trace_limit``: tracebacks kept.
    ``size_limit``: the most bytes the data may have as JSON. ``timestamp``: the time of creation.
    ``timeout``: how long a try may run, instead of what its processor says; Node's workers do not
    know it. ``expires``: after so long, counted from when it may run, it fails instead of being
    started; what was started goes on. ``deduplication``: one job for many adds. ``group``: wait
    in a group, served in turn with the queue's other groups, by our workers only. ``telemetry``:
    what the job carries of a trace, see :class:`TelemetryOptions`.
    ``parent``: the job that waits for this one, or its
    ``{"id": ..., "queue": "<prefix>:<queue>"}``. ``fail_parent_on_failure``,
    ``continue_parent_on_failure``, ``ignore_dependency_on_failure``,
    ``remove_dependency_on_failure``: what the parent does if this one fails for good; without one
    of them it waits until the child is retried or removed.
    """

    delay: Seconds
    priority: int
    attempts: int
    backoff: Backoff | Seconds
    job_id: str | None
    lifo: bool
    remove_on_complete: bool | int | Keep
    remove_on_fail: bool | int | Keep
    keep_logs: int
    stack_trace_limit: int
    size_limit: int
    timestamp: datetime
    timeout: Seconds
    expires: Seconds
    telemetry: TelemetryOptions
    deduplication: Deduplication | None
    group: Group | None
    parent: ParentJob | Mapping[str, str] | None
    fail_parent_on_failure: bool
    continue_parent_on_failure: bool
    ignore_dependency_on_failure: bool
    remove_dependency_on_failure: bool


class ParentJob(Protocol):
    """What is needed of a :class:`queuecore.Job` to be a parent."""

    id: str
    queue: Any


@dataclass(frozen=True, slots=True)
class WireOptions:
    """Checked job options: ``encoded`` is BullMQ's object as JSON, the rest what scripts need.

    ``parent``: the key of the parent's hash, and BullMQ's ``parent`` field as JSON.
    """

    encoded: bytes
    job_id: str
    delay_ms: int
    priority: int
    lifo: bool
    timestamp_ms: int | None
    size_limit: int | None
    deduplication: dict[str, Any] | None = None
    parent: tuple[str, str] | None = None
    group: dict[str, Any] | None = None


class JobSpec:
    """One job for ``Queue.add_bulk``: ``JobSpec("welcome", {"user_id": 7}, priority=2)``."""

    __slots__ = ("data", "name", "options")

    def __init__(self, name: str, data: Any = None, **options: Unpack[JobOptions]) -> None:
        self.name = name
        self.data = data
        self.options = options

    def __repr__(self) -> str:
        return f"JobSpec({self.name!r}, options={sorted(self.options)})"


_KEPT = {"remove_on_complete": "removeOnComplete", "remove_on_fail": "removeOnFail"}
# BullMQ's short names of what a parent does when its child fails, in `opts` and in `parent`.
POLICIES = {
    "fail_parent_on_failure": "fpof",
    "continue_parent_on_failure": "cpof",
    "ignore_dependency_on_failure": "idof",
    "remove_dependency_on_failure": "rdof",
}
_PLAIN = WireOptions(b'{"attempts":0}', "", 0, 0, False, None, None)


def wire_options(options: Mapping[str, Any], reserved: frozenset[str]) -> WireOptions:
    """Check *options* (the keys of :class:`JobOptions`) and translate them to BullMQ's.

    *reserved* are the key suffixes that no job id may equal.

    Raises:
        InvalidOption: naming the option, what is wrong with it and what would be right.
    """
    if not options:
        return _PLAIN
    # Attempts come first and always, as Node writes them.
    json: dict[str, Any] = {"attempts": checked_whole(options.get("attempts", 0), "attempts")}
    job_id, delay, priority, lifo, timestamp, size_limit = "", 0, 0, False, None, None
    deduplication = parent = group = None
    flags = []
    for name, value in options.items():
        if name == "attempts":
            pass
        elif name == "job_id":
            if value is not None:
                job_id = checked_id(value, reserved)
                json["jobId"] = job_id
        elif name == "delay":
            delay = milliseconds(value, "delay")
            if delay:
                json["delay"] = delay
        elif name == "priority":
            priority = checked_priority(value)
            if priority:
                json["priority"] = priority
        elif name == "lifo":
            if not isinstance(value, bool):
                raise InvalidOption(f"lifo must be True or False, not {value!r}")
            if value:
                lifo = json["lifo"] = True
        elif name == "backoff":
            if isinstance(value, str | dict):
                raise InvalidOption(
                    "backoff must be seconds, a timedelta or a Backoff, "
                    f"such as Backoff.exponential(1), not {value!r}"
                )
            backoff = value if isinstance(value, Backoff) else Backoff.fixed(value)
            json["backoff"] = backoff.wire()
        elif name in _KEPT:
            # BullMQ's workers take a null for an object and fail at it.
            if (kept := retention(value, name)) is not None:
                json[_KEPT[name]] = kept
        elif name == "keep_logs":
            json["kl"] = checked_whole(value, name)
        elif name == "stack_trace_limit":
            json["stackTraceLimit"] = checked_whole(value, name)
        elif name == "size_limit":
            size_limit = json["sizeLimit"] = checked_whole(value, name)
        elif name == "timestamp":
            timestamp = json["timestamp"] = epoch_ms(value)
        elif name in ("timeout", "expires"):
            if not (some := milliseconds(value, name)):
                raise InvalidOption(
                    f"{name} must be at least a millisecond; leave it out for a job without one"
                )
            json[name] = some
        elif name == "telemetry":
            json |= _checked_telemetry(value)
        elif name == "deduplication":
            if value is not None:
                if not isinstance(value, Deduplication):
                    raise InvalidOption(
                        f"deduplication must be a Deduplication(id, ...), not {value!r}"
                    )
                deduplication = json["de"] = value.wire()
        elif name == "group":
            if value is not None:
                if not isinstance(value, Group):
                    raise InvalidOption(f"group must be a Group(id, ...), not {value!r}")
                group = json["group"] = value.wire()
        elif name == "parent":
            if value is not None:
                parent = json["parent"] = checked_parent(value)
        elif name in POLICIES:
            if not isinstance(value, bool):
                raise InvalidOption(f"{name} must be True or False, not {value!r}")
            if value:
                flags.append(name)
                json[POLICIES[name]] = True
        else:
            raise InvalidOption(
                f"there is no job option {name!r}{did_you_mean(name, JobOptions.__annotations__)}"
            )
    if len(flags) > 1:
        raise InvalidOption(
            f"{' and '.join(flags)} exclude each other: a failed child can do only one thing to "
            "its parent; give one of them"
        )
    if parent and deduplication:
        raise InvalidOption(
            "deduplication cannot be used together with a parent: a job that stands for this one "
            "would not be the parent's child; give a job_id instead"
        )
    if group and priority:
        raise InvalidOption(
            "priority orders a queue's ungrouped jobs; inside a group give Group(id, priority=...)"
        )
    if group and deduplication and ("replace" in deduplication or "reschedule" in deduplication):
        raise InvalidOption(
            "Deduplication(replace=True) and reschedule=True change a delayed job, and grouped "
            "jobs are not among these; leave them out, or the group"
        )
    link = None
    if parent:
        field: dict[str, Any] = {"id": parent["id"], "queueKey": parent["queue"]}
        field |= dict.fromkeys((POLICIES[name] for name in flags), True)
        link = f"{parent['queue']}:{parent['id']}", _dumps(field)
    encoded = _dumps(json).encode()
    return WireOptions(
        encoded, job_id, delay, priority, lifo, timestamp, size_limit, deduplication, link, group
    )


def _dumps(value: Any) -> str:
    return dumps(value, ensure_ascii=False, separators=(",", ":"))


def _checked_telemetry(value: Any) -> dict[str, Any]:
    """Check the option ``telemetry``, and give BullMQ's ``tm`` and ``omc``."""
    known = TelemetryOptions.__annotations__
    if not isinstance(value, Mapping) or not set(value) <= set(known):
        raise InvalidOption(f"telemetry is a dict of {' and '.join(known)}, not {value!r}")
    found: dict[str, Any] = {}
    if (metadata := value.get("metadata")) is not None:
        if not isinstance(metadata, str):
            raise InvalidOption(f"metadata of telemetry must be a text, not {metadata!r}")
        _no_surrogates(metadata, "metadata of telemetry")
        found["tm"] = metadata
    if (omit := value.get("omit_context")) is not None:
        if not isinstance(omit, bool):
            raise InvalidOption(f"omit_context of telemetry is True or False, not {omit!r}")
        if omit:
            found["omc"] = True
    return found


def checked_parent(value: Any) -> dict[str, str]:
    """Check the parent of a job, and give BullMQ's ``{id, queue}`` with its qualified queue.

    Raises:
        InvalidOption: it is neither a job nor such an object.
    """
    if isinstance(value, Mapping):
        strange = set(map(str, value)) ^ {"id", "queue"}
        if strange:
            raise InvalidOption(
                f"a parent has the keys id and queue, not {sorted(map(str, value))}"
            )
        id, queue = value["id"], value["queue"]
    else:
        id, queue = getattr(value, "id", None), getattr(value, "queue", None)
    queue = getattr(getattr(queue, "keys", None), "qualified", queue)
    if not isinstance(id, str) or not id or not isinstance(queue, str) or not queue:
        raise InvalidOption(
            f"parent must be a job or {{'id': ..., 'queue': '<prefix>:<queue>'}}, not {value!r}"
        )
    if not all(queue.rpartition(":")[::2]):
        raise InvalidOption(
            f"the queue of a parent is named with its prefix, such as 'bull:{queue.strip(':')}', "
            f"not {queue!r}; or give the parent's job"
        )
    _no_surrogates(id, "the id of a parent")
    _no_surrogates(queue, "the queue of a parent")
    return {"id": id, "queue": queue}


def checked_id(value: Any, reserved: frozenset[str]) -> str:
    """Check a job id of the caller's own, by BullMQ's rules and ours.

    Raises:
        InvalidOption: it is no text, looks like an automatic id, or would collide with a key.
    """
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"job_id must be a text that is not empty, not {value!r}")
    if value.isascii() and value.removeprefix("-").isdigit():
        raise InvalidOption(
            f"job_id {value!r} looks like one of the queue's own numbers; put a word before it, "
            f"such as 'order-{value.removeprefix('-')}'"
        )
    if value.startswith("0:") or (":" in value and value.count(":") != 2):
        raise InvalidOption(f"job_id {value!r} holds ':', which separates keys; use '-' instead")
    if value.partition(":")[0] in reserved:
        raise InvalidOption(
            f"job_id {value!r} is the name of one of the queue's own keys; put a word before it"
        )
    _no_surrogates(value, "job_id")
    return value


def checked_deduplication_id(value: Any) -> str:
    """Check the id of a deduplication: text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"the id of a Deduplication is a text, not empty, not {value!r}")
    _no_surrogates(value, "the id of a Deduplication")
    return value


def checked_group_id(value: Any) -> str:
    """Check the id of a group: text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"the id of a group is a text, not empty, not {value!r}")
    _no_surrogates(value, "the id of a group")
    return value


def checked_limit_name(value: Any) -> str:
    """Check the name of a named limit: printable text without ``:``."""
    if not isinstance(value, str) or not value or not value.isprintable() or ":" in value:
        raise InvalidOption(
            f"the name of a limit is a printable text without ':', not empty, not {value!r}"
        )
    return value


def checked_priority(value: Any) -> int:
    """Check a priority: a whole number of 0 to ``MAX_PRIORITY``."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PRIORITY:
        raise InvalidOption(
            f"priority must be a whole number of 0 (none) to {MAX_PRIORITY}, not {value!r}"
        )
    return int(value)  # what it was may print as something else, an IntEnum say


def checked_finished(state: Any) -> str:
    """Check the state of jobs that are to run again: ``failed`` or ``completed``."""
    if state not in ("failed", "completed"):
        raise InvalidOption(f"only failed and completed jobs can be retried, not {state!r} ones")
    return str(state)


def checked_queue_name(value: Any) -> str:
    """Check the name of a queue: not empty, and without ``:`` (BullMQ's rule)."""
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"the name of a queue must be a text that is not empty, not {value!r}")
    if ":" in value:
        raise InvalidOption(f"the queue name {value!r} holds ':', which separates keys; use '-'")
    _no_surrogates(value, "the name of a queue")
    return value


def checked_job_name(value: Any) -> str:
    """Check the name of a job: text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"the name of a job must be a text that is not empty, not {value!r}")
    _no_surrogates(value, "the name of a job")
    return value


def checked_token(value: Any) -> str:
    """Check the token of a lock: text."""
    if not isinstance(value, str):
        raise InvalidOption(f"token must be the text of a lock's token, not {value!r}")
    _no_surrogates(value, "token")
    return value


def _no_surrogates(value: str, what: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidOption(f"{what} holds a lone surrogate, which is no valid text") from None


def checked_whole(value: Any, name: str) -> int:
    """Check a whole number of at least 0 that every peer can read."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise InvalidOption(f"{name} must be a whole number of at least 0, not {value!r}")
    return int(value)


def checked_place(value: Any, name: str) -> int:
    """Check a place in a range: a whole number, from the end where it is negative."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**53:
        raise InvalidOption(f"{name} must be a whole number, not {value!r}")
    return int(value)


def retention(value: Any, name: str) -> Any:
    """Check what of finished jobs is to be kept, and give BullMQ's value; None says nothing.

    Raises:
        InvalidOption: it is neither True, False, a number of jobs nor :class:`Keep` (or its dict).
    """
    if value is None:
        return None
    if isinstance(value, Mapping):  # settings can name a Keep without importing it
        try:
            value = Keep(**value)
        except TypeError:
            raise InvalidOption(
                f"{name} knows the keys count, age and limit, not {sorted(map(str, value))}"
            ) from None
    if isinstance(value, Keep):
        return value.wire()
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and 0 <= value < 2**53:
        return int(value)
    raise InvalidOption(f"{name} must be True, False, a number of jobs or Keep(...), not {value!r}")


def epoch_ms(value: Any, what: str = "timestamp") -> int:
    """Convert an aware datetime to milliseconds since the epoch."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidOption(f"{what} must be an aware datetime, not {value!r}")
    ms = round(value.timestamp() * 1000)
    if ms <= 0:
        raise InvalidOption(
            f"{what} must lie after 1970, where BullMQ's time begins, not {value!r}"
        )
    return ms


__all__ = [
    "Backoff",
    "Deduplication",
    "Group",
    "GroupLimits",
    "JobOptions",
    "JobSpec",
    "Keep",
    "RateLimit",
    "Seconds",
    "WireOptions",
    "checked_deduplication_id",
    "checked_finished",
    "checked_group_id",
    "checked_id",
    "checked_job_name",
    "checked_limit_name",
    "checked_parent",
    "checked_place",
    "checked_priority",
    "checked_queue_name",
    "checked_token",
    "checked_whole",
    "epoch_ms",
    "milliseconds",
    "wire_options",
]
