"""Random operations on a real server and on the model: the same jobs in the same places."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queuecore import FlowJob, FlowProducer, Job, JobSpec, Queue
from queuecore.errors import JobIsLocked, JobNotInState
from queuecore.wire.calls.working import (
    ClaimOptions,
    HeldLock,
    Outcome,
    extend_locks,
    finish_and_claim,
    hand_back,
    move_stalled_jobs_to_wait,
)
from queuecore.wire.clock import FixedClock
from queuecore.wire.connections import get_connection
from tests import invariants
from tests.model.queue_model import CLEANED, STATES, Model

START = 1_800_000_000_000
MOST_STALLS = 1
PRIORITIES = st.sampled_from([0, 0, 0, 1, 2, 2, 7, 2_097_151])
DELAYS = st.sampled_from([0, 0, 0, 1, 5, 5, 60])
POLICIES = st.sampled_from(
    [
        *("", "", "fail_parent_on_failure", "continue_parent_on_failure"),
        *("ignore_dependency_on_failure", "remove_dependency_on_failure"),
    ]
)
SPECS = st.fixed_dictionaries(
    {"priority": PRIORITIES, "delay": DELAYS, "lifo": st.booleans()},
    optional={"job_id": st.sampled_from(["a", "b", "wait-1", "c" * 40])},
)
# A series that fails is told as it was met where shrinking it would take minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
COUNTS = st.one_of(st.none(), st.integers(1, 5))


class Machine(RuleBasedStateMachine):
    """One queue, two workers whose calls are made by hand, an operator, and time."""

    client: redis.Redis

    @initialize(paused=st.booleans())
    def begin(self, paused: bool) -> None:
        self.client.flushall()
        connection = get_connection()
        self.clock = connection.clock = FixedClock(START)
        self.queue = Queue("q")
        self.run = connection.run
        self.model = Model(START)
        self.calls = self.flows = 0
        self.workers = {"one": "one-0", "two": "two-0"}
        if paused:
            self.queue.pause()
            self.model.paused = True

    # Producers

    @rule(spec=SPECS)
    def add(self, spec: dict[str, Any]) -> None:
        job = self.queue.add("job", {}, **spec)
        assert job.id == self._model_add(spec)

    @rule(specs=st.lists(SPECS, min_size=1, max_size=12))
    def add_bulk(self, specs: list[dict[str, Any]]) -> None:
        jobs = self.queue.add_bulk([JobSpec("job", {}, **spec) for spec in specs])
        assert [job.id for job in jobs] == [self._model_add(spec) for spec in specs]

    @rule(
        children=st.lists(
            st.fixed_dictionaries({"priority": PRIORITIES, "delay": DELAYS, "policy": POLICIES}),
            min_size=1,
            max_size=3,
        ),
        priority=PRIORITIES,
        delay=DELAYS,
    )
    def add_flow(self, children: list[dict[str, Any]], priority: int, delay: int) -> None:
        self.flows += 1
        named = {f"child-{self.flows}-{n}": one for n, one in enumerate(children)}
        root = f"parent-{self.flows}"
        tree = FlowProducer().add(
            FlowJob(
                "parent", queue="q", job_id=root, priority=priority, delay=delay,
                children=[
                    FlowJob(
                        "child", queue="q", job_id=id, priority=one["priority"],
                        delay=one["delay"], **({one["policy"]: True} if one["policy"] else {}),
                    )
                    for id, one in named.items()
                ],
            )
        )  # fmt: skip
        assert [tree.job.id, *(one.job.id for one in tree.children)] == [root, *named]
        self.model.add_flow(
            root,
            {id: {**one, "delay": one["delay"] * 1000} for id, one in named.items()},
            priority=priority,
            delay=delay * 1000,
        )

    def _model_add(self, spec: dict[str, Any]) -> str:
        return self.model.add(**{**spec, "delay": spec["delay"] * 1000})

    # Workers

    @rule(
        who=st.sampled_from(["one", "two"]),
        rounds=st.lists(st.lists(st.sampled_from("ccf"), max_size=6), min_size=1, max_size=5),
        keep=st.sampled_from([None, None, None, 0, 2]),
    )
    def work(self, who: str, rounds: list[list[str]], keep: int | None) -> None:
        """Complete and fail what comes, for a while."""
        for kinds in rounds:
            self.call(who, 6, kinds, 1, keep, 0)

    @rule(who=st.sampled_from(["one", "two"]), want=st.integers(1, 6))
    def claim(self, who: str, want: int) -> None:
        self.call(who, want, [], 1, None, 0)

    @rule(
        who=st.sampled_from(["one", "two"]),
        want=st.integers(0, 6),
        kinds=st.lists(st.sampled_from("cccccffrdpw"), max_size=6),
        delay=st.sampled_from([1, 1500, 60_000]),
        keep=st.sampled_from([None, None, 0, 2]),
        repeats=st.integers(0, 1),
    )
    def call(
        self, who: str, want: int, kinds: list[str], delay: int, keep: int | None, repeats: int
    ) -> None:
        """Finish some of its jobs and claim others, in one call; sent again where it was lost."""
        worker = self.workers[who]
        held = [id for id in self.model.active[::-1] if self.model._held_by(id, worker)]
        outcomes = []
        for id, drawn in zip(held, kinds, strict=False):
            job = self.model.jobs[id]
            kind = "f" if job.doomed else drawn
            assert job.holder is not None
            number, attempts = job.holder[1], job.atm + 1
            outcomes.append((Outcome(
                id, number, kind,
                value=b"null" if kind == "c" else "why" if kind in "frd" else b"",
                stacktrace=b"[]" if kind in "frd" else b"",
                rule=_rule(kind, job.lifo, delay, keep),
                attempts=str(attempts),
            ), kind))  # fmt: skip
        self.calls += 1
        options = ClaimOptions(worker, "", 30_000, 60)
        receipt = self.queue.keys.receipt("call", worker, 1)
        call = finish_and_claim(
            self.queue.keys, receipt, self.calls, options, self.clock.now_ms(),
            [one for one, _ in outcomes], want,
        )  # fmt: skip
        answers = [self.run(call) for _ in range(1 + repeats)]
        codes = {
            index: code
            for index, (one, kind) in enumerate(outcomes)
            if (code := self.model.refusal(one.job_id, kind))
        }
        outcomes = [pair for index, pair in enumerate(outcomes) if index not in codes]
        for one, kind in outcomes:
            self.model.finish(one.job_id, kind, delay=delay, keep=keep if kind in "cf" else None)
        for kind in {kind for _, kind in outcomes if kind in "cf"} if keep else ():
            self.model.evict(kind, keep)  # type: ignore[arg-type]
        expected = self.model.claim(worker, self.calls, want) if want else []
        for answer in answers:
            assert (answer.late, answer.codes) == (False, codes)
            assert [one.id for one in answer.jobs] == expected

    @rule(who=st.sampled_from(["one", "two"]))
    def renew(self, who: str) -> None:
        worker = self.workers[who]
        locks = [
            HeldLock(id, f"{worker}:{job.holder[1]}", job.ats, True)
            for id in self.model.active
            if (job := self.model.jobs[id]).holder is not None and job.holder[0] == worker
        ]
        assert self.run(extend_locks(self.queue.keys, 30_000, locks)) == [1] * len(locks)
        self.model.renew(worker)

    @rule(who=st.sampled_from(["one", "two"]), renewed=st.booleans(), checks=st.integers(0, 3))
    def kill(self, who: str, renewed: bool, checks: int) -> None:
        """It is gone; its locks run out, and another takes its place."""
        if renewed:
            self.renew(who)
        for id in self.model.active:
            if self.model._held_by(id, self.workers[who]):
                self.client.delete(f"bull:q:{id}:lock")
        self.model.kill(self.workers[who])
        self._next_worker(who)
        for _ in range(checks):
            self.check_for_stalls()

    @rule(who=st.sampled_from(["one", "two"]))
    def leave(self, who: str) -> None:
        """It shuts down with jobs under way; a late call of it changes nothing."""
        worker = self.workers[who]
        back = self.run(hand_back(self.queue.keys, worker, 1))
        assert back == self.model.hand_back(worker)
        receipt = self.queue.keys.receipt("call", worker, 1)
        options = ClaimOptions(worker, "", 30_000, 60)
        late = finish_and_claim(
            self.queue.keys, receipt, self.calls, options, self.clock.now_ms(), [], 3
        )
        assert self.run(late).late
        self._next_worker(who)

    def _next_worker(self, who: str) -> None:
        self.calls += 1
        self.workers[who] = f"{who}-{self.calls}"

    @rule()
    def check_for_stalls(self) -> None:
        self.client.delete("bull:q:stalled-check")
        now = self.clock.now_ms()
        recovered, failing = self.run(
            move_stalled_jobs_to_wait(self.queue.keys, now, 30_000, MOST_STALLS)
        )
        assert set(recovered) == self.model.stalled()
        doomed = {id for id, job in self.model.jobs.items() if job.doomed}
        self.model.recover(recovered, MOST_STALLS)
        now_doomed = {id for id, job in self.model.jobs.items() if job.doomed}
        assert now_doomed - doomed <= set(failing) <= now_doomed

    # An operator

    @rule()
    def pause_or_resume(self) -> None:
        (self.queue.resume if self.model.paused else self.queue.pause)()
        self.model.paused = not self.model.paused

    @rule(concurrency=st.sampled_from([None, 1, 3]))
    def limit(self, concurrency: int | None) -> None:
        if concurrency is not None:
            # A lower one would be exceeded until some of the running jobs end.
            concurrency = max(concurrency, len(self.model.active))
        if concurrency is None:
            self.queue.remove_global_concurrency()
        else:
            self.queue.set_global_concurrency(concurrency)
        self.model.concurrency = concurrency

    def some(self, data: st.DataObject, *states: str) -> Job:
        ids = [id for state in states or STATES for id in self.model.state(state)]
        job = self.queue.get_job(data.draw(st.sampled_from(ids)))
        assert job is not None
        return job

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        job = self.some(data)
        if job.id in self.model.delayed:
            job.promote()
            self.model.promote(job.id)
        else:
            with pytest.raises(JobNotInState):
                job.promote()

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), state=st.sampled_from(["completed", "failed"]))
    def retry(self, data: st.DataObject, state: str) -> None:
        job = self.some(data)
        if job.id in getattr(self.model, state):
            job.retry(state)
            self.model.retry(job.id)
        else:
            with pytest.raises(JobNotInState):
                job.retry(state)

    @rule(state=st.sampled_from(["completed", "failed", "delayed"]), count=COUNTS)
    def retry_or_promote_jobs(self, state: str, count: int | None) -> None:
        if state == "delayed":
            assert self.queue.promote_jobs(count=count) == self.model.promote_all(count)
        else:
            found = getattr(self.model, state)
            assert self.queue.retry_jobs(state, count=count) == self.model.retry_all(found, count)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), priority=PRIORITIES, lifo=st.booleans())
    def change_priority(self, data: st.DataObject, priority: int, lifo: bool) -> None:
        job = self.some(data)
        job.change_priority(priority, lifo)
        self.model.change_priority(job.id, priority, lifo)

    @precondition(lambda self: self.model.delayed.scores)
    @rule(data=st.data(), delay=DELAYS)
    def change_delay(self, data: st.DataObject, delay: int) -> None:
        job = self.some(data, "delayed")
        job.change_delay(delay)
        self.model.change_delay(job.id, delay * 1000)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        job = self.some(data)
        if self.model.locked(job.id):
            with pytest.raises(JobIsLocked):
                job.remove()
        else:
            assert job.remove()
            for id in self.model.family(job.id):
                self.model.remove(id)

    @rule(
        state=st.sampled_from([*CLEANED, "to be run", "to be run or delayed"]),
        grace=st.sampled_from([0, 0, 5, 60]),
        limit=st.sampled_from([0, 0, 1, 3]),
    )
    def clean_or_drain(self, state: str, grace: int, limit: int) -> None:
        if state not in CLEANED:
            delayed = state != "to be run"
            assert self.queue.drain(delayed) == self.model.drain(delayed)
            return
        old = self.model.cleanable(state, self.clock.now_ms() - grace * 1000)
        removed = self.queue.clean(grace, limit, state)
        assert removed == old[: limit or None]
        for id in removed:
            self.model.remove(id, hard=True)

    @rule(seconds=st.sampled_from([0.001, 1, 5, 90]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now = self.clock.now_ms()

    # What must hold

    @invariant()
    def same_places(self) -> None:
        if not hasattr(self, "model"):
            return
        model = self.model
        pipeline = self.client.pipeline(transaction=False)
        for key in ("wait", "active"):
            pipeline.lrange(f"bull:q:{key}", 0, -1)
        for key in ("prioritized", "delayed", "completed", "failed", "waiting-children"):
            pipeline.zrange(f"bull:q:{key}", 0, -1, withscores=True)
        wait, active, *sets = pipeline.execute()
        assert (wait, active) == (model.wait, model.active)
        ranked = (
            model.prioritized, model.delayed, model.completed, model.failed, model.waiting_children
        )  # fmt: skip
        for found, expected in zip(sets, ranked, strict=True):
            assert found == [(id, expected.scores[id]) for id in expected.order()]
        invariants.check(self.client, "q")

    @invariant()
    def same_fields(self) -> None:
        if not hasattr(self, "model") or not self.model.jobs:
            return
        pipeline = self.client.pipeline(transaction=False)
        names = ("ats", "atm", "stc", "priority", "timestamp", "processedOn", "finishedOn")
        for id in self.model.jobs:
            pipeline.hmget(f"bull:q:{id}", names)
        rows = pipeline.execute()
        for row, job in zip(rows, self.model.jobs.values(), strict=True):
            numbers = [None if value is None else int(value) for value in row]
            made = [job.ats or None, job.atm or None, job.stalls or None]
            rest = [job.priority, job.made, job.processed, job.finished]
            assert numbers == made + rest, job
        for id, job in self.model.jobs.items():
            if job.parent == "" and id.startswith("parent-"):
                pipeline.smembers(f"bull:q:{id}:dependencies")
                pipeline.hkeys(f"bull:q:{id}:processed")
                pipeline.hkeys(f"bull:q:{id}:failed")
                pipeline.zrange(f"bull:q:{id}:unsuccessful", 0, -1)
                kinds = (job.dependencies, job.processed_children, job.ignored, job.unsuccessful)
                assert [{key.removeprefix("bull:q:") for key in keys}
                        for keys in pipeline.execute()] == list(kinds), job  # fmt: skip
        counts = self.queue.get_job_counts()
        assert {name: counts[name] for name in STATES} == {
            name: len(self.model.state(name)) for name in STATES
        }


def _rule(kind: str, lifo: bool, delay: int, keep: int | None) -> str:
    """The seventh word of an outcome: what to keep, whether first, or how long to wait."""
    if kind in "cf":
        return "" if keep is None else "0" if keep == 0 else f"{keep},,"
    if kind == "r":
        return "lifo" if lifo else ""
    return str(delay) if kind in "dp" else ""


def drive(client: redis.Redis, monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    """Run *examples* series of 100 operations each."""
    monkeypatch.setattr(Machine, "client", client, raising=False)
    connection = get_connection()
    monkeypatch.setattr(connection, "clock", connection.clock)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine,
        settings=settings(
            max_examples=examples,
            phases=PHASES,
            stateful_step_count=100,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_two_thousand_operations(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(redis_client, monkeypatch, 20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_thousand_operations(
    redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(redis_client, monkeypatch, 200)
