"""A small typed client of the HTTP API. Streams both ways; loads nothing heavy."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

from frontfoot.transport import PREFIX, ClientError, Json, Transport, document_of
from frontfoot.wire import Artifact, Batch, Job, PlayerProgress, Session
from models.requests import AnalysisRequest, JobExtras, Mode, View

__all__ = ["PREFIX", "ClientError", "FrontfootClient", "is_terminal"]

TERMINAL = frozenset({"done", "failed", "canceled"})

_CHUNK_BYTES = 1024 * 1024
_LONGEST_WAIT_S = 30


def is_terminal(job: Job) -> bool:
    """Whether the job has ended; the server's own word where it says so."""
    return job.get("is_terminal", job["status"] in TERMINAL)


class FrontfootClient:
    """One server, one token. A context manager; every method raises `ClientError`.

    Reads and submissions are sent again where nobody answered: a submission carries an idempotency key, so that it
    makes one job however often it arrives.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float = 60.0, pause_s: float = 0.5) -> None:
        self._transport = Transport(url, token, timeout_s=timeout_s, pause_s=pause_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # Sessions and their videos.

    def create_session(
        self,
        *,
        title: str,
        session_type: Mode,
        notes: str | None = None,
        camera_view: View | None = None,
        player_ids: Sequence[str] = (),
        source_uri: str | None = None,
    ) -> Session:
        """Make a session; with `source_uri` (`s3://bucket/key`) on a video that is in the store already."""
        session = {"title": title, "session_type": session_type, "player_ids": list(player_ids)}
        optional = {"notes": notes, "camera_view": camera_view, "source_uri": source_uri}
        body = session | {name: value for name, value in optional.items() if value is not None}
        return cast("Session", self._transport.json("POST", "/sessions", json=body))

    def session(self, session_id: str) -> Session:
        """Return a session."""
        return cast("Session", self._transport.json("GET", f"/sessions/{_segment(session_id)}", again=True))

    def sessions(self, **filters: str) -> Iterator[Session]:
        """Every session of the caller, the newest first."""
        return cast("Iterator[Session]", self._pages("/sessions", "sessions", filters))

    def update_session(self, session_id: str, **changes: Any) -> Session:
        """Change title, notes, camera_view or player_ids; what is not named stays."""
        return cast("Session", self._transport.json("PATCH", f"/sessions/{_segment(session_id)}", json=changes))

    def delete_session(self, session_id: str) -> None:
        """Delete a session with its video, its jobs and everything they left."""
        self._transport.answer("DELETE", f"/sessions/{_segment(session_id)}")

    def upload(self, session_id: str, path: Path, on_bytes: Callable[[int], None] | None = None) -> Session:
        """Stream a clip to its session and return the session; `on_bytes` hears the size of each chunk sent."""
        headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
        content = _read(path, on_bytes or (lambda _count: None))
        answer = self._transport.json(
            "PUT", f"/sessions/{_segment(session_id)}/video", content=content, headers=headers
        )
        return cast("Session", answer)

    # Jobs.

    def submit(
        self,
        session_id: str,
        request: AnalysisRequest,
        *,
        priority: int = 0,
        extras: JobExtras | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Ask for an analysis of the session's clip and return the job.

        The key defaults to a fresh one: give one of your own to be safe across restarts of your program too.
        """
        body = request.model_dump(mode="json", exclude_none=True) | {"priority": priority}
        if extras is not None:
            body |= extras.model_dump(mode="json", exclude_none=True)
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        url = f"/sessions/{_segment(session_id)}/analysis-jobs"
        return cast("Job", self._transport.json("POST", url, again=True, json=body, headers=headers))

    def submit_many(self, items: Iterable[Mapping[str, Any]], *, idempotency_key: str | None = None) -> Batch:
        """Submit up to 10 000 jobs at once, each `{"session_id": …, "analysis_mode": …, …}`, and return the batch."""
        headers = {
            "Idempotency-Key": idempotency_key or str(uuid.uuid4()),
            "Content-Type": "application/x-ndjson",
        }
        content = "".join(f"{json.dumps(item)}\n" for item in items).encode()
        answer = self._transport.json("POST", "/analysis-jobs/bulk", again=True, content=content, headers=headers)
        return cast("Batch", answer)

    def batch(self, batch_id: str) -> Batch:
        """Return a batch with its counts."""
        return cast("Batch", self._transport.json("GET", f"/batches/{_segment(batch_id)}", again=True))

    def cancel_batch(self, batch_id: str) -> Batch:
        """Ask for the end of every job of a batch."""
        return cast("Batch", self._transport.json("POST", f"/batches/{_segment(batch_id)}/cancel"))

    def job(self, job_id: str, *, results: bool = False) -> Job:
        """Return the job as it is now; with `results`, the whole result documents too."""
        include = {"include": "quick_results,deep_results,results"} if results else None
        return cast(
            "Job", self._transport.json("GET", f"/analysis-jobs/{_segment(job_id)}", again=True, params=include)
        )

    def jobs(self, **filters: str) -> Iterator[Job]:
        """Every job of the caller, the newest first; `status`, `session_id`, `mode`, `created_after`, `tag`."""
        return cast("Iterator[Job]", self._pages("/analysis-jobs", "jobs", filters))

    def cancel(self, job_id: str) -> Job:
        """Ask for the job's end and return it."""
        return cast("Job", self._transport.json("POST", f"/analysis-jobs/{_segment(job_id)}/cancel"))

    def retry(self, job_id: str) -> Job:
        """Queue a failed or canceled job again and return it."""
        return cast("Job", self._transport.json("POST", f"/analysis-jobs/{_segment(job_id)}/retry"))

    def delete(self, job_id: str) -> None:
        """Delete a job and everything it left; the session and its video stay."""
        self._transport.answer("DELETE", f"/analysis-jobs/{_segment(job_id)}")

    def wait(
        self,
        job_id: str,
        on_progress: Callable[[Job], None] | None = None,
        timeout_s: float | None = None,
        *,
        poll_s: float = 0.5,
    ) -> Job:
        """Return the job once it is done, failed or canceled; `on_progress` sees it at every change.

        The server holds each question until something changed (a server that cannot is asked every `poll_s`).
        Raises `ClientError` with code `timeout` where that takes longer than `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        etag: str | None = None
        seen: object = None
        while True:
            left = _LONGEST_WAIT_S if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise ClientError(
                    status=None, code="timeout", detail=f"job {job_id} is not finished after {timeout_s:g} s"
                )
            answer = self._transport.answer(
                "GET",
                f"/analysis-jobs/{_segment(job_id)}",
                again=True,
                # The first answer is wanted at once; from then on the next one that differs.
                params={"wait": int(min(_LONGEST_WAIT_S, left))} if etag else None,
                headers={"If-None-Match": etag} if etag else {},
            )
            if answer.status_code != HTTPStatus.NOT_MODIFIED:
                job = cast("Job", document_of(answer))
                state = (job["status"], job["stage"], job["progress_pct"], job.get("attempt"))
                if state != seen and on_progress is not None:
                    on_progress(job)
                seen = state
                if is_terminal(job):
                    return job
            etag = answer.headers.get("etag")
            if etag is None or left < 1:  # a server that does not wait, or no whole second to wait for
                time.sleep(min(poll_s, left))

    # Players.

    def player_progress(self, player_id: str, *, mode: Mode | None = None, limit: int | None = None) -> PlayerProgress:
        """Follow a player over the caller's sessions, at most the newest `limit` (2 to 100), metric by metric."""
        asked = {name: value for name, value in (("mode", mode), ("limit", limit)) if value is not None}
        answer = self._transport.json("GET", f"/players/{_segment(player_id)}/progress", again=True, params=asked)
        return cast("PlayerProgress", answer)

    # Files.

    def artifacts(self, job_id: str) -> list[Artifact]:
        """Return name, size, media type and link of each file that the job left."""
        answer = self._transport.json("GET", f"/analysis-jobs/{_segment(job_id)}/artifacts", again=True)
        listed: list[Artifact] = answer["artifacts"]
        return listed

    def download(self, job_id: str, name: str, path: Path) -> Path:
        """Stream one artifact to `path`, which appears only once it is whole."""
        partial = path.with_name(f"{path.name}.part")
        try:
            url = f"/analysis-jobs/{_segment(job_id)}/artifacts/{quote(name, safe='')}"
            with self._transport.stream(url) as response, partial.open("wb") as file:
                for chunk in response.iter_bytes(_CHUNK_BYTES):
                    file.write(chunk)
            return partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _pages(self, url: str, name: str, filters: Mapping[str, str]) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._transport.json(
                "GET", url, again=True, params={**filters, **({"cursor": cursor} if cursor else {})}
            )
            yield from page[name]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _segment(row_id: str) -> str:
    """An id as one part of a path, whatever is in it."""
    return quote(row_id, safe="")


def _read(path: Path, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
            on_bytes(len(chunk))
