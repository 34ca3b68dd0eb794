"""A queue in plain Python: where each job stands, in which order, and what each operation does.

It knows nothing of Redis but its way to order: by score, and equal scores by the member's bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

PRIORITY, MARKED = 2**32, 4096
POISON = 3  # unconfirmed stalls beyond the allowed ones


@dataclass
class Entry:
    """One job, by what the operations look at."""

    id: str
    made: int
    priority: int = 0
    lifo: bool = False
    atm: int = 0
    ats: int = 0
    unconfirmed: int = 0  # stalls in a row before a renewal
    confirmed: bool = False
    stalls: int = 0
    doomed: bool = False  # fails when it is claimed next
    processed: int | None = None
    finished: int | None = None
    holder: tuple[str, int] | None = None  # worker and number of the claim
    delay: int = 0  # of a parent that has not been released
    parent: str = ""
    policy: str = ""  # what its failure means to the parent
    dependencies: set[str] = field(default_factory=set)
    processed_children: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    unsuccessful: set[str] = field(default_factory=set)


class Ranked:
    """A sorted set."""

    def __init__(self) -> None:
        self.scores: dict[str, float] = {}

    def order(self) -> list[str]:
        return sorted(self.scores, key=lambda id: (self.scores[id], id.encode()))

    def take(self, id: str) -> bool:
        """Take a member out; whether it was there."""
        return self.scores.pop(id, None) is not None

    def __contains__(self, id: str) -> bool:
        return id in self.scores

    def __len__(self) -> int:
        return len(self.scores)


@dataclass
class Model:
    """The queue; ``now`` in ms."""

    now: int
    jobs: dict[str, Entry] = field(default_factory=dict)
    wait: list[str] = field(default_factory=list)  # newest first, as the list in the server
    active: list[str] = field(default_factory=list)
    prioritized: Ranked = field(default_factory=Ranked)
    delayed: Ranked = field(default_factory=Ranked)
    completed: Ranked = field(default_factory=Ranked)
    failed: Ranked = field(default_factory=Ranked)
    waiting_children: Ranked = field(default_factory=Ranked)
    seen: set[str] = field(default_factory=set)  # active at the last check
    paused: bool = False
    concurrency: int | None = None
    last_id: int = 0
    turn: int = 0

    # Ways in

    def add(
        self, *, priority: int = 0, delay: int = 0, lifo: bool = False, job_id: str = ""
    ) -> str:
        self.last_id += 1
        id = job_id or str(self.last_id)
        if id in self.jobs:
            return id
        self.jobs[id] = job = Entry(id, self.now, priority, lifo)
        if delay:
            self._delay(id, self.now + delay)
        elif priority:
            self._rank(job)
        else:
            self._queue(id, first=lifo)
        return id

    def add_flow(
        self, parent: str, children: dict[str, dict[str, Any]], *, priority: int, delay: int
    ) -> None:
        """*children*: by id, what :meth:`add` takes and a policy."""
        self.last_id += 1
        self.jobs[parent] = Entry(parent, self.now, priority, delay=delay)
        self.waiting_children.scores[parent] = self.now
        for id, options in children.items():
            plain = {name: value for name, value in options.items() if name != "policy"}
            self.add(job_id=id, **plain)
            self.jobs[id].parent, self.jobs[id].policy = parent, options["policy"]
            self.jobs[parent].dependencies.add(id)

    def _queue(self, id: str, *, first: bool = False) -> None:
        self.wait.insert(len(self.wait) if first else 0, id)

    def _rank(self, job: Entry, *, first: bool = False) -> None:
        if not first:
            self.turn += 1
        self.prioritized.scores[job.id] = job.priority * PRIORITY + (0 if first else self.turn)

    def _ready(self, job: Entry, *, first: bool = False) -> None:
        """To where it waits: behind the others of its kind, or *first*."""
        if job.priority:
            self._rank(job, first=first)
        else:
            self._queue(job.id, first=first)

    def _delay(self, id: str, due: int) -> None:
        low, high = due * MARKED, due * MARKED + MARKED - 1
        taken = [score for score in self.delayed.scores.values() if low <= score <= high]
        self.delayed.scores[id] = min(max(taken) + 1, high) if taken else low

    # Families

    def _release(self, id: str) -> None:
        """A parent waits no longer: its own delay and priority count now."""
        job = self.jobs[id]
        if job.delay:
            self.delayed.scores[id] = (self.now + job.delay) * MARKED
        elif job.priority:
            self._rank(job)
        else:
            self._queue(id, first=True)

    def _tell_parent(self, child: Entry, kind: str) -> None:
        parent = self.jobs.get(child.parent)
        if parent is None or child.id not in parent.dependencies:
            return
        if kind == "f" and not child.policy:
            return
        parent.dependencies.remove(child.id)
        if kind == "f" and child.policy == "fail_parent_on_failure":
            parent.unsuccessful.add(child.id)
            waits = self.waiting_children.take(parent.id)
            if not waits and self.delayed.take(parent.id):
                waits, parent.delay = True, 0
            if waits or parent.id not in self.failed:
                parent.doomed = True
            if waits:
                self._release(parent.id)
            return
        goes_on = kind == "f" and child.policy == "continue_parent_on_failure"
        if kind == "c":
            parent.processed_children.add(child.id)
        elif goes_on or child.policy == "ignore_dependency_on_failure":
            parent.ignored.add(child.id)
        if (goes_on or not parent.dependencies) and self.waiting_children.take(parent.id):
            self._release(parent.id)

    def _unlink(self, child: Entry, *, hard: bool = False) -> None:
        """A child goes away; the last one lets its parent run, or takes it along (*hard*)."""
        parent = self.jobs.get(child.parent)
        if parent is None or child.id not in parent.dependencies:
            return
        parent.dependencies.remove(child.id)
        if parent.dependencies or not self.waiting_children.take(parent.id):
            return
        if hard:
            del self.jobs[parent.id]
        else:
            self._queue(parent.id, first=True)

    def _relink(self, child: Entry) -> None:
        """A finished child runs again: its parent waits for it once more."""
        parent = self.jobs.get(child.parent)
        if parent is None:
            return
        if child.id in self.completed:
            noted = [parent.processed_children]
        else:
            noted = [parent.unsuccessful, parent.ignored]
        if any(child.id in one for one in noted):
            for one in noted:
                one.discard(child.id)
            parent.dependencies.add(child.id)

    def refusal(self, id: str, kind: str) -> int:
        """BullMQ's code where a job cannot complete because of its children; else 0."""
        job = self.jobs[id]
        if kind != "c":
            return 0
        return -4 if job.dependencies else -9 if job.unsuccessful else 0

    # The worker's call

    def finish(self, id: str, kind: str, *, delay: int = 0, keep: int | None = None) -> None:
        job = self.jobs[id]
        self.active.remove(id)
        self.seen.discard(id)
        job.holder = None
        if kind in "cf":
            target = self.completed if kind == "c" else self.failed
            job.atm += 1
            job.finished = self.now
            job.unconfirmed, job.confirmed = 0, False
            if kind == "f":
                job.doomed = False
            self._tell_parent(job, kind)
            if keep == 0:
                self._unlink(job)
                del self.jobs[id]
                return
            target.scores[id] = self.now
            return
        if kind in "rd":
            job.atm += 1
        if kind != "w":
            job.unconfirmed, job.confirmed = 0, False
        if kind in "dp":
            self._delay(id, self.now + delay)
        elif kind == "w":
            self._ready(job, first=True)
        elif job.priority:
            self._rank(job)
        else:
            self._queue(id, first=job.lifo)

    def evict(self, kind: str, keep: int) -> None:
        """Keep the newest *keep* of the completed or failed."""
        found = self.completed if kind == "c" else self.failed
        for id in found.order()[: max(len(found) - keep, 0)]:
            self._unlink(self.jobs[id])
            del found.scores[id], self.jobs[id]

    def claim(self, worker: str, number: int, want: int) -> list[str]:
        due = [
            id for id in self.delayed.order() if self.delayed.scores[id] < (self.now + 1) * MARKED
        ]
        for id in due:
            del self.delayed.scores[id]
            self._ready(self.jobs[id])
        if self.paused:
            return []
        waiting = len(self.wait) + (len(self.prioritized) if len(self.wait) < want * 2 else 0)
        room = want if want == 1 else min(want, math.ceil(waiting / 2))
        if self.concurrency is not None:
            room = min(room, self.concurrency - len(self.active))
        candidates = (self.wait[::-1] + self.prioritized.order())[: max(room, 0)]
        if not self.wait and not self.prioritized.scores:
            self.turn = 0
        taken: list[str] = []
        for id in candidates:
            job = self.jobs[id]
            suspect = job.unconfirmed >= 2
            if suspect and taken:
                break
            taken.append(id)
            if id in self.prioritized:
                del self.prioritized.scores[id]
            else:
                self.wait.remove(id)
            self.active.insert(0, id)
            job.ats += 1
            job.processed = self.now
            job.holder = (worker, number)
            job.confirmed = False
            if suspect:
                break
        return taken

    # Locks

    def renew(self, worker: str) -> None:
        for id in self.active:
            job = self.jobs[id]
            if job.holder is not None and job.holder[0] == worker:
                job.confirmed, job.unconfirmed = True, 0
                self.seen.discard(id)

    def kill(self, worker: str) -> None:
        """Its locks run out."""
        for id in self.active:
            job = self.jobs[id]
            if job.holder is not None and job.holder[0] == worker:
                job.holder = None

    def hand_back(self, worker: str) -> list[str]:
        back = [id for id in self.active if self._held_by(id, worker)]
        for id in back:
            self.active.remove(id)
            self.seen.discard(id)
            self.jobs[id].holder = None
            self._ready(self.jobs[id], first=True)
        return back

    def _held_by(self, id: str, worker: str) -> bool:
        holder = self.jobs[id].holder
        return holder is not None and holder[0] == worker

    def stalled(self) -> set[str]:
        """What a check recovers now."""
        return {id for id in self.seen if id in self.active and self.jobs[id].holder is None}

    def recover(self, ids: list[str], most: int) -> None:
        """What a check does to *ids*, in the order in which it met them."""
        for id in ids:
            job = self.jobs[id]
            if job.confirmed:
                job.stalls += 1
                job.doomed |= job.stalls > most
            else:
                job.unconfirmed += 1
                job.doomed |= job.unconfirmed > most + POISON
            self.active.remove(id)
            self._queue(id, first=True)
        self.seen = set(self.active)

    # An operator

    def promote(self, id: str) -> None:
        del self.delayed.scores[id]
        self._ready(self.jobs[id])

    def retry(self, id: str) -> None:
        job = self.jobs[id]
        self._unfinish(job)
        if job.priority:
            self._rank(job)
        else:
            self._queue(id, first=job.lifo)

    def _unfinish(self, job: Entry) -> None:
        self._relink(job)
        for finished in (self.completed, self.failed):
            finished.scores.pop(job.id, None)
        job.finished = job.processed = None

    def retry_all(self, found: Ranked, count: int | None) -> int:
        ids = found.order()[:count]
        for id in ids:
            self._unfinish(self.jobs[id])
            self._queue(id)
        return len(ids)

    def promote_all(self, count: int | None) -> int:
        ids = self.delayed.order()[:count]
        for id in ids:
            del self.delayed.scores[id]
            self._queue(id)
        return len(ids)

    def change_priority(self, id: str, priority: int, lifo: bool) -> None:
        job = self.jobs[id]
        job.priority = priority
        if id in self.prioritized:
            del self.prioritized.scores[id]
        elif id in self.wait:
            self.wait.remove(id)
        else:
            return
        self._ready(job, first=lifo)

    def change_delay(self, id: str, delay: int) -> None:
        del self.delayed.scores[id]
        self._delay(id, self.now + delay)

    def family(self, id: str) -> list[str]:
        """A job and its children, of those that exist."""
        job = self.jobs[id]
        children = job.dependencies | job.processed_children | job.ignored | job.unsuccessful
        return [id, *sorted(children & self.jobs.keys())]

    def locked(self, id: str) -> bool:
        """Whether a worker holds it or a child that it waits for."""
        return any(self.jobs[one].holder for one in [id, *self.jobs[id].dependencies])

    def remove(self, id: str, *, hard: bool = False) -> None:
        """Delete one job; *hard* as a clean and a drain do."""
        self._unlink(self.jobs[id], hard=hard)
        for found in (
            self.prioritized, self.delayed, self.completed, self.failed, self.waiting_children
        ):  # fmt: skip
            found.take(id)
        for listed in (self.wait, self.active):
            if id in listed:
                listed.remove(id)
        del self.jobs[id]

    def drain(self, delayed: bool) -> int:
        ids = [*self.wait, *self.prioritized.scores, *(self.delayed.scores if delayed else ())]
        for id in ids:
            self.remove(id, hard=True)
        return len(ids)

    def cleanable(self, state: str, until: int) -> list[str]:
        """The jobs of *state* that a clean of all until then deletes, in the order it does."""
        if state in ("completed", "failed"):
            return [id for id in self.state(state) if self.jobs[id].finished <= until]  # type: ignore[operator]
        found = []
        for id in self.state(state):
            job = self.jobs[id]
            made = job.made if state == "prioritized" else job.processed or job.made
            if made <= until and not (state == "active" and job.holder is not None):
                found.append(id)
        return found

    def state(self, name: str) -> list[str]:
        """The ids of one state, in the order in which they run or finished."""
        if name in ("waiting", "active"):
            return (self.wait if name == "waiting" else self.active)[::-1]
        found: Ranked = getattr(self, name.replace("-", "_"))
        return found.order()

    def state_of(self, id: str) -> str:
        """Where a job stands."""
        return next(name for name in STATES if id in self.state(name))


CLEANED = ("waiting", "active", "prioritized", "delayed", "completed", "failed")
STATES = (*CLEANED, "waiting-children")
