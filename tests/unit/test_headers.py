"""Every script's header says what its callers pass: the same names, in the same order."""

import ast
import re
from collections.abc import Generator
from typing import Any

import pytest

from queuecore.wire.calls import (
    adding,
    attending,
    counting,
    flows,
    grouping,
    inspecting,
    jobs,
    keeping,
    limiting,
    matching,
    mending,
    moving,
    operating,
    paging,
    reading,
    relaying,
    removing,
    scheduling,
    steering,
    working,
)
from queuecore.wire.calls.base import Call
from queuecore.wire.keys import SUFFIXES, Keys
from queuecore.wire.scripts import LUA, load, names

K = Keys("bull", "q")
JOB = adding.NewJob("own", "welcome", b"{}", b'{"attempts":1}', 1000, 60, 2, True)
RICHER = adding.NewJob("", "bye", b"[]", b"{}", 1000, 0, 0, True, {"id": "ü", "ttl": 5})
CHILD = adding.NewJob("own", "welcome", b"{}", b"{}", 1000, 60, 2, True, None, ("bull:p:1", "{}"))
CLAIM = working.ClaimOptions(
    "w1",
    "name",
    30000,
    99,
    limiter_max=5,
    limiter_duration=700,
    dead_letter=Keys("bull", "dead"),
    group_limits="2,5,700",
)
OUTCOME = working.Outcome("7", 3, "c", b"1", b"[]", "5,,", "2")


def call_of(operation: Generator[Any, Any, Any], *answers: Any) -> Call[Any]:
    """The request that *operation* makes after *answers*."""
    request = next(operation)
    for answer in answers:
        request = operation.send(answer)
    return request


ASIDE = {
    "paused": K.paused_schedulers,
    "aside": K.paused_scheduler("s"),
    "pauses": K.scheduler_pauses,
}
STEP = operating.Step("8", "me", 3, 4, "0~9", "wait", [b"7", b"9"], 1000, left=5)
STEPPED = {"receipt": K.qc("operation:8"), "owner": "me", "chunk": 3, "step": 4, "place": "0~9"}
STEPPED |= {"until": 1000, "ids...": [b"7", b"9"]}
GROUPS = {
    name: K.qc(name) for name in ("groups", "groups-limited", "groups-maxed", "groups-paused")
}
RUN = scheduling.NextRun("welcome", b"{}", {"attempts": 1}, 2, True, "dedup")

