"""What counts as wrong with a queue, and when it will be empty."""

from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dashboard import health
from dashboard.live import state
from dashboard.live.state import Crew
from dashboard.notices import Notices
from dashboard.rates import DAY, GROWTH, JUST, MINUTE, WINDOW, Rates
from queuecore.fleet import FleetSeat, FleetSupervisor
from queuecore.inspect import QueueSnapshot, Reading, ServerInfo, Wants, WorkerInfo

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
Figures = namedtuple("Figures", "waiting active delayed failed")

QUIET = QueueSnapshot(
    alias="default",
    name="q",
    counts=dict.fromkeys(
        ("waiting", "prioritized", "active", "delayed", "waiting-children", "completed", "failed"),
        0,
    ),
    paused=False,
    concurrency=None,
    limit_max=None,
    limit_duration_ms=None,
    limiter_ttl_ms=0,
    oldest_wait=None,
    next_delayed=None,
    completed_total=None,
    failed_total=None,
    version="",
    event_id="",
    at=NOW,
)
WORKER = WorkerInfo("q", "w", "10.0.0.1:1", 1, 60, 1, "redis-py(8.1)")


class Connection:
    """As much of a connection's state as is judged."""

    def __init__(self, snapshot: QueueSnapshot, workers: list[WorkerInfo] | None) -> None:
        self.alias, self.workers, self.error, self.server = "default", workers, None, None
        self.queues = {"q": snapshot}
        self.crews: dict[str, Crew] = {}
        self.supervisors: list[FleetSupervisor] = []
        self.ours: set[int] = set()
        self.unexplained: set[str] = set()
        self.notices = Notices()
        self.read_at = NOW


def judge(
    *,
    waiting: int = 0,
    active: int = 0,
    waited: float = 0,
    workers: list[WorkerInfo] | None = [WORKER],  # noqa: B006 - never changed
    crew: Crew | None = None,
    minute: tuple[float, float] = (0, 0),
    window: tuple[float, float] = (0, 0),
    day: tuple[float, float] = (0, 0),
    just: tuple[float, float] = (0, 0),
    ours: tuple[int, ...] = (WORKER.client_id,),
    unexplained: bool = False,
    before: int | None = None,
    **changes: Any,
) -> health.Health:
    counts = {**QUIET.counts, "waiting": waiting, "active": active}
    oldest = NOW - timedelta(seconds=waited) if waiting else None
    snapshot = replace(QUIET, counts=counts, oldest_wait=oldest, **changes)
    rates = Rates(
        sums={JUST: {"q": just}, MINUTE: {"q": minute}, WINDOW: {"q": window}, DAY: {"q": day}},
        measured={MINUTE: 60, WINDOW: 600, DAY: 86_400},
        before={} if before is None else {"q": Figures(before, active, 0, 0)},
        span=GROWTH,
    )
    connection = Connection(snapshot, workers)
    connection.crews = {"q": crew} if crew else {}
    connection.ours = set(ours) if crew else set()
    connection.unexplained = {"q"} if unexplained else set()
    found = health.health(connection, "q", rates)
    assert found is not None
    return found


def kinds(found: health.Health) -> list[str]:
    return [item.kind for item in found.attention]


def test_a_quiet_queue_needs_nothing() -> None:
    found = judge()
    assert (found.attention, found.badges, found.drain.kind) == ((), (), "idle")


def test_a_busy_one_that_keeps_up_needs_nothing() -> None:
    found = judge(waiting=10, active=5, minute=(600, 2), window=(6_000, 20), before=10)
    assert (found.attention, found.drain.kind) == ((), "keeping-up")
    assert (found.rate_out, found.rate_in) == (602, 602)


def test_failing_is_many_and_unusual() -> None:
    found = judge(window=(60, 40), day=(10_000, 40))
    assert kinds(found) == ["failing"]
    assert found.attention[0].what == "40 % of the jobs fail, normally 0.4 %"
    assert found.badges[0].text == "Failing"


@pytest.mark.parametrize(
    ("window", "day"),
    [
        ((5, 4), (1_000, 4)),  # too few to tell
        ((900, 100), (10_000, 100)),  # many, but most work
        ((70, 30), (7_000, 3_000)),  # that is how this queue always is ... and known to be
    ],
)
def test_what_is_no_alarm(window: tuple[int, int], day: tuple[int, int]) -> None:
    assert "failing" not in kinds(judge(window=window, day=day)) or day == (7_000, 3_000)


def test_half_of_everything_failing_is_an_alarm_however_usual() -> None:
    assert kinds(judge(window=(40, 60), day=(4_000, 6_000))) == ["failing"]


