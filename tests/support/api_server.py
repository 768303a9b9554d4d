"""The served API as tests see it: who asks, what is behind it, what answers must look like."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from servers import NOBODY_TRUSTED

from api.jwts import JwtOptions
from models.artifacts import ArtifactStore
from models.queue import JobQueue

PREFIX = "/api/coaches/plus"
MP4_HEAD = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"
MIB = 1024 * 1024
MAX_UPLOAD = 144 * MIB
DOCUMENT = {
    "schema_version": 1,
    "findings": {"findings": [], "overall_level": "low"},
    "report": {"text": "**Overall Assessment**: fine.", "sections": [{"id": "s", "title": "S", "text": "t"}]},
}
FILES = {
    "quick_results.json": b'{"stage": "quick"}',
    "deep_results.json": b'{"stage": "deep"}',
    "report.html": b"<!doctype html><title>Report</title>",
    "report.pdf": b"%PDF-1.7 report",
    "overlay.mp4": random.Random(7).randbytes(300_000),
    "poses.parquet": b"PAR1" + bytes(64) + b"PAR1",
}
JWTS = JwtOptions(
    algorithm="HS256",
    issuer="https://id.example",
    audience="frontfoot",
    secret="signs the tokens of these tests and of nothing else",
)
MISSING_ID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A served application, what is behind it, and tokens that nobody used yet."""

    url: str
    app: FastAPI
    queue: JobQueue
    store: ArtifactStore
    tokens: Iterator[str]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A served application as one test sees it."""

    url: str
    queue: JobQueue
    store: ArtifactStore
    token: str
    """Of `jane`."""
    jane: httpx.Client
    lions: httpx.Client

    def kept(self, session_id: str) -> int:
        """How many objects the store holds for a session; they are gone afterwards."""
        return self.store.delete_prefix(self.store.bucket, f"sessions/{session_id}")

    def session(self, **fields: Any) -> str:
        body = {"title": "Nets", "session_type": "bowling"} | fields
        answer = self.jane.post("/sessions", json=body)
        assert answer.status_code == 201, answer.text
        session_id: str = answer.json()["id"]
        return session_id

    def uploaded(self, video: bytes = MP4_HEAD, **fields: Any) -> dict[str, Any]:
        answer = self.jane.put(f"/sessions/{self.session(**fields)}/video", content=video)
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        return session

    def submitted(self, **fields: Any) -> dict[str, Any]:
        session = self.uploaded()
        answer = self.jane.post(f"/sessions/{session['id']}/analysis-jobs", json={"analysis_mode": "bowling"} | fields)
        assert answer.status_code == 201, answer.text
        job: dict[str, Any] = answer.json()
        return job


def client(url: str, token: str | None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=url + PREFIX, headers=headers, trust_env=False, verify=NOBODY_TRUSTED, timeout=20)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What the application is given: one pair for the laptop, one for production."""

    database_url: str
    store: ArtifactStore


def video(size: int) -> Iterator[bytes]:
    """`size` bytes that look like a video, a chunk at a time."""
    yield MP4_HEAD
    left = size - len(MP4_HEAD)
    while left:
        chunk = bytes(min(left, 256 * 1024))
        left -= len(chunk)
        yield chunk


def stored(store: ArtifactStore, key: str) -> bytes:
    return b"".join(store.open(store.bucket, key).chunks)


def statuses(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [vars(record)["status"] for record in caplog.records if record.name == "api.middleware"]


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that the server does after its answer is out."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that `answer` is a whole problem document and return it."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    document: dict[str, Any] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"] == f"urn:frontfoot:problem:{code}"
    assert document["instance"] == answer.request.url.path
    assert document["title"]
    assert document["detail"]
    return document