# A call, and what it passes under each name of the header that is not just a key of the queue.
SAMPLES: list[tuple[Call[Any], dict[str, Any]]] = [
    (
        adding.add_jobs(K, "the receipt", 9, "queuecore:1", [JOB, JOB]),
        {
            "receipt": "the receipt",
            "number": 9,
            "version": "queuecore:1",
            "count": 2,
            "jobs...": ["own", "welcome", b"{}", b'{"attempts":1}', 1000, 60, 2, b"1"] * 2,
        },
    ),
    (
        adding.add_jobs(K, "the receipt", 9, "queuecore:1", [JOB, RICHER]),
        {
            "receipt": "the receipt",
            "number": 9,
            "version": "queuecore:1",
            "count": 2,
            "jobs...": [
                *["own", "welcome", b"{}", b'{"attempts":1}', 1000, 60, 2, b'{"lifo": true}'],
                *["", "bye", b"[]", b"{}", 1000, 0, 0],
                '{"lifo": true, "de": {"id": "ü", "ttl": 5}}'.encode(),
            ],
        },
    ),
    (
        call_of(relaying.take_outbox(K, "db", "me", 5000), 1000),
        {"outbox": "qc:bull:q:outbox:db", "holder": "me", "now": 1000, "lease": 5000},
    ),
    (
        call_of(relaying.settle_outbox(K, "db", "me", 0, ["7:a"]), 1000),
        {
            "outbox": "qc:bull:q:outbox:db",
            "holder": "me",
            "now": 1000,
            "lease": 0,
            "tokens...": ["7:a"],
        },
    ),
    (
        adding.remove_deduplication_key(K, "once", "7"),
        {"owner": "bull:q:de:once", "id": "7"},
    ),
    (
        working.finish_and_claim(K, "the receipt", 9, CLAIM, 1000, [OUTCOME], 4),
        {
            "receipt": "the receipt",
            "number": 9,
            "worker": "w1",
            "now": 1000,
            "lock_duration": 30000,
            "claim": 4,
            "name": "name",
            "limiter_max": 5,
            "limiter_duration": 700,
            "metrics": 99,
            "dead_letter": "bull:dead:",
            "group_limits": "2,5,700",
            "grouped": K.grouped,
            "limits": K.limits,
            "count": 1,
            "finishes...": ["7", 3, "c", b"1", b"[]", "5,,", "2"],
        },
    ),
    (
        working.extend_locks(K, 30000, [working.HeldLock("7", "w1:3", 2, True)]),
        {"lock_duration": 30000, "count": 1, "jobs...": ["7", "w1:3", 2, "1"]},
    ),
    (
        working.hand_back(K, "w1", 2),
        {"worker": "w1", "receipts...": ["qc:bull:q:call:w1:1", "qc:bull:q:call:w1:2"]},
    ),
    (
        working.recover_worker(K, "w1", 1, 2),
        {
            "worker": "w1",
            "max_stalled": 2,
            "max_unconfirmed": 5,
            "receipts...": ["qc:bull:q:call:w1:1"],
        },
    ),
    (
        working.move_stalled_jobs_to_wait(K, 1000, 500, 2),
        {"now": 1000, "interval": 500, "max_stalled": 2, "max_unconfirmed": 5},
    ),
    (call_of(steering.pause(K)), {"batch": steering.BATCH}),
    (call_of(steering.resume(K)), {"batch": steering.BATCH}),
    (steering.get_rate_limit_ttl(K, 5), {"max_jobs": 5}),
    (
        scheduling.upsert_job_scheduler(
            K,
            "s",
            "queuecore:1",
            1000,
            RUN,
            {"name": "welcome", "every": 60},
            every=60,
            offset=5,
            start=70,
        ),
        {
            "version": "queuecore:1",
            "scheduler": "s",
            "now": 1000,
            "next": "",
            "every": 60,
            "offset": 5,
            "start": 70,
            "priority": 2,
            "lifo": 1,
            "name": "welcome",
            "data": b"{}",
            "opts": b'{"attempts":1',
            "quoted": b'"repeat:s:',
            "record...": ["name", "welcome", "every", 60],
            **ASIDE,
        },
    ),
    (
        scheduling.advance_job_scheduler(
            K, "s", "queuecore:1", "repeat:s:1000", 1000, RUN, due=1060
        ),
        {
            "version": "queuecore:1",
            "scheduler": "s",
            "run": "repeat:s:1000",
            "now": 1000,
            "next": 1060,
            "every": "",
            "offset": "",
            "name": "welcome",
            "data": b"{}",
            "priority": 2,
            "lifo": 1,
            "dedup": "dedup",
            "opts": b'{"attempts":1',
            "quoted": b'"repeat:s:',
        },
    ),
    (
        scheduling.remove_job_scheduler(K, "s"),
        {"scheduler": "s", **ASIDE, "authors": K.scheduler_authors},
    ),
    (
        scheduling.pause_job_scheduler(K, "s", 1000),
        {
            "scheduler": "s",
            "now": 1000,
            "paused": K.paused_schedulers,
            "aside": K.paused_scheduler("s"),
        },
    ),
    (
        scheduling.get_scheduler_runs(K, "s", [900, 950], 100),
        {
            "hand": K.hand_runs,
            "scheduler": "s",
            "deep": inspecting.DEEP,
            "depth": 100,
            "times...": [900, 950],
        },
    ),
    (
        limiting.declare_limits(K, {"api": (5, (100, 60_000)), "db": (None, None)}),
        {
            "limits": K.limits,
            "known": "qc:bull::limits",
            "root": "qc:bull::limit:",
            "queue": "bull:q",
            "declared...": ["api", "5", "100,60000", "db", "", ""],
        },
    ),
    (
        limiting.change_limit("bull", "api", "rate", "100,60000", True),
        {
            "known": "qc:bull::limits",
            "limit": "qc:bull::limit:api",
            "name": "api",
            "change": "rate",
            "value": "100,60000",
            "declared": 1,
        },
    ),
    (limiting.get_limit("bull", "api", 1000), {"limit": "qc:bull::limit:api", "now": 1000}),
    (moving.promote(K, "7"), {"id": "7"}),
    (
        moving.reprocess_job(K, "7", "failed", True, False, True),
        {
            "set": K.failed,
            "id": "7",
            "state": "failed",
            "lifo": 1,
            "reset_made": 0,
            "reset_started": 1,
        },
    ),
    (moving.change_delay(K, "7", 60, 1000), {"id": "7", "delay": 60, "due": 1060}),
    (moving.change_priority(K, "7", 3, True), {"id": "7", "priority": 3, "lifo": 1, "opts": ""}),
    (
        call_of(moving.move_jobs_to_wait(K, "completed", 1000, 4)),
        {"set": K.completed, "state": "completed", "batch": 4, "until": 1000},
    ),
    (
        moving.move_to_delayed(K, "7", "w1:3", 60, 1000),
        {"id": "7", "token": "w1:3", "delay": 60, "due": 1060},
    ),
    (
        flows.add_flow(
            "the receipt",
            9,
            "queuecore:1",
            1000,
            [flows.Node(K, CHILD, True), flows.Node(Keys("other", "r"), CHILD, False)],
        ),
        {
            "receipt": "the receipt",
            "number": 9,
            "version": "queuecore:1",
            "now": 1000,
            "queues": 2,
            "count": 2,
            "bases...": [K.base, "other:r:"],
            "jobs...": [
                *(1, "own", "welcome", b"{}", b"{}", 1000, 60, 2, "parent", "bull:p:1", "{}", ""),
                *(2, "own", "welcome", b"{}", b"{}", 1000, 60, 2, "lifo", "bull:p:1", "{}", ""),
            ],
        },
    ),
    (
        flows.move_to_waiting_children(K, "7", "w1:3", "bull:q:8", 1000),
        {"id": "7", "token": "w1:3", "child": "bull:q:8", "now": 1000},
    ),
    (
        flows.remove_child_dependency(K, "7", "bull:p:1"),
        {"job": K.job("7"), "parent": "bull:p:1"},
    ),
    (flows.remove_unprocessed_children(K, "7"), {"job": K.job("7"), "id": "7"}),
    (moving.move_to_wait(K, "7", "w1:3"), {"id": "7", "token": "w1:3"}),
    (removing.remove_job(K, "7", True), {"id": "7", "children": 1}),
    (
        call_of(removing.drain(K, True), 3),
        {"source": K.wait, "kind": "list", "batch": 3, "kept": 0},
    ),
    (
        call_of(removing.clean(K, "waiting", 1000, 7), 0, [250, 9, *["id"] * 5]),
        {
            "source": K.wait,
            "state": "wait",
            "kind": "list",
            "batch": removing.BATCH,
            "kept": 9,
            "until": 1000,
            "limit": 2,
        },
    ),
    (call_of(removing.obliterate(K, True), 0), {"batch": removing.BATCH, "force": 1}),
    (
        call_of(
            removing.remove_orphaned_jobs(K),
            [],
            [],
            [],
            [b"0", [b"bull:q:7", b"bull:q:7:logs", b"bull:q:8"]],
            [None] * 15,
        ),
        {"ids...": ["7", "7:logs", "8"]},
    ),
    (jobs.update_progress(K, "7", b"50"), {"id": "7", "progress": b"50"}),
    (
        jobs.update_data(K, "7", b"{}", "da39"),
        {"job": K.job("7"), "data": b"{}", "digest": "da39"},
    ),
    (
        jobs.add_log(K, "7", ["a", "b"], 3),
        {"job": K.job("7"), "logs": K.logs("7"), "keep": 3, "rows...": ["a", "b"]},
    ),
    (
        reading.get_counts(K, ["waiting", "failed"]),
        {"lists and sets...": [K.wait, K.paused, K.failed]},
    ),
    (reading.get_state(K, "7"), {"id": "7"}),
    (reading.is_finished(K, "7"), {"job": K.job("7"), "id": "7"}),
    (
        inspecting.find_news([(K, "5-1", [2, 0, 1, 0, 0, 0, 0, 9]), (K, "6-1", [0] * 8)]),
        {
            "keys...": [K.events, K.wait, K.prioritized, K.failed, K.events],
            "queues...": ["5-1", 1, 2, 2, 1, 9, "6-1", 0, 0],
        },
    ),
    (
        inspecting.get_queue_snapshot("default", K, 1000, 400, "5-1"),
        {
            "pause": K.pause,
            "since": 400,
            "until": 1000,
            "event": "5-1",
            "most_events": inspecting.MOST_EVENTS,
        },
    ),
    (
        inspecting.get_job_page(K, "waiting", 20, 10),
        {
            "jobs": K.wait,
            "more": K.paused,
            "state": "waiting",
            "kind": "list",
            "offset": 20,
            "limit": 10,
        },
    ),
    (
        inspecting.get_lost_jobs(K),
        {"look": inspecting.LOCKS, "most": inspecting.LOST_JOBS},
    ),
    (
        inspecting.get_peer_jobs(K),
        {"look": inspecting.LOCKS, "most": inspecting.LOST_JOBS},
    ),
    (
        inspecting.get_peers(K, "welcome", 60),
        {"name": "welcome", "most": 60, "look": inspecting.PEERS_LOOKED_AT},
    ),
    (
        flows.get_children_page("bull:q:7", flows.Place(2, "8", 3), 50),
        {
            "unsuccessful": "bull:q:7:unsuccessful",
            "failed": "bull:q:7:failed",
            "dependencies": "bull:q:7:dependencies",
            "processed": "bull:q:7:processed",
            "kind": 2,
            "cursor": "8",
            "skip": 3,
            "count": 50,
        },
    ),
    (inspecting.get_job_rows(K, ["7", "8"]), {"deep": inspecting.DEEP, "ids...": ["7", "8"]}),
    (
        inspecting.get_job(K, "7"),
        {
            "job": K.job("7"),
            "lock": K.lock("7"),
            "logs": K.logs("7"),
            "id": "7",
            "most": inspecting.LONGEST_READ,
            "cut": inspecting.VALUE_BYTES,
            "field_cut": inspecting.FIELD_BYTES,
        },
    ),
    (
        inspecting.get_job_logs(K, "7", 5, 9),
        {
            "logs": K.logs("7"),
            "start": 5,
            "stop": 9,
            "line_cut": inspecting.LINE_BYTES,
            "most": inspecting.LOG_BYTES,
        },
    ),
    (
        matching.match_slice(
            K,
            "failed",
            matching.Search("failed", [("name", "=", "x")], ("5", "+inf"), "7"),
            "5~OA",
            most=3,
            falling=True,
        ),
        {
            "jobs": K.failed,
            "state": "failed",
            "kind": "falling",
            "low": "5",
            "high": "+inf",
            "at": "5",
            "mark": b"8",
            "slice": matching.SLICE,
            "most": 3,
            "only": "7",
            "conditions...": ["name", "=", "x"],
        },
    ),
    (
        operating.take_chunk(K, "8", "me", 3),
        {
            "receipt": K.qc("operation:8"),
            "owner": "me",
            "chunk": 3,
            "keep": operating.KEEP_S,
        },
    ),
    (
        operating.retry_chunk(K, STEP, True),
        {**STEPPED, "set": K.wait, "state": "wait", "reset": 1},
    ),
    (
        operating.promote_chunk(K, STEP),
        {**STEPPED, "source": K.wait, "state": "wait"},
    ),
    (
        operating.remove_chunk(K, STEP, "drop"),
        {**STEPPED, "source": K.wait, "state": "wait", "how": "drop", "left": 5},
    ),
    (
        operating.keep_lead("bull", "token", 5000),
        {
            "lock": "qc:bull::operator",
            "bell": "qc:bull::operations",
            "token": "token",
            "ttl": 5000,
        },
    ),
    (
        attending.beat("bull", "p", b"{}", 1000, b"[]"),
        {
            "workers": "qc:bull::workers",
            "record": "qc:bull::worker:p",
            "recent": "qc:bull::worker:p:recent",
            "orders": "qc:bull::worker:p:orders",
            "process": "p",
            "now": 1000,
            "keep": attending.KEEP_MS,
            "most_orders": attending.MOST_ORDERS,
            "said": b"{}",
            "minutes": b"[]",
        },
    ),
    (
        keeping.keep_history("bull", "token", 5000, "a second", "a minute", "a quarter"),
        {
            "lock": "qc:bull::collector",
            "seconds": "qc:bull::seconds",
            "minutes": "qc:bull::minutes",
            "quarters": "qc:bull::quarters",
            "token": "token",
            "ttl": 5000,
            "most_seconds": keeping.SECONDS,
            "keep_seconds": keeping.KEEP_S,
            "second": "a second",
            "most_minutes": keeping.MINUTES,
            "keep_minutes": keeping.KEEP_S,
            "minute": "a minute",
            "most_quarters": keeping.QUARTERS,
            "keep_quarters": keeping.KEEP_QUARTERS_S,
            "quarter": "a quarter",
        },
    ),
    (
        mending.check_state(K, "wait", 500),
        {
            "source": K.wait,
            "state": "wait",
            "kind": "list",
            "start": 500,
            "count": mending.SLICE,
            "children": mending.CHILDREN,
        },
    ),
    (mending.check_keys(K, ["7", "8"]), {"ids...": ["7", "8"]}),
    (
        mending.mend_ghosts(K, "failed", ["7"]),
        {"source": K.failed, "kind": "zset", "longest": mending.STEPS, "ids...": ["7"]},
    ),
    (
        mending.mend_orphans(K, 1000, ["7"], True),
        {"now": 1000, "dry": 1, "longest": mending.STEPS, "ids...": ["7"]},
    ),
    (
        mending.mend_twice(K, ["7"], False),
        {"dry": 0, "longest": mending.STEPS, "ids...": ["7"]},
    ),
    (
        mending.mend_locks(K, ["7"], False),
        {"dry": 0, "longest": mending.STEPS, "ids...": ["7"]},
    ),
    (
        counting.count_runs(
            K, "w", 9, 61, 1000, {"a": {"n": 1, "c": 1}}, [("f1", 2, 900, 950, b"{}")]
        ),
        {
            "receipt": K.qc("counted:w"),
            "minute": K.qc("minute:61"),
            "quarter": K.qc("quarter:4"),
            "hour": K.qc("hour:1"),
            "totals": K.qc("totals"),
            "errors": K.qc("errors"),
            "sightings": K.qc("sightings"),
            "number": 9,
            "now": 1000,
            "names": 1,
            "errors_told": 1,
            "records...": ["a", 2, "n", 1, "c", 1, "f1", 2, 900, 950, b"{}"],
        },
    ),
    (mending.mend_stalled(K, ["7"]), {"longest": mending.STEPS, "ids...": ["7"]}),
    (
        mending.mend_markers(K, 1000, True),
        {one: K.qc(one) for one in ("groups", "group-delayed", "groups-limited")}
        | {"own-marker": K.own_marker, "limits": K.limits}
        | {"now": 1000, "dry": 1, "late": mending.LATE_MS},
    ),
    (mending.mend_grouped(K, 1000, ["7"]), {"now": 1000, "ids...": ["7"]}),
    (
        mending.mend_group(K, "group", "a", True, 9),
        {"place": "group", "group": "a", "dry": 1, "start": 9, "count": mending.SLICE},
    ),
    (
        mending.mend_group_counts(K, True),
        {one: K.qc(one) for one in ("group-active", "group-running", "groups", "groups-maxed")}
        | {"dry": 1, "longest": mending.STEPS},
    ),
    (
        mending.mend_parents(K, 1000, ["7"]),
        {"now": 1000, "children": mending.CHILDREN, "ids...": ["7"]},
    ),
    (
        grouping.change_group(K, "a", "rate", "5,700"),
        {"grouped": K.grouped, "marker": K.own_marker, "group": "a", "change": "rate"}
        | {"value": "5,700"},
    ),
    (
        grouping.get_groups(K, ("waiting", "paused"), 0, -1),
        GROUPS
        | {"group-running": K.qc("group-running"), "start": 0, "end": -1}
        | {"statuses...": ["waiting", "paused"]},
    ),
    (
        paging.count_groups(K, "delayed", ["a", "b"]),
        {"place": "group-later", "groups...": ["a", "b"]},
    ),
    (
        paging.get_group_rows(K, ["a", "b"]),
        {f"group-{one}": K.qc(f"group-{one}") for one in ("running", "concurrency", "rate")}
        | {"groups...": ["a", "b"]},
    ),
    (
        call_of(removing.drain(K, True), 0, 0, 0, 0, 1, 9),
        GROUPS | {"group-delayed": K.qc("group-delayed"), "batch": 9, "delayed": 1},
    ),
    (
        call_of(moving.promote_jobs(K, None), 0, 1, 7),
        {"group-delayed": K.qc("group-delayed"), "batch": 7},
    ),
    (mending.mend_deduplication(K, ["7"], True), {"dry": 1, "ids...": ["7"]}),
]
SAMPLED = {call.script for call, _ in SAMPLES}


