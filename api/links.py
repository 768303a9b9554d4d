"""Links to artifacts that need no token: signed with a secret of the job's owner, for one file, for a while.

For stores that can sign nothing themselves. Whoever has the link has the file, as with a presigned link of S3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlencode

from api.problems import Problem


def link_query(secret: str, *, job_id: str, name: str, expires: int) -> str:
    """The query that lets in whoever has it until `expires`, in seconds of the epoch."""
    return urlencode({"expires": expires, "signature": _signature(secret, job_id, name, expires)})


def check_link(secret: str, signature: str, *, job_id: str, name: str, expires: int, now: float) -> None:
    """Raises Problem: `not_found` where the link is none of ours, `link_expired` where it was."""
    # Bytes: a signature of letters that ASCII has not is wrong, and no error.
    if not hmac.compare_digest(signature.encode(), _signature(secret, job_id, name, expires).encode()):
        raise Problem("not_found")
    if expires <= now:
        raise Problem("link_expired", "List the job's artifacts for a new one.")


def _signature(secret: str, job_id: str, name: str, expires: int) -> str:
    said = "\n".join(("artifact", job_id, name, str(expires)))
    digest = hmac.digest(secret.encode(), said.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
