"""`frontfoot rederive` as a shell sees it: folders, files of poses, a job of a database, and all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import deliveries
import pytest
from typer.testing import CliRunner, Result

from frontfoot import exits
from frontfoot.cli import app
from inference.poses_io import write_npz, write_parquet
from models.documents import Results
from models.jobs import Owner
from models.requests import AnalysisOptions, AnalysisRequest
from models.storage import Storage, StorageOptions
from pipeline.persist import persist
from pipeline.results import json_bytes

JANE = Owner(owner_type="coach", owner_id="jane")
RULES = """name = "lenient"
version = 1
extends = "frontfoot"
mode = "bowling"

[[rule]]
id = "bowling_front_knee_folds"
finding = 100
"""


@cache
def stored() -> Results:
    """A delivery seen from the side, analysed."""
    return deliveries.results(deliveries.poses(), height_m=1.8)


@pytest.fixture(autouse=True)
def storage(monkeypatch: pytest.MonkeyPatch, sqlite_url: str, tmp_path: Path) -> Iterator[Storage]:
    import os

    for name in list(os.environ):
        if name.startswith(("FRONTFOOT_", "DATABASE_URL", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FRONTFOOT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    options = StorageOptions(database_url=sqlite_url, folder=tmp_path / "data" / "artifacts")
    opened = options.open()
    yield opened
    opened.close()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "lenient.toml"
    path.write_text(RULES)
    return path


def frontfoot(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])


def run(*arguments: object) -> Result:
    return frontfoot("rederive", *arguments)


def one_object(result: Result) -> dict[str, Any]:
    assert result.stdout.count("\n") == 1, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def folder(tmp_path: Path, name: str = "results.json") -> Path:
    made = tmp_path / "analysis"
    made.mkdir()
    (made / name).write_bytes(json_bytes(stored()))
    write_parquet(made / "poses.parquet", deliveries.poses())
    return made


def done(storage: Storage, tmp_path: Path, *players: str, poses: bool = True) -> str:
    """A job that some worker has finished."""
    session = storage.queue.create_session(JANE, title="Nets", session_type="bowling", player_ids=players)
    storage.queue.attach_upload(JANE, session.id, "local", f"sessions/{session.id}/source/clip.mp4", 10)
    asked = AnalysisRequest(analysis_mode="bowling", camera_view="side", options=AnalysisOptions(height_m=1.8))
    storage.queue.submit(JANE, session.id, asked)
    job = storage.queue.claim("worker-1")
    assert job is not None
    persist(storage, job, "quick", stored(), None)
    storage.queue.start_deep(job.lease)
    write_parquet(tmp_path / "x.parquet", deliveries.poses())
    files = {"poses.parquet": (tmp_path / "x.parquet").read_bytes()} if poses else {}
    persist(storage, job, "deep", stored(), files)
    return job.id


@pytest.mark.parametrize("name", ["results.json", "deep_results.json"])
def test_a_folder_by_the_rules_that_made_it_is_unchanged(tmp_path: Path, name: str) -> None:
    made, out = folder(tmp_path, name), tmp_path / "out"
    result = run(made, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1:] == ["nothing changed"]
    assert (out / "results.json").read_bytes() == (made / name).read_bytes()
    assert (out / "report.md").read_text().startswith("**Overall Assessment**:")


def test_other_rules_are_told_as_text_and_as_json(tmp_path: Path, rules: Path) -> None:
    made = folder(tmp_path)
    before = (made / "results.json").read_bytes()
    text = run(made, "--rules", rules)
    assert text.exit_code == 0, text.output
    assert "lenient@1+frontfoot@2" in text.stdout.splitlines()[0]
    assert "~ bowling_front_knee_folds (technique, medium, clear): " in text.stdout
    document = one_object(run(made / "results.json", "--rules", rules, "--out", tmp_path / "out", "--json"))
    assert [item["after"]["kind"] for item in document["changed"]] == ["watch"]
    assert (document["moved"], document["rules_after"]) == ([], "lenient@1+frontfoot@2")
    assert document.items() >= json.loads((tmp_path / "out" / "diff.json").read_bytes()).items()
    assert (made / "results.json").read_bytes() == before


def test_own_rules_judge_an_analysis_and_are_named(tmp_path: Path, rules: Path) -> None:
    write_npz(tmp_path / "poses.npz", deliveries.poses())
    flags = (
        "--poses",
        tmp_path / "poses.npz",
        "--mode",
        "bowling",
        "--view",
        "side",
        "--out",
        tmp_path / "own",
        "--json",
    )
    result = frontfoot("analyze", *flags, "--rules", rules)
    assert result.exit_code == 0, result.output
    findings = one_object(result)["findings"]
    assert findings["rules"] == "lenient@1+frontfoot@2"
    assert findings["rule_set"]["sha256"] == hashlib.sha256(rules.read_bytes()).hexdigest()
    assert [watch["id"] for watch in findings["watches"]] == ["bowling_front_knee_folds"]
    again = run(tmp_path / "own", "--out", tmp_path / "again")  # by the rules that it came with
    assert again.stdout.splitlines()[1:] == ["nothing changed"]
    assert (tmp_path / "again" / "results.json").read_bytes() == (tmp_path / "own" / "results.json").read_bytes()
    rules.write_text('name = "lenient"\nversion = "one"\n')
    refused = frontfoot("analyze", *flags, "--rules", rules)
    assert (refused.exit_code, refused.stdout) == (exits.USAGE, "")
    assert "lenient.toml:2: version: " in refused.stderr


def test_what_was_said_of_the_athlete_may_differ(tmp_path: Path) -> None:
    document = one_object(run(folder(tmp_path), "--height", "2.4", "--json"))
    assert {item["metric"] for item in document["moved"]} == {"run_up_speed", "travel_speed"}


def test_a_file_of_poses_compares_our_rules_with_others(tmp_path: Path, rules: Path) -> None:
    path = tmp_path / "poses.npz"
    write_npz(path, deliveries.poses())
    document = one_object(run(path, "--mode", "bowling", "--view", "side", "--rules", rules, "--json"))
    assert (document["rules_before"], document["rules_after"]) == ("frontfoot@2", "lenient@1+frontfoot@2")


def test_a_job_is_read_and_never_written(storage: Storage, tmp_path: Path, rules: Path) -> None:
    job_id = done(storage, tmp_path, "p7")
    before = storage.queue.results(JANE, job_id)
    document = one_object(run(job_id, "--rules", rules, "--out", tmp_path / "out", "--json"))
    assert (document["name"], document["athlete"]) == (job_id, "coach:jane player:p7")
    assert [item["after"]["id"] for item in document["changed"]] == ["bowling_front_knee_folds"]
    assert storage.queue.results(JANE, job_id) == before
    assert (tmp_path / "out" / "results.json").is_file()


def test_a_whole_store_by_athlete(storage: Storage, tmp_path: Path, rules: Path) -> None:
    first, other, lost = (done(storage, tmp_path, name, poses=name != "p9") for name in ("p7", "p8", "p9"))
    second = done(storage, tmp_path, "p7")
    document = one_object(run("--all", "--rules", rules, "--out", tmp_path / "out", "--json"))
    names = {group["athlete"]: [one["name"] for one in group["analyses"]] for group in document["athletes"]}
    assert names == {"coach:jane player:p7": [first, second], "coach:jane player:p8": [other]}
    assert [item["name"] for item in document["skipped"]] == [lost]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {first, second, other}


def test_a_whole_store_as_text(storage: Storage, tmp_path: Path) -> None:
    done(storage, tmp_path)
    lost = done(storage, tmp_path, "p9", poses=False)
    text = run("--all")
    assert text.stdout.splitlines() == ["coach:jane", "  unchanged: 1 of 1"]
    assert f"skipped {lost}: NotFound" in text.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ((), exits.USAGE, "one of them"),
        (("x", "--all"), exits.USAGE, "one of them"),
        (("0" * 36, "--json"), exits.USAGE, "not_found"),
        (("{folder}", "--mode", "bowling"), exits.USAGE, "--mode"),
        (("{folder}/poses.parquet",), exits.USAGE, "--mode"),
        (("{folder}", "--height", "18"), exits.USAGE, "height_m"),
        (("0" * 36, "--slowmo", "2"), exits.USAGE, "stays"),
        (("{folder}", "--rules", "{folder}/poses.parquet"), exits.USAGE, "not UTF-8 text"),
        (("{folder}", "--rules", "nowhere.toml"), exits.USAGE, "no file and no folder"),
        (("{empty}", "--json"), exits.ERROR, "io_error"),
        (("{empty}/results.txt", "--mode", "bowling"), exits.BAD_CLIP, "poses"),
    ],
)
def test_what_cannot_be_done_is_named(tmp_path: Path, arguments: tuple[str, ...], code: int, named: str) -> None:
    (tmp_path / "empty").mkdir()
    made = folder(tmp_path)
    flags = [flag.format(folder=made, empty=tmp_path / "empty") for flag in arguments]
    if flags and flags[0].endswith("results.txt"):
        Path(flags[0]).write_text("no poses")
    result = run(*flags)
    assert result.exit_code == code, result.output
    assert named in result.output