def expected(header: tuple[str, ...], passed: dict[str, Any]) -> list[Any]:
    """What a caller must pass for *header*, by the names of a sample."""
    values: list[Any] = []
    for name in header:
        if name in passed:
            values += passed[name] if name.endswith("...") else [passed[name]]
        elif name == "base":
            values.append(K.base)
        else:
            assert name.split(":")[0] in SUFFIXES, f"no caller was said to pass {name!r}"
            values.append(K[name])
    return values


@pytest.mark.parametrize(("call", "passed"), SAMPLES, ids=[call.script for call, _ in SAMPLES])
def test_a_caller_passes_what_the_header_names(call: Call[Any], passed: dict[str, Any]) -> None:
    script = load(call.script)
    assert list(call.keys) == expected(script.keys, passed)
    assert list(call.args) == expected(script.argv, passed)
    assert set(passed) <= {*script.keys, *script.argv}, "the header lacks a name of the sample"


def test_every_script_has_a_caller_and_every_caller_a_sample() -> None:
    called = set()
    for file in (LUA.parent / "wire" / "calls").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Call":
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{file.name}: name the script in place"
                called.add(name.value)
    assert called == set(names()) == SAMPLED


@pytest.mark.parametrize("name", names())
def test_a_script_uses_what_its_header_names(name: str) -> None:
    script = load(name)
    body = (LUA / f"{name}.lua").read_text()
    for word, header in (("KEYS", script.keys), ("ARGV", script.argv)):
        used = {int(number) for number in re.findall(rf"\b{word}\[(\d+)\]", body)}
        assert max(used, default=0) <= len(header)
    # Keys are named for the cluster's sake, too: includes make them of the base.
    if re.search(r"\bARGV\[(?!\d+\])|unpack\(ARGV|#ARGV", body) is None:
        used = {int(number) for number in re.findall(r"\bARGV\[(\d+)\]", body)}
        assert used == set(range(1, len(script.argv) + 1))


@pytest.mark.parametrize("name", names())
def test_a_header_is_whole(name: str) -> None:
    text = (LUA / f"{name}.lua").read_text()
    fields = re.findall(r"^-- (KEYS|ARGV|Returns|Errors|Follows):", text, re.MULTILINE)
    assert fields == ["KEYS", "ARGV", "Returns", "Errors", "Follows"]
    assert re.match(r"-- [A-Z][^\n]*\.\n--\n-- KEYS:", text), "begin with one sentence"
