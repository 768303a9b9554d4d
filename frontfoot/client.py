"""The HTTP client behind `frontfoot submit` and the demo. Streams both ways; loads nothing heavy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from models.requests import AnalysisRequest, Mode, View

PREFIX = "/api/coaches/plus"
TERMINAL = frozenset({"done", "failed", "canceled"})

_CHUNK_BYTES = 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PATIENCE = 5
"""Unanswered polls in a row that `wait` forgives: an API restarts faster than that."""

Json = dict[str, Any]


class ClientError(Exception):
    """The server refused, or did not answer (`status` is None then)."""

    def __init__(self, *, status: int | None, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def passing(self) -> bool:
        """Whether the same request may well succeed in a moment."""
        return self.status is None or self.status == HTTPStatus.SERVICE_UNAVAILABLE


class FrontfootClient:
    """One server, one token. A context manager; every method raises `ClientError`."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 60.0) -> None:
        base = httpx.URL(url.rstrip("/"))
        self._http = httpx.Client(
            base_url=base.copy_with(path=base.path.rstrip("/") + PREFIX),
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout_s,
            trust_env=base.host not in _LOOPBACK,  # a proxy knows nothing of this machine's own ports
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_session(
        self,
        *,
        title: str,
        session_type: Mode,
        notes: str | None = None,
        camera_view: View | None = None,
        player_ids: Sequence[str] = (),
    ) -> Json:
        """Make a session and return it."""
        session = {"title": title, "session_type": session_type, "player_ids": list(player_ids)}
        optional = {"notes": notes, "camera_view": camera_view}
        return self._json("POST", "/sessions", json=session | {k: v for k, v in optional.items() if v is not None})

    def upload(self, session_id: str, path: Path, on_bytes: Callable[[int], None] | None = None) -> Json:
        """Stream a clip to its session and return the session; `on_bytes` hears the size of each chunk sent."""
        headers = {
            "Content-Length": str(path.stat().st_size),
            "Content-Type": "application/octet-stream",
        }
        content = _read(path, on_bytes or (lambda _count: None))
        return self._json("PUT", f"/sessions/{session_id}/video", content=content, headers=headers)

    def submit(self, session_id: str, request: AnalysisRequest, *, priority: int = 0) -> Json:
        """Ask for an analysis of the session's clip and return the job."""
        body = request.model_dump(mode="json", exclude_none=True) | {"priority": priority}
        return self._json("POST", f"/sessions/{session_id}/analysis-jobs", json=body)

    def job(self, job_id: str, *, results: bool = False) -> Json:
        """Return the job as it is now; with `results`, the whole result documents too."""
        return self._json("GET", f"/analysis-jobs/{job_id}", params={"include": "results"} if results else None)

    def cancel(self, job_id: str) -> Json:
        """Ask for the job's end and return it."""
        return self._json("POST", f"/analysis-jobs/{job_id}/cancel")

    def wait(
        self,
        job_id: str,
        on_progress: Callable[[Json], None] | None = None,
        timeout_s: float | None = None,
        *,
        poll_s: float = 0.5,
    ) -> Json:
        """Return the job once it is done, failed or canceled; `on_progress` sees it at every change.

        Raises `ClientError` with code `timeout` where that takes longer than `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        seen: object = None
        unanswered = 0
        while True:
            try:
                job = self.job(job_id)
            except ClientError as error:
                unanswered += 1
                if not error.passing or unanswered > _PATIENCE:
                    raise
            else:
                unanswered = 0
                state = (job["status"], job["stage"], job["progress_pct"])
                if state != seen and on_progress is not None:
                    on_progress(job)
                seen = state
                if job["status"] in TERMINAL:
                    return job
            if deadline is not None and time.monotonic() + poll_s > deadline:
                raise ClientError(
                    status=None, code="timeout", detail=f"job {job_id} is not finished after {timeout_s:g} s"
                )
            time.sleep(poll_s)

    def artifacts(self, job_id: str) -> list[Json]:
        """Return name, size and media type of each file that the job left."""
        listed: list[Json] = self._json("GET", f"/analysis-jobs/{job_id}/artifacts")["artifacts"]
        return listed

    def download(self, job_id: str, name: str, path: Path) -> Path:
        """Stream one artifact to `path`, which appears only once it is whole."""
        partial = path.with_name(f"{path.name}.part")
        try:
            with self._http.stream("GET", f"/analysis-jobs/{job_id}/artifacts/{quote(name, safe='')}") as response:
                if not response.is_success:
                    response.read()
                    raise _refusal(response)
                with partial.open("wb") as file:
                    for chunk in response.iter_bytes(_CHUNK_BYTES):
                        file.write(chunk)
            return partial.replace(path)
        except httpx.HTTPError as error:
            raise _unanswered(error) from error
        finally:
            partial.unlink(missing_ok=True)

    def _json(self, method: str, url: str, **request: Any) -> Json:
        try:
            response = self._http.request(method, url, **request)
        except httpx.HTTPError as error:
            raise _unanswered(error) from error
        answer = _document(response)
        if not response.is_success or answer is None:
            raise _refusal(response)
        return answer


def _read(path: Path, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
            on_bytes(len(chunk))


def _document(response: httpx.Response) -> Json | None:
    """The answer's JSON object; None where something between us and the server answered in its own words."""
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _refusal(response: httpx.Response) -> ClientError:
    problem = _document(response) or {}
    return ClientError(
        status=response.status_code,
        code=str(problem.get("code", "unexpected_answer")),
        detail=str(problem.get("detail", f"{response.status_code} {response.reason_phrase}")),
    )


def _unanswered(error: httpx.HTTPError) -> ClientError:
    return ClientError(status=None, code="connection_failed", detail=str(error) or type(error).__name__)
