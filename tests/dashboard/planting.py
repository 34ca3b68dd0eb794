"""A queue in which every text that a stranger can choose is one that the test chooses.

``plant(client, text)`` asks ``text(place)`` for the text of each place, so that a test can put one
hostile payload everywhere, or a different word in each place to learn which page shows what.
"""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from django.utils import timezone

from dashboard import links
from queuecore import audit
from queuecore.models import AuditEntry, Operation
from tests.dashboard import fleet

MS = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class Planted:
    """Where it all stands: names as they are stored, and the address of the queue."""

    queue: str
    job: str
    running: str
    scheduler: str
    group: str
    grouped: str
    limit: str
    worker: str
    operation: Operation
    record: str

    @property
    def url(self) -> str:
        return links.queue_url("/", "default", self.queue)

    @property
    def job_url(self) -> str:
        return links.job_url("/", "default", self.queue, self.job)

    @property
    def group_url(self) -> str:
        return links.group_url("/", "default", self.queue, self.group)

    @property
    def running_url(self) -> str:
        return links.job_url("/", "default", self.queue, self.running)

    @property
    def scheduler_url(self) -> str:
        return links.scheduler_url("/", "default", self.queue, self.scheduler)


def plant(client: redis.Redis, text: Callable[[str], str], number: int = 0) -> Planted:
    """Fill server and database; *number* tells several of one server apart."""
    worker = f"{number:032x}"
    queue = text("queue").replace(":", ".")
    ids = {place: _id(text(place)) for place in ("job", "active", "parent", "child", "orphan")}
    base, own = f"bull:{queue}:", f"qc:bull:{queue}:"
    now = round(time.time() * 1000)
    client.sadd("qc:bull::queues", queue)
    client.hset(base + "meta", mapping={"version": "bullmq:6.7.0", "paused": 1})
    note = {"since": now - 60_000, "reason": text("pause-reason"), "by": text("pause-by")}
    client.hset(own + "pause", mapping=note | {"until": 0})
    _jobs(client, base, text, ids, now)
    _schedulers(client, base, own, text, now)
    _groups(client, base, own, text, now)
    limit(client, text("limit"), queue)
    _workers(client, queue, worker, text, ids)
    _statistics(client, own, text, now)
    client.set(base + "de:" + text("deduplication"), ids["job"])
    client.set(base + ids["job"] + ":lock", text("lock"))  # a lock that nobody needs
    wish = {"process": worker, "order": "e" * 32, "at": now, "until": now, "token": text("lock")}
    wish |= {"by": text("cancel-by"), "reason": text("cancel-reason")}
    client.set(f"{own}cancel:{ids['job']}", json.dumps(wish))
    client.zadd(base + "failed", {ids["orphan"]: now})
    client.slowlog_reset()
    client.config_set("slowlog-log-slower-than", 0)
    client.get(text("slow"))
    client.config_set("slowlog-log-slower-than", 10_000)
    return Planted(
        queue,
        ids["job"],
        ids["active"],
        text("scheduler"),
        text("group"),
        text("grouped") + "-grouped",
        text("limit"),
        worker,
        _operation(queue, text),
        _audit(queue, text, ids["job"]),
    )


def _id(text: str) -> str:
    """*text* as the id of a job: a peer may use any but those of a queue's own keys."""
    return text if text not in ("", "0") else "x"


def _jobs(
    client: redis.Redis, base: str, text: Callable[[str], str], ids: dict[str, str], now: int
) -> None:
    stack = 'Traceback\n  File "{0}", line 1, in {0}\n    {0}\n{0}: {0}'.format(text("stack"))
    opts = {
        "attempts": 2,
        text("option"): text("option"),
        "tm": text("telemetry"),
        "de": {"id": text("deduplication")},
    }
    failed = {
        "name": text("name"),
        "data": json.dumps({text("data"): [text("data"), {"deeper": text("data")}]}),
        "opts": json.dumps(opts),
        "timestamp": now - 90_000,
        "delay": 0,
        "priority": 0,
        "ats": 2,
        "atm": 2,
        "processedOn": now - 80_000,
        "finishedOn": now - 70_000,
        "returnvalue": json.dumps({text("result"): text("result")}),
        "failedReason": text("reason"),
        "stacktrace": json.dumps([stack, text("stack")]),
        "progress": json.dumps({text("progress"): text("progress")}),
        "pb": text("worker"),
        "deid": text("deduplication"),
        "rjk": text("scheduler"),
        "parentKey": base + ids["parent"],
        "parent": json.dumps({"id": ids["parent"], "queueKey": base[:-1]}),
        text("field"): text("field"),
    }
    client.hset(base + ids["job"], mapping=failed)
    client.zadd(base + "failed", {ids["job"]: now - 70_000})
    client.rpush(base + ids["job"] + ":logs", text("log"), f"\x1b[31m{text('log')}")
    child = base + ids["child"]
    client.hset(child, mapping={"name": text("child-name"), "data": "{}", "opts": "{}"})
    client.zadd(base + "delayed", {ids["child"]: (now + 3_600_000) * 4096})
    client.sadd(base + ids["job"] + ":dependencies", child)
    client.hset(base + ids["job"] + ":processed", child, json.dumps(text("child-result")))
    client.hset(base + ids["job"] + ":failed", child, text("child-reason"))
    parent = {"name": text("parent-name"), "data": "{}", "opts": "{}", "timestamp": now - 95_000}
    client.hset(base + ids["parent"], mapping=parent)
    client.zadd(base + "waiting-children", {ids["parent"]: now})
    client.sadd(base + ids["parent"] + ":dependencies", base + ids["job"])
    active = failed | {"processedOn": now - 5_000, "parentKey": "", "parent": ""}
    client.hset(base + ids["active"], mapping=active)
    client.hdel(base + ids["active"], "parentKey", "parent", "finishedOn", "failedReason")
    client.lpush(base + "active", ids["active"])
    client.set(base + ids["active"] + ":lock", text("lock"), ex=30)


