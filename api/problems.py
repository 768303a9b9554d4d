"""Errors as RFC 9457 problem documents. The only place where an error's code becomes an HTTP status."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from models.errors import StoreError

MEDIA_TYPE = "application/problem+json"

STATUS_AND_TITLE: Mapping[str, tuple[int, str]] = {
    "unauthorized": (401, "A valid bearer token is needed"),
    "forbidden": (403, "The token lacks the scope for this"),
    "link_expired": (403, "The link has expired"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "upload_stalled": (408, "The upload stopped arriving"),
    "invalid_state": (409, "The state does not allow this"),
    "idempotency_conflict": (409, "The idempotency key was used for another request"),
    "model_refused": (409, "The alias cannot mean that model"),
    "model_in_use": (409, "The model is in use"),
    "upload_invalid": (409, "What arrived is not what was announced"),
    "upload_too_large": (413, "The video is too large"),
    "request_too_large": (413, "The request body is too large"),
    "batch_too_large": (413, "The batch has too many lines"),
    "unsupported_media": (415, "The media type is not supported"),
    "not_a_video": (415, "The body is no video we can open"),
    "range_not_satisfiable": (416, "The range lies outside the artifact"),
    "invalid_cursor": (422, "The cursor does not come from an earlier page"),
    "validation_failed": (422, "The request is not valid"),
    "model_unknown": (422, "The model is not in the catalogue"),
    "rules_invalid": (422, "The rules are not valid"),
    "video_empty": (422, "The video is empty"),
    "source_key_too_long": (422, "The source key is too long"),
    "source_missing": (422, "The source video is not in the store"),
    "bucket_not_allowed": (422, "The source is not in a bucket that may be read"),
    "webhook_url_refused": (422, "The webhook cannot be sent there"),
    "rate_limited": (429, "Too many requests"),
    "too_many_waiting": (429, "Too many requests wait for jobs"),
    "too_many_active_jobs": (429, "Too many unfinished jobs"),
    "client_closed": (499, "The client went away"),
    "internal": (500, "Something went wrong on our side"),
    "store_unavailable": (503, "The store does not answer"),
    "schema_behind": (503, "The database schema is behind this code"),
    "bad_request": (400, "The request could not be read"),
}
"""Every code this API answers with. A store error of a code not named here is our own fault: 500, `internal`."""

_CODE_OF_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media",
}
"""What the framework itself raises."""

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_GUARDED = ("unauthorized", "forbidden", "rate_limited", "internal", "store_unavailable")
"""What every route that asks for a token can answer."""
_RATE_HEADERS = {
    "RateLimit": "What the key has left: `r` requests now, and the whole quota again in `t` seconds.",
    "RateLimit-Policy": "The quota: `q` requests in `w` seconds. Absent where there is none.",
}

_RETRY_AFTER_S = {"store_unavailable": "5", "too_many_active_jobs": "30"}
"""A store is back in seconds; jobs end in minutes."""

log = logging.getLogger(__name__)


class FieldError(BaseModel):
    """One field of the request that is not as it must be."""

    field: str = Field(description="Dotted path of the field; `body` where the whole body is meant.")
    source: str = Field(description="`body`, `query`, `path` or `header`.")
    code: str = Field(description="Kind of the fault, for programs.")
    detail: str = Field(description="The fault in words.")


class ProblemDocument(BaseModel):
    """RFC 9457 problem details; programs go by `code`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:frontfoot:problem:validation_failed",
                    "title": "The request is not valid",
                    "status": 422,
                    "detail": "analysis_mode: Field required",
                    "code": "validation_failed",
                    "instance": "/api/coaches/plus/sessions/7f8b6c1e-6f0a-4a55-9a53-0d1c6f7f3c11/analysis-jobs",
                    "errors": [
                        {"field": "analysis_mode", "source": "body", "code": "missing", "detail": "Field required"}
                    ],
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable word for programs.")
    instance: str = Field(description="Path of the request; its `X-Request-Id` finds it in the log.")
    errors: list[FieldError] | None = None


