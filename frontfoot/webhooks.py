"""For whoever receives webhooks: is it from Frontfoot, and from just now?"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from models.webhook_signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, signature


class WebhookInvalid(ValueError):
    """The request is no webhook of ours, or an old one: answer 400 and do nothing."""


def verify_webhook(headers: Mapping[str, str], body: bytes, secret: str, tolerance_s: float = 300.0) -> dict[str, Any]:
    """Check a webhook that arrived, and read it. Its `id` is the same at every try: remember it, do the work once.

    `body` is what arrived, byte for byte, before anything parses it; `secret` is what `GET /webhooks/secret` shows;
    the timestamp may be `tolerance_s` seconds away from this machine's clock. Raises WebhookInvalid.
    """
    found = {name.lower(): value for name, value in headers.items()}
    try:
        sent, shown = (found[name.lower()] for name in (TIMESTAMP_HEADER, SIGNATURE_HEADER))
    except KeyError as error:
        raise WebhookInvalid(f"the header {error} is missing") from None
    if not (sent.isascii() and sent.isdigit() and len(sent) <= 12):
        raise WebhookInvalid("the timestamp is not a number of seconds")
    if not hmac.compare_digest(signature(secret, int(sent), body).encode(), shown.encode(errors="replace")):
        raise WebhookInvalid("the signature does not fit")
    if abs(time.time() - int(sent)) > tolerance_s:
        raise WebhookInvalid("the timestamp is too far from now")
    event: dict[str, Any] = json.loads(body)
    return event
