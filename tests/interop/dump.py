"""All that one queue holds, as values that two runs can be compared by.

What differs from run to run is taken out: times become how far they lie from the job's own
``timestamp`` where that is exact, else a word; tokens and stack traces become words. Ids stay.
"""

import json
from typing import Any

import redis

from tests import invariants

TIMES = ("timestamp", "processedOn", "finishedOn")
AS_JSON = ("data", "progress", "returnvalue", "parent")


def dump(client: redis.Redis, queue: str, *, prefix: str = "bull") -> dict[str, Any]:
    """Every key of ``queue`` by its name behind the prefix."""
    base = f"{prefix}:{queue}:"
    made: dict[str, Any] = {}
    for key in sorted(client.scan_iter(f"{base}*", count=1000)):
        name = key.removeprefix(base)
        kind = client.type(key)
        if kind == "string":
            made[name] = _string(client, key, name)
        elif kind == "list":
            made[name] = client.lrange(key, 0, -1)
        elif kind == "set":
            made[name] = sorted(client.smembers(key))
        elif kind == "zset":
            made[name] = _zset(client, base, name)
        elif kind == "hash":
            made[name] = _hash(client.hgetall(key), name)
        else:
            made[name] = [_event(client, base, fields) for _, fields in client.xrange(key)]
    return made


def _string(client: redis.Redis, key: str, name: str) -> Any:
    if name.endswith(":lock"):
        return "a token" if client.pttl(key) > 0 else "a token for ever"
    if name.startswith("de:") or name == "limiter":
        ttl = client.pttl(key)
        # In steps of ten seconds: a test chooses times that lie in the middle of one.
        return client.get(key), "for ever" if ttl < 0 else f"{ttl // 10_000 * 10} s"
    return "a time" if name == "stalled-check" else client.get(key)


def _zset(client: redis.Redis, base: str, name: str) -> Any:
    rows = client.zrange(base + name, 0, -1, withscores=True)
    if name == "delayed":
        # The order within a millisecond counts, too.
        return [
            (id, _since(client, base, id, int(score) // 4096), int(score) % 4096)
            for id, score in rows
        ]
    if name in ("completed", "failed", "waiting-children"):
        return sorted(id for id, _ in rows)
    if name == "marker":
        return [member for member, _ in rows]
    return [(id, int(score)) for id, score in rows]


def _hash(fields: dict[str, str], name: str) -> dict[str, Any]:
    out: dict[str, Any] = dict(fields)
    for time in TIMES:
        if time in out:
            out[time] = "a time"
    for field in AS_JSON:
        if field in out:
            out[field] = json.loads(out[field])
    if "opts" in out:
        out["opts"] = json.loads(out["opts"])
        if "timestamp" in out["opts"]:
            out["opts"]["timestamp"] = "a time"
    if "stacktrace" in out:
        out["stacktrace"] = len(json.loads(out["stacktrace"]))
    if name == "meta":
        out.pop("version", None)
    if "prevTS" in out:
        out["prevTS"] = "a time"
    return out


def _event(client: redis.Redis, base: str, fields: dict[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = dict(fields)
    if out["event"] == "delayed" and int(out["delay"]) > 1e12:
        out["delay"] = _since(client, base, out["jobId"], int(out["delay"]))
    if out["event"] == "completed":
        out["returnvalue"] = json.loads(out["returnvalue"])
    if out["event"] == "progress":
        out["data"] = json.loads(out["data"])
    return out


def _since(client: redis.Redis, base: str, job_id: str, moment: int) -> str:
    """A due time as the job's delay, where it is that; a retry's is counted from the retry."""
    row = client.hmget(base + job_id, "timestamp", "delay")
    if row[0] is None:
        return "a time"
    after = moment - int(row[0])
    return f"{row[1]} after" if after == int(row[1] or 0) else "a time"


def compare(client: redis.Redis) -> None:
    """Fail unless the queues ``theirs`` and ``ours`` hold the same, and both are sound."""
    theirs, ours = dump(client, "theirs"), dump(client, "ours")
    for one in (theirs, ours):
        # Only the order of one job's events is BullMQ's promise: we work in batches.
        one["events"] = by_job(one.get("events", []))
    different = [
        f"{key}:\n  theirs {theirs.get(key)}\n  ours   {ours.get(key)}"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    ]
    assert not different, "\n".join(different)
    for queue in ("theirs", "ours"):
        invariants.check(client, queue)


def by_job(events: list[dict[str, Any]]) -> dict[str | None, list[dict[str, Any]]]:
    """Events by their job, in order; those of the queue itself under None."""
    grouped: dict[str | None, list[dict[str, Any]]] = {}
    for event in events:
        grouped.setdefault(event.get("jobId"), []).append(event)
    return grouped
