"""A server in front of the tests' own that answers a script with an error, while it is told to."""

import contextlib
import itertools
import socket
import threading
import time
from pathlib import Path

from queuecore.wire.scripts import load
from tests.chaos.proxy import first_command
from tests.servers import Server

_numbers = itertools.count()


class Refusing:
    """Use it in a ``with``; clients connect to ``url``.

    ``answer``: the error that the script gets, or None. ``forgive_new``: connections that are made
    from now on reach the server all the same, as after a failover. ``asked``: the times (monotonic
    seconds) at which the script was refused.
    """

    def __init__(self, server: Server, script: str = "finish_and_claim") -> None:
        self.answer: str | None = None
        self.forgive_new = False
        self.asked: list[float] = []
        self.path = Path(server.folder) / f"r{next(_numbers)}"
        self.url = f"unix://{self.path}"
        self._server = str(server.socket)
        loaded = load(script)
        self._words = {loaded.sha.encode(), loaded.source}
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Refusing":
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # A thread in accept() or recv() does not notice that its socket is closed.
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in (self._listener, *self._sockets):
            one.close()

    def _begin(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                upstream = socket.socket(socket.AF_UNIX)
                self._sockets += (client, upstream)
                upstream.connect(self._server)
                self._begin(self._requests, client, upstream, self.forgive_new)
                self._begin(self._copy, upstream, client)

    def _requests(self, client: socket.socket, upstream: socket.socket, forgiven: bool) -> None:
        buffer = b""
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                buffer += data
                while (found := first_command(buffer)) is not None:
                    command, size = found
                    raw, buffer = buffer[:size], buffer[size:]
                    refused = len(command) > 1 and command[1] in self._words
                    if refused and self.answer and not forgiven:
                        self.asked.append(time.monotonic())
                        client.sendall(f"-{self.answer}\r\n".encode())
                    else:
                        upstream.sendall(raw)
        self._cut(client, upstream)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        self._cut(source, target)

    def _cut(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):  # the other side was quicker
                one.shutdown(socket.SHUT_RDWR)
