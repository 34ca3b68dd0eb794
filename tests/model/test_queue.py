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
from queuecore.errors import (
    FailedChildren,
    JobIsLocked,
    JobNotInState,
    ParentConflict,
    ParentNotFound,
)
from queuecore.options import POLICIES
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
from tests.model.queue_model import CLEANED, STATES, Model, Node

START = 1_800_000_000_000
MOST_STALLS = 1
PRIORITIES = st.sampled_from([0, 0, 0, 1, 2, 2, 7, 2_097_151])
DELAYS = st.sampled_from([0, 0, 0, 1, 5, 5, 60])
FAILURES = st.sampled_from(["", "fail_parent_on_failure", *POLICIES])
OWN_IDS = ["a", "b", "wait-1", "c" * 40]  # of jobs that may be added again and again
SPECS = st.fixed_dictionaries(
    {"priority": PRIORITIES, "delay": DELAYS, "lifo": st.booleans()},
    optional={"job_id": st.sampled_from(OWN_IDS)},
)
# What stands below the root of a flow: a list is a job with children, a number one without.
SHAPES: list[list[Any]] = [
    [0], [0, 0], [0, 0, 0], [[0]], [[0, 0]], [[0], 0], [0, [0, 0]], [[[0]]], [[[0], 0], 0],
]  # fmt: skip
MOST_NODES = 5
# Families are to get on: most of them are to run at once.
NODES = st.lists(
    st.tuples(
        FAILURES, st.sampled_from([0, 0, 0, 0, 0, 3]), st.sampled_from([0, 0, 0, 0, 0, 0, 5])
    ),
    min_size=MOST_NODES + 1,
    max_size=MOST_NODES + 1,
)
# A series that fails is told as it was met where shrinking it would take minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]
# Chooses one of what there is.
WHICH = st.integers(0, 999)
COUNTS = st.one_of(st.none(), st.integers(1, 5))


# Rules that add many jobs without relatives, or keep all of them from being run.
CROWDS = precondition(lambda self: not self.families)
# Rules that find something to do only where there are jobs.
BUSY = precondition(lambda self: bool(self.model.jobs))


ACTS = [
    *("work", "work", "work", "work", "failed", "completed", "remove", "clean", "wait", "forget"),
    *("unprocessed", "time", "children", "children", "later", "adopt"),
]


