"""The HTTP client against the real API, and against servers that misbehave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import reports
from fastapi import FastAPI, Response
from serving import serving
from typer.testing import CliRunner, Result

from api.app import create_app
from frontfoot import exits
from frontfoot.cli import app
from frontfoot.client import ClientError, FrontfootClient
from models.artifacts import artifact_key
from models.database import Database
from models.documents import Metric
from models.folder import FolderStore
from models.jobs import Owner
from models.queue import JobQueue
from models.requests import AnalysisOptions, AnalysisRequest, JobExtras

TOKEN = "token-of-jane-0001"
MIB = 1024 * 1024
VIDEO = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(3 * MIB)
REQUEST = AnalysisRequest(analysis_mode="bowling", deep_enabled=False, options=AnalysisOptions(height_m=1.8))
DOCUMENT = {
    "findings": {"findings": [], "overall_level": "low"},
    "report": {"text": "**Overall Assessment**: fine.", "sections": [{"id": "s", "title": "S", "text": "t"}]},
}


@dataclass(frozen=True, kw_only=True)
class Room:
    """The client under test, and the worker's side of what it talks to."""

    client: FrontfootClient
    queue: JobQueue
    store: FolderStore
    url: str
    clip: Path

    def submitted(self) -> dict[str, Any]:
        session = self.client.create_session(title="Nets", session_type="bowling", camera_view="side", notes="n")
        self.client.upload(session["id"], self.clip)
        return self.client.submit(session["id"], REQUEST, priority=3)

    def work(self, document: dict[str, Any] = DOCUMENT) -> None:
        """Do what a worker does, in no time."""
        claimed = self.queue.claim("worker-1")
        assert claimed is not None
        key = artifact_key(claimed.job.s3_key or "", claimed.job.id, claimed.attempt, "quick_results.json")
        self.store.put_bytes("local", key, json.dumps(document).encode())
        self.queue.finish(claimed.lease, stage="quick", document=document, s3_key=key)


@pytest.fixture
def room(sqlite_url: str, tmp_path: Path) -> Iterator[Room]:
    database = Database(sqlite_url)
    queue, store = JobQueue(database), FolderStore(tmp_path / "store")
    api = create_app(
        database=database,
        queue=queue,
        store=store,
        owners={TOKEN: Owner(owner_type="coach", owner_id="jane")},
        models=set(),
        version="1.2.3",
    )
    clip = tmp_path / "clip with a strange ñame.mov"
    clip.write_bytes(VIDEO)
    with serving(api) as url, FrontfootClient(url + "/", TOKEN) as client:
        yield Room(client=client, queue=queue, store=store, url=url, clip=clip)
    database.close()


def test_from_clip_to_report(room: Room, tmp_path: Path) -> None:
    session = room.client.create_session(title="Nets", session_type="bowling", player_ids=["p"])
    sent: list[int] = []
    uploaded = room.client.upload(session["id"], room.clip, on_bytes=sent.append)
    assert sum(sent) == len(VIDEO) == uploaded["file_size_bytes"]
    assert len(sent) > 1
    job = room.client.submit(session["id"], REQUEST, priority=3)
    assert (job["status"], job["priority"], job["options"]["height_m"]) == ("queued", 3, 1.8)
    seen: list[str] = []

    def on_progress(job: dict[str, Any]) -> None:
        seen.append(job["status"])
        if job["status"] == "queued":
            room.work()

    done = room.client.wait(job["id"], on_progress, timeout_s=20, poll_s=0.01)
    assert seen == ["queued", "done"]
    assert done["quick_report"] == DOCUMENT["report"]
    assert room.client.job(job["id"], results=True)["quick_results"] == DOCUMENT
    assert [found["name"] for found in room.client.artifacts(job["id"])] == ["quick_results.json"]
    path = room.client.download(job["id"], "quick_results.json", tmp_path / "got.json")
    assert json.loads(path.read_text()) == DOCUMENT


