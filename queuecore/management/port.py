"""Port: tells over HTTP how a worker is: ``/healthz``, ``/readyz`` and ``/metrics``.

Threads of its own answer, so that neither jobs nor the event loop keep a probe waiting, and no
probe keeps a job waiting.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from socketserver import TCPServer
from typing import Any

from ..errors import ConfigurationError
from ..worker.health import Report

_JSON = "application/json"


class Port:
    """Serves the last report that it was told.

    Args:
        metrics: gives the content and its type of ``/metrics``; None has none.

    Raises:
        ConfigurationError: nobody can listen there.
    """

    def __init__(
        self, host: str, port: int, metrics: Callable[[Report | None], tuple[bytes, str]] | None
    ) -> None:
        self._report: Report | None = None
        self._metrics = metrics

        class Handler(_Handler):
            answer = self._answer

        try:
            kind = _Server6 if ":" in host else _Server
            self._server = kind((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"--metrics-port {port} of {host} cannot be opened: {error}"
            ) from error
        self.address = f"{host}:{self._server.server_address[1]}"

    def start(self) -> None:
        """Answer from now on, as long as the process lives."""
        threading.Thread(
            target=self._server.serve_forever, name="queuecore-port", daemon=True
        ).start()

    def tell(self, report: Report) -> None:
        """What is answered from now on."""
        self._report = report

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, type and content of the answer."""
        report = self._report
        if path == "/healthz":
            # Nothing was told yet where it starts: that is no reason to end it.
            return _told(report is None or report["live"], report)
        if path == "/readyz":
            return _told(report is not None and report["ready"], report)
        if path == "/metrics" and self._metrics is not None:
            content, kind = self._metrics(report)
            return 200, kind, content
        return 404, _JSON, b'{"status": "there are /healthz, /readyz and /metrics"}'


def _told(well: bool, report: Report | None) -> tuple[int, str, bytes]:
    content = json.dumps(report or {"status": "starting"}).encode()
    return (200 if well else 503), _JSON, content


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Not HTTPServer's, which asks the name service what this machine is called."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asked has gone: nobody wants to read of it."""


class _Server6(_Server):
    address_family = AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds of silence until a connection is closed
    server_version, sys_version = "QueueCore", ""
    answer: Callable[[str], tuple[int, str, bytes]]

    def do_GET(self) -> None:
        status, kind, content = self.answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *arguments: Any) -> None:
        """A probe asks all the time."""
