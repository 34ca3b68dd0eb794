"""A collector of traces, a plain HTTP server that takes OTLP as JSON, and an exporter to it."""

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

INTERNAL, PRODUCER, CONSUMER = 1, 4, 5  # kinds of OTLP


@dataclass
class Span:
    """One span as the collector has got it; ids are hexadecimal, ``parent`` is empty of a root."""

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    attributes: dict[str, Any] = field(default_factory=dict)
    failed: bool = False


class Collector:
    """Takes spans at ``url`` until it is closed."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.spans += _spans(json.loads(self._body()))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def _body(self) -> bytes:
                if (length := self.headers["Content-Length"]) is not None:
                    return self.rfile.read(int(length))
                parts = []  # chunks, as Node sends them
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def named(self, name: str) -> list[Span]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _spans(body: dict[str, Any]) -> Iterable[Span]:
    for resource in body["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for one in scope["spans"]:
                yield Span(
                    one["traceId"],
                    one["spanId"],
                    one.get("parentSpanId") or "",
                    one["name"],
                    one["kind"],
                    {a["key"]: _value(a["value"]) for a in one.get("attributes", [])},
                    one.get("status", {}).get("code") == 2,
                )


def _value(value: dict[str, Any]) -> Any:
    ((_, found),) = value.items()
    return found


class Exporter(SpanExporter):
    """Sends each span of this process to the collector of the test that runs."""

    def __init__(self) -> None:
        self.collector: Collector | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.collector is None:
            return SpanExportResult.SUCCESS
        told = [_told(span) for span in spans]
        body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": told}]}]})
        connection = HTTPConnection("127.0.0.1", self.collector.port, timeout=5)
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/json"})
        status = connection.getresponse().status
        connection.close()
        return SpanExportResult.SUCCESS if status == 200 else SpanExportResult.FAILURE


def _told(span: ReadableSpan) -> dict[str, Any]:
    context = span.get_span_context()
    assert context is not None
    attributes = span.attributes or {}
    return {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else "",
        "name": span.name,
        "kind": span.kind.value + 1,
        "attributes": [
            {"key": key, "value": {"value": list(value) if isinstance(value, tuple) else value}}
            for key, value in attributes.items()
        ],
        "status": {"code": 2 if not span.status.is_ok and not span.status.is_unset else 0},
    }


_exporter: Exporter | None = None


def exporter() -> Exporter:
    """The exporter of this process; OpenTelemetry takes one provider a process."""
    global _exporter
    if _exporter is None:
        _exporter = Exporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(_exporter))
        trace.set_tracer_provider(provider)
    return _exporter
