"""A proxy between clients and a server that spoils chosen calls: their replies or their requests.

    with Proxy(server) as proxy:
        proxy.lose_reply("add_jobs")      # the server does it, the caller's socket dies instead
        proxy.deliver_late("add_jobs")    # the caller's socket dies first, the server does it later
        proxy.deliver_twice("add_jobs")   # the server does it, and again after its answer

Each order spoils one call of that script (or of a plain command, in capitals) and is then used up;
``proxy.spoiled`` tells the orders that were carried out. It understands just enough of the protocol
to cut a client's bytes into commands.
"""

import contextlib
import socket
import threading
import time

from queuecore.wire.scripts import load, names
from tests.servers import Server

LOSE, LATE, TWICE = "reply lost", "request late", "request doubled"


class Proxy:
    """Listens on a Unix socket beside the server's own; ``url`` is for the clients."""

    def __init__(self, server: Server) -> None:
        self.server = str(server.socket)
        path = server.folder / "proxy"
        path.unlink(missing_ok=True)
        self.url = f"unix://{path}"
        self.spoiled: list[tuple[str, str]] = []
        self._names: dict[bytes, str] = {}
        for name in names():
            script = load(name)
            self._names |= {script.sha.encode(): name, script.source: name}
            # A late request that the server does not know would do nothing and prove nothing.
            self.carry_out(packed(b"SCRIPT", b"LOAD", script.source))
        self._orders: list[tuple[str, str]] = []
        self._held: list[bytes] = []
        self._skips: dict[str, int] = {}
        self._news = threading.Condition()
        self._pairs: list[_Pair] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        # A thread in accept() does not notice that its socket is closed: it must be woken.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        self.cut()
        for pair in self._pairs:
            pair.join()

    def lose_reply(self, name: str, times: int = 1) -> None:
        """Let the server carry out the next ``name`` and cut the caller off before the answer."""
        self._order(LOSE, name, times)

    def deliver_late(self, name: str, times: int = 1) -> None:
        """Cut the caller of the next ``name`` off; its request arrives at :meth:`deliver`."""
        self._order(LATE, name, times)

    def deliver_twice(self, name: str, times: int = 1) -> None:
        """Answer the next ``name`` as usual; its request arrives once more at :meth:`deliver`."""
        self._order(TWICE, name, times)

    def skip(self, name: str, times: int) -> None:
        """Let the next ``times`` calls of ``name`` pass before an order for it is looked at."""
        self._skips[name] = times

    def deliver(self) -> list[bytes]:
        """Send the requests that were held back to the server now; the raw answers."""
        with self._news:
            held, self._held = self._held, []
        return [self.carry_out(raw) for raw in held]

    def wait(self, count: int = 1, timeout: float = 10) -> None:
        """Wait until so many calls were spoiled."""
        deadline = time.monotonic() + timeout
        with self._news:
            while len(self.spoiled) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"only {self.spoiled} were spoiled, not {count}"
                self._news.wait(left)

    def cut(self) -> None:
        """Cut every client off."""
        for pair in self._pairs:
            pair.cut()

    def carry_out(self, raw: bytes) -> bytes:
        """Send one command on a socket of its own; its raw answer, or the first part of it."""
        with socket.socket(socket.AF_UNIX) as direct:
            direct.settimeout(10)
            direct.connect(self.server)
            direct.sendall(raw)
            return direct.recv(1 << 16)

    def order_for(self, command: list[bytes], raw: bytes) -> str | None:
        """What is to be done with this command; uses the order up."""
        word = command[0].upper()
        name = self._names.get(command[1], "") if word in (b"EVALSHA", b"EVAL") else word.decode()
        with self._news:
            if self._skips.get(name):
                self._skips[name] -= 1
                return None
            for kind, wanted in self._orders:
                if wanted == name:
                    self._orders.remove((kind, wanted))
                    if kind != LOSE:
                        self._held.append(raw)
                    self.spoiled.append((kind, name))
                    self._news.notify_all()
                    return kind
        return None

    def _order(self, kind: str, name: str, times: int) -> None:
        if not name.isupper():
            load(name)  # an order for a script that does not exist would never be carried out
        with self._news:
            self._orders += [(kind, name)] * times

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.socket(socket.AF_UNIX)
            try:
                upstream.connect(self.server)
            except OSError:
                client.close()
                continue
            self._pairs.append(_Pair(self, client, upstream))


class _Pair:
    """One client's socket and the one to the server for it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._threads = [
            threading.Thread(target=one, daemon=True) for one in (self._requests, self._answers)
        ]
        for thread in self._threads:
            thread.start()

    def _requests(self) -> None:
        buffer = b""
        try:
            while data := self._client.recv(1 << 16):
                buffer += data
                while (found := first_command(buffer)) is not None:
                    command, size = found
                    raw, buffer = buffer[:size], buffer[size:]
                    order = self._proxy.order_for(command, raw)
                    if order == LOSE:
                        self._proxy.carry_out(raw)
                    if order in (LOSE, LATE):
                        return
                    self._server.sendall(raw)
        except OSError:
            pass
        finally:
            self.cut()

    def _answers(self) -> None:
        try:
            while data := self._server.recv(1 << 16):
                self._client.sendall(data)
        except OSError:
            pass
        finally:
            self.cut()

    def cut(self) -> None:
        for one in (self._client, self._server):
            with contextlib.suppress(OSError):  # the other side was quicker
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(5)


def packed(*words: bytes) -> bytes:
    """A command as bytes."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def first_command(buffer: bytes) -> tuple[list[bytes], int] | None:
    """The first command in ``buffer`` and its length in bytes; None where it is not all there."""
    head = buffer.find(b"\r\n")
    if head < 0:
        return None
    assert buffer[:1] == b"*", f"no command: {buffer[:50]!r}"
    words, at = [], head + 2
    for _ in range(int(buffer[1:head])):
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(buffer[at + 1 : end])
        if len(buffer) < end + 2 + size + 2:
            return None
        words.append(buffer[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return words, at
