"""Many jobs by one call over real sockets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from api_server import MISSING_ID, PREFIX, Server, problem

from api.bulk import MAX_BYTES

NDJSON = {"Content-Type": "application/x-ndjson"}
BODY = {"analysis_mode": "bowling"}


def bulk(server: Server, *lines: Any, key: str | None = None, client: httpx.Client | None = None) -> httpx.Response:
    content = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    headers = NDJSON | ({"Idempotency-Key": key} if key else {})
    return (client or server.jane).post("/analysis-jobs/bulk", content=content, headers=headers)


def listed(server: Server, batch_id: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"batch_id": batch_id, "limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = server.jane.get("/analysis-jobs", params=params).json()
        jobs += page["jobs"]
        cursor = page["next_cursor"]
        if cursor is None:
            return jobs


def test_each_line_is_accounted_for(server: Server) -> None:
    mine, bucket = server.uploaded()["id"], server.store.bucket
    theirs = server.lions.post("/sessions", json={"title": "Nets", "session_type": "bowling"}).json()["id"]
    good = BODY | {"session_id": mine}
    answer = bulk(
        server,
        good | {"metadata": {"n": "1"}, "tags": ["nets"], "priority": 5},
        b"{not JSON",
        {"session_id": mine},
        good | {"session_id": theirs},
        good | {"model": "yolo99"},
        b"",
        good | {"webhook_url": "http://10.0.0.1/"},
        BODY | {"source_uri": f"s3://{bucket}/clips/nets.mp4", "title": "From the store"},
        BODY | {"source_uri": "s3://secrets/clip.mp4"},
        BODY | {"source_uri": f"s3://{bucket}/sessions/{theirs}/source/clip.mp4"},
        BODY | {"source_uri": "http://127.0.0.1/clip.mp4"},
    )
    assert answer.status_code == 202
    batch = answer.json()
    assert answer.headers["location"] == f"{PREFIX}/batches/{batch['id']}"
    assert (batch["lines"], batch["accepted"], batch["is_terminal"]) == (10, 2, False)
    assert [(rejected["line"], rejected["code"]) for rejected in batch["rejected"]] == [
        (2, "validation_failed"),
        (3, "validation_failed"),
        (4, "not_found"),
        (5, "model_unknown"),
        (7, "webhook_url_refused"),
        (9, "bucket_not_allowed"),
        (10, "bucket_not_allowed"),
        (11, "bucket_not_allowed"),
    ]
    assert batch["rejected"][1]["errors"] == [{"field": "analysis_mode", "code": "missing", "detail": "Field required"}]
    assert {state: count for state, count in batch["counts"].items() if count} == {"queued": 2}
    second, first = listed(server, batch["id"])
    assert (first["session_id"], first["metadata"], first["priority"]) == (mine, {"n": "1"}, 5)
    assert (first["batch_id"], second["s3_key"]) == (batch["id"], "clips/nets.mp4")
    assert server.jane.get(f"/sessions/{second['session_id']}").json()["title"] == "From the store"
    assert server.jane.get(f"/batches/{batch['id']}").json() == batch


@pytest.mark.parametrize("backend", ["postgresql+s3"], indirect=True)
def test_ten_thousand_lines(server: Server) -> None:
    session = server.uploaded()["id"]
    lines = [BODY | {"session_id": session, "tags": ["many"], "metadata": {"n": str(n)}} for n in range(10_000)]
    began = time.monotonic()
    answer = bulk(server, *lines)
    took = time.monotonic() - began
    assert answer.status_code == 202, answer.text
    batch = answer.json()
    assert (batch["accepted"], batch["counts"]["queued"], batch["rejected"]) == (10_000, 10_000, [])
    assert took < 30  # a few seconds on an idle machine
    canceled = server.jane.post(f"/batches/{batch['id']}/cancel", timeout=60).json()
    assert (canceled["counts"]["canceled"], canceled["is_terminal"]) == (10_000, True)


def test_one_line_more_makes_nothing(server: Server) -> None:
    session = server.uploaded()["id"]
    answer = bulk(server, *[BODY | {"session_id": session}] * 10_001, key="key")
    problem(answer, 413, "batch_too_large")
    assert server.jane.get("/batches").json() == {"batches": [], "next_cursor": None}
    assert server.jane.get("/analysis-jobs").json()["jobs"] == []
    assert bulk(server, BODY | {"session_id": session}, key="key").status_code == 202


def test_the_same_request_gives_the_same_batch(server: Server) -> None:
    line = BODY | {"session_id": server.uploaded()["id"]}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: bulk(server, line, b"{", key="key"), range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotency-replayed", "") for answer in answers) == ["", "true", "true", "true"]
    fault = problem(bulk(server, line, key="key"), 409, "idempotency_conflict")
    assert answers[0].json()["id"] in fault["detail"]
    assert len(server.jane.get("/analysis-jobs").json()["jobs"]) == 1


def test_batches_are_listed_and_their_owners(server: Server) -> None:
    line = BODY | {"session_id": server.uploaded()["id"]}
    ids = [bulk(server, line, b"{").json()["id"] for _ in range(3)]
    page = server.jane.get("/batches", params={"limit": 2}).json()
    assert [batch["id"] for batch in page["batches"]] == ids[:0:-1]
    assert page["batches"][0].keys() == {"id", "created_at", "lines", "accepted", "cancel_requested_at"}
    rest = server.jane.get("/batches", params={"cursor": page["next_cursor"]}).json()
    assert ([batch["id"] for batch in rest["batches"]], rest["next_cursor"]) == ([ids[0]], None)
    assert server.lions.get("/batches").json()["batches"] == []
    for batch_id in (ids[0], MISSING_ID):
        problem(server.lions.get(f"/batches/{batch_id}"), 404, "not_found")
        problem(server.lions.post(f"/batches/{batch_id}/cancel"), 404, "not_found")
        problem(server.lions.get("/analysis-jobs", params={"batch_id": batch_id}), 404, "not_found")
    assert server.jane.get(f"/batches/{ids[0]}").json()["cancel_requested_at"] is None


def test_a_batch_is_canceled(server: Server) -> None:
    line = BODY | {"session_id": server.uploaded()["id"]}
    batch = bulk(server, line, line, line).json()
    canceled = server.jane.post(f"/batches/{batch['id']}/cancel")
    assert canceled.status_code == 200
    assert {state: count for state, count in canceled.json()["counts"].items() if count} == {"canceled": 3}
    assert canceled.json()["cancel_requested_at"] is not None
    assert {job["status"] for job in listed(server, batch["id"])} == {"canceled"}
    assert server.jane.post(f"/batches/{batch['id']}/cancel").json() == canceled.json()


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "multipart/form-data"])
def test_it_is_json_lines_or_nothing(server: Server, media_type: str) -> None:
    answer = server.jane.post("/analysis-jobs/bulk", content=b"{}", headers={"Content-Type": media_type})
    problem(answer, 415, "unsupported_media")


def test_an_empty_body_is_no_batch(server: Server) -> None:
    problem(server.jane.post("/analysis-jobs/bulk", content=b"\n", headers=NDJSON), 422, "validation_failed")


def test_a_body_has_an_end(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(MAX_BYTES // 1024**2 + 1):
            yield b" " * 1024**2

    problem(server.jane.post("/analysis-jobs/bulk", content=endless(), headers=NDJSON), 413, "request_too_large")


def test_a_body_that_stops_arriving(server: Server) -> None:
    def stalling() -> Iterator[bytes]:
        yield b"{"
        time.sleep(1.6)
        yield b"}"

    problem(server.jane.post("/analysis-jobs/bulk", content=stalling(), headers=NDJSON), 408, "upload_stalled")