def test_nobody_listens() -> None:
    found = judge(waiting=427, waited=2_823, workers=[])
    assert kinds(found) == ["no-workers"]
    assert found.attention[0].what == "427 jobs wait and no worker listens"
    assert found.attention[0].since == NOW - timedelta(seconds=2_823)
    assert found.drain.kind == "never"


def test_a_worker_that_has_just_begun_is_not_missed() -> None:
    assert judge(waiting=5, waited=8, workers=[]).attention == ()


def test_where_the_server_does_not_tell_nobody_is_called_missing() -> None:
    found = judge(waiting=5, waited=600, workers=None)
    assert found.attention == ()
    assert found.workers is None


def test_paused() -> None:
    found = judge(waiting=3, waited=100, paused=True, workers=[])
    assert kinds(found) == ["paused"]
    assert found.drain.kind == "paused"
    assert judge(paused=True).attention == ()


def test_a_growing_backlog() -> None:
    found = judge(waiting=2_000, waited=100, minute=(100, 0), before=1_000)
    assert kinds(found) == ["growing"]
    assert found.rate_in == 300
    assert found.drain == health.Drain("growing", growth=200)


def test_a_backlog_that_shrinks_has_a_time() -> None:
    found = judge(waiting=600, waited=100, minute=(200, 0), before=1_100)
    assert found.drain == health.Drain("estimate", seconds=360)
    assert found.attention == ()


def test_one_that_neither_grows_nor_shrinks_is_measured_by_what_gets_done() -> None:
    found = judge(waiting=600, waited=100, minute=(200, 0), before=600)
    assert found.drain == health.Drain("estimate", seconds=180)


def test_a_job_that_waits_for_long_although_somebody_works() -> None:
    found = judge(waiting=3, waited=1_000, minute=(5, 0), before=3)
    assert kinds(found) == ["stuck"]
    assert found.attention[0].what == "The oldest job has waited for 16 m 00 s"


def test_without_history_nothing_is_claimed() -> None:
    nothing = Rates(
        sums={JUST: {}, MINUTE: {}, WINDOW: {}, DAY: {}},
        measured={MINUTE: 0, WINDOW: 0, DAY: 0},
        before={},
        span=0,
    )
    counts = {**QUIET.counts, "waiting": 7}
    found = health.health(Connection(replace(QUIET, counts=counts), [WORKER]), "q", nothing)
    assert found is not None
    assert (found.rate_in, found.rate_out, found.fail_share) == (None, None, None)
    assert found.drain.kind == "unknown"


def _all(alias: str, queue: str) -> bool:
    return True


def _none(alias: str, queue: str) -> bool:
    return False


def test_a_fleet_in_which_nothing_lives_is_named_to_those_who_see_its_queues() -> None:
    connection = Connection(QUIET, [])
    well = FleetSeat(1, "running", 4711, None, 0, 0, 0, "", None)
    ill = FleetSeat(2, "waiting", 4712, NOW, 4, 0, 4, "ended with exit code 3", NOW)
    known = SimpleNamespace(connections={"default": connection})
    fleet = FleetSupervisor("f", "web-1", 4700, "ok", NOW, 0, NOW, 4, 0, ("q",), (well, ill))
    connection.supervisors = [fleet]
    (item,) = health.needs_attention(known, [], (), _all)
    assert (item.kind, item.target, item.since, item.bad) == ("fleet", "web-1", NOW, True)
    assert item.what == "A process of a fleet on web-1 does not stay up"
    assert item.why == "the last one ended with exit code 3; its supervisor is process 4700"
    assert health.needs_attention(known, [], (), _none) == []
    connection.supervisors = [replace(fleet, seats=(well, replace(ill, failures=2)))]
    assert health.needs_attention(known, [], (), _all) == []
    connection.supervisors = [replace(fleet, health="lost")]
    assert health.needs_attention(known, [], (), _all) == []


def test_the_worst_of_each_queue_comes_first() -> None:
    state = SimpleNamespace(connections={"default": Connection(QUIET, [])})

    queues = [
        judge(waiting=9, waited=100, paused=True),
        replace(judge(waiting=427, waited=100, workers=[]), name="exports"),
        replace(judge(window=(0, 50)), name="emails"),
    ]
    items = health.needs_attention(state, queues, (), _all)
    assert [item.kind for item in items] == ["failing", "no-workers", "paused"]


@pytest.mark.parametrize(
    ("policy", "used", "most", "expected"),
    [
        ("noeviction", 10, 100, []),
        ("allkeys-lru", 10, 100, ["memory"]),
        ("noeviction", 90, 100, ["memory"]),
        ("noeviction", 90, 0, []),
    ],
)
def test_a_server_that_may_lose_jobs(
    policy: str, used: int, most: int, expected: list[str]
) -> None:
    connection = Connection(QUIET, [])
    connection.server = ServerInfo(
        "Redis", "7.0", "master", 1, used, most, policy, 1, 0, 1, True, 0.1, {}
    )

    known = SimpleNamespace(connections={"default": connection})
    assert [one.kind for one in health.needs_attention(known, [], ["default"], _all)] == expected
    assert health.needs_attention(known, [], (), _all) == []


