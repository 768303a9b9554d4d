"""What happens around every request: an id, one log line, a bound on bodies, and no stack trace to the caller."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import ApiMetrics
from api.problems import Problem, problem_response

MAX_JSON_BYTES = 256 * 1024

F = TypeVar("F", bound=Callable[..., Any])

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = logging.getLogger(__name__)


class RequestLog:
    """Log and count each request, with the route's template and never its token; answer 500 for what nobody caught."""

    def __init__(self, app: ASGIApp, *, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        method: str = scope["method"]
        started = time.perf_counter()
        status: int | None = None
        self._metrics.arrived()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.update(scope.get("state", {}).get("answer_headers", {}))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:  # the outermost door: whatever nobody foresaw is logged and becomes a 500
            log.exception("Request failed: request_id=%s", request_id, extra={"request_id": request_id})
            if status is not None:
                raise  # half an answer is out; only a cut connection tells the client that it is not whole
            await problem_response(Problem("internal"), instance=scope["path"])(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            route: str = getattr(scope.get("route"), "path_format", "unmatched")
            self._metrics.answered(method, route, status, seconds)
            _log_request(method, route, status, seconds, request_id)


def _log_request(method: str, route: str, status: int | None, seconds: float, request_id: str) -> None:
    fields = {
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1000, 1),
        "request_id": request_id,
    }
    log.info("Request answered: %s", " ".join(f"{key}={value}" for key, value in fields.items()), extra=fields)


def body_limit(max_bytes: int | None) -> Callable[[F], F]:
    """Let the endpoint below take a body of so many bytes instead of `MAX_JSON_BYTES`; None: it counts by itself."""

    def mark(endpoint: F) -> F:
        endpoint.max_body_bytes = max_bytes  # type: ignore[attr-defined]  # functions have no declared attributes
        return endpoint

    return mark


class SmallBodies:
    """Bound every body: JSON is read before anyone is authenticated. `body_limit` names the exceptions."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = 0

        async def bounded_receive() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            # Nobody reads a body before the route is chosen, so the endpoint is known here.
            limit = getattr(scope.get("endpoint"), "max_body_bytes", MAX_JSON_BYTES)
            if limit is not None and size > limit:
                raise Problem("request_too_large", f"The body is larger than {limit} bytes.")
            return message

        await self._app(scope, bounded_receive, send)


class HeadAsGet:
    """Answer HEAD as GET would, without the body: its routes are those of GET, and so are its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif message.get("more_body"):
                raise _Answered  # a stream: nothing of it need be read from the store

        scope["method"] = "GET"
        with suppress(_Answered):
            await self._app(scope, receive, send_head)


class _Answered(Exception):
    """The head is out, the rest would be thrown away."""
