from __future__ import annotations

import hashlib
import hmac
import time

import pytest

from frontfoot.webhooks import WebhookInvalid, verify_webhook

SECRET = "ksiTv0PzW6iMSM0RCbcgQoBrYQ2NcXV4xV9hcAB1zqE"
BODY = b'{"id":"d-1","event":"job.done"}'


def headers(sent: str, *, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    """As the documentation says it, with nothing of the package in it."""
    digest = hmac.new(secret.encode(), sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "Frontfoot-Webhook-Timestamp": sent,
        "Frontfoot-Webhook-Signature": f"v1={digest}",
    }


@pytest.mark.parametrize("age_s", [0, 290, -290])
def test_what_was_signed_just_now_is_ours(age_s: int) -> None:
    assert verify_webhook(headers(str(int(time.time()) - age_s)), BODY, SECRET)["id"] == "d-1"


def test_servers_write_header_names_as_they_like() -> None:
    shown = headers(str(int(time.time())))
    assert verify_webhook({name.lower(): value for name, value in shown.items()}, BODY, SECRET)["id"] == "d-1"


@pytest.mark.parametrize("age_s", [310, -310])
def test_an_old_one_is_refused(age_s: int) -> None:
    shown = headers(str(int(time.time()) - age_s))
    with pytest.raises(WebhookInvalid, match="too far from now"):
        verify_webhook(shown, BODY, SECRET)
    assert verify_webhook(shown, BODY, SECRET, tolerance_s=600)["id"] == "d-1"


def test_another_body_secret_or_time_does_not_fit() -> None:
    now = int(time.time())
    shown = headers(str(now))
    for changed, body, secret in (
        (shown, BODY + b" ", SECRET),
        (shown, BODY, SECRET[:-1]),
        (shown | {"Frontfoot-Webhook-Timestamp": str(now + 1)}, BODY, SECRET),
        (shown | {"Frontfoot-Webhook-Signature": shown["Frontfoot-Webhook-Signature"][:-1]}, BODY, SECRET),
        (shown | {"Frontfoot-Webhook-Signature": "v1=é\udc80"}, BODY, SECRET),
    ):
        with pytest.raises(WebhookInvalid, match="does not fit"):
            verify_webhook(changed, body, secret)


@pytest.mark.parametrize("name", list(headers("1")))
def test_every_header_is_needed(name: str) -> None:
    shown = headers(str(int(time.time())))
    del shown[name]
    with pytest.raises(WebhookInvalid, match="is missing"):
        verify_webhook(shown, BODY, SECRET)


@pytest.mark.parametrize("sent", ["", "-1", "1.5", "now", "²", "9" * 13])
def test_a_time_that_is_none_is_refused(sent: str) -> None:
    with pytest.raises(WebhookInvalid, match="not a number of seconds"):
        verify_webhook(headers("1") | {"Frontfoot-Webhook-Timestamp": sent}, BODY, SECRET)
