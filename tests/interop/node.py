"""BullMQ for Node as tests see it: objects of a Node process whose methods are called from here.

    queue = peer.queue("emails")
    queue.add("welcome", {"user_id": 7}, {"delay": 1000})
    worker = peer.worker("emails", "async job => job.data.user_id + 1", concurrency=10)
    queue.job("1").getState()

Names, options and units are Node's own. What an object emits is kept in ``events``.
"""

import contextlib
import itertools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("peer.mjs")
PATIENCE = 30


class PeerError(Exception):
    """What a method of Node's threw; ``name`` is the class of the error."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(f"{error['name']}: {error['message']}\n{error.get('stack')}")
        self.name = error["name"]


class Peer:
    """One Node process with one version of BullMQ."""

    def __init__(self, node: Path, folder: Path) -> None:
        self.version = json.loads((folder / "node_modules/bullmq/package.json").read_text())[
            "version"
        ]
        self.major = int(self.version.split(".")[0])
        self._start([str(node), str(SCRIPT), str(folder)])

    def _start(self, command: list[str]) -> None:
        self.connection: dict[str, Any] = {}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._numbers = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._objects: dict[str, Remote] = {}
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, for tests that kill it."""
        return self._process.pid

    def queue(self, name: str, **options: Any) -> "Remote":
        """A ``Queue``; several of one name are several objects."""
        return self.make("Queue", [name, self._options(options)])

    def worker(self, queue: str, processor: str, /, **options: Any) -> "Remote":
        """A ``Worker`` whose processor is a JavaScript function, as text (see peer.mjs)."""
        return self.make("Worker", [queue, self._options(options)], processor)

    def queue_events(self, name: str, **options: Any) -> "Remote":
        """``QueueEvents`` from the stream's beginning on, so that none is missed."""
        return self.make("QueueEvents", [name, self._options({"lastEventId": "0-0"} | options)])

    def make(self, kind: str, args: list[Any], processor: str = "") -> "Remote":
        """Any of BullMQ's classes by its name."""
        remote = Remote(self, f"{kind} {next(self._numbers)}")
        self._objects[remote.name] = remote
        self.ask(make=kind, **{"as": remote.name}, args=args, processor=processor)
        return remote

    def open(self, gate: str) -> None:
        """Let the processors that await ``gate(name)`` go on."""
        self.ask(open=gate)

    def ask(self, **request: Any) -> Any:
        """Send one request and return the answer's value; raises PeerError."""
        number = next(self._numbers)
        with self._news:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"n": number, **request}) + "\n")
            self._process.stdin.flush()
        self.wait(lambda: number in self._answers, f"an answer to {request}")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer["value"]

    def wait(self, until: Callable[[], Any], what: str, timeout: float = PATIENCE) -> None:
        """Wait until a message of Node's makes ``until()`` true; else fails, naming ``what``."""
        deadline = time.monotonic() + timeout
        with self._news:
            while not until():
                left = deadline - time.monotonic()
                assert left > 0, f"Node did not give {what} within {timeout} s"
                assert self._reader.is_alive(), f"Node ended before it gave {what}"
                self._news.wait(min(left, 1))

    def reset(self) -> list[str]:
        """Close every object and gate that is left; gives the errors that any object emitted."""
        errors = []
        for remote in list(self._objects.values()):
            errors += [f"{remote.name}: {args[0]['stack']}" for args in remote.of("error")]
            remote.close()
        self.ask(shut=True)
        return errors

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a test has killed it
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def kill(self) -> None:
        """End it with SIGKILL: its jobs are left active, with their locks."""
        self._process.kill()
        self._process.wait()
        self._objects.clear()

    def forget(self, remote: "Remote") -> None:
        self._objects.pop(remote.name, None)

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"connection": self.connection} | options

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            with self._news:
                if "from" not in message:
                    self._answers[message["n"]] = message
                elif message["from"] in self._objects:
                    events = self._objects[message["from"]].events
                    events.append((message["event"], message["args"]))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()


class Port(Peer):
    """A process with PyPI's bullmq: the same classes and methods as far as it has them."""

    def __init__(self, python: Path) -> None:
        self.version, self.major = "the port", 6
        self._start([str(python), str(SCRIPT.with_name("port_peer.py"))])


class Remote:
    """One object of the Node process: every method that it has there can be called here."""

    def __init__(self, peer: Peer, name: str) -> None:
        self.peer = peer
        self.name = name
        self.events: list[tuple[str, list[Any]]] = []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args: self.peer.ask(on=self.name, call=method, args=args)

    def job(self, job_id: str) -> "RemoteJob":
        """One of its jobs, whose methods are called on a fresh ``getJob``."""
        return RemoteJob(self, job_id)

    def of(self, event: str) -> list[Any]:
        """The arguments of each ``event`` so far."""
        return [args for name, args in self.events if name == event]

    def wait_for(self, event: str, count: int = 1, timeout: float = PATIENCE) -> list[Any]:
        """Wait until it emitted ``event`` so many times; the arguments of each."""
        self.peer.wait(
            lambda: len(self.of(event)) >= count, f"{count} {event!r} of {self.name}", timeout
        )
        return self.of(event)

    def close(self, *args: Any) -> None:
        self.peer.ask(on=self.name, call="close", args=args)
        self.peer.forget(self)


class RemoteJob:
    """One job of a Node queue; see :meth:`Remote.job`."""

    def __init__(self, queue: Remote, job_id: str) -> None:
        self._queue = queue
        self._id = job_id

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args: self._queue.peer.ask(
            on=self._queue.name, job=self._id, call=method, args=args
        )

    def waitUntilFinished(self, events: Remote) -> Any:
        """Wait for its result, as ``events`` (a QueueEvents) tells it."""
        return self._queue.peer.ask(on=self._queue.name, job=self._id, events=events.name)


def numbered(count: int, name: str = "job") -> Iterator[dict[str, Any]]:
    """So many jobs for Node's ``addBulk``, each with its number as data."""
    return ({"name": name, "data": {"n": n}} for n in range(count))
