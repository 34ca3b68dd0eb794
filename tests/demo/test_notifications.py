"""Webhooks: signed by the shop, checked by the partner, over a real connection."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.test import AsyncClient

from demo.notifications import services, views

pytestmark = pytest.mark.urls("tests.demo.urls")

SECRET = b"s" * 32


def signed(body: bytes, secret: bytes = SECRET, age: float = 0) -> dict[str, str]:
    timestamp = int(time.time() - age)
    return {
        "Webhook-Id": "msg-1",
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": services.sign(secret, "msg-1", timestamp, body),
    }


def test_signature_is_the_one_that_standard_webhooks_describes() -> None:
    by_hand = hmac.new(SECRET, b'msg-1.1700000000.{"a":1}', hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(by_hand).decode()
    assert services.sign(SECRET, "msg-1", 1700000000, b'{"a":1}') == expected


def test_good_signature_passes_also_among_several() -> None:
    headers = signed(b"body")
    assert services.verify(SECRET, headers, b"body") == "msg-1"
    headers["Webhook-Signature"] = "v1,b2xk " + headers["Webhook-Signature"]
    assert services.verify(SECRET, headers, b"body") == "msg-1"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (signed(b"other"), "does not fit"),
        (signed(b"body", secret=b"x" * 32), "does not fit"),
        (signed(b"body") | {"Webhook-Id": "msg-2"}, "does not fit"),
        (signed(b"body") | {"Webhook-Signature": "v1,\u00e9"}, "does not fit"),
        (signed(b"body") | {"Webhook-Timestamp": "soon"}, "is missing"),
        ({}, "is missing"),
    ],
)
def test_bad_signatures(headers: dict[str, str], why: str) -> None:
    with pytest.raises(services.BadSignature, match=why):
        services.verify(SECRET, headers, b"body")


def test_old_signature_is_refused() -> None:
    with pytest.raises(services.BadSignature, match="more than 300 s ago"):
        services.verify(SECRET, signed(b"body", age=301), b"body")


class Partner(BaseHTTPRequestHandler):
    """Answers what the test wants, and remembers what came."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        status = self.server.status  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Location", "/elsewhere/")
        self.end_headers()
        self.wfile.write(b"says the partner")

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def partner(settings: Any) -> Iterator[Any]:
    with HTTPServer(("127.0.0.1", 0), Partner) as server:
        server.seen, server.status = [], 200  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.DEMO_BASE_URL = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def test_deliver_posts_a_signed_webhook(partner: Any) -> None:
    result = services.deliver("crm", "msg-9", "order.created", {"order": "S-1"})
    assert result["status"] == 200
    ((path, headers, body),) = partner.seen
    assert path == "/demo/webhooks/crm/"
    assert json.loads(body) == {"type": "order.created", "data": {"order": "S-1"}}
    assert services.verify(services.secret_of("crm"), headers, body) == "msg-9"
    with pytest.raises(services.BadSignature):
        services.verify(services.secret_of("warehouse"), headers, body)


@pytest.mark.parametrize("status", [302, 400, 503])
def test_deliver_fails_so_that_it_is_tried_again(status: int, partner: Any) -> None:
    partner.status = status
    with pytest.raises(services.DeliveryFailed, match=f"crm answered {status}: says the partner"):
        services.deliver("crm", "msg-9", "order.created", {})
    assert len(partner.seen) == 1  # a redirect is not followed


def test_gone_partner_is_told_apart(partner: Any) -> None:
    partner.status = 410
    with pytest.raises(services.EndpointGone):
        services.deliver("old-shop", "msg-9", "order.created", {})


def test_nobody_listens(settings: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.DEMO_BASE_URL = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(services.DeliveryFailed, match="crm did not answer: ConnectionRefused"):
            services.deliver("crm", "msg-9", "order.created", {})


async def post(endpoint: str, headers: dict[str, str], body: bytes = b"body") -> Any:
    return await AsyncClient(enforce_csrf_checks=True).post(
        f"/demo/webhooks/{endpoint}/", body, content_type="application/json", headers=headers
    )


async def test_partner_takes_a_signed_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(views.PARTNERS, "crm", views.Partner())
    answer = await post("crm", signed(b"body", services.secret_of("crm")))
    assert (answer.status_code, answer.json()) == (200, {"received": "msg-1"})


async def test_partner_is_overloaded_now_and_then() -> None:
    assert 0 < views.PARTNERS["crm"].busy < 1
    headers = signed(b"body", services.secret_of("crm"))
    statuses = {(await post("crm", headers)).status_code for _ in range(60)}
    assert statuses == {200, 503}


async def test_partner_refuses_strangers_and_closed_shops() -> None:
    assert (await post("crm", {})).status_code == 401
    assert (await post("crm", signed(b"other", services.secret_of("crm")))).status_code == 401
    assert (await post("nobody", {})).status_code == 404
    assert (await post("old-shop", {})).status_code == 401
    closed = signed(b"body", services.secret_of("old-shop"))
    assert (await post("old-shop", closed)).status_code == 410
    assert (await AsyncClient().get("/demo/webhooks/crm/")).status_code == 405
