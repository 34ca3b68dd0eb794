"""Grouped jobs under whatever can be done to them, in any order: the invariants always hold."""

import random
from contextlib import suppress
from typing import Any

import pytest
import redis

from queuecore import Group, JobSpec, Queue
from queuecore.errors import JobIsLocked, JobNotInState
from queuecore.integrity import Integrity
from queuecore.wire.calls.base import NOW, Operation
from queuecore.wire.calls.working import (
    Claim,
    ClaimOptions,
    Outcome,
    finish_and_claim,
    hand_back,
    move_stalled_jobs_to_wait,
    recover_worker,
)
from tests import invariants

STEPS = 250


class Crowd:
    """Two workers by hand, and an operator who does anything."""

    def __init__(self, queue: Queue, client: redis.Redis, seed: int) -> None:
        self.queue, self.client, self.any = queue, client, random.Random(seed)
        self.added: list[str] = []
        self.ids = 0
        self.begin()

    def begin(self) -> None:
        """Two new workers: ids of those that were handed back are closed for good."""
        self.ids += 1
        self.numbers = {f"w{self.ids}a": 0, f"w{self.ids}b": 0}
        self.held: dict[str, list[tuple[str, int]]] = {name: [] for name in self.numbers}

    def group(self) -> str:
        return f"g{self.any.randrange(4)}"

    def add(self) -> None:
        specs = []
        for _ in range(self.any.randrange(1, 6)):
            options: dict[str, Any] = {}
            if self.any.random() < 0.8:
                options["group"] = Group(self.group(), priority=self.any.choice((0, 0, 3)))
            if self.any.random() < 0.2:
                options["delay"] = self.any.choice((0.001, 100))
            specs.append(JobSpec("n", 1, lifo=self.any.random() < 0.2, **options))
        self.added += [job.id for job in self.queue.add_bulk(specs)]

    def call(self) -> None:
        worker = self.any.choice(list(self.numbers))
        held = self.held[worker]
        self.any.shuffle(held)
        ended = [held.pop() for _ in range(self.any.randrange(len(held) + 1))]
        outcomes = []
        for id, number in ended:
            kind = self.any.choice("ccfrdpw")
            rule = {"d": "1", "p": "50", "r": self.any.choice(("", "lifo"))}.get(kind, "")
            outcomes.append(Outcome(id, number, kind, b"1", b"[]", rule, "1"))
        claim = self.claim(worker, outcomes, self.any.randrange(6))
        assert not claim.codes
        held += [(one.id, self.numbers[worker]) for one in claim.jobs]

    def claim(self, worker: str, outcomes: list[Outcome], want: int) -> Claim:
        self.numbers[worker] += 1
        options = ClaimOptions(
            worker, "", 30000, 0, group_limits=self.any.choice(("2,,", ",3,5", "2,3,5"))
        )

        def operation() -> Operation[Claim]:
            now = yield NOW
            found: Claim = yield finish_and_claim(
                self.queue.keys,
                self.queue.keys.receipt("call", worker, 1),
                self.numbers[worker],
                options,
                now,
                outcomes,
                want,
            )
            return found

        return self.queue._run(operation())

    def leave(self) -> None:
        for worker in self.numbers:
            if self.any.random() < 0.5:
                self.queue._run(hand_back(self.queue.keys, worker, 1))
            else:
                self.queue._run(recover_worker(self.queue.keys, worker, 1, 100))
        self.begin()

    def lose(self) -> None:
        for held in self.held.values():
            for id, _ in held:
                self.client.delete(f"bull:q:{id}:lock")
        self.begin()
        for _ in range(2):
            self.client.delete("bull:q:stalled-check")
            self.queue._run(move_stalled_jobs_to_wait(self.queue.keys, 1, 1, 100))

    def remove(self) -> None:
        if self.added:
            with suppress(JobIsLocked):
                self.queue.remove(self.any.choice(self.added))

    def steer(self) -> None:
        group = self.group()
        self.any.choice(
            (
                lambda: self.queue.pause_group(group),
                lambda: self.queue.resume_group(group),
                lambda: self.queue.resume_group(group),
                lambda: self.queue.set_group_concurrency(group, self.any.choice((1, 5))),
                lambda: self.queue.remove_group_concurrency(group),
                lambda: self.queue.set_group_rate_limit(group, 2, 0.01),
                lambda: self.queue.remove_group_rate_limit(group),
                lambda: self.queue.rate_limit_group(group, 0.005),
                lambda: self.queue.promote_jobs(count=2),
                lambda: self.queue.retry_jobs(count=2),
                lambda: self.queue.drain() if self.any.random() < 0.05 else None,
                lambda: self.queue.delete_group(group) if self.any.random() < 0.1 else None,
                lambda: self.queue.clean(0, 3, self.any.choice(("waiting", "delayed"))),
                self.change,
            )
        )()

    def change(self) -> None:
        job = self.queue.get_job(self.any.choice(self.added)) if self.added else None
        if job is not None:
            job.change_priority(self.any.choice((0, 0, 3, 9)), self.any.random() < 0.3)
            with suppress(JobNotInState):
                job.change_delay(self.any.choice((0.001, 100)))


@pytest.mark.parametrize("seed", range(6))
def test_the_invariants_hold_after_each_act(
    queue: Queue, redis_client: redis.Redis, seed: int
) -> None:
    crowd = Crowd(queue, redis_client, seed)
    acts = [crowd.add, crowd.add, *[crowd.call] * 6, crowd.steer, crowd.remove]
    told = []
    for _ in range(STEPS):
        act = (
            crowd.any.choice(acts)
            if crowd.any.random() < 0.96
            else crowd.any.choice((crowd.leave, crowd.lose))
        )
        told.append(act.__name__)
        act()
        _, found = invariants.look(redis_client, "q", idle=True)
        assert not found, (told[-5:], found)
        if len(told) % 25 == 0:
            damage = [one for one in Integrity().check(["q"]).findings if one.kind != "stalled"]
            assert not damage, (told[-5:], damage)
    # And whatever is left runs to its end.
    crowd.lose()
    for n in range(4):
        queue.resume_group(f"g{n}")
    for _ in range(2000):
        queue.promote_jobs()
        claim = crowd.claim(next(iter(crowd.numbers)), [], 20)
        if claim.jobs:
            number = crowd.numbers[next(iter(crowd.numbers))]
            ended = [Outcome(one.id, number, "c", b"1", b"", "", "1") for one in claim.jobs]
            crowd.claim(next(iter(crowd.numbers)), ended, 0)
        counts = invariants.check(redis_client, "q", idle=True)
        if counts["completed"] + counts["failed"] == sum(counts.values()):
            return
    raise AssertionError(f"jobs are left: {counts}")
