"""Many jobs on a server within seconds: a script writes them as BullMQ would have left them."""

from __future__ import annotations

from typing import Any

from bench.operations import FILL, PAYLOAD

#: The queue with the many failed jobs; every tenth has the name ``rare``.
BIG = "q"
OTHERS = """
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local base = string.format('bull:queue-%03d:', n)
  redis.call('HSET', base .. 'meta', 'opts.maxLenEvents', '10000')
  for i = 1, 20 do
    redis.call('HSET', base .. i, 'name', 'send-mail', 'data', ARGV[3], 'opts', '{"attempts":3}',
      'timestamp', ARGV[4], 'delay', '0', 'priority', '0')
    redis.call('LPUSH', base .. 'wait', i)
  end
  redis.call('SET', base .. 'id', '20')
  redis.call('XADD', base .. 'events', '*', 'event', 'waiting', 'jobId', '20')
end
"""


def others(queues: int) -> list[str]:
    """The names of all queues but the big one."""
    return [f"queue-{n:03}" for n in range(queues - 1)]


def fill(client: Any, jobs: int, queues: int) -> None:
    """Empty the server; then *jobs* failed jobs in one queue, twenty that wait in each other.

    The dashboard knows all queues at once, as it does those of our own producers.
    """
    from queuecore.wire.keys import connection_key

    client.flushall()
    client.sadd(connection_key("bull", "queues"), BIG, *others(queues))
    for first in range(0, jobs, 1_000):
        client.eval(FILL, 0, first, min(first + 999, jobs - 1), PAYLOAD)
    client.set(f"bull:{BIG}:id", jobs)
    client.xadd(f"bull:{BIG}:events", {"event": "failed", "jobId": "0", "failedReason": "-"})
    seconds, micros = client.time()
    client.eval(OTHERS, 0, 0, queues - 2, PAYLOAD, seconds * 1000 + micros // 1000)
