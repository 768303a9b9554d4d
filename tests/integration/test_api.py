"""The HTTP face over real sockets: uvicorn in a thread, on SQLite and a folder and on PostgreSQL and S3."""

from __future__ import annotations

import json
import logging
import random
import shutil
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from serving import serving

from api.app import create_app
from api.context import Limits
from models.artifacts import ArtifactStore, FolderStore
from models.database import Database
from models.jobs import Owner
from models.queue import JobQueue
from models.s3 import S3Options, S3Store

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
    "overlay.mp4": random.Random(7).randbytes(300_000),
    "poses.parquet": b"PAR1" + bytes(64) + b"PAR1",
}
MISSING_ID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A served application, what is behind it, and tokens that nobody used yet."""

    url: str
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
    return httpx.Client(base_url=url + PREFIX, headers=headers, trust_env=False, timeout=20)


@dataclass(frozen=True, kw_only=True)
class Backend:
    """What the application is given: one pair for the laptop, one for production."""

    database_url: str
    store: ArtifactStore


@pytest.fixture(scope="module", params=["sqlite+folder", "postgresql+s3"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    folder = tmp_path_factory.mktemp("api")
    if request.param == "sqlite+folder":
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), folder / "frontfoot.sqlite3")
        yield Backend(database_url=f"sqlite:///{folder / 'frontfoot.sqlite3'}", store=FolderStore(folder / "store"))
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.create_database(request.getfixturevalue("migrated_postgres"))
    s3 = request.getfixturevalue("s3")
    options = S3Options(
        bucket=s3.bucket,
        endpoint_url=s3.endpoint_url,
        region=s3.region,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
    )
    yield Backend(database_url=postgres.url(name), store=S3Store(options))
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def served(backend: Backend) -> Iterator[Served]:
    """The application on a real socket, once for all tests: each test is two owners of its own."""
    database = Database(backend.database_url)
    queue = JobQueue(database)
    owners = {f"token-{number:012}": Owner(owner_type="coach", owner_id=f"coach-{number}") for number in range(300)}
    app = create_app(
        database=database,
        queue=queue,
        store=backend.store,
        owners=owners,
        models={"yolo11n-pose"},
        version="1.2.3",
        limits=Limits(max_upload_bytes=MAX_UPLOAD, upload_stall_s=1.0),
    )
    with serving(app) as url:
        yield Served(url=url, queue=queue, store=backend.store, tokens=iter(owners))
    database.close()


@pytest.fixture
def server(served: Served) -> Iterator[Server]:
    """The application as two people see it who never met it before."""
    token = next(served.tokens)
    with client(served.url, token) as jane, client(served.url, next(served.tokens)) as lions:
        yield Server(url=served.url, queue=served.queue, store=served.store, token=token, jane=jane, lions=lions)


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


def test_a_session_is_made_read_and_listed(server: Server) -> None:
    body = {"title": "Nets", "notes": "Tuesday", "session_type": "batting", "camera_view": "side", "player_ids": ["p"]}
    made = server.jane.post("/sessions", json=body)
    assert made.status_code == 201
    session = made.json()
    assert session | body == session
    assert (session["owner_type"], session["status"]) == ("coach", "pending")
    assert made.headers["location"] == f"{PREFIX}/sessions/{session['id']}"
    assert server.jane.get(made.headers["location"].removeprefix(PREFIX)).json() == session
    assert server.jane.get("/sessions").json() == {"sessions": [session], "next_cursor": None}
    assert server.lions.get("/sessions").json() == {"sessions": [], "next_cursor": None}
    problem(server.lions.get(f"/sessions/{session['id']}"), 404, "not_found")


def test_lists_come_in_pages_the_newest_first(server: Server) -> None:
    ids = [server.session(title=f"session {index}") for index in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = server.jane.get("/sessions", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [session["id"] for session in page["sessions"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]
    problem(server.jane.get("/sessions", params={"cursor": "nonsense"}), 422, "invalid_cursor")
    for limit in ("0", "201", "many"):
        fault = problem(server.jane.get("/sessions", params={"limit": limit}), 422, "validation_failed")
        assert [(error["field"], error["source"]) for error in fault["errors"]] == [("limit", "query")]


def test_an_uploaded_video_is_stored_byte_for_byte(server: Server) -> None:
    video = MP4_HEAD + bytes(range(256)) * 4096
    session = server.uploaded(video)
    assert session["status"] == "uploaded"
    assert session["file_size_bytes"] == len(video)
    assert session["s3_bucket"] == server.store.bucket
    assert session["s3_key"].startswith(f"sessions/{session['id']}/source/")
    assert session["s3_key"].endswith(".mp4")
    assert stored(server.store, session["s3_key"]) == video


def test_content_names_the_key_and_each_upload_has_its_own(server: Server) -> None:
    session = server.uploaded()
    again = server.jane.put(
        f"/sessions/{session['id']}/video",
        content=b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(64),
        headers={"Content-Type": "video/mp4"},
    ).json()
    assert again["s3_key"].endswith(".webm")
    assert again["s3_key"] != session["s3_key"]
    assert stored(server.store, session["s3_key"]) == MP4_HEAD


def test_a_later_upload_does_not_move_a_jobs_input(server: Server) -> None:
    job = server.submitted()
    server.jane.put(f"/sessions/{job['session_id']}/video", content=MP4_HEAD + b"later")
    assert server.jane.get(f"/analysis-jobs/{job['id']}").json()["s3_key"] == job["s3_key"]


def test_a_job_may_be_asked_for_before_its_video_is_there(server: Server) -> None:
    session_id = server.session(camera_view="behind")
    job = server.jane.post(f"/sessions/{session_id}/analysis-jobs", json={"analysis_mode": "batting"}).json()
    assert (job["status"], job["stage"], job["s3_key"]) == ("awaiting_upload", "QUEUED", None)
    session = server.jane.put(f"/sessions/{session_id}/video", content=MP4_HEAD).json()
    job = server.jane.get(f"/analysis-jobs/{job['id']}").json()
    assert (job["status"], job["s3_key"], job["camera_view"]) == ("queued", session["s3_key"], "behind")


def test_a_job_keeps_every_word_of_the_request(server: Server) -> None:
    asked = {
        "analysis_mode": "batting",
        "camera_view": "front",
        "sample_fps": 30.0,
        "include_frames": True,
        "deep_enabled": False,
        "model": "yolo11n-pose",
        "priority": 7,
        "options": {
            "height_m": 1.8,
            "slowmo_factor": 4.0,
            "subject": [{"x": 10.0, "y": 20.5, "time_s": 1.0}],
            "handedness": "left",
            "rules": None,
            "audience": "analyst",
        },
    }
    session = server.uploaded(camera_view="side")
    answer = server.jane.post(f"/sessions/{session['id']}/analysis-jobs", json=asked)
    assert answer.status_code == 201
    job = answer.json()
    assert job | asked == job
    assert answer.headers["location"] == f"{PREFIX}/analysis-jobs/{job['id']}"
    read = server.jane.get(f"/analysis-jobs/{job['id']}").json()
    assert read | job == read
    for name in ("findings", "report", "results_s3_key"):
        assert read[f"quick_{name}"] is None
        assert read[f"deep_{name}"] is None
    assert "results" not in read
    assert "lease_token" not in read


@pytest.mark.parametrize(
    ("body", "field", "fault"),
    [
        ({}, "analysis_mode", "missing"),
        ({"analysis_mode": None}, "analysis_mode", "literal_error"),
        ({"analysis_mode": "juggling"}, "analysis_mode", "literal_error"),
        ({"analysis_mode": "batting", "fps": 30}, "fps", "extra_forbidden"),
        ({"analysis_mode": "batting", "model": "/etc/passwd"}, "model", "string_pattern_mismatch"),
        ({"analysis_mode": "batting", "priority": 10**30}, "priority", "less_than_equal"),
        (
            {"analysis_mode": "batting", "options": {"subject": [{"x": 1, "y": 1}]}},
            "options.subject.0.time_s",
            "missing",
        ),
        ({"analysis_mode": "batting", "options": {"height_m": 18}}, "options.height_m", "less_than"),
        ([], "body", "model_attributes_type"),
    ],
)
def test_a_wrong_request_names_its_field(server: Server, body: object, field: str, fault: str) -> None:
    answer = server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json=body)
    document = problem(answer, 422, "validation_failed")
    assert [(error["field"], error["source"], error["code"]) for error in document["errors"]] == [
        (field, "body", fault)
    ]
    assert field in document["detail"]
    assert server.jane.get("/analysis-jobs").json()["jobs"] == []


def test_a_model_outside_the_catalogue_is_refused(server: Server) -> None:
    body = {"analysis_mode": "batting", "model": "yolo99"}
    document = problem(server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json=body), 422, "model_unknown")
    assert [error["field"] for error in document["errors"]] == ["model"]
    assert "yolo11n-pose" in document["detail"]


@pytest.mark.parametrize("text", ["nul \x00 byte", "x" * 256, ""])
def test_text_that_no_database_keeps_is_refused(server: Server, text: str) -> None:
    document = problem(
        server.jane.post("/sessions", json={"title": text, "session_type": "bowling"}), 422, "validation_failed"
    )
    assert [error["field"] for error in document["errors"]] == ["title"]
    assert "x" * 256 not in json.dumps(document)


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b'{"title": ', "application/json", 422, "validation_failed"),
        (b'{"title": "a\\ud800", "session_type": "bowling"}', "application/json", 422, "validation_failed"),
        (b"title=Nets", "application/x-www-form-urlencoded", 422, "validation_failed"),
        (b'{"title": "\xff"}', "application/json", 400, "bad_request"),
        (b"[" * 60_000, "application/json", 400, "bad_request"),
        (b'{"notes": "' + b"n" * 300_000, "application/json", 413, "request_too_large"),
    ],
)
def test_a_broken_body_is_the_callers_fault(
    server: Server, content: bytes, content_type: str, status: int, code: str
) -> None:
    problem(server.jane.post("/sessions", content=content, headers={"Content-Type": content_type}), status, code)


def test_jobs_are_listed_by_state_and_session(server: Server) -> None:
    first, second = server.submitted(), server.submitted()
    waiting = server.jane.post(f"/sessions/{server.session()}/analysis-jobs", json={"analysis_mode": "fielding"}).json()

    def listed(**params: str) -> list[str]:
        return [job["id"] for job in server.jane.get("/analysis-jobs", params=params).json()["jobs"]]

    assert listed() == [waiting["id"], second["id"], first["id"]]
    assert listed(status="queued") == [second["id"], first["id"]]
    assert listed(session_id=first["session_id"]) == [first["id"]]
    assert listed(status="done") == []
    assert server.lions.get("/analysis-jobs").json()["jobs"] == []
    problem(server.jane.get("/analysis-jobs", params={"status": "asleep"}), 422, "validation_failed")
    problem(server.lions.get("/analysis-jobs", params={"session_id": first["session_id"]}), 404, "not_found")


def test_a_waiting_job_is_canceled_at_once(server: Server) -> None:
    job = server.submitted()
    problem(server.lions.post(f"/analysis-jobs/{job['id']}/cancel"), 404, "not_found")
    canceled = server.jane.post(f"/analysis-jobs/{job['id']}/cancel")
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    assert server.jane.post(f"/analysis-jobs/{job['id']}/cancel").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sessions"),
        ("GET", "/sessions"),
        ("GET", f"/sessions/{MISSING_ID}"),
        ("PUT", f"/sessions/{MISSING_ID}/video"),
        ("POST", f"/sessions/{MISSING_ID}/analysis-jobs"),
        ("GET", "/analysis-jobs"),
        ("GET", f"/analysis-jobs/{MISSING_ID}"),
        ("POST", f"/analysis-jobs/{MISSING_ID}/cancel"),
        ("GET", f"/analysis-jobs/{MISSING_ID}/artifacts"),
        ("GET", f"/analysis-jobs/{MISSING_ID}/artifacts/report.html"),
        ("GET", "/openapi.json"),
    ],
)
def test_no_door_opens_without_a_token(server: Server, method: str, path: str) -> None:
    for token in (None, "not-a-token-of-ours"):
        with client(server.url, token) as stranger:
            answer = stranger.request(method, path)
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    basic = httpx.request(method, server.url + PREFIX + path, auth=("jane", server.token), trust_env=False)
    problem(basic, 401, "unauthorized")


def test_what_is_somebody_elses_is_not_found(server: Server) -> None:
    job = server.submitted()
    for method, path in [
        ("GET", f"/analysis-jobs/{job['id']}"),
        ("GET", f"/analysis-jobs/{job['id']}/artifacts"),
        ("GET", f"/analysis-jobs/{job['id']}/artifacts/report.html"),
        ("PUT", f"/sessions/{job['session_id']}/video"),
    ]:
        problem(server.lions.request(method, path), 404, "not_found")
    answer = server.lions.post(f"/sessions/{job['session_id']}/analysis-jobs", json={"analysis_mode": "bowling"})
    problem(answer, 404, "not_found")


def test_the_description_is_for_whoever_holds_a_token(server: Server) -> None:
    assert f"{PREFIX}/analysis-jobs/{{job_id}}" in server.jane.get("/openapi.json").json()["paths"]
    for path in ("/openapi.json", "/docs", "/redoc"):
        problem(httpx.get(server.url + path, trust_env=False), 404, "not_found")


def test_unknown_paths_and_methods_are_problems_too(server: Server) -> None:
    problem(server.jane.get("/nothing"), 404, "not_found")
    problem(server.jane.get("/sessions/"), 404, "not_found")
    problem(server.jane.get("/analysis-jobs/%00"), 404, "not_found")
    problem(server.jane.get("/analysis-jobs/not-a-uuid"), 404, "not_found")
    answer = server.jane.delete("/sessions")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"", {}, 422, "video_empty"),
        (b"ffconcat version 1.0\nfile 'demo.mp4'\n", {"Content-Type": "video/mp4"}, 415, "not_a_video"),
        (b"#EXTM3U\n" + bytes(100_000), {}, 415, "not_a_video"),
        (b"\x89PNG\r\n\x1a\n" + bytes(2_000_000), {}, 415, "not_a_video"),
        (MP4_HEAD, {"Content-Type": "multipart/form-data; boundary=x"}, 415, "unsupported_media"),
        (MP4_HEAD, {"Content-Encoding": "gzip"}, 415, "unsupported_media"),
    ],
)
def test_what_is_no_video_is_refused_and_not_kept(
    server: Server, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    session_id = server.session()
    problem(server.jane.put(f"/sessions/{session_id}/video", content=content, headers=headers), status, code)
    assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"
    assert server.kept(session_id) == 0


@pytest.mark.parametrize("declared", [True, False])
def test_a_video_over_the_limit_is_refused_and_not_kept(server: Server, declared: bool) -> None:
    session_id = server.session()
    headers = {"Content-Length": str(MAX_UPLOAD + 1)} if declared else {}
    answer = server.jane.put(f"/sessions/{session_id}/video", content=video(MAX_UPLOAD + 1), headers=headers)
    problem(answer, 413, "upload_too_large")
    assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"
    assert server.kept(session_id) == 0


def test_memory_does_not_grow_with_the_upload(server: Server) -> None:
    """Client and server are both in this process. S3 holds a few parts of 16 MiB, however many there are."""
    peaks = []
    for size in (64 * MIB, MAX_UPLOAD):
        session_id = server.session()
        tracemalloc.start()
        try:
            answer = server.jane.put(f"/sessions/{session_id}/video", content=video(size))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert answer.json()["file_size_bytes"] == size
    assert peaks[1] - peaks[0] < (MAX_UPLOAD - 64 * MIB) / 2


def test_a_client_that_goes_away_leaves_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api")
    session_id = server.session()
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0)) as connection:
        connection.sendall(
            f"PUT {PREFIX}/sessions/{session_id}/video HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {8 * MIB}\r\n\r\n".encode()
        )
        connection.sendall(b"".join(video(MIB)))
    eventually(lambda: 499 in statuses(caplog))
    assert server.jane.get(f"/sessions/{session_id}").json()["status"] == "pending"
    assert server.kept(session_id) == 0


def test_an_upload_that_stalls_is_given_up(server: Server) -> None:
    session_id = server.session()
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port or 0), timeout=10) as connection:
        connection.sendall(
            f"PUT {PREFIX}/sessions/{session_id}/video HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {8 * MIB}\r\n\r\n".encode()
            + MP4_HEAD
        )
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"upload_stalled" in answer
    assert server.kept(session_id) == 0


def finished(server: Server, *, deep: bool = True) -> dict[str, Any]:
    """A job that a worker took, with its files in the store, read back over HTTP."""
    job = server.submitted(deep_enabled=deep)
    claimed = server.queue.claim("worker-1")
    while claimed is not None and claimed.id != job["id"]:  # what other tests left
        claimed = server.queue.claim("worker-1")
    assert claimed is not None
    folder = f"{job['s3_key'].rpartition('/')[0]}/analysis/{job['id']}/{claimed.attempt}"
    for name, content in FILES.items():
        server.store.put_bytes(job["s3_bucket"], f"{folder}/{name}", content)
    quick, last = f"{folder}/quick_results.json", f"{folder}/deep_results.json"
    if deep:
        server.queue.save_quick(claimed.lease, document=DOCUMENT, s3_key=quick)
        server.queue.start_deep(claimed.lease)
        server.queue.finish(claimed.lease, stage="deep", document=DOCUMENT, s3_key=last)
    else:
        server.queue.finish(claimed.lease, stage="quick", document=DOCUMENT, s3_key=quick)
    read: dict[str, Any] = server.jane.get(f"/analysis-jobs/{job['id']}").json()
    return read


def test_findings_and_reports_are_at_the_top_level(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api")
    job = finished(server)
    assert (job["status"], job["stage"], job["progress_pct"]) == ("done", "DONE", 100)
    for stage in ("quick", "deep"):
        assert job[f"{stage}_findings"] == DOCUMENT["findings"]
        assert job[f"{stage}_report"] == DOCUMENT["report"]
        assert job[f"{stage}_results_s3_key"].endswith(f"/analysis/{job['id']}/1/{stage}_results.json")
        assert f"{stage}_results" not in job
    assert "Response includes deep_findings and deep_report fields" in caplog.messages
    whole = server.jane.get(f"/analysis-jobs/{job['id']}", params={"include": "results"}).json()
    assert whole == job | {
        "quick_results": DOCUMENT,
        "deep_results": DOCUMENT,
        "results": {"quick": DOCUMENT, "deep": DOCUMENT},
    }
    problem(server.jane.get(f"/analysis-jobs/{job['id']}", params={"include": "secrets"}), 422, "validation_failed")
    problem(server.jane.post(f"/analysis-jobs/{job['id']}/cancel"), 409, "invalid_state")


def test_a_quick_only_job_has_no_deep_words(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api")
    job = finished(server, deep=False)
    assert job["status"] == "done"
    assert job["quick_report"] == DOCUMENT["report"]
    assert job["deep_findings"] is job["deep_report"] is None
    assert not any("deep_findings" in message for message in caplog.messages)
    assert {artifact["name"] for artifact in artifacts(server, job)} == set(FILES) - {"deep_results.json"}


def artifacts(server: Server, job: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = server.jane.get(f"/analysis-jobs/{job['id']}/artifacts").json()["artifacts"]
    return listed


def test_artifacts_are_listed_and_fetched(server: Server) -> None:
    job = finished(server)
    listed = {artifact["name"]: artifact for artifact in artifacts(server, job)}
    assert set(listed) == set(FILES)
    for name, content in FILES.items():
        answer = server.jane.get(listed[name]["url"].removeprefix(PREFIX))
        assert answer.content == content
        assert listed[name]["size_bytes"] == len(content) == int(answer.headers["content-length"])
        assert answer.headers["content-type"] == listed[name]["media_type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert f'filename="{name}"' in answer.headers["content-disposition"]
        problem(server.lions.get(listed[name]["url"].removeprefix(PREFIX)), 404, "not_found")
    report = server.jane.get(f"/analysis-jobs/{job['id']}/artifacts/report.html")
    assert "default-src 'none'" in report.headers["content-security-policy"]
    assert "script" not in report.headers["content-security-policy"]


@pytest.mark.parametrize(
    "name", ["results.json", "..%2Fquick_results.json", "%2e%2e", "report.html%00", "source.mp4", "REPORT.HTML"]
)
def test_only_known_names_are_ever_looked_up(server: Server, name: str) -> None:
    job = finished(server)
    problem(server.jane.get(f"/analysis-jobs/{job['id']}/artifacts/{name}"), 404, "not_found")


def test_a_browser_can_seek_in_the_overlay(server: Server) -> None:
    url = f"/analysis-jobs/{finished(server)['id']}/artifacts/overlay.mp4"
    content = FILES["overlay.mp4"]
    whole = server.jane.get(url)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    for header, part in [("bytes=0-99", content[:100]), ("bytes=5000-", content[5000:]), ("bytes=-7", content[-7:])]:
        answer = server.jane.get(url, headers={"Range": header})
        assert answer.status_code == 206
        assert answer.content == part
        first = content.index(part) if header != "bytes=-7" else len(content) - 7
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    behind = server.jane.get(url, headers={"Range": f"bytes={len(content)}-"})
    problem(behind, 416, "range_not_satisfiable")
    assert behind.headers["content-range"] == f"bytes */{len(content)}"
    etag = whole.headers["etag"]
    assert server.jane.get(url, headers={"If-None-Match": etag}).status_code == 304
    changed = server.jane.get(url, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, content)
    same = server.jane.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (same.status_code, same.content) == (206, content[:10])


def test_nothing_half_written_is_shown(server: Server) -> None:
    """Files are stored before the row says so; until it does they are nobody's."""
    job = server.submitted()
    folder = f"{job['s3_key'].rpartition('/')[0]}/analysis/{job['id']}/1"
    for name, content in FILES.items():
        server.store.put_bytes(job["s3_bucket"], f"{folder}/{name}", content)
    assert artifacts(server, job) == []
    problem(server.jane.get(f"/analysis-jobs/{job['id']}/artifacts/report.html"), 404, "not_found")


def test_health_needs_no_token(server: Server) -> None:
    for prefix in ("", PREFIX):
        for state in ("live", "ready"):
            answer = httpx.get(f"{server.url}{prefix}/health/{state}", trust_env=False)
            assert (answer.status_code, answer.json()) == (200, {"status": state, "version": "1.2.3"})


def test_each_request_leaves_one_line_and_no_token(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="api")
    session_id = server.session()
    answer = server.jane.get(f"/sessions/{session_id}", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    eventually(lambda: "mine-1" in caplog.text)
    (record,) = [vars(record) for record in caplog.records if vars(record).get("request_id") == "mine-1"]
    assert record["method"] == "GET"
    assert record["route"] == f"{PREFIX}/sessions/{{session_id}}"
    assert (record["status"], record["request_id"]) == (200, "mine-1")
    assert record["duration_ms"] > 0
    assert server.token not in caplog.text
    assert session_id not in caplog.text
    forged = server.jane.get("/sessions", headers={"X-Request-Id": "a b"}).headers["x-request-id"]
    assert len(forged) == 32
