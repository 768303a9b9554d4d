"""Links of our own that need no token: what they allow and until when is in them, signed."""

from __future__ import annotations

import hmac
import time
from hashlib import sha256

from api.problems import Problem


def signed_link(secret: str, purpose: str, path: str, *, expires: int) -> str:
    """`path` with `expires` (seconds since 1970) and `signature`: whoever has it may do `purpose` there until then."""
    return f"{path}?expires={expires}&signature={_signature(secret, purpose, path, expires)}"


def check_link(secret: str, purpose: str, path: str, *, expires: int, signature: str) -> None:
    """Raises `not_found` for a link that we did not sign, and `link_expired`."""
    if not hmac.compare_digest(_signature(secret, purpose, path, expires).encode(), signature.encode()):
        raise Problem("not_found", "The link is not one of ours.")
    if time.time() >= expires:
        raise Problem("link_expired")


def _signature(secret: str, purpose: str, path: str, expires: int) -> str:
    return hmac.new(secret.encode(), f"{purpose}|{path}|{expires}".encode(), sha256).hexdigest()
