"""Sessions through HTTP: made with a video that is there already, changed, listed, deleted for good."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import pytest
from api_server import MISSING_ID, MP4_HEAD, Served, Server, client, eventually, problem

from models.jobs import Owner
from models.keys import KeyRegister

SESSION = {"title": "Nets", "session_type": "bowling"}


def placed(server: Server, content: bytes = MP4_HEAD, name: str = "nets.mp4") -> str:
    """A key where the operator put something; a folder of its own for each test."""
    key = f"inbox/{uuid4()}/{name}"
    server.store.put_bytes(server.store.bucket, key, content)
    return key


def uri(server: Server, key: str) -> str:
    return f"s3://{server.store.bucket}/{key}"


class TestSourceUri:
    def test_the_session_has_its_video_at_once(self, server: Server) -> None:
        key = placed(server)
        answer = server.jane.post("/sessions", json=SESSION | {"source_uri": uri(server, key)})
        assert answer.status_code == 201, answer.text
        session = answer.json()
        assert (session["status"], session["s3_bucket"], session["s3_key"], session["file_size_bytes"]) == (
            "uploaded",
            server.store.bucket,
            key,
            len(MP4_HEAD),
        )
        job = server.jane.post(f"/sessions/{session['id']}/analysis-jobs", json={"analysis_mode": "bowling"}).json()
        assert (job["status"], job["s3_key"]) == ("queued", key)

    @pytest.mark.parametrize(
        "source_uri",
        [
            "http://169.254.169.254/latest/meta-data",
            "https://example.org/clip.mp4",
            "file:///etc/passwd",
            "s3://somebody-elses/clip.mp4",
            "s3:///clip.mp4",
            "clip.mp4",
        ],
    )
    def test_nothing_else_can_be_reached(self, server: Server, source_uri: str) -> None:
        problem(server.jane.post("/sessions", json=SESSION | {"source_uri": source_uri}), 422, "bucket_not_allowed")

    def test_what_others_uploaded_cannot_be_reached(self, server: Server) -> None:
        uploaded = server.uploaded()["s3_key"]
        artifact = placed(server, name=f"analysis/{uuid4()}/1/overlay.mp4")
        for key in (uploaded, artifact):
            answer = server.lions.post("/sessions", json=SESSION | {"source_uri": uri(server, key)})
            problem(answer, 422, "bucket_not_allowed")

    @pytest.mark.parametrize("key", ["", "a//b", "../a", "a/./b", "a\\b"])
    def test_a_key_is_a_plain_path(self, server: Server, key: str) -> None:
        document = problem(
            server.jane.post("/sessions", json=SESSION | {"source_uri": uri(server, key)}), 422, "validation_failed"
        )
        assert document["errors"][0]["field"] == "source_uri"

    def test_it_is_looked_at(self, server: Server) -> None:
        for content, status, code in ((b"#EXTM3U\n", 415, "not_a_video"), (b"", 422, "video_empty")):
            source_uri = uri(server, placed(server, content))
            problem(server.jane.post("/sessions", json=SESSION | {"source_uri": source_uri}), status, code)
        missing = uri(server, f"inbox/{uuid4()}.mp4")
        problem(server.jane.post("/sessions", json=SESSION | {"source_uri": missing}), 422, "source_missing")
        long = uri(server, "/".join(["k" * 200] * 3))
        problem(server.jane.post("/sessions", json=SESSION | {"source_uri": long}), 422, "source_key_too_long")


class TestUpdate:
    def test_what_is_absent_stays_and_null_clears(self, server: Server) -> None:
        session_id = server.session(notes="n", camera_view="side", player_ids=["p"])
        path = f"/sessions/{session_id}"
        before = server.jane.get(path).json()
        assert server.jane.patch(path, json={}).json() == before | {
            "updated_at": server.jane.get(path).json()["updated_at"]
        }
        changed = server.jane.patch(
            path, json={"title": "Match", "camera_view": None, "session_type": "batting"}
        ).json()
        expected = before | {"title": "Match", "camera_view": None, "session_type": "batting"}
        assert changed == expected | {"updated_at": changed["updated_at"]}
        assert changed["updated_at"] > before["updated_at"]
        cleared = server.jane.patch(path, json={"notes": None, "player_ids": None}).json()
        assert (cleared["notes"], cleared["player_ids"], cleared["title"]) == (None, [], "Match")
        assert server.jane.get(path).json() == cleared

    @pytest.mark.parametrize(
        "body",
        [
            {"title": None},
            {"title": ""},
            {"session_type": None},
            {"s3_key": "x"},
            {"camera_view": "up"},
            {"notes": "\0"},
        ],
    )
    def test_what_cannot_be(self, server: Server, body: dict[str, Any]) -> None:
        session_id = server.session()
        problem(server.jane.patch(f"/sessions/{session_id}", json=body), 422, "validation_failed")

    def test_a_job_keeps_what_it_was_made_with(self, server: Server) -> None:
        session_id = server.session(camera_view="side")
        job = server.jane.post(f"/sessions/{session_id}/analysis-jobs", json={"analysis_mode": "bowling"}).json()
        server.jane.patch(f"/sessions/{session_id}", json={"camera_view": "front"})
        assert server.jane.get(f"/analysis-jobs/{job['id']}").json()["camera_view"] == "side"

    def test_somebody_elses(self, server: Server) -> None:
        session_id = server.session()
        problem(server.lions.patch(f"/sessions/{session_id}", json={"title": "Mine"}), 404, "not_found")
        assert server.jane.get(f"/sessions/{session_id}").json()["title"] == "Nets"


def test_sessions_are_listed_by_state_kind_and_age(server: Server) -> None:
    first = server.session(session_type="batting")
    made = server.jane.get(f"/sessions/{first}").json()["created_at"]
    time.sleep(0.001)
    second = server.uploaded()["id"]

    def listed(**wanted: str) -> list[str]:
        answer = server.jane.get("/sessions", params=wanted)
        assert answer.status_code == 200, answer.text
        return [session["id"] for session in answer.json()["sessions"]]

    assert listed() == [second, first]
    assert listed(status="pending") == listed(session_type="batting") == [first]
    assert listed(status="uploaded") == listed(created_after=made) == [second]
    assert listed(status="uploaded", session_type="batting") == []
    problem(server.jane.get("/sessions", params={"created_after": "2026-05-04T09:30:00"}), 422, "validation_failed")
    problem(server.jane.get("/sessions", params={"status": "lost"}), 422, "validation_failed")


class TestDelete:
    def test_session_videos_jobs_and_artifacts_are_gone(self, server: Server) -> None:
        job = server.submitted()
        server.jane.put(f"/sessions/{job['session_id']}/video", content=MP4_HEAD + b"later")
        folder = job["s3_key"].rpartition("/")[0]
        artifact = f"{folder}/analysis/{job['id']}/1/report.html"
        server.store.put_bytes(server.store.bucket, artifact, b"<!doctype html>")
        answer = server.jane.delete(f"/sessions/{job['session_id']}")
        assert (answer.status_code, answer.content) == (204, b"")
        problem(server.jane.get(f"/sessions/{job['session_id']}"), 404, "not_found")
        problem(server.jane.get(f"/analysis-jobs/{job['id']}"), 404, "not_found")
        problem(server.jane.delete(f"/sessions/{job['session_id']}"), 404, "not_found")
        eventually(lambda: not server.store.exists(server.store.bucket, artifact))
        eventually(lambda: server.kept(job["session_id"]) == 0)

    def test_somebody_elses_and_none(self, server: Server) -> None:
        session_id = server.session()
        problem(server.lions.delete(f"/sessions/{session_id}"), 404, "not_found")
        problem(server.jane.delete(f"/sessions/{MISSING_ID}"), 404, "not_found")
        assert server.jane.get(f"/sessions/{session_id}").status_code == 200

    @pytest.mark.parametrize(
        ("query", "kept"), [("", False), ("?keep_source=true", True), ("?keep_source=false", False)]
    )
    def test_a_source_that_was_there_before(self, server: Server, query: str, kept: bool) -> None:
        key, other = placed(server), placed(server)
        session_id = server.session(source_uri=uri(server, key))
        assert server.jane.delete(f"/sessions/{session_id}{query}").status_code == 204
        if kept:
            time.sleep(0.3)
        else:
            eventually(lambda: not server.store.exists(server.store.bucket, key))
        assert server.store.exists(server.store.bucket, key) is kept
        assert server.store.exists(server.store.bucket, other)

    def test_a_source_that_others_may_need_takes_an_admin(self, server: Server, served: Served) -> None:
        key = placed(server)
        session_id = server.session(source_uri=uri(server, key))
        owner = Owner(owner_type="coach", owner_id=server.jane.get(f"/sessions/{session_id}").json()["owner_id"])
        keys = KeyRegister(served.app.state.services.database)
        token = keys.create(owner, name="w", scopes=["jobs:write"]).token
        with client(server.url, token) as writer:
            problem(writer.delete(f"/sessions/{session_id}"), 403, "forbidden")
            assert writer.delete(f"/sessions/{session_id}?keep_source=true").status_code == 204
            assert writer.delete(f"/sessions/{server.session()}").status_code == 204
        assert server.store.exists(server.store.bucket, key)

    def test_an_upload_in_parts_that_is_under_way(self, server: Server) -> None:
        session_id = server.session()
        body = {"session_id": session_id, "size_bytes": 65 * 1024 * 1024}
        ticket = server.jane.post("/videos/upload/initiate", json=body).json()
        server.jane.delete(f"/sessions/{session_id}")
        problem(server.jane.post("/videos/upload/complete", json={"upload_id": ticket["upload_id"]}), 404, "not_found")
