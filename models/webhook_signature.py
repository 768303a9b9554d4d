"""What a webhook is signed with: one rule for who sends and who receives. Standard library alone."""

from __future__ import annotations

import hashlib
import hmac

ID_HEADER = "Frontfoot-Webhook-Id"
TIMESTAMP_HEADER = "Frontfoot-Webhook-Timestamp"
SIGNATURE_HEADER = "Frontfoot-Webhook-Signature"
VERSION = "v1"


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`v1=` and the HMAC-SHA256 of `<timestamp>.<body>`, in hexadecimal digits. `timestamp` is in Unix seconds."""
    signed = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"{VERSION}={signed.hexdigest()}"