@pytest.mark.parametrize(
    ("library", "spoken"),
    [("redis-py(queuecore)", "Py"), ("ioredis", "Node"), ("", ""), ("hedis(x)", "hedis")],
)
def test_languages(library: str, spoken: str) -> None:
    assert health.language(library) == spoken


@pytest.mark.parametrize(
    ("limit", "ours", "crew", "slots"),
    [
        (None, Crew(0, 0), {"Node": 1}, None),
        (5, Crew(0, 0), {"Node": 1}, 5),
        (None, Crew(2, 20), {"Py": 2}, 20),
        (None, Crew(2, 20), {}, 20),  # not listed yet
        (None, Crew(2, 20), None, 20),  # the server lists nobody
        (None, Crew(2, 20), {"Py": 2, "Node": 1}, None),  # nobody knows how many Node can run
        (8, Crew(2, 20), {"Py": 2, "Node": 1}, 8),
        (8, Crew(2, 20), {"Py": 2}, 8),
        (50, Crew(2, 20), {"Py": 2}, 20),
    ],
)
def test_slots_are_those_that_somebody_told_of(limit, ours, crew, slots):
    assert health._slots(limit, ours, crew) == slots


def test_busy_is_the_share_of_slots_in_use():
    assert judge(active=5, crew=Crew(1, 20)).busy == 0.25
    assert judge(active=25, crew=Crew(1, 20)).busy == 1.0
    assert judge(active=5).busy is None


def test_lost_workers_with_jobs_are_told() -> None:
    found = judge(crew=Crew(1, 20, lost=1, lost_jobs=3))
    assert [item.what for item in found.attention] == ["Workers with 3 jobs are lost"]
    assert judge(crew=Crew(1, 20, lost=1)).attention == ()


def test_a_delayed_job_that_nobody_lets_go_is_told() -> None:
    late = judge(next_delayed=NOW - timedelta(seconds=190))
    assert [item.what for item in late.attention] == ["The next delayed job is 3 m 00 s late"]
    assert judge(next_delayed=NOW - timedelta(seconds=30)).attention == ()
    assert judge(next_delayed=NOW - timedelta(seconds=190), paused=True).attention == ()


def test_a_worker_whose_slots_are_all_busy_is_there_though_it_listens_to_nothing() -> None:
    found = judge(waiting=100, active=5, waited=600, workers=[], crew=Crew(1, 5))
    assert (found.workers, found.abandoned, kinds(found)) == ({"Py": 1}, False, [])
    assert judge(waiting=100, workers=None, crew=Crew(2, 5)).workers == {"Py": 2}
    assert judge(waiting=100, workers=None).workers is None


def test_our_workers_are_counted_once_also_where_the_server_names_no_library() -> None:
    listed = [replace(WORKER, library=""), replace(WORKER, client_id=2, library="")]
    assert judge(workers=listed, crew=Crew(1, 5)).workers == {"Py": 1, "": 1}
    # A worker of bullmq's own for Python is none of ours.
    peer = replace(WORKER, client_id=2)
    assert judge(workers=[WORKER, peer], crew=Crew(1, 5)).workers == {"Py": 2}


def test_nobody_is_missed_where_jobs_run_or_have_just_ended() -> None:
    away = {"waiting": 100, "waited": 600.0, "workers": []}
    assert judge(**away).abandoned
    assert not judge(**away, active=2, unexplained=True).abandoned
    assert not judge(**away, just=(3, 0)).abandoned
    # A job that a worker has left behind is no worker.
    assert judge(**away, active=2).abandoned


def test_who_runs_jobs_is_asked_soon_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=100.0)
    monkeypatch.setattr(state, "time", clock)
    facts, wants = state.Facts(), Wants(workers=True)
    running = replace(QUIET, counts={**QUIET.counts, "active": 1})
    reading = Reading(NOW, workers=[], queues={"q": running})
    facts.take(wants, reading)
    for _again in range(state.TRIES):
        assert facts.unexplained == {"q"}
        assert not facts.due()["workers"]
        clock.now += state.SOON_S
        assert facts.due()["workers"]
        facts.take(wants, reading)
    assert facts.unexplained == set()
    clock.now += state.SOON_S
    assert not facts.due()["workers"]
    facts.take(wants, replace(reading, workers=[WORKER]))
    assert facts.unexplained == set()