def _statistics(client: redis.Redis, own: str, text: Callable[[str], str], now: int) -> None:
    name, id = text("counted-name"), "a" * 16
    counts = {f"n:{name}": 9, f"c:{name}": 3, f"r:{name}": 6, f"r70:{name}": 9, f"e:{id}": 6}
    for length in ("minute", "quarter", "hour"):
        seconds = {"minute": 60, "quarter": 900, "hour": 3600}[length]
        client.hset(f"{own}{length}:{now // (1000 * seconds)}", mapping=counts)
    what = {
        "name": name,
        "kind": text("error-kind"),
        "message": text("error-message"),
        "frame": text("error-frame"),
        "reason": text("error-message"),
        "trace": text("error-message"),
    }
    client.zadd(own + "sightings", {id: now})
    told = {f"{id}:count": 6, f"{id}:first": now - 60_000, f"{id}:what": json.dumps(what)}
    client.hset(own + "errors", mapping=told)


def _schedulers(
    client: redis.Redis, base: str, own: str, text: Callable[[str], str], now: int
) -> None:
    record = {
        "name": text("scheduled-name"),
        "pattern": text("pattern"),
        "tz": text("zone"),
        "ic": 3,
        "data": json.dumps({text("template"): text("template")}),
        "opts": json.dumps({text("template"): text("template")}),
    }
    client.zadd(base + "repeat", {text("scheduler"): now + 3_600_000})
    client.hset(f"{base}repeat:{text('scheduler')}", mapping=record)
    aside = text("scheduler") + "-aside"
    client.zadd(own + "paused-schedulers", {aside: now})
    client.hset(f"{own}paused-scheduler:{aside}", mapping=record | {"due": now, "count": 1})
    client.rpush(own + "hand-runs", f"{text('job')}:{text('scheduler')}")


def limit(client: redis.Redis, name: str, *queues: str) -> None:
    """A named limit of some queues, as their workers declare it."""
    key = f"qc:bull::limit:{name}"
    client.sadd("qc:bull::limits", name)
    client.hset(key, mapping={"declared-concurrency": 5, "declared-rate": "100,60000"})
    for queue in queues:
        client.sadd(f"{key}:queues", f"bull:{queue}")
        client.set(f"qc:bull:{queue}:limits", key)


def _groups(client: redis.Redis, base: str, own: str, text: Callable[[str], str], now: int) -> None:
    id, group = text("grouped") + "-grouped", text("group")
    opts = json.dumps({"group": {"id": group}})
    client.hset(base + id, mapping={"name": text("name"), "opts": opts, "timestamp": now})
    client.zadd(base + "waiting-children", {id: now})
    client.set(own + "grouped", 1)
    client.zadd(f"{own}group:{group}", {id: 2**31 + 1})
    client.sadd(own + "groups-paused", group)


def _workers(
    client: redis.Redis,
    queue: str,
    worker: str,
    text: Callable[[str], str],
    ids: dict[str, str],
) -> None:
    word = text("worker")
    jobs = [[ids["active"], text("running-name"), MS], [word, word, word]]
    mine = fleet.worker(worker, queue, name=word, state=word, jobs=jobs, busy=1)
    facts = {place: text(place)[:40] for place in ("queuecore", "python", "django")}
    here = fleet.place() | {"fleet": worker}
    fleet.process(client, mine, id=worker, host=text("host"), pid=word, place=here, **facts)
    ill = {
        "number": 1,
        "state": "waiting",
        "pid": word,
        "failures": 5,
        "why": text("end"),
        "at": MS,
    }
    record = {"host": text("fleet-host"), "pid": word, "queues": [queue], "seats": [ill]}
    client.zadd("qc:bull::fleets", {worker: time.time() * 1000})
    client.set(f"qc:bull::fleet:{worker}", json.dumps(record | {"every": 2000}))
    # The server takes no blanks in a client's name, and Node puts the queue in Base64.
    encoded = base64.b64encode(queue.encode()).decode()[:2_000]
    client.client_setname(f"bull:{encoded}:w:" + re.sub(r"[^!-~]", "_", text("client"))[:200])


def _operation(queue: str, text: Callable[[str], str]) -> Operation:
    at = timezone.now()
    return Operation.objects.create(
        action="retry",
        connection="default",
        queue=queue[:500],
        state="failed",
        query=text("filter"),
        bound=MS,
        actor=text("operator")[:190],
        reason=text("operation-reason"),
        record="f" * 32,
        status="failed",
        planned=9,
        done=3,
        failed=1,
        failures=[[text("failure-id"), text("failure-reason")]],
        error=text("operation-error"),
        created_at=at,
        updated_at=at,
        started_at=at,
        ended_at=at,
    )


def _audit(queue: str, text: Callable[[str], str], job: str) -> str:
    with audit.record(
        actor=text("actor"),
        ip=text("address")[:60],
        action=text("action")[:60],
        alias="default",
        queue=queue,
        target=text("target"),
        params={text("params"): text("params")},
        reason=text("audit-reason"),
    ) as entry:
        entry.result(note=text("outcome"))
    with audit.record(  # it stands in the history on the job's page
        actor=text("actor"), action="retry", alias="default", queue=queue, target=job,
        reason=text("audit-reason"),
    ) as of_job:  # fmt: skip
        of_job.result(count=1)
    assert AuditEntry.objects.exists()
    return str(entry.id)
