"""A queue in plain Python: where each job stands, in which order, and what each operation does.

It knows nothing of Redis but its way to order: by score, and equal scores by the member's bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

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
    told: bool = False  # was doomed already when it was claimed
    processed: int | None = None
    finished: int | None = None
    holder: tuple[str, int] | None = None  # worker and number of the claim
    delay: int = 0  # the last it was given, until it is over
    parent: str = ""
    policy: str = ""  # what its failure means to the parent
    is_parent: bool = False  # has or had children
    dependencies: set[str] = field(default_factory=set)
    processed_children: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)
    unsuccessful: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Node:
    """One job of a flow that is to be added."""

    id: str
    parent: str = ""
    policy: str = ""
    priority: int = 0
    delay: int = 0
    is_parent: bool = False


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
        self.jobs[id] = job = Entry(id, self.now, priority, lifo, delay=delay)
        if delay:
            self._delay(id, self.now + delay)
        elif priority:
            self._rank(job)
        else:
            self._queue(id, first=lifo)
        return id

    def add_flow(self, nodes: list[Node]) -> bool:
        """Add *nodes*, each generation before the next; False if none of them can be added."""
        links: dict[str, str] = {}
        for node in nodes:
            if node.parent and not self._may_adopt(node.id, node.parent, links):
                return False
        done = []
        for node in nodes:
            if node.id in self.jobs:
                self.last_id += 1
                if node.parent and self._adopt(node):
                    done.append(node.parent)
            elif node.is_parent:
                self.last_id += 1
                self.jobs[node.id] = Entry(node.id, self.now, node.priority, delay=node.delay)
                self.waiting_children.scores[node.id] = self.now
            else:
                self.add(priority=node.priority, delay=node.delay, job_id=node.id)
            if node.parent and node.parent != self.jobs[node.id].parent:
                self._adopt(node)
        for parent in done:
            self._release_if_done(parent)
        return True

    def add_child(self, node: Node) -> bool:
        """Give a job that exists one more child; False if it cannot be."""
        if not self._may_adopt(node.id, node.parent, {}):
            return False
        self.add(priority=node.priority, delay=node.delay, job_id=node.id)
        if self._adopt(node):
            self._release_if_done(node.parent)
        return True

    def _may_adopt(self, id: str, parent: str, links: dict[str, str]) -> bool:
        job = self.jobs.get(id)
        known = links.get(id) or (job.parent if job else "")
        if known and known != parent and known in self.jobs:
            return False
        links[id] = parent
        above = parent if job else ""
        while above and above != id:
            above = links.get(above) or (self.jobs[above].parent if above in self.jobs else "")
        return not above

    def _adopt(self, node: Node) -> bool:
        """Whether the child had completed before."""
        job, parent = self.jobs[node.id], self.jobs[node.parent]
        job.parent, job.policy, parent.is_parent = node.parent, node.policy, True
        if node.id in self.completed:
            parent.processed_children.add(node.id)
            return True
        parent.dependencies.add(node.id)
        return False

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

    def _release_if_done(self, id: str) -> None:
        if not self.jobs[id].dependencies and self.waiting_children.take(id):
            self._release(id)

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
            self._unlink(parent, hard=True)
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
        for one in noted:
            if child.id in one:
                one.remove(child.id)
                parent.dependencies.add(child.id)
                return

    def remove_child_dependency(self, id: str) -> bool:
        """A parent no longer waits for a child, which goes on by itself; whether it had."""
        child = self.jobs[id]
        if child.parent not in self.jobs or id not in self.jobs[child.parent].dependencies:
            return False
        self._unlink(child)
        child.parent = child.policy = ""
        return True

    def remove_unprocessed_children(self, id: str) -> int:
        """Delete what a job waits for and nobody has begun, and theirs; how many of its own."""
        below: dict[str, list[str]] = {}
        seen = {id}

        def collect(one: str) -> None:
            below[one] = [
                child for child in self.jobs[one].dependencies - seen
                if self.jobs[child].holder is None and child not in self.failed
            ]  # fmt: skip
            seen.update(below[one])
            for child in below[one]:
                collect(child)

        collect(id)
        for child in below[id]:
            self._remove_family(child, below)
        return len(below[id])

    def wait_for_children(self, id: str, child: str = "") -> bool:
        """A running job waits for its children, or for *child*; whether it does."""
        job = self.jobs[id]
        if not (child in job.dependencies if child else job.dependencies):
            return False
        self._leave(job)
        job.unconfirmed, job.confirmed = 0, False
        self.waiting_children.scores[id] = self.now
        return True

    def refusal(self, id: str, kind: str) -> int:
        """BullMQ's code where a job cannot complete because of its children; else 0."""
        job = self.jobs[id]
        if kind != "c":
            return 0
        return -4 if job.dependencies else -9 if job.unsuccessful else 0

    # The worker's call

    def finish(self, id: str, kind: str, *, delay: int = 0, keep: int | None = None) -> None:
        job = self.jobs[id]
        self._leave(job)
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
            job.delay = delay
            self._delay(id, self.now + delay)
        elif kind == "w":
            self._ready(job, first=True)
        elif job.priority:
            self._rank(job)
        else:
            self._queue(id, first=job.lifo)

    def _leave(self, job: Entry) -> None:
        self.active.remove(job.id)
        self.seen.discard(job.id)
        job.holder = None

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
            self.promote(id)
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
            job.told = job.doomed
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
        self.jobs[id].delay = 0
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
        self.jobs[id].delay = delay
        self._delay(id, self.now + delay)

    def children(self, id: str) -> set[str]:
        """All children that a job knows of."""
        job = self.jobs[id]
        return job.processed_children | job.ignored | job.unsuccessful | job.dependencies

    def is_related(self, id: str) -> bool:
        """Whether it has, or had, a parent or children."""
        return self.jobs[id].is_parent or bool(self.jobs[id].parent)

    def remove_job(self, id: str, children: bool) -> bool:
        """Delete a job, and what stands below it; False if a worker holds one that is to go."""
        below: dict[str, list[str]] = {}

        def is_free(one: str, finished: bool) -> bool:
            if not finished and self.jobs[one].holder is not None:
                return False
            below[one] = []
            job, free = self.jobs[one], True
            ended = job.processed_children | job.ignored | job.unsuccessful
            for child in (ended | job.dependencies) & self.jobs.keys() if children else ():
                if child not in below:
                    below[one].append(child)
                    free = is_free(child, child in ended) and free
            return free

        if not is_free(id, False):
            return False
        self._remove_family(id, below)
        return True

    def _remove_family(self, id: str, below: dict[str, list[str]]) -> None:
        self._unlink(self.jobs[id])
        for child in below[id]:
            self._remove_family(child, below)
        self.remove(id)

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
        self.seen.discard(id)
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
