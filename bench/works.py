"""What is measured: each piece of work, and who does it in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Subject:
    """One way to do a piece of work.

    ``program``: which file of ``bench/`` does it. ``act``: of a producer, what it calls.
    ``processor`` and ``processes``: of a worker, its kind and how many of it.
    """

    name: str
    program: str
    act: str = ""
    processor: str = "async"
    processes: int = 1


NODE = Subject("node", "node")
PYTHON = Subject("python", "python")
OURS = Subject("ours", "ours")
THREADS = Subject("threads", "ours", processor="threads")
TWO = Subject("two", "ours", processes=2)
FLOOR = Subject("floor", "floor")


@dataclass(frozen=True)
class Work:
    """One piece of work: its kind decides how a trial of it is run (see :mod:`bench.trials`)."""

    name: str
    kind: str
    jobs: int
    subjects: tuple[Subject, ...]
    concurrency: int = 1
    rounds: int = 5


def _adds(act: str) -> tuple[Subject, ...]:
    return tuple(replace(one, act=act) for one in (NODE, PYTHON, OURS))


WORKS = (
    *(
        Work(f"drain-{c}", "drain", 20_000, (NODE, OURS, THREADS, FLOOR, PYTHON), c)
        for c in (1, 10, 100)
    ),
    Work("processes", "drain", 40_000, (OURS, TWO), 10),
    Work("add-bulk", "add", 20_000, _adds("add-bulk")),
    Work("add", "add", 5_000, (*_adds("add"), Subject("awaited", "ours", "add-awaited"))),
    Work("add-concurrently", "add", 5_000, _adds("add-concurrently")),
    Work("latency", "latency", 500, (NODE, PYTHON, OURS), 10),
    Work("memory", "memory", 100_000, (_adds("add-bulk")[0], _adds("add-bulk")[2]), rounds=3),
)


def chosen(only: list[str], quick: bool) -> list[Work]:
    """The works whose names begin with one of *only* (all without any); *quick*: small and once.

    Raises:
        ValueError: there is none of that name.
    """
    for prefix in only:
        if not any(work.name.startswith(prefix) for work in WORKS):
            names = ", ".join(work.name for work in WORKS)
            raise ValueError(f"there is no work {prefix!r}; there are {names}")
    works = [work for work in WORKS if not only or work.name.startswith(tuple(only))]
    if quick:
        works = [replace(work, jobs=min(work.jobs // 50, 400), rounds=1) for work in works]
    return works
