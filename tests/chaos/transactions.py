"""Runs transactions, each with a row of its own and a job, a third of which are rolled back.

``python -m tests.chaos.transactions COUNT SECONDS FILE`` takes about so many seconds, and writes
the number and the job id of each transaction that has committed to FILE.
"""

import sys
import threading
import time
from pathlib import Path

import django


def main(count: int, seconds: float, path: Path) -> None:
    django.setup()
    from django.contrib.auth.models import Group
    from django.db import connections, transaction

    from queuecore import Queue

    queue = Queue("short")
    numbers = iter(range(count))
    lock = threading.Lock()
    begun = time.monotonic()
    with path.open("w") as file:

        def work() -> None:
            while True:
                with lock:
                    n = next(numbers, None)
                if n is None:
                    break
                time.sleep(max(0.0, begun + n * seconds / count - time.monotonic()))
                with transaction.atomic():
                    Group.objects.create(name=f"order {n}")
                    id = queue.add_in_transaction(
                        "async" if n % 2 else "threaded",
                        {"n": n},
                        attempts=1,
                        # One that was added again after its end would run again.
                        remove_on_complete=bool(n % 4 == 0),
                    )
                    if n % 3 == 2:
                        transaction.set_rollback(True)
                if n % 3 != 2:
                    with lock:  # two threads that write at once lose lines
                        file.write(f"{n} {id}\n")
            connections.close_all()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
