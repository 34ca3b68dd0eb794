"""The setting ``QUEUECORE`` as one frozen value: every key, every default, checked once.

``QUEUECORE`` is a dict in which every key is optional. Durations are seconds. An unknown key is
an error that names the nearest known one. The environment variable ``QUEUECORE_URL`` fills the
``default`` connection where the settings give it no URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from .errors import ConfigurationError, InvalidOption, did_you_mean
from .options import RateLimit, checked_limit_name, retention


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """One server and prefix. ``url`` is None where the embedded server of development is meant.

    ``from_environment``: the URL is that of the environment variable. ``wait``: for how many
    replicas, and for how many ms, whoever adds jobs waits.
    """

    alias: str
    url: str | None
    prefix: str = "bull"
    from_environment: bool = False
    wait: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """``QUEUECORE["LIMITS"][name]``: what several queues may do together, each part may be None."""

    concurrency: int | None = None
    rate: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """``QUEUECORE["OUTBOX"]``: jobs that were added in transactions.

    ``databases``: the aliases whose outboxes are moved; none is where the router sends its writes.
    ``poll``: how often a relay looks, in seconds; None: ``runworker`` runs none.
    """

    databases: tuple[str, ...] = ()
    poll: float | None = 1.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``QUEUECORE["WORKER"]``: the names are BullMQ's worker options.

    Durations are seconds or a timedelta; wrong values raise :class:`ConfigurationError`.

    ``concurrency``: jobs that one process runs at a time on one queue.
    ``processes``: worker processes that ``runworker`` starts and watches; 1 is itself alone.
    ``lock_duration``: how long a job stays locked without a renewal.
    ``lock_renew_time``: how old a lock grows before it is renewed.
    ``skip_lock_renewal``: locks are never renewed, so that a job must end within one.
    ``stalled_interval``: seconds between two checks for jobs of dead workers.
    ``max_stalled_count``: how often a job may be recovered before it fails.
    ``skip_stalled_check``: leave that check to other workers.
    ``drain_delay``: the longest an idle worker waits for its next look; twice that if in vain.
    ``maximum_rate_limit_delay``: the longest it waits while a rate limit holds.
    ``shutdown_timeout``: what running jobs get to finish when the worker is told to stop.
    ``metrics_max_data_points``: minutes kept in BullMQ's metrics lists; 0 switches them off.
    ``max_started_attempts``: how often a job may be started at all; None is without limit.
    ``backoff_strategy``: dotted path of a function ``(attempts_made, name, error, job)`` that
    gives the seconds before the next try, for backoffs of a custom name.
    ``remove_on_complete``, ``remove_on_fail``: retention of jobs that name none of their own.
    ``heartbeat``: how often a process says which workers it has and how they are, and hears what it
    is told from afar, at most every 30 s; None switches that off.
    ``statistics``: how often a worker tells what it has counted of its jobs (times, outcomes, kinds
    of failures), at most every minute; None counts nothing.
    ``sandbox_grace``: what a job in a sandbox gets to end by itself before it is killed.
    ``sandbox_max_jobs``: after so many jobs a sandbox is replaced; None keeps it.
    ``sandbox_memory``: bytes that the process of a sandbox may take; None is without limit.
    ``name``: stored as ``processedBy`` with each job this process runs.
    ``unknown_job_delay``, ``unknown_job_limit``: how long and how often a job whose name no
    processor takes is handed back before it fails.
    """

    concurrency: int = 10
    processes: int = 1
    lock_duration: float = 30.0
    lock_renew_time: float | None = None
    skip_lock_renewal: bool = False
    stalled_interval: float = 30.0
    max_stalled_count: int = 1
    skip_stalled_check: bool = False
    drain_delay: float = 5.0
    maximum_rate_limit_delay: float = 5.0
    shutdown_timeout: float = 25.0
    metrics_max_data_points: int = 60 * 24 * 7
    max_started_attempts: int | None = None
    backoff_strategy: str | None = None
    remove_on_complete: Any = None
    remove_on_fail: Any = None
    heartbeat: float | None = 2.0
    statistics: float | None = 5.0
    sandbox_grace: float = 1.0
    sandbox_max_jobs: int | None = None
    sandbox_memory: int | None = None
    name: str = ""
    unknown_job_delay: float = 30.0
    unknown_job_limit: int = 10

    def __post_init__(self) -> None:
        for name, least in _WHOLE.items():
            _check_whole(name, getattr(self, name), least)
        for name in ("skip_lock_renewal", "skip_stalled_check"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(
                    f"{name} must be True or False, not {getattr(self, name)!r}"
                )
        for name, shortest in _SECONDS.items():
            object.__setattr__(self, name, _seconds(name, getattr(self, name), shortest))
        if self.processes > MOST_PROCESSES:
            raise ConfigurationError(f"processes must be at most {MOST_PROCESSES}")
        if self.heartbeat is not None and self.heartbeat > 30:
            raise ConfigurationError(f"heartbeat must be at most 30 s, not {self.heartbeat:g}")
        if self.statistics is not None and self.statistics > 60:
            raise ConfigurationError(f"statistics must be at most 60 s, not {self.statistics:g}")
        if self.renew_after > self.lock_duration / 2:
            raise ConfigurationError(
                "lock_renew_time must be at most half of lock_duration, so that a lock is renewed "
                f"in time; it is {self.renew_after:g} of {self.lock_duration:g} seconds"
            )
        for name in ("remove_on_complete", "remove_on_fail"):
            try:
                retention(getattr(self, name), name)
            except InvalidOption as error:
                raise ConfigurationError(str(error)) from error
        for name in ("name", "backoff_strategy"):
            if (value := getattr(self, name)) is not None and not _is_text(value):
                raise ConfigurationError(f"{name} must be a text, not {value!r}")

    @property
    def renew_after(self) -> float:
        """The age at which a lock is renewed: a quarter of its life unless set."""
        return self.lock_renew_time or self.lock_duration / 4


# What no machine needs: a number mistyped would take the machine's memory before anybody looks.
MOST_PROCESSES = 1000

# The least that each number may be.
_WHOLE = {
    "concurrency": 1,
    "processes": 1,
    "max_stalled_count": 0,
    "metrics_max_data_points": 0,
    "max_started_attempts": 1,
    "sandbox_max_jobs": 1,
    "sandbox_memory": 64 * 2**20,
    "unknown_job_limit": 0,
}
_SECONDS = {
    "lock_duration": 0.1,
    "lock_renew_time": 0.01,
    "stalled_interval": 0.1,
    "drain_delay": 0.01,
    "maximum_rate_limit_delay": 0.01,
    "shutdown_timeout": 0,
    "heartbeat": 0.1,
    "statistics": 0.1,
    "sandbox_grace": 0.1,
    "unknown_job_delay": 0,
}
_OPTIONAL = (
    "max_started_attempts",
    "lock_renew_time",
    "heartbeat",
    "statistics",
    "sandbox_max_jobs",
    "sandbox_memory",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of ``QUEUECORE``."""

    connections: Mapping[str, ConnectionSettings]
    default_job_options: Mapping[str, Any] = field(default_factory=dict)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    dashboard: Mapping[str, Any] = field(default_factory=dict)
    audit_keys: Mapping[str, str] = field(default_factory=dict)
    telemetry: str | None = None
    metrics_token: str | None = None
    repeat_strategy: str | None = None
    max_events: int | None = None
    limits: Mapping[str, LimitSettings] = field(default_factory=dict)
    outbox: OutboxSettings = field(default_factory=OutboxSettings)

    def connection(self, alias: str) -> ConnectionSettings:
        """The connection *alias*.

        Raises:
            ConfigurationError: QUEUECORE["CONNECTIONS"] has no such key.
        """
        try:
            return self.connections[alias]
        except KeyError:
            raise ConfigurationError(
                f"QUEUECORE['CONNECTIONS'] has no {alias!r}{did_you_mean(alias, self.connections)}"
            ) from None

    def limit(self, name: str) -> LimitSettings:
        """The named limit *name*.

        Raises:
            ConfigurationError: QUEUECORE["LIMITS"] has no such key.
        """
        try:
            return self.limits[name]
        except KeyError:
            raise ConfigurationError(
                f"QUEUECORE['LIMITS'] has no {name!r}{did_you_mean(name, self.limits)}"
            ) from None


_TOP = (
    "CONNECTIONS",
    "DEFAULT_JOB_OPTIONS",
    "WORKER",
    "DASHBOARD",
    "AUDIT_KEYS",
    "TELEMETRY",
    "REPEAT_STRATEGY",
    "MAX_EVENTS",
    "LIMITS",
    "OUTBOX",
    "METRICS_TOKEN",
)
_CONNECTION = ("URL", "PREFIX", "WAIT_REPLICAS", "WAIT_TIMEOUT")
_SCHEMES = (
    *("redis://", "rediss://", "unix://"),
    *("redis+sentinel://", "rediss+sentinel://", "redis+cluster://", "rediss+cluster://"),
)
_LIMIT = ("CONCURRENCY", "MAX", "DURATION")
_OUTBOX = ("DATABASES", "POLL")
# What makes no sense for every job, and what would come of it.
_OF_ONE_JOB = {
    "job_id": "every add after the first would add nothing",
    "deduplication": "the adds of a whole queue would be one job",
    "timestamp": "every job would be made at the same moment",
    "parent": "one job would wait for all others",
}
_WORKER = tuple(name.upper() for name in WorkerSettings.__dataclass_fields__)


# In tests, what stands in for a connection of the settings: see queuecore.testing.
stand_in: Callable[[ConnectionSettings], ConnectionSettings] | None = None


@cache
def get_settings() -> Settings:
    """Read and check ``settings.QUEUECORE``; cached until the setting changes (in tests)."""
    raw = getattr(django_settings, "QUEUECORE", {})
    _known(raw, _TOP, "QUEUECORE")
    servers = _dict(raw, "CONNECTIONS")
    defaults = _dict(raw, "DEFAULT_JOB_OPTIONS")
    for name, consequence in _OF_ONE_JOB.items():
        if name in defaults:
            raise ConfigurationError(
                f"QUEUECORE['DEFAULT_JOB_OPTIONS'] has {name!r}, which belongs to one job: as a "
                f"default {consequence}. Give it to add()"
            )
    worker = _dict(raw, "WORKER")
    _known(worker, _WORKER, "QUEUECORE['WORKER']")
    keys = _dict(raw, "AUDIT_KEYS")
    for id, secret in keys.items():
        if not id or not _is_text(secret) or not secret:
            raise ConfigurationError(
                "QUEUECORE['AUDIT_KEYS'] must be a dict of id to key, both texts that are not "
                f"empty; that of {id!r} is none"
            )
    return Settings(
        connections={
            alias: (stand_in or _itself)(_connection(alias, values))
            for alias, values in {"default": {}, **servers}.items()
        },
        default_job_options=dict(defaults),
        worker=_worker({key.lower(): value for key, value in worker.items()}),
        dashboard=dict(_dict(raw, "DASHBOARD")),
        audit_keys=dict(keys),
        telemetry=_path(raw, "TELEMETRY"),
        metrics_token=_token(raw.get("METRICS_TOKEN")),
        repeat_strategy=_path(raw, "REPEAT_STRATEGY"),
        max_events=_max_events(raw.get("MAX_EVENTS")),
        limits={name: _limit(name, values) for name, values in _dict(raw, "LIMITS").items()},
        outbox=_outbox(_dict(raw, "OUTBOX")),
    )


def project_dir() -> Path:
    """The project's directory, where ``.queuecore/`` lies: ``BASE_DIR``, else the current one."""
    return Path(getattr(django_settings, "BASE_DIR", None) or Path.cwd())


def time_zone() -> str:
    """``TIME_ZONE`` of the project, in which its cron patterns are meant."""
    return str(django_settings.TIME_ZONE or "UTC")


def debug() -> bool:
    """Whether ``DEBUG`` is on: only then may the embedded server stand in for a missing URL."""
    return bool(django_settings.DEBUG)


def _connection(alias: str, values: Mapping[str, Any]) -> ConnectionSettings:
    where = f"QUEUECORE['CONNECTIONS'][{alias!r}]"
    _known(values, _CONNECTION, where)
    url, from_environment = values.get("URL"), False
    if not url and alias == "default":
        url, from_environment = os.environ.get("QUEUECORE_URL"), True
    if not url and alias != "default":
        raise ConfigurationError(f"{where} has no 'URL'; give it one, such as redis://localhost/0")
    if url and not (_is_text(url) and url.startswith(_SCHEMES)):
        named = "the environment variable QUEUECORE_URL" if from_environment else f"{where}['URL']"
        raise ConfigurationError(
            f"{named} must begin with redis://, rediss://, unix://, redis+sentinel:// or "
            f"redis+cluster://, not {_scheme(url)!r}"
        )
    prefix = values.get("PREFIX", "bull")
    if not prefix or not _is_text(prefix):
        raise ConfigurationError(f"{where}['PREFIX'] must be a text that is not empty")
    return ConnectionSettings(
        alias, url or None, prefix, from_environment and bool(url), _wait(where, values)
    )


def _wait(where: str, values: Mapping[str, Any]) -> tuple[int, int] | None:
    """``WAIT_REPLICAS`` and ``WAIT_TIMEOUT`` of a connection."""
    replicas, seconds = values.get("WAIT_REPLICAS", 0), values.get("WAIT_TIMEOUT", 1)
    if isinstance(replicas, bool) or not isinstance(replicas, int) or not 0 <= replicas < 100:
        raise ConfigurationError(
            f"{where}['WAIT_REPLICAS'] must be a whole number of 0 to 99, not {replicas!r}"
        )
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 4:
        raise ConfigurationError(
            f"{where}['WAIT_TIMEOUT'] must be seconds, more than 0 and at most 4, not {seconds!r}"
        )
    return (replicas, max(round(seconds * 1000), 1)) if replicas else None


def _itself(connection: ConnectionSettings) -> ConnectionSettings:
    return connection


def _limit(name: str, values: Any) -> LimitSettings:
    where = f"QUEUECORE['LIMITS'][{name!r}]"
    _known(values, _LIMIT, where)
    concurrency, most, duration = (values.get(key) for key in _LIMIT)
    try:
        checked_limit_name(name)
        rate = None if most is None and duration is None else RateLimit(most, duration)
    except InvalidOption as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if concurrency is not None and (
        isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1
    ):
        raise ConfigurationError(
            f"{where}['CONCURRENCY'] must be a whole number of at least 1, not {concurrency!r}"
        )
    return LimitSettings(concurrency, rate)


def _outbox(values: Mapping[str, Any]) -> OutboxSettings:
    where = "QUEUECORE['OUTBOX']"
    _known(values, _OUTBOX, where)
    databases, poll = values.get("DATABASES", ()), values.get("POLL", 1.0)
    if isinstance(databases, str) or not isinstance(databases, Sequence):
        raise ConfigurationError(
            f"{where}['DATABASES'] must be a list of aliases of DATABASES, not {databases!r}"
        )
    for alias in databases:
        if alias not in django_settings.DATABASES:
            raise ConfigurationError(
                f"{where}['DATABASES'] names {alias!r}, which DATABASES does not have"
                f"{did_you_mean(alias, django_settings.DATABASES)}"
            )
    if poll is not None:
        try:
            poll = _seconds("POLL", poll, 0.01)
        except ConfigurationError as error:
            name, _, rest = str(error).partition(" ")
            raise ConfigurationError(f"{where}[{name!r}] {rest}") from None
    return OutboxSettings(tuple(databases), poll)


def _scheme(url: object) -> str:
    """What stands before ``://``: a URL may hold a password, which no message may show."""
    return str(url).partition("://")[0][:20]


def _worker(values: dict[str, Any]) -> WorkerSettings:
    try:
        return WorkerSettings(**values)
    except ConfigurationError as error:
        name, _, rest = str(error).partition(" ")
        raise ConfigurationError(f"QUEUECORE['WORKER'][{name.upper()!r}] {rest}") from None


def _check_whole(name: str, value: Any, least: int) -> None:
    if value is None and name in _OPTIONAL:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**53:
        raise ConfigurationError(
            f"{name} must be a whole number of at least {least}, not {value!r}"
        )


def _seconds(name: str, value: Any, least: float) -> float | None:
    if value is None and name in _OPTIONAL:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ConfigurationError(f"{name} must be seconds or a timedelta, not {value!r}")
    if not least <= seconds < 2**31:  # also refuses NaN
        raise ConfigurationError(f"{name} must be at least {least:g} seconds, not {value!r}")
    return seconds


def _dict(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """``QUEUECORE[key]``, a dict whose keys are texts; empty where it is not there."""
    values = raw.get(key, {})
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"QUEUECORE[{key!r}] must be a dict, not {type(values).__name__}")
    for name in values:
        if not _is_text(name):
            raise ConfigurationError(f"a key of QUEUECORE[{key!r}] must be a text, not {name!r}")
    return values


def _max_events(value: Any) -> int | None:
    """``QUEUECORE["MAX_EVENTS"]``, how many events a queue keeps."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ConfigurationError(
            f"QUEUECORE['MAX_EVENTS'] must be a whole number of at least 0, not {value!r}"
        )
    return value


def _token(value: Any) -> str | None:
    """``QUEUECORE["METRICS_TOKEN"]``, which no message shows; empty is none."""
    if value is not None and not _is_text(value):
        raise ConfigurationError("QUEUECORE['METRICS_TOKEN'] must be a text")
    return value or None


def _path(raw: Mapping[str, Any], key: str) -> str | None:
    """``QUEUECORE[key]``, a dotted path."""
    value = raw.get(key)
    if value is not None and not _is_text(value):
        raise ConfigurationError(f"QUEUECORE[{key!r}] must be a dotted path, not {value!r}")
    return value


def _is_text(value: Any) -> TypeGuard[str]:
    """Whether it is text that can be sent and stored: a lone surrogate cannot."""
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


def _known(values: Any, known: tuple[str, ...], where: str) -> None:
    if not isinstance(values, Mapping):
        raise ConfigurationError(f"{where} must be a dict, not {type(values).__name__}")
    for key in values:
        if key not in known:
            raise ConfigurationError(
                f"{where} has an unknown key {key!r}{did_you_mean(str(key), known)}"
            )


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "QUEUECORE":
        get_settings.cache_clear()


setting_changed.connect(_forget)
