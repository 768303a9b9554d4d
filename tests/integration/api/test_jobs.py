"""Sessions and jobs over real sockets, on SQLite and a folder and on PostgreSQL and S3."""

from __future__ import annotations

import json

import pytest
from api_server import (
    MP4_HEAD,
    PREFIX,
    Server,
    problem,
)


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
