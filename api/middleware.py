"""What happens around every request: an id, one log line, a bound on small bodies, and no stack trace to the caller."""

from __future__ import annotations

import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, problem_response

MAX_JSON_BYTES = 256 * 1024

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


class RequestLog:
    """Log one line a request, with the route's template and never its token; answer 500 for what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        started = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:  # the outermost door: whatever nobody foresaw is logged and becomes a 500
            log.exception("Request failed: request_id=%s", request_id, extra={"request_id": request_id})
            if status is not None:
                raise  # half an answer is out; only a cut connection tells the client that it is not whole
            await problem_response(Problem("internal"), instance=scope["path"])(scope, receive, send_with_id)
        finally:
            _log_request(scope, status, (time.perf_counter() - started) * 1000, request_id)


def _log_request(scope: Scope, status: int | None, duration_ms: float, request_id: str) -> None:
    fields = {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path_format", "unmatched"),
        "status": status,
        "duration_ms": round(duration_ms, 1),
        "request_id": request_id,
    }
    log.info("Request answered: %s", " ".join(f"{key}={value}" for key, value in fields.items()), extra=fields)


class SmallBodies:
    """Bound every body but an upload's, which counts its own bytes: JSON is read before anyone is authenticated."""

    def __init__(self, app: ASGIApp, *, max_bytes: int = MAX_JSON_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] == "PUT":
            await self._app(scope, receive, send)
            return
        size = 0

        async def bounded_receive() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                raise Problem("request_too_large", f"The body is larger than {self._max_bytes} bytes.")
            return message

        await self._app(scope, bounded_receive, send)
