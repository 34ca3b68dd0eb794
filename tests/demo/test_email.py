"""The shop's mail: rendered, sent once a job, refused where no try can help."""

from typing import Any

import pytest

from demo.email import services

ORDER = {
    "to": "ann@example.com",
    "name": "Ann <b>",
    "order": "S-1001",
    "items": [{"count": 2, "title": "Mug & saucer", "price": "9.50"}],
    "total": "19.00",
}


def test_mail_is_rendered_as_text_and_html(mailoutbox: list[Any]) -> None:
    sent = services.send_mail("order-confirmation", ORDER, mail_id="email-7")
    (message,) = mailoutbox
    assert message.subject == sent["subject"] == "Your order S-1001 is confirmed"
    assert message.to == ["ann@example.com"]
    assert "2 x Mug & saucer: 9.50 EUR" in message.body
    ((html, kind),) = message.alternatives
    assert kind == "text/html"
    assert "Mug &amp; saucer" in html
    assert "Ann &lt;b&gt;" in html
    assert '<a href="https://shop.example/orders/S-1001"' in html
    assert sent["bytes"] == len(message.message().as_bytes())


@pytest.mark.parametrize(
    "template",
    [
        "welcome",
        "order-confirmation",
        "password-reset",
        "review-request",
        "newsletter",
        "invoice",
    ],
)
def test_every_mail_has_a_subject_and_a_body(template: str, mailoutbox: list[Any]) -> None:
    services.send_mail(template, ORDER, mail_id="x")
    assert mailoutbox[0].subject
    assert len(mailoutbox[0].body) > 50


def test_a_second_run_sends_the_same_message_id(mailoutbox: list[Any]) -> None:
    for _ in range(2):
        services.send_mail("welcome", ORDER, mail_id="email-a b\n7")
    first, second = (message.message()["Message-ID"] for message in mailoutbox)
    assert first == second == "<email-a%20b%0A7@shop.example>"


@pytest.mark.parametrize("to", ["", "jane@", "jane@example.com\nBcc: all@example.com"])
def test_malformed_address_is_refused(to: str, mailoutbox: list[Any]) -> None:
    with pytest.raises(services.Undeliverable, match="is not a mail address"):
        services.send_mail("welcome", {"to": to}, mail_id="x")
    assert mailoutbox == []


def test_unknown_mail_is_refused(mailoutbox: list[Any]) -> None:
    with pytest.raises(services.Undeliverable, match="there is no mail called 'wellcome'"):
        services.send_mail("wellcome", ORDER, mail_id="x")
    assert mailoutbox == []
