"""HTTP as the client speaks it: refusals as `ClientError`, and patience where asking again is safe."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx

PREFIX = "/api/coaches/plus"

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PASSING = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE})
_PATIENCE = 5
"""Times in a row that a request is sent again: an API restarts faster than that."""
_LONGEST_PAUSE_S = 30.0

Json = dict[str, Any]


class ClientError(Exception):
    """The server refused, or did not answer (`status` is None then). Programs go by `code`."""

    def __init__(self, *, status: int | None, code: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s

    @property
    def passing(self) -> bool:
        """Whether the same request may well succeed in a moment."""
        return self.status is None or (self.status in _PASSING and self.code != "too_many_active_jobs")


class Transport:
    """Sends requests and reads JSON. Every method raises `ClientError`."""

    def __init__(self, url: str, token: str, *, timeout_s: float, pause_s: float = 0.5) -> None:
        base = httpx.URL(url.rstrip("/"))
        self._pause_s = pause_s
        self._http = httpx.Client(
            base_url=base.copy_with(path=base.path.rstrip("/") + PREFIX),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            trust_env=base.host not in _LOOPBACK,  # a proxy knows nothing of this machine's own ports
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, method: str, url: str, *, again: bool = False, **request: Any) -> Json:
        """Send a request and return its JSON object. `again`: what may pass is tried some times more."""
        return document_of(self.answer(method, url, again=again, **request))

    def answer(self, method: str, url: str, *, again: bool = False, **request: Any) -> httpx.Response:
        """Send a request and return its answer, a success or 304."""
        for attempt in range(_PATIENCE + 1):
            try:
                return self._send(method, url, **request)
            except ClientError as error:
                if not again or not error.passing or attempt == _PATIENCE:
                    raise
                # The server's own word first; otherwise a little longer each time.
                time.sleep(min(error.retry_after_s or self._pause_s * 2**attempt, _LONGEST_PAUSE_S))
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, url: str, headers: Mapping[str, str] | None = None, **request: Any) -> Iterator[httpx.Response]:
        """A GET whose body is read as it comes."""
        try:
            with self._http.stream("GET", url, headers=dict(headers or {}), **request) as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                yield response
        except httpx.HTTPError as error:
            raise _unanswered(error) from error

    def _send(self, method: str, url: str, **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, url, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unanswered(error) from error
        if not response.is_success and response.status_code != HTTPStatus.NOT_MODIFIED:
            raise _refusal(response)
        return response


def document_of(response: httpx.Response) -> Json:
    """The answer's JSON object. Raises ClientError where something between us and the server answered instead."""
    document = _document(response)
    if document is None:
        raise _refusal(response)
    return document


def _document(response: httpx.Response) -> Json | None:
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _refusal(response: httpx.Response) -> ClientError:
    problem = _document(response) or {}
    retry_after = response.headers.get("retry-after", "")
    return ClientError(
        status=response.status_code,
        code=str(problem.get("code", "unexpected_answer")),
        detail=str(problem.get("detail", f"{response.status_code} {response.reason_phrase}")),
        retry_after_s=float(retry_after) if retry_after.isdecimal() else None,
    )


def _unanswered(error: httpx.HTTPError | httpx.InvalidURL) -> ClientError:
    return ClientError(status=None, code="connection_failed", detail=str(error) or type(error).__name__)
