"""Flows as a peer writes them: parents that wait for children, with policies for failure."""

import json

import redis


def put_flow(
    client: redis.Redis,
    children: dict[str, dict[str, bool]],
    *,
    queue: str = "q",
    parent_queue: str = "parents",
    delay: int = 0,
    priority: int = 0,
) -> None:
    """Add the parent ``P`` and its *children*: id, and the flags of the ``parent`` field."""
    parent, base = f"bull:{parent_queue}:P", f"bull:{queue}:"
    job = {"name": "x", "data": "{}", "opts": "{}", "timestamp": 1700000000000}
    client.hset(parent, mapping=job | {"delay": delay, "priority": priority})
    client.zadd(f"bull:{parent_queue}:waiting-children", {"P": 1700000000000})
    for child, flags in children.items():
        link = {"id": "P", "queueKey": f"bull:{parent_queue}"} | flags
        client.hset(
            base + child,
            mapping=job
            | {"delay": 0, "priority": 0, "parentKey": parent, "parent": json.dumps(link)},
        )
        client.lpush(f"{base}wait", child)
        client.sadd(f"{parent}:dependencies", base + child)


def state_of_parent(client: redis.Redis, parent_queue: str = "parents") -> str:
    """The name of the key in which ``P`` stands, ``nowhere`` if in none."""
    base = f"bull:{parent_queue}:"
    for state in ("waiting-children", "delayed", "prioritized", "failed", "completed"):
        if client.zscore(base + state, "P") is not None:
            return state
    for state in ("wait", "paused", "active"):
        if client.lpos(base + state, "P") is not None:
            return state
    return "nowhere"