class Problem(HTTPException):
    """An answer that is an error, by its stable code. An `HTTPException`, so that the framework lets it through."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        status, title = STATUS_AND_TITLE[code]
        super().__init__(status_code=status, detail=detail or f"{title}.", headers=headers)
        self.code = code
        self.errors = errors


def problem_response(problem: Problem, *, instance: str) -> JSONResponse:
    """Write a problem down as the RFC wants it."""
    document = ProblemDocument(
        type=f"urn:frontfoot:problem:{problem.code}",
        title=STATUS_AND_TITLE[problem.code][1],
        status=problem.status_code,
        detail=problem.detail,
        code=problem.code,
        instance=instance,
        errors=list(problem.errors) or None,
    )
    return JSONResponse(
        document.model_dump(exclude_none=True),
        status_code=problem.status_code,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Document the problems a route answers with, for OpenAPI, one example a code."""
    documented: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, title = STATUS_AND_TITLE[code]
        response = documented.setdefault(status, {"description": title, "model": ProblemDocument, "content": {}})
        examples = response["content"].setdefault(MEDIA_TYPE, {"examples": {}})["examples"]
        examples[code] = {"value": _example(code, status, title)}
    return documented


def describe(openapi: dict[str, Any]) -> dict[str, Any]:
    """Correct the framework's OpenAPI document in place: problems are `application/problem+json`, and nothing else is.

    It adds a 422 of its own shape to every route with a parameter; no route answers with that.
    """
    for operation in (operation for path in openapi["paths"].values() for operation in path.values()):
        answers = operation["responses"]
        if "security" in operation:
            _document_guard(answers)
        for status in [status for status in answers if status >= "400"]:
            content = answers[status]["content"]
            schema = content.pop("application/json", {}).get("schema")
            if MEDIA_TYPE not in content:
                del answers[status]
            elif schema is not None:
                content[MEDIA_TYPE]["schema"] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        openapi["components"]["schemas"].pop(name, None)
    headers = {name: {"description": words, "schema": {"type": "string"}} for name, words in _RATE_HEADERS.items()}
    openapi["components"]["headers"] = headers
    return openapi


def _document_guard(answers: dict[str, Any]) -> None:
    """Add to a route's answers what the token in front of it can lead to."""
    for status, response in responses(*_GUARDED).items():
        answer = answers.setdefault(str(status), {"description": response["description"], "content": {}})
        content = answer["content"].setdefault(MEDIA_TYPE, {})
        content.setdefault("examples", {}).update(response["content"][MEDIA_TYPE]["examples"])
        content["schema"] = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    for status, answer in answers.items():
        if status != "401":
            references = {name: {"$ref": f"#/components/headers/{name}"} for name in _RATE_HEADERS}
            answer.setdefault("headers", {}).update(references)


def _example(code: str, status: int, title: str) -> dict[str, Any]:
    return {
        "type": f"urn:frontfoot:problem:{code}",
        "title": title,
        "status": status,
        "detail": f"{title}.",
        "code": code,
        "instance": "/api/coaches/plus/sessions",
    }


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    if isinstance(error, Problem):
        return problem_response(error, instance=request.url.path)
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == 405:
        headers = {"Allow": ", ".join(_allowed(request))}
    problem = Problem(_CODE_OF_STATUS.get(status, "internal"), headers=headers)
    return problem_response(problem, instance=request.url.path)


def _allowed(request: Request) -> list[str]:
    """Every method of this path; the framework would name those of its first route alone."""
    routes, scope = request.app.router.routes, request.scope
    found = [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return ["HEAD", *found] if "GET" in found else found


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    faults = error.errors() if isinstance(error, RequestValidationError) else ()
    errors = [_field_error(fault) for fault in faults]
    detail = "; ".join(f"{error.field}: {error.detail}" for error in errors)
    return problem_response(Problem("validation_failed", detail, errors=errors), instance=request.url.path)


def _field_error(fault: Mapping[str, Any]) -> FieldError:
    """Name the field and the fault; never what was sent, which may be long or a secret."""
    source, *path = (str(part) for part in fault["loc"])
    if fault["type"] == "json_invalid":
        path = []
    return FieldError(field=".".join(path) or source, source=source, code=fault["type"], detail=fault["msg"])


async def _on_store_error(request: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, StoreError) else "internal"
    if code not in STATUS_AND_TITLE:
        log.error("Unexpected store error", extra={"code": code}, exc_info=error)
        return problem_response(Problem("internal"), instance=request.url.path)
    if code == "store_unavailable":
        # The store's own words may name hosts and buckets: they are for the log, not for the caller.
        log.error("Store unavailable", exc_info=error)
        problem = Problem(code, headers={"Retry-After": _RETRY_AFTER_S[code]})
    else:
        wait_s = _RETRY_AFTER_S.get(code)
        problem = Problem(code, str(error), headers={"Retry-After": wait_s} if wait_s else None)
    return problem_response(problem, instance=request.url.path)


async def _on_disconnect(request: Request, _error: Exception) -> Response:
    """Nobody reads this answer; the log line does."""
    return problem_response(Problem("client_closed"), instance=request.url.path)
