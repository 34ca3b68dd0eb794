"""The names of all keys of one queue.

BullMQ's keys are ``<prefix>:<queue>:<suffix>``. What is only ours stands under
``qc:<prefix>:<queue>:``, where no BullMQ client looks or cleans; a hash tag in prefix or queue
name is kept, so that both kinds of key stay in one cluster slot.
"""

from __future__ import annotations

from functools import cached_property

# A job of one of these ids would overwrite a key of its queue.
SUFFIXES = frozenset(
    {
        "active",
        "completed",
        "delay",
        "delayed",
        "events",
        "failed",
        "id",
        "limiter",
        "marker",
        "meta",
        "metrics",
        "paused",
        "pc",
        "prioritized",
        "priority",
        "repeat",
        "stalled",
        "stalled-check",
        "wait",
        "waiting-children",
        "de",
        "dn",
    }
)


class Keys:
    """The keys of the queue *name* under *prefix*; each attribute is a complete key (`str`)."""

    def __init__(self, prefix: str, name: str) -> None:
        self.prefix = prefix
        self.name = name
        self.qualified = f"{prefix}:{name}"
        self.base = f"{prefix}:{name}:"
        self.own = f"qc:{prefix}:{name}:"

    def __getitem__(self, suffix: str) -> str:
        return self.base + suffix

    @cached_property
    def id(self) -> str:
        return self.base + "id"

    @cached_property
    def wait(self) -> str:
        return self.base + "wait"

    @cached_property
    def paused(self) -> str:
        return self.base + "paused"

    @cached_property
    def active(self) -> str:
        return self.base + "active"

    @cached_property
    def prioritized(self) -> str:
        return self.base + "prioritized"

    @cached_property
    def pc(self) -> str:
        return self.base + "pc"

    @cached_property
    def delayed(self) -> str:
        return self.base + "delayed"

    @cached_property
    def waiting_children(self) -> str:
        return self.base + "waiting-children"

    @cached_property
    def completed(self) -> str:
        return self.base + "completed"

    @cached_property
    def failed(self) -> str:
        return self.base + "failed"

    @cached_property
    def stalled(self) -> str:
        return self.base + "stalled"

    @cached_property
    def stalled_check(self) -> str:
        return self.base + "stalled-check"

    @cached_property
    def limiter(self) -> str:
        return self.base + "limiter"

    @cached_property
    def meta(self) -> str:
        return self.base + "meta"

    @cached_property
    def events(self) -> str:
        return self.base + "events"

    @cached_property
    def marker(self) -> str:
        return self.base + "marker"

    @cached_property
    def repeat(self) -> str:
        return self.base + "repeat"

    def metrics(self, state: str) -> str:
        """The metrics hash of ``completed`` or ``failed``; its list has ``:data`` appended."""
        return f"{self.base}metrics:{state}"

    def job(self, job_id: str) -> str:
        """The hash of one job."""
        return self.base + job_id

    def lock(self, job_id: str) -> str:
        return f"{self.base}{job_id}:lock"

    def logs(self, job_id: str) -> str:
        return f"{self.base}{job_id}:logs"

    def deduplication(self, deduplication_id: str) -> str:
        """The id of the job that has a deduplication id."""
        return f"{self.base}de:{deduplication_id}"

    def receipt(self, kind: str, owner: str, lane: int) -> str:
        """The receipt of a lane's last call; *kind* is ``call`` (workers) or ``add``."""
        return f"{self.own}{kind}:{owner}:{lane}"

    @cached_property
    def pause(self) -> str:
        """Why the queue was paused, by whom, since when and until when."""
        return self.own + "pause"

    @cached_property
    def paused_schedulers(self) -> str:
        """The schedulers that are paused, by when that was."""
        return self.own + "paused-schedulers"

    @cached_property
    def scheduler_pauses(self) -> str:
        """From when to when each scheduler was paused last."""
        return self.own + "scheduler-pauses"

    @cached_property
    def scheduler_authors(self) -> str:
        """Who has made schedulers by hand, or changed when they run."""
        return self.own + "scheduler-authors"

    def paused_scheduler(self, scheduler: str) -> str:
        """The record of a scheduler that is paused."""
        return f"{self.own}paused-scheduler:{scheduler}"

    @cached_property
    def hand_runs(self) -> str:
        """The last runs of schedulers that somebody asked for."""
        return self.own + "hand-runs"

    @cached_property
    def grouped(self) -> str:
        """Whether the queue has had grouped jobs."""
        return self.own + "grouped"

    @cached_property
    def limits(self) -> str:
        """The keys of the named limits that the queue belongs to, one a line."""
        return self.own + "limits"

    @cached_property
    def own_marker(self) -> str:
        """Wakes our workers for jobs that no other client takes."""
        return self.own + "marker"

    def outbox(self, source: str) -> str:
        """Which relay has a database's outbox of this queue, and what it has added lately."""
        return f"{self.own}outbox:{source}"

    def group(self, group_id: str) -> str:
        """The jobs that wait in a group."""
        return f"{self.own}group:{group_id}"

    def group_later(self, group_id: str) -> str:
        """The jobs of a group that are due later."""
        return f"{self.own}group-later:{group_id}"

    def group_limiter(self, group_id: str) -> str:
        """The counter of a group's rate limit."""
        return f"{self.own}group-limiter:{group_id}"

    def tries(self, job_id: str) -> str:
        """Who ran the earlier tries of a task's job."""
        return f"{self.own}tries:{job_id}"

    def qc(self, suffix: str) -> str:
        """A key of our own beside this queue's."""
        return self.own + suffix


def connection_key(prefix: str, name: str) -> str:
    """A key of our own for a whole prefix: its queue segment is empty, as no queue's can be."""
    return f"qc:{prefix}::{name}"


def limit_key(prefix: str, name: str) -> str:
    """What a named limit allows; ``:queues``, ``:used`` and ``:waiting`` stand behind it."""
    return connection_key(prefix, f"limit:{name}")
