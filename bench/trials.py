"""Runs one trial: fresh processes of one subject, on an empty server of the bench's own."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.works import Subject, Work
from tests.machine import ROOT
from tests.servers import Server

QUEUE = "bench"
LOOK = 0.02  # seconds between two looks at a drain: fifty cheap commands a second
PATIENCE = 120

Figures = dict[str, float]


class BenchError(Exception):
    """A trial could not be measured; the text says why."""


class Process:
    """One measured process; see ``subjects/protocol.py`` for what is said."""

    def __init__(self, command: list[str], task: dict[str, Any]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "NODE_ENV": "production"},
        )
        self.pid = self._process.pid
        self.say(json.dumps(task))

    def say(self, word: str) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        try:
            print(word, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._dead() from None

    def hear(self) -> str:
        """The next line it says; waits for it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._dead()
        return line.strip()

    def check(self) -> None:
        """Raise if it is gone."""
        if self._process.poll() is not None:
            raise self._dead()

    def close(self) -> None:
        """End it and wait for it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _dead(self) -> BenchError:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip()[-2000:]
        return BenchError(f"a measured process ended with code {code}: {said or '(no word)'}")


class Trials:
    """Runs trials on *server*.

    *peers*: Node, where its BullMQ lies, and the Python that has PyPI's; else only ours run.
    """

    def __init__(self, server: Server, peers: tuple[Path, Path, Path] | None = None) -> None:
        self._server = server
        self._client = server.client()
        self._worker_cores: set[int] = set()
        self._commands = {
            "ours": [sys.executable, "-m", "bench.subjects.ours"],
            "floor": [sys.executable, "-m", "bench.floor"],
        }
        if peers:
            node, bullmq, peer = peers
            subjects = ROOT / "bench" / "subjects"
            self._commands["node"] = [str(node), str(subjects / "node.mjs"), str(bullmq)]
            self._commands["python"] = [str(peer), str(subjects / "python.py")]

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Give the server the machine's first core for itself, and the measured processes the rest.

        Only on Linux, and with two cores at least.
        """
        cores = os.sched_getaffinity(0)
        first = min(cores)
        self._worker_cores = cores - {first}
        os.sched_setaffinity(self._server.pid or 0, {first})
        try:
            yield
        finally:
            os.sched_setaffinity(self._server.pid or 0, cores)
            self._worker_cores = set()

    def run(self, work: Work, subject: Subject, **task: Any) -> Figures:
        """One trial; what it measured, by name. *task*: what else the process is to know.

        Raises:
            BenchError: it died, or did not do all of its jobs.
        """
        kinds: dict[str, Callable[[Work, Subject, list[Process]], Figures]] = {
            "drain": self._drain,
            "add": self._add,
            "latency": self._latency,
            "memory": self._memory,
        }
        self._client.flushall()
        if work.kind == "drain":
            self._fill(work.jobs)
        processes: list[Process] = []
        try:
            for _ in range(subject.processes):
                processes.append(self._start(work, subject, task))
            for one in processes:
                if (word := one.hear()) != "ready":
                    raise BenchError(f"{subject.program} said {word!r} instead of being ready")
            return kinds[work.kind](work, subject, processes)
        finally:
            for one in processes:
                one.close()

    def _start(self, work: Work, subject: Subject, more: dict[str, Any]) -> Process:
        worker = work.kind in ("drain", "latency")
        process = Process(
            self._commands[subject.program],
            {
                "act": "work" if worker else subject.act,
                "socket": str(self._server.socket),
                "queue": QUEUE,
                "jobs": work.jobs,
                "concurrency": work.concurrency,
                "processor": "latency" if work.kind == "latency" else subject.processor,
            }
            | more,
        )
        if self._worker_cores:
            os.sched_setaffinity(process.pid, self._worker_cores)
        return process

    def _fill(self, jobs: int) -> None:
        from queuecore import JobSpec, Queue

        Queue(QUEUE).add_bulk([JobSpec("noop", {"n": n}) for n in range(jobs)])

    def _drain(self, work: Work, subject: Subject, processes: list[Process]) -> Figures:
        self._client.config_resetstat()
        before = self._server_cpu()
        for one in processes:
            one.say("go")
        after = self._wait_until_completed(work.jobs, processes)
        commands = self._client.info("commandstats")
        notes = self._stop(processes)
        jobs = sum(one["jobs"] for one in notes)
        if jobs != work.jobs:
            raise BenchError(f"{subject.name} acknowledged {jobs} of {work.jobs} jobs")
        worked = [one for one in notes if one["jobs"]]  # of few jobs, one process may get none
        seconds = max(one["ended"] for one in worked) - min(one["begun"] for one in worked)
        figures = {
            "rate": jobs / seconds,
            "server_us": (after - before) * 1e6 / jobs,
            "client_us": sum(one["cpu"] for one in notes) * 1e6 / jobs,
            "rss_mib": max(one["rss"] for one in notes) / 2**20,
        }
        for name, one in commands.items():
            command = name.removeprefix("cmdstat_")
            if command not in _OWN_COMMANDS:
                figures[f"calls:{command}"] = one["calls"] / jobs
                figures[f"usec:{command}"] = one["usec"] / jobs
        for one in notes:
            figures |= {f"self:{place}": share for place, share in one.get("profile", {}).items()}
        return figures

    def _wait_until_completed(self, jobs: int, processes: list[Process]) -> float:
        """Wait until *jobs* have completed; the CPU seconds that the server has used by then."""
        deadline = time.monotonic() + PATIENCE
        key = f"bull:{QUEUE}:completed"
        while self._client.zcard(key) < jobs:
            for one in processes:
                one.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{self._client.zcard(key)} of {jobs} jobs after {PATIENCE} s")
            time.sleep(LOOK)
        return self._server_cpu()

    def _stop(self, processes: list[Process]) -> list[dict[str, Any]]:
        for one in processes:
            one.say("stop")
        return [json.loads(one.hear()) for one in processes]

    def _add(self, work: Work, subject: Subject, processes: list[Process]) -> Figures:
        before = self._server_cpu()
        processes[0].say("go")
        result = json.loads(processes[0].hear())
        after = self._server_cpu()
        self._check_added(work, subject)
        return {
            "rate": work.jobs / result["seconds"],
            "server_us": (after - before) * 1e6 / work.jobs,
            "client_us": result["cpu"] * 1e6 / work.jobs,
        }

    def _memory(self, work: Work, subject: Subject, processes: list[Process]) -> Figures:
        """What the keys take: the server's whole memory also holds buffers of the connections."""
        processes[0].say("go")
        processes[0].hear()
        self._check_added(work, subject)
        keys = list(self._client.scan_iter(count=5000))
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.memory_usage(key, samples=0)
            return {"bytes": sum(pipeline.execute()) / work.jobs}

    def _check_added(self, work: Work, subject: Subject) -> None:
        waiting = self._client.llen(f"bull:{QUEUE}:wait") - 1  # one was added to warm up
        if waiting != work.jobs:
            raise BenchError(f"{subject.name} added {waiting} of {work.jobs} jobs")

    def _latency(self, work: Work, subject: Subject, processes: list[Process]) -> Figures:
        from queuecore import Queue

        queue = Queue(QUEUE)
        processes[0].say("go")
        for number in range(work.jobs):
            self._wait_until_idle(number, processes[0])
            queue.add("noop", {"sent": time.monotonic_ns()})
            time.sleep(0.002)  # the server is left alone while the job is picked up
        self._wait_until_idle(work.jobs, processes[0])
        waits = sorted(self._stop(processes)[0]["waits"])
        if len(waits) != work.jobs:
            raise BenchError(f"{subject.name} picked up {len(waits)} of {work.jobs} jobs")
        return {
            "p50_ms": statistics.median(waits),
            "p99_ms": waits[math.ceil(len(waits) * 0.99) - 1],
        }

    def _wait_until_idle(self, done: int, process: Process) -> None:
        """Wait until *done* jobs have completed and the worker blocks, waiting for the next."""
        deadline = time.monotonic() + PATIENCE
        key = f"bull:{QUEUE}:completed"
        while self._client.zcard(key) < done or not self._client.info("clients")["blocked_clients"]:
            process.check()
            if time.monotonic() > deadline:
                raise BenchError(f"the worker was not idle within {PATIENCE} s")
            time.sleep(0.001)

    def _server_cpu(self) -> float:
        used: dict[str, float] = self._client.info("cpu")
        return used["used_cpu_user"] + used["used_cpu_sys"]


# What the bench itself asks of the server while others work.
_OWN_COMMANDS = ("info", "zcard", "config|resetstat", "client|setinfo", "ping", "hello")
