"""Who gets in, what stays hidden, and what the log says about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest
from api_server import (
    MISSING_ID,
    PREFIX,
    Server,
    client,
    eventually,
    problem,
)


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


def test_a_refused_method_names_every_one_that_the_path_has(server: Server) -> None:
    for path, methods in [("/sessions", "HEAD, GET, POST"), (f"/sessions/{MISSING_ID}/analysis-jobs", "POST")]:
        answer = server.jane.put(path, content=b"")
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == methods


def test_head_is_get_without_the_body(server: Server) -> None:
    job = server.submitted()
    for path in (f"/analysis-jobs/{job['id']}", "/sessions", "/openapi.json"):
        head, get = server.jane.head(path), server.jane.get(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-type", "content-length"):
            assert head.headers[name] == get.headers[name]
    assert server.jane.head(f"/sessions/{job['session_id']}/analysis-jobs").status_code == 405
    with client(server.url, None) as stranger:
        assert stranger.head("/sessions").status_code == 401


def test_head_of_a_stream_reads_nothing_of_it(server: Server) -> None:
    job = server.submitted()
    answer = server.jane.head(f"/analysis-jobs/{job['id']}/events")  # with GET it would not end
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert server.jane.get(f"/analysis-jobs/{job['id']}").status_code == 200  # on the same connection


@pytest.mark.parametrize(("method", "path"), [("POST", "/sessions"), ("PATCH", f"/sessions/{MISSING_ID}")])
def test_json_is_bounded_before_anybody_is_asked_who_they_are(server: Server, method: str, path: str) -> None:
    def long_title() -> Iterator[bytes]:
        """In chunks: no length was announced that could be refused."""
        yield b'{"title": "'
        yield from [b"x" * 65_536] * 5

    for token in (server.token, None):
        with client(server.url, token) as caller:
            answer = caller.request(method, path, content=long_title(), headers={"Content-Type": "application/json"})
        problem(answer, 413, "request_too_large")


def test_health_needs_no_token(server: Server) -> None:
    for prefix in ("", PREFIX):
        for state in ("live", "ready"):
            answer = httpx.get(f"{server.url}{prefix}/health/{state}", trust_env=False)
            workers = {"workers": {}} if state == "ready" else {}  # here are none
            assert (answer.status_code, answer.json()) == (200, {"status": state, "version": "1.2.3", **workers})


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
