"""Processors that do to their own process what no worker survives; for the tests of sandboxes."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from queuecore import DelayedError, Job, Processor, Queue, UnrecoverableError, named, provide


class Unpicklable(Exception):
    def __init__(self, one: Any, two: Any) -> None:
        self.lock = (one, two, open(os.devnull))  # noqa: SIM115
        super().__init__("cannot be pickled")


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def work(job: Job) -> Any:
    """Does what the job's name says."""
    return globals()[job.name](job)


async def awork(job: Job) -> Any:
    """Does what the job's name says, in an event loop."""
    return await globals()[job.name](job)


def pid(job: Job) -> int:
    return os.getpid()


def echo(job: Job) -> Any:
    return job.data


def tell(job: Job) -> str:
    job.update_progress(40)
    job.log("half way")
    job.update_data({"step": 2})
    print("to the log")
    return "told"


def fail(job: Job) -> None:
    raise ValueError(job.data)


def final(job: Job) -> None:
    raise UnrecoverableError("never again")


def later(job: Job) -> None:
    if job.attempts_started == 1:
        job.move_to_delayed(0.05)
        raise DelayedError


def unpicklable(job: Job) -> None:
    raise Unpicklable(1, 2)


def rude(job: Job) -> None:
    raise Rude


def not_json(job: Job) -> Any:
    return {1, 2}


def killed(job: Job) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(job: Job) -> None:
    ctypes.string_at(0)


def abort(job: Job) -> None:
    os.abort()


def leave(job: Job) -> None:
    os._exit(7)


def exits(job: Job) -> None:
    sys.exit(3)


def replaced(job: Job) -> None:
    os.execv("/bin/true", ["true"])


def closes(job: Job) -> None:
    os.closerange(3, 4096)


def closed(job: Job) -> None:
    os.closerange(3, 4096)
    time.sleep(300)


def other(job: Job) -> None:
    os.execv("/bin/sleep", ["sleep", "300"])


def forked(job: Job) -> str:
    """Comes back twice."""
    return "child" if os.fork() == 0 else "parent"


def allocate(job: Job) -> int:
    return len(bytearray(2 * 2**30))


def endless(job: Job) -> None:
    job.update_progress(1)
    while True:
        pass


def deaf(job: Job) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(60)


def patient(job: Job) -> str:
    job.update_progress(1)
    while not job.cancelled:
        time.sleep(0.01)
    return f"ended by itself: {job.cancelled}"


def obedient(job: Job) -> None:
    job.update_progress(1)
    while True:
        job.raise_if_cancelled()
        time.sleep(0.01)


async def asleep(job: Job) -> None:
    await asyncio.sleep(60)


def shout(job: Job) -> int:
    block = b"x" * 99 + b"\n"
    for _ in range(job.data["megabytes"] * 100):
        os.write(1, block * 105)
    return job.data["megabytes"]


def garbage(job: Job) -> None:
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, os.urandom(4096))
    time.sleep(300)


def parent(job: Job) -> None:
    """Starts a process that starts another, and dies."""
    sleeping = "import subprocess; print(subprocess.Popen(['sleep', '300']).pid, flush=True)"
    child = subprocess.Popen([sys.executable, "-c", sleeping], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    job.update_progress([int(child.stdout.readline())])
    os._exit(1)


def keeper(job: Job) -> None:
    """Starts processes and goes on."""
    children = [subprocess.Popen(["sleep", "300"]).pid]
    if (pid := os.fork()) == 0:
        time.sleep(300)
    job.update_progress([os.getpid(), *children, pid])
    time.sleep(300)


def sleep(job: Job) -> int:
    job.update_progress(os.getpid())
    time.sleep(job.data)
    return os.getpid()


def receipt(job: Job) -> None:
    Queue("receipts").add("receipt", {"of": job.data["n"]})


@dataclass
class Letter:
    to: str
    copies: int = 1


class Printer:
    made_in = 0

    def __init__(self) -> None:
        self.made_in = os.getpid()


class Office(Processor):
    """Named methods, payloads and a service, in a sandbox."""

    def __init__(self, printer: Printer = provide(Printer)) -> None:
        self.printer = printer

    @named("letter")
    def letter(self, job: Job[Letter]) -> list[Any]:
        return [job.payload.to, job.payload.copies, self.printer.made_in == os.getpid()]

    @named("fax")
    async def fax(self, job: Job) -> str:
        return f"fax {job.payload}"
