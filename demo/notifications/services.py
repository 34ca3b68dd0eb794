"""Webhooks: signed, sent, and checked on the other side.

The signature follows the Standard Webhooks specification. Each request carries

- ``Webhook-Id``: the same for every try, so that the receiver can drop what it has already;
- ``Webhook-Timestamp``: seconds since 1970, when this try was signed;
- ``Webhook-Signature``: ``v1,`` and the base64 of the HMAC-SHA256, under the receiver's secret, of
  ``<id>.<timestamp>.<body>``.
"""

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.crypto import salted_hmac

TOLERANCE = 300  # seconds that a signature's time may differ from the receiver's clock
TIMEOUT = 15  # seconds that a receiver has to answer


class DeliveryFailed(Exception):
    """The receiver did not take the webhook now; a later try may do better."""


class EndpointGone(Exception):
    """The receiver wants no webhooks any more (410): there is to be no second try."""


class BadSignature(ValueError):
    """The request is not from who it should be, is changed, or is too old."""


def secret_of(endpoint: str) -> bytes:
    """The secret that the shop shares with *endpoint*."""
    return salted_hmac("demo.notifications", endpoint, algorithm="sha256").digest()


def sign(secret: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``Webhook-Signature``."""
    signed = b".".join((webhook_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def verify(secret: bytes, headers: Mapping[str, str], body: bytes) -> str:
    """Return the webhook's id, once its signature and its time are found right.

    Raises:
        BadSignature: a header is missing, the signature does not fit, or it is not of now.
    """
    try:
        webhook_id, signature = headers["Webhook-Id"], headers["Webhook-Signature"]
        timestamp = int(headers["Webhook-Timestamp"])
    except (KeyError, ValueError):
        raise BadSignature("Webhook-Id, -Timestamp or -Signature is missing") from None
    # There may be several, parted by spaces, while a secret is being replaced.
    expected = sign(secret, webhook_id, timestamp, body).encode()
    if not any(hmac.compare_digest(one.encode(), expected) for one in signature.split()):
        raise BadSignature("the signature does not fit")
    if abs(time.time() - timestamp) > TOLERANCE:
        raise BadSignature(f"signed more than {TOLERANCE} s ago: sent by somebody who kept it?")
    return webhook_id


def deliver(endpoint: str, webhook_id: str, event: str, data: Any) -> dict[str, Any]:
    """Post one webhook and return the receiver's status and how long it took.

    Raises:
        EndpointGone: the receiver answered 410.
        DeliveryFailed: no answer, or one that is not 2xx. Redirects are not followed.
    """
    url = urlsplit(f"{settings.DEMO_BASE_URL}/demo/webhooks/{endpoint}/")
    body = json.dumps({"type": event, "data": data}).encode()
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": sign(secret_of(endpoint), webhook_id, timestamp, body),
    }
    secure = url.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(url.hostname or "", url.port, timeout=TIMEOUT)
    began = time.monotonic()
    try:
        connection.request("POST", url.path, body, headers)
        with connection.getresponse() as answer:
            text = answer.read(300).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise DeliveryFailed(f"{endpoint} did not answer: {error!r}") from error
    finally:
        connection.close()
    if answer.status == 410:
        raise EndpointGone(f"{endpoint} answered 410: {text}")
    if not 200 <= answer.status < 300:
        raise DeliveryFailed(f"{endpoint} answered {answer.status}: {text}")
    return {"status": answer.status, "seconds": round(time.monotonic() - began, 3)}
