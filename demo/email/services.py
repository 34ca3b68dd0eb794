"""The shop's mail: a template rendered as text and HTML, sent through Django's mail."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string

DOMAIN = "shop.example"


class Undeliverable(ValueError):
    """No second try can help: the address or the template does not exist."""


def send_mail(template: str, data: Mapping[str, Any], mail_id: str) -> dict[str, Any]:
    """Send the mail *template* to ``data["to"]`` and return what was sent.

    ``templates/email/<template>.txt`` is rendered with *data*; its first line is the subject. The
    same *mail_id* gives the same Message-ID: where a crash makes a mail go out twice, mail
    programs show it once.

    Raises:
        Undeliverable: the address is malformed, or there is no such template.
    """
    to = str(data.get("to", ""))
    try:
        validate_email(to)
    except ValidationError:
        raise Undeliverable(f"{to!r} is not a mail address") from None
    try:
        text = render_to_string(f"email/{template}.txt", dict(data))
    except TemplateDoesNotExist:
        raise Undeliverable(f"there is no mail called {template!r}") from None
    subject, _, body = text.strip().partition("\n")
    body = body.strip()
    message = EmailMultiAlternatives(
        subject, body, to=[to], headers={"Message-ID": f"<{quote(mail_id)}@{DOMAIN}>"}
    )
    html = render_to_string("email/layout.html", {"subject": subject, "body": body})
    message.attach_alternative(html, "text/html")
    message.send()
    return {"to": to, "subject": subject, "bytes": len(message.message().as_bytes())}
