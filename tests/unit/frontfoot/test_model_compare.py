"""What `models compare` is run on, and what `promote` asks of a recorded comparison."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import clips
import pytest
import typer
from typer.testing import CliRunner, Result

from frontfoot import exits, services
from frontfoot.cli import app
from frontfoot.compared_clips import JobQuery, clips_of_folder, clips_of_jobs
from frontfoot.settings import Settings
from models.comparisons import Comparisons
from models.database import Database
from models.folder import FolderStore
from models.jobs import Job, Owner
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact
from models.promotion import Totals
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from models.tables import VideoAnalysisJob
from pipeline.stages import Limits

NET = ModelRef(name="net", version="1")
GOOD = Totals(
    clips=5, failures=0, oks=0.95, found_ratio=1.0, mirrored_more=0.0, jitter_ratio=1.0, moved_share=0.02, flips=1,
    speed_ratio=1.1, memory_ratio=1.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str) -> None:
    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    policy = tmp_path / "policy.toml"
    policy.write_text("flips_max = 1\noks_min = 0.9\n", encoding="utf-8")
    monkeypatch.setenv("FRONTFOOT_PROMOTION_POLICY", str(policy))


@pytest.fixture
def database(sqlite_url: str, tmp_path: Path) -> Database:
    """With net@1, whose artifact is in the store."""
    artifact = StoredArtifact(bucket="local", key="models/1.zip", sha256="1" * 64)
    FolderStore(tmp_path / "data" / "artifacts").put_bytes("local", artifact.key, b"1")
    made = Database(sqlite_url)
    ModelCatalogue(made).add(replace(BUILT_IN, ref=NET, artifact=artifact))
    return made


def finished(storage: Storage) -> Job:
    """A job that is done, whose clip is in the store."""
    owner = Owner(owner_type="coach", owner_id="jane")
    session = storage.queue.create_session(owner, title="Nets", session_type="bowling")
    key = f"sessions/{session.id}/source/clip.mp4"
    storage.store.put_bytes("local", key, b"clip")
    storage.queue.attach_upload(owner, session.id, "local", key, 4)
    job = storage.queue.submit(owner, session.id, AnalysisRequest(analysis_mode="bowling"))
    with storage.database.transaction() as transaction:
        transaction.get_one(VideoAnalysisJob, job.id).status = "done"
    return job


def promote(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", "promote", "net@1", "--json", *arguments])


def refusal() -> str:
    result = promote()
    assert result.exit_code == exits.USAGE, result.output
    message: str = json.loads(result.stdout)["error"]["message"]
    return message


def test_a_promotion_needs_a_recorded_comparison_that_meets_the_policy(database: Database) -> None:
    comparisons = Comparisons(database)
    comparisons.record(NET, BUILT_IN.ref, GOOD, by="me")  # the other way round is another comparison
    assert "there is none: `frontfoot models compare yolo11n-pose@1 net@1" in refusal()
    comparisons.record(BUILT_IN.ref, NET, GOOD.model_copy(update={"flips": 3}), by="me")
    assert "flips is 3, at most 1 is wanted" in refusal()
    assert ModelCatalogue(database).history("production") == ()
    comparisons.record(BUILT_IN.ref, NET, GOOD, by="me")
    assert json.loads(promote().stdout)["forced"] is False


@pytest.mark.parametrize("wrong", ["flip_max = 2", "flips_max = ", "oks_min = 2", None])
def test_a_policy_that_cannot_be_read_is_named_and_promotes_nothing(
    database: Database, tmp_path: Path, wrong: str | None
) -> None:
    path = tmp_path / "policy.toml"
    path.unlink() if wrong is None else path.write_text(wrong, encoding="utf-8")
    for force in ((), ("--force",)):
        result = promote(*force)
        assert result.exit_code == exits.USAGE
        assert "policy.toml" in re.sub(r"[│\s]", "", result.output)  # the box around it wraps wherever it must
    with pytest.raises(typer.BadParameter, match=r"policy\.toml"):
        services._promotion_policy(Settings())
    assert ModelCatalogue(database).history("production") == ()


def test_force_promotes_without_one_and_is_recorded(database: Database) -> None:
    assert json.loads(promote("--force").stdout)["forced"] is True
    assert [move.forced for move in ModelCatalogue(database).history("production")] == [True]


def test_other_aliases_are_for_trying(database: Database) -> None:
    ModelCatalogue(database).promote(BUILT_IN.ref, alias="candidate", by="me")
    assert json.loads(promote("--alias", "candidate").stdout)["to"] == "net@1"


def test_the_newest_comparison_of_a_pair_counts(database: Database) -> None:
    for day in (2, 3, 1):
        moment = datetime(2026, 11, day, tzinfo=UTC)
        Comparisons(database, clock=lambda moment=moment: moment).record(
            BUILT_IN.ref, NET, GOOD.model_copy(update={"flips": day}), by="me"
        )
    newest = Comparisons(database).newest(BUILT_IN.ref, NET)
    assert newest is not None
    assert (newest.totals.flips, newest.compared_at.day) == (3, 3)


def test_a_query_of_jobs() -> None:
    assert JobQuery.parse("mode=batting,since=2026-11-01,limit=3") == JobQuery(
        mode="batting", since=datetime(2026, 11, 1, tzinfo=UTC), limit=3
    )
    assert (JobQuery.parse("mode=batting").limit, JobQuery.parse("mode=batting", limit=None).limit) == (20, None)
    for wrong in ("mode=juggling", "limit=0", "since=yesterday", "owner=x", "limit=1,limit=2", ""):
        with pytest.raises(ValueError, match=r"mode|limit|since|Invalid"):
            JobQuery.parse(wrong)


def test_what_nobody_kept_cannot_be_compared(database: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["models", "compare", "production", "net@1", "--shadow", "--out", str(out)])
    assert result.exit_code == exits.USAGE
    assert "models shadow net@1" in " ".join(result.output.replace("│", "").split())
    assert Comparisons(database).newest(BUILT_IN.ref, NET) is None
    assert not out.exists()


def test_a_comparison_without_speed_meets_no_limit_of_speed(database: Database, tmp_path: Path) -> None:
    Comparisons(database).record(BUILT_IN.ref, NET, GOOD.model_copy(update={"speed_ratio": None}), by="me")
    (tmp_path / "policy.toml").write_text("speed_ratio_min = 0.8\n", encoding="utf-8")
    assert "speed_ratio was not measured" in refusal()


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "production", "net@1", "--shadow", "--jobs", "limit=1"),
        ("compare", "production", "net@1", "--shadow", "--mode", "batting"),
        ("rerun", "net@1", "--diff", "--replace"),
        ("rerun", "net@1", "--jobs", "limit=1", "--status"),
        ("rerun", "net@1", "--jobs", "limit=0"),
        ("shadow", "net@1", "--share", "2"),
        ("rerun", "net@9", "--status"),
    ],
)
def test_what_cannot_be_meant_is_refused(database: Database, arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["models", *arguments]).exit_code == exits.USAGE


def test_a_rerun_of_nothing_ends_at_once(database: Database) -> None:
    told = CliRunner().invoke(
        app, ["models", "rerun", "net@1", "--json"]
    )  # its artifact is no model, and is not loaded
    assert (told.exit_code, json.loads(told.stdout)["done"]) == (0, 0)


def test_what_is_no_clip_in_a_folder_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    request = AnalysisRequest(analysis_mode="batting")
    (folder / "notes.txt").write_text("nets on Friday", encoding="utf-8")
    with pytest.raises(ValueError, match="there is no clip"):
        clips_of_folder(folder, request)
    clips.make(folder / "b.mp4")
    clips.make(folder / "a.mp4")
    assert [case.name for case in clips_of_folder(folder, request)] == ["a.mp4", "b.mp4"]


def test_stored_jobs_are_compared_oldest_first_if_their_clip_is_still_there(tmp_path: Path, sqlite_url: str) -> None:
    storage = StorageOptions(database_url=sqlite_url, folder=tmp_path / "artifacts").open()
    made = [finished(storage) for _ in range(4)]
    storage.store.delete("local", str(made[2].s3_key))
    limits = Limits()
    cases = clips_of_jobs(storage, JobQuery(mode="bowling", limit=2), limits)
    assert [(case.name, case.request) for case in cases] == [(job.id, job.request()) for job in (made[1], made[3])]
    for query in (JobQuery(mode="batting"), JobQuery(since=datetime(2126, 1, 1, tzinfo=UTC))):
        with pytest.raises(ValueError, match="no finished job"):
            clips_of_jobs(storage, query, limits)
    storage.close()