class Machine(RuleBasedStateMachine):
    """One queue, two workers whose calls are made by hand, an operator, and time."""

    client: redis.Redis

    @initialize(paused=st.booleans(), families=st.sampled_from([False, True, True]))
    def begin(self, paused: bool, families: bool) -> None:
        """*families*: flows above all, which then meet what is rare."""
        self.client.flushall()
        connection = get_connection()
        self.clock = connection.clock = FixedClock(START)
        self.queue = Queue("q")
        self.run = connection.run
        self.model = Model(START)
        self.flow = FlowProducer()
        self.calls = self.made = 0
        self.families, paused = families, paused and not families
        self.workers = {"one": "one-0", "two": "two-0"}
        if paused:
            self.queue.pause()
            self.model.paused = True

    # Producers

    @CROWDS
    @rule(spec=SPECS)
    def add(self, spec: dict[str, Any]) -> None:
        job = self.queue.add("job", {}, **spec)
        assert job.id == self._model_add(spec)

    @CROWDS
    @rule(specs=st.lists(SPECS, min_size=1, max_size=12))
    def add_bulk(self, specs: list[dict[str, Any]]) -> None:
        jobs = self.queue.add_bulk([JobSpec("job", {}, **spec) for spec in specs])
        assert [job.id for job in jobs] == [self._model_add(spec) for spec in specs]

    @rule(
        shape=st.sampled_from(SHAPES),
        drawn=NODES,
        known=st.sampled_from(["", "", "", "root", "leaf"]),
        which=WHICH,
    )
    def add_flow(
        self, shape: list[Any], drawn: list[tuple[str, int, int]], known: str, which: int
    ) -> None:
        """Add a flow; its root or one of its leaves may be there already."""
        options = iter(drawn)
        there = [self._grown(which)] if known else []

        def plan(one: Any, parent: str) -> FlowJob:
            policy, priority, delay = next(options)
            fits = one == 0 and known == "leaf" if parent else known == "root"
            id = (fits and there and there.pop()) or self._new_id("parent" if one else "job")
            policy = policy if parent else ""
            return FlowJob(
                "job", queue="q", job_id=id, priority=priority, delay=delay,
                children=[plan(child, id) for child in one or ()],
                **({policy: True} if policy else {}),
            )  # fmt: skip

        nodes: list[Node] = []
        tree = plan(shape, "")
        below = [("", tree)]
        for parent, job in below:  # grows while it is walked, a generation after the other
            id, options_ = str(job.options["job_id"]), job.options
            policy = next((name for name in options_ if name in POLICIES), "")
            nodes.append(
                Node(
                    id, parent, policy, options_["priority"],
                    options_["delay"] * 1000, bool(job.children),
                )
            )  # fmt: skip
            below += [(id, child) for child in job.children]
        if self.model.add_flow(nodes):
            self.flow.add(tree)
        else:
            with pytest.raises(ParentConflict):
                self.flow.add(tree)

    @BUSY
    @rule(
        drawn=NODES,
        count=st.integers(1, 3),
        known=st.sampled_from([False, False, True]),
        which=WHICH,
        held=st.sampled_from([True, True, False]),
        waits=st.sampled_from(["", "all", "one"]),
    )
    def add_children(
        self,
        drawn: list[tuple[str, int, int]],
        count: int,
        known: bool,
        which: int,
        held: bool,
        waits: str,
    ) -> None:
        """Give a job more children, mostly one that runs, which may wait for them then."""
        parent = self._running(which) if held else self._grown(which)
        if not parent:
            return
        job = self.queue.get_job(parent)
        for n, (policy, priority, delay) in enumerate(drawn[:count]):
            id = (known and n == 0 and self._grown(which * 7)) or self._new_id("child")
            node = Node(id, parent, policy, priority, delay * 1000)
            options: dict[str, Any] = {policy: True} if policy else {}
            options |= {"priority": priority, "delay": delay, "parent": job, "job_id": id}
            if self.model.add_child(node):
                assert self.queue.add("child", {}, **options).id == id
            else:
                with pytest.raises(ParentConflict):
                    self.queue.add("child", {}, **options)
        if held and waits:
            self._wait_for_children(parent, id if waits == "one" else "")

    @BUSY
    @rule(which=WHICH, one=st.booleans())
    def wait_for_children(self, which: int, one: bool) -> None:
        parent = self._running(which)
        if parent:
            known = sorted(self.model.children(parent)) if one else []
            self._wait_for_children(parent, known[which % len(known)] if known else "")

    def _wait_for_children(self, parent: str, child: str) -> None:
        job, entry = self.queue.get_job(parent), self.model.jobs[parent]
        assert job is not None
        assert entry.holder is not None
        token = "{}:{}".format(*entry.holder)
        key = child and f"bull:q:{child}"
        if entry.unsuccessful:
            with pytest.raises(FailedChildren):
                job.move_to_waiting_children(token, child=key)
        else:
            waits = job.move_to_waiting_children(token, child=key)
            assert waits == self.model.wait_for_children(parent, child)

    def _grown(self, which: int) -> str:
        """One of the jobs with ids of their own that are used once, "" if there is none."""
        ids = [id for id in self.model.jobs if id not in OWN_IDS and not id.isdigit()]
        if which % 2:
            ids = [id for id in ids if id in self.model.completed] or ids
        return ids[which % len(ids)] if ids else ""

    def _running(self, which: int) -> str:
        """A job that a worker holds, a parent rather than another; its id is used once, too."""
        held = [id for id in self.model.active if self.model.jobs[id].holder and id not in OWN_IDS]
        parents = [id for id in held if self.model.jobs[id].is_parent] or held
        return parents[which % len(parents)] if parents else ""

    def _new_id(self, kind: str) -> str:
        self.made += 1
        return f"{kind}-{self.made}"

    def _model_add(self, spec: dict[str, Any]) -> str:
        return self.model.add(**{**spec, "delay": spec["delay"] * 1000})

    # Workers

    @BUSY
    @rule(
        who=st.sampled_from(["one", "two"]),
        rounds=st.integers(1, 5),
        failing=WHICH,
        keep=st.sampled_from([None, None, None, 0, 2]),
    )
    def work(self, who: str, rounds: int, failing: int, keep: int | None) -> None:
        """Complete what comes, and fail some of it, for a while."""
        for turn in range(rounds):
            kinds = ["cf"[failing >> (turn + n) % 10 & 1] for n in range(6)]
            self.call(who, 6, kinds, 1, keep, 0)

    @BUSY
    @precondition(lambda self: self.families)
    @rule(acts=st.lists(st.tuples(st.sampled_from(ACTS), WHICH), min_size=6, max_size=6))
    def live(self, acts: list[tuple[str, int]]) -> None:
        """Much happens to the families in a row, with work in between."""
        for act, which in acts:
            if not self.model.jobs:
                return
            if act in ("completed", "failed"):
                self.retry(which, act)
            elif act == "remove":
                self.remove(which, which % 3 > 0)
            elif act == "clean":
                self.clean_or_drain(CLEANED[which % len(CLEANED)], 0, 1)
            elif act == "wait":
                self.wait_for_children(which, which % 2 > 0)
            elif act == "forget":
                self.remove_child_dependency(which)
            elif act == "unprocessed":
                self.remove_unprocessed_children(which)
            elif act == "children":
                policy = [*POLICIES, "fail_parent_on_failure"][which % 5]
                waits = ("", "all", "one")[which % 3]
                self.add_children([(policy, 0, 0)] * 2, 1 + which % 2, False, which, True, waits)
            elif act == "adopt":
                self.add_flow(SHAPES[which % 4], [("", 0, 0)] * 6, "leaf", which | 1)
            elif act == "later":
                self.call(("one", "two")[which % 2], 0, ["d"] * 3, 60_000, None, 0)
            elif act == "time":
                self.time_passes(5)
            else:
                who = ("one", "two")[which // 500]  # what one holds goes on while the other works
                self.work(who, 1 + which % 3, which, 0 if which % 7 == 0 else None)

    @BUSY
    @rule(who=st.sampled_from(["one", "two"]), want=st.integers(1, 6))
    def claim(self, who: str, want: int) -> None:
        self.call(who, want, [], 1, None, 0)

    @BUSY
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
            kind = "f" if job.told else drawn
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

    @BUSY
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

    @BUSY
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

    @BUSY
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

    @BUSY
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

    @CROWDS
    @BUSY
    @rule()
    def pause_or_resume(self) -> None:
        (self.queue.resume if self.model.paused else self.queue.pause)()
        self.model.paused = not self.model.paused

    @CROWDS
    @BUSY
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

    def some(self, which: int, *states: str) -> Job:
        ids = [id for state in states or STATES for id in self.model.state(state)]
        if self.families:
            related = [id for id in ids if self.model.is_related(id)]
            ids = related or ids
        job = self.queue.get_job(ids[which % len(ids)])
        assert job is not None
        return job

    @BUSY
    @rule(which=WHICH)
    def promote(self, which: int) -> None:
        job = self.some(which)
        if job.id in self.model.delayed:
            job.promote()
            self.model.promote(job.id)
        else:
            with pytest.raises(JobNotInState):
                job.promote()

    @BUSY
    @rule(which=WHICH, state=st.sampled_from(["completed", "failed"]))
    def retry(self, which: int, state: str) -> None:
        job = self.some(which)
        if job.id in getattr(self.model, state):
            job.retry(state)
            self.model.retry(job.id)
        else:
            with pytest.raises(JobNotInState):
                job.retry(state)

    @BUSY
    @rule(state=st.sampled_from(["completed", "failed", "delayed"]), count=COUNTS)
    def retry_or_promote_jobs(self, state: str, count: int | None) -> None:
        if state == "delayed":
            assert self.queue.promote_jobs(count=count) == self.model.promote_all(count)
        else:
            found = getattr(self.model, state)
            assert self.queue.retry_jobs(state, count=count) == self.model.retry_all(found, count)

    @BUSY
    @rule(which=WHICH, priority=PRIORITIES, lifo=st.booleans())
    def change_priority(self, which: int, priority: int, lifo: bool) -> None:
        job = self.some(which)
        job.change_priority(priority, lifo)
        self.model.change_priority(job.id, priority, lifo)

    @precondition(lambda self: self.model.delayed.scores)
    @rule(which=WHICH, delay=DELAYS)
    def change_delay(self, which: int, delay: int) -> None:
        job = self.some(which, "delayed")
        job.change_delay(delay)
        self.model.change_delay(job.id, delay * 1000)

    @BUSY
    @rule(which=WHICH, children=st.sampled_from([True, True, False]))
    def remove(self, which: int, children: bool) -> None:
        job = self.some(which)
        if self.model.remove_job(job.id, children):
            assert job.remove(children)
        else:
            with pytest.raises(JobIsLocked):
                job.remove(children)

    @BUSY
    @rule(which=WHICH)
    def remove_unprocessed_children(self, which: int) -> None:
        job = self.some(which)
        removed = self.model.remove_unprocessed_children(job.id)
        assert job.remove_unprocessed_children() == removed

    @BUSY
    @rule(which=WHICH)
    def remove_child_dependency(self, which: int) -> None:
        job = self.some(which)
        parent = self.model.jobs[job.id].parent
        if parent and parent not in self.model.jobs:
            with pytest.raises(ParentNotFound):
                job.remove_child_dependency()
        else:
            assert job.remove_child_dependency() == self.model.remove_child_dependency(job.id)

    @BUSY
    @rule(
        state=st.sampled_from([*CLEANED, "to be run", "to be run or delayed"]),
        grace=st.sampled_from([0, 0, 5, 60]),
        limit=st.sampled_from([0, 0, 1, 3]),
    )
    def clean_or_drain(self, state: str, grace: int, limit: int) -> None:
        if self.families and (state not in CLEANED or not limit):
            state, limit = "waiting", 1  # else there would seldom be any
        if state not in CLEANED:
            delayed = state != "to be run"
            assert self.queue.drain(delayed) == self.model.drain(delayed)
            return
        old = self.model.cleanable(state, self.clock.now_ms() - grace * 1000)
        removed = self.queue.clean(grace, limit, state)
        assert removed == old[: limit or None]
        for id in removed:
            self.model.remove(id, hard=True)

    @BUSY
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
        names = (
            *("ats", "atm", "stc", "priority", "timestamp", "processedOn", "finishedOn", "delay"),
            *("defa", "parentKey"),
        )
        for id in self.model.jobs:
            pipeline.hmget(f"bull:q:{id}", names)
        rows = pipeline.execute()
        for row, job in zip(rows, self.model.jobs.values(), strict=True):
            numbers = [None if value is None else int(value) for value in row[:8]]
            made = [job.ats or None, job.atm or None, job.stalls or None]
            rest = [job.priority, job.made, job.processed, job.finished, job.delay]
            assert numbers == made + rest, job
            parent = f"bull:q:{job.parent}" if job.parent else None
            assert (row[8] is not None, row[9]) == (job.doomed, parent), job
        for id, job in self.model.jobs.items():
            if job.is_parent:
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
