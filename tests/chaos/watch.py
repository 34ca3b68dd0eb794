"""Looking at a queue while it is worked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import redis

from tests import invariants
from tests.servers import Server


@contextmanager
def watched(
    server: Server, queue: str, tolerance: int = invariants.TOLERANCE
) -> Iterator[list[str]]:
    """Look at the invariants all the time; what was ever wrong is in the list."""
    wrong: list[str] = []
    over = threading.Event()

    def watch() -> None:
        with server.client() as client:
            while not over.wait(0.2):
                # Where the server is what is killed, there is nothing to see meanwhile.
                with suppress(redis.ConnectionError, redis.BusyLoadingError):
                    wrong.extend(invariants.look(client, queue, tolerance=tolerance)[1])

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


def finished(client: redis.Redis, queue: str) -> int:
    """How many of its jobs have completed or finally failed."""
    return client.zcard(f"bull:{queue}:completed") + client.zcard(f"bull:{queue}:failed")