def analysed(room: Room, knee: float, title: str, players: list[str]) -> str:
    """A session of these players that is done, its front knee at a value ± 3° at random over four balls."""
    metric = Metric(
        value=knee, unit="deg", expected_error=8.14, sys=8, rand=3, n=4, status="measurable", label="Front knee"
    )
    results = reports.results(metrics={"front_knee_min": metric}).model_copy(update={"real_fps": 60.0})
    session = room.client.create_session(title=title, session_type="bowling", player_ids=players)
    room.client.upload(session["id"], room.clip)
    room.client.submit(session["id"], REQUEST)
    room.work(results.model_dump(mode="json"))
    return session["id"]


@pytest.fixture
def two_sessions(room: Room) -> list[str]:
    """Of the player `a/b ñ`, and one more with somebody else in it."""
    sessions = [analysed(room, knee, title, ["a/b ñ"]) for knee, title in ((130.0, "Spring"), (141.0, "Summer"))]
    return [*sessions, analysed(room, 150.0, "Both", ["a/b ñ", "c"])]


def test_a_player_over_time(room: Room, two_sessions: list[str]) -> None:
    told = room.client.player_progress("a/b ñ")
    (bowling,) = told["disciplines"]
    assert [one["session_id"] for one in bowling["sessions"]] == two_sessions[:2]
    assert [one["session_id"] for one in told["left_out"]] == two_sessions[2:]
    (knee,) = bowling["metrics"]
    assert [point["value"] for point in knee["points"]] == [130.0, 141.0]
    assert knee["overall"] is not None
    assert (knee["overall"]["verdict"], knee["overall"]["delta"]) == ("changed", 11.0)
    assert room.client.player_progress("a/b ñ", mode="batting")["disciplines"] == []
    assert room.client.player_progress("a/b ñ", limit=2)["older"]
    with pytest.raises(ClientError) as refused:
        room.client.player_progress("nobody")
    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_a_player_over_time_on_the_command_line(
    room: Room, two_sessions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTFOOT_URL", room.url)
    monkeypatch.setenv("FRONTFOOT_TOKEN", TOKEN)

    def run(*arguments: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["progress", *arguments])

    lines = run("--player", "a/b ñ").stdout.splitlines()
    assert lines[0] == "bowling, 2 sessions"
    assert lines[1].endswith(" Spring (side, 60 frames/s)")
    assert lines[3] == "Front knee [front_knee_min, deg]: changed by +11 (more than 5.831)"  # 2·√(3²/4 + 3²/4 + 2²)
    assert lines[4] == "  0: 130 ± 8.14 (n 4)   1: 141 ± 8.14 (n 4)"
    assert lines[5].startswith(f"left out: session {two_sessions[2]}, job ")
    assert run("--player", "a/b ñ", "--mode", "batting").stdout == "nothing is done yet\n"
    assert run("--player", "a/b ñ", "--limit", "2").stdout.splitlines()[-1].startswith("there are older sessions")
    assert json.loads(run("--player", "a/b ñ", "--json").stdout) == room.client.player_progress("a/b ñ")
    nobody = run("--player", "nobody", "--json")
    assert (nobody.exit_code, json.loads(nobody.stdout)["error"]["status"]) == (exits.SERVER, 404)
    for wrong in ((), ("--player", "p", "results.json"), ("results.json", "2.json", "--mode", "bowling")):
        assert run(*wrong).exit_code == exits.USAGE


def test_a_refusal_keeps_its_code(room: Room, tmp_path: Path) -> None:
    job = room.submitted()
    with pytest.raises(ClientError) as refused:
        room.client.download(job["id"], "../secrets", tmp_path / "got")
    assert (refused.value.status, refused.value.code) == (404, "not_found")
    assert sorted(path.name for path in tmp_path.glob("got*")) == []
    text = tmp_path / "playlist.mp4"
    text.write_text("ffconcat version 1.0\nfile 'clip.mov'\n")
    with pytest.raises(ClientError) as refused:
        room.client.upload(job["session_id"], text)
    assert (refused.value.status, refused.value.code) == (415, "not_a_video")
    with FrontfootClient(room.url, "wrong-token-000001") as stranger, pytest.raises(ClientError) as refused:
        stranger.job(job["id"])
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")


def test_waiting_ends_with_the_job_or_the_patience(room: Room) -> None:
    job = room.submitted()
    with pytest.raises(ClientError) as late:
        room.client.wait(job["id"], timeout_s=0.05, poll_s=0.02)
    assert (late.value.status, late.value.code) == (None, "timeout")
    assert room.client.cancel(job["id"])["status"] == "canceled"
    assert room.client.wait(job["id"], timeout_s=5)["status"] == "canceled"


def test_a_queue_and_a_batch_and_their_ends(room: Room) -> None:
    job = room.submitted()
    again = room.client.submit(job["session_id"], REQUEST, idempotency_key="mine", extras=JobExtras(tags=("nets",)))
    assert room.client.submit(job["session_id"], REQUEST, idempotency_key="mine", extras=JobExtras(tags=("nets",))) == (
        again
    )
    assert [found["id"] for found in room.client.jobs(tag="nets")] == [again["id"]]
    batch = room.client.submit_many(
        [{"session_id": job["session_id"], "analysis_mode": "bowling"} for _ in range(60)]
        + [{"session_id": job["session_id"], "analysis_mode": "golf"}]
    )
    assert (batch["accepted"], len(batch["rejected"])) == (60, 1)
    everything = [found["id"] for found in room.client.jobs(session_id=job["session_id"])]
    assert len(everything) == len(set(everything)) == 62  # more than a page holds
    assert room.client.cancel_batch(batch["id"])["counts"]["canceled"] == 60
    assert room.client.retry(room.client.cancel(job["id"])["id"])["status"] == "queued"
    room.client.delete(job["id"])
    with pytest.raises(ClientError) as gone:
        room.client.job(job["id"])
    assert gone.value.code == "not_found"


def test_a_session_changes_and_goes(room: Room) -> None:
    session = room.client.create_session(title="Nets", session_type="bowling")
    assert room.client.update_session(session["id"], notes="wet")["notes"] == "wet"
    assert [found["id"] for found in room.client.sessions()] == [session["id"]]
    room.client.delete_session(session["id"])
    assert list(room.client.sessions()) == []


def test_nobody_there(tmp_path: Path) -> None:
    with FrontfootClient("http://127.0.0.1:9", TOKEN, pause_s=0.01) as client:
        for call in (lambda: client.job("x"), lambda: client.download("x", "report.html", tmp_path / "got")):
            with pytest.raises(ClientError) as missing:
                call()
            assert (missing.value.status, missing.value.code) == (None, "connection_failed")
        with pytest.raises(ClientError, match="refused") as missing:
            client.wait("x", timeout_s=20, poll_s=0.01)
        assert missing.value.code == "connection_failed"


def test_waiting_outlives_a_restart_and_foreign_answers_are_named() -> None:
    app = FastAPI(openapi_url=None)
    asked = 0

    @app.get("/api/coaches/plus/analysis-jobs/{job_id}")
    def job(job_id: str) -> Response:
        nonlocal asked
        asked += 1
        if job_id == "proxied":
            return Response("<h1>It works!</h1>", media_type="text/html")
        if asked < 4:
            return Response("<h1>upstream is away</h1>", status_code=503, media_type="text/html")
        return Response('{"id": "1", "status": "done", "stage": "DONE", "progress_pct": 100}')

    with serving(app) as url, FrontfootClient(url, TOKEN, pause_s=0.01) as client:
        assert client.wait("1", timeout_s=20, poll_s=0.01)["status"] == "done"
        assert asked == 4
        with pytest.raises(ClientError) as foreign:
            client.wait("proxied", timeout_s=20, poll_s=0.01)
        assert (foreign.value.status, foreign.value.code) == (200, "unexpected_answer")
