"""Finished jobs measured once more with the real weights: what is kept, what it would change, how it is replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reports
from footage import Image, write
from typer.testing import CliRunner, Result
from workers import OWNER

from frontfoot import exits
from frontfoot.cli import app
from inference.extract import PoseExtractor
from inference.poses_io import write_parquet
from inference.sources import LocalClip
from models.artifacts import sibling_key
from models.model_catalogue import ModelCatalogue
from models.model_versions import BUILT_IN, ModelRef, StoredArtifact
from models.requests import AnalysisRequest
from models.storage import Storage, StorageOptions
from models.trials import TrialCounts, Trials
from pipeline.comparison.documents import totals
from pipeline.persist import persist
from pipeline.run import StageOutcome, run_stages
from pipeline.stages import Limits
from pipeline.trials.comparing import compared_clip, kept_comparison
from pipeline.trials.files import EXTRACTION
from pipeline.trials.measuring import Bench, run_trial
from pipeline.trials.replacing import replace as replace_job
from pipeline.trials.working import Pace, Sampler, work_off

pytestmark = pytest.mark.model

OLD, NEW = "old@1", str(BUILT_IN.ref)
FIELDING = AnalysisRequest(analysis_mode="fielding", camera_view="side")
COMPANIONS = {"report.html", "report.pdf", "report.md", "overlay.mp4", "poses.parquet"}
ENDS = Pace(yields=False, until_done=True, poll_s=0.05)


@dataclass(frozen=True, kw_only=True)
class Footage:
    """A clip with what the model makes of it."""

    clip: Path
    quick: StageOutcome
    deep: StageOutcome
    parquet: bytes


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory, footage: list[Image], extractor: PoseExtractor) -> Footage:
    folder = tmp_path_factory.mktemp("analysed")
    clip = write(folder / "clip.mp4", footage[60:90])
    quick, deep = run_stages(LocalClip(path=clip), FIELDING, extractor=extractor, limits=Limits())
    write_parquet(folder / "poses.parquet", deep.extraction.poses)
    return Footage(clip=clip, quick=quick, deep=deep, parquet=(folder / "poses.parquet").read_bytes())


@pytest.fixture
def storage(storage_options: StorageOptions) -> Iterator[Storage]:
    with closing(storage_options.open()) as opened:
        yield opened


@pytest.fixture
def embedded_storage(sqlite_url: str, tmp_path: Path) -> Iterator[Storage]:
    with closing(StorageOptions(database_url=sqlite_url, folder=tmp_path / "data" / "artifacts").open()) as opened:
        yield opened


def done(storage: Storage, analysed: Footage, *, clip: Path | None = None, parquet: bool = True) -> str:
    """A job that a worker with another version finished: it saw the same poses, and something else in them."""
    session = storage.queue.create_session(OWNER, title="N", session_type="fielding", player_ids=["p7"])
    key, bucket = f"sessions/{session.id}/source/clip.mp4", storage.store.bucket
    storage.store.put_file(bucket, key, clip or analysed.clip)
    storage.queue.attach_upload(OWNER, session.id, bucket, key, 1)
    storage.queue.submit(OWNER, session.id, FIELDING)
    job = storage.queue.claim("worker-1", runs=OLD)
    assert job is not None
    found = analysed.deep.results.findings.model_copy(update={"findings": (reports.FINDING,), "watches": ()})
    persist(storage, job, "quick", analysed.quick.results, None)
    storage.queue.start_deep(job.lease)
    files = {"poses.parquet": analysed.parquet} if parquet else {}
    persist(storage, job, "deep", analysed.deep.results.model_copy(update={"findings": found}), files)
    return job.id


def bench(storage: Storage, extractor: PoseExtractor) -> Bench:
    trials = Trials(storage.database)
    return Bench(storage=storage, trials=trials, extractor=extractor, model=NEW, limits=Limits(), lease_s=60)


def counts(waiting: int = 0, running: int = 0, done: int = 0, replaced: int = 0, **failed: int) -> TrialCounts:
    return TrialCounts(waiting=waiting, running=running, done=done, failed=failed, replaced=replaced)


def shown(storage: Storage, job_id: str) -> tuple[Any, ...]:
    return storage.queue.get(OWNER, job_id), storage.queue.results(OWNER, job_id)


def test_what_a_shadow_keeps_can_be_compared_and_replace_what_was_there(
    storage: Storage, extractor: PoseExtractor, analysed: Footage
) -> None:
    job_id, desk = done(storage, analysed), bench(storage, extractor)
    before = shown(storage, job_id)
    began = datetime.now(UTC).replace(year=2000)
    sampler = Sampler(storage, desk.trials, NEW, share=1.0, since=began)
    work_off(desk, "shadow", ENDS, threading.Event(), sampler)
    assert desk.trials.counts(NEW, "shadow") == counts(done=1)
    assert shown(storage, job_id) == before
    assert storage.queue.claim("worker-1") is None

    (trial,) = desk.trials.ended(NEW, base=OLD)
    clip = compared_clip(trial)
    assert clip is not None
    assert clip.diff is not None
    assert clip.agreement is not None
    assert [item.id for item in clip.diff.added] == [
        item.id for item in (*analysed.deep.results.findings.findings, *analysed.deep.results.findings.watches)
    ]
    assert [item.id for item in clip.diff.gone] == [reports.FINDING.id]
    assert (clip.agreement.oks, clip.agreement.both) == (1.0, clip.agreement.a.seen)

    made = kept_comparison(storage.store, [trial], OLD, NEW, Limits())
    found = totals(made.document)
    assert (found.clips, found.failures, found.flips, found.oks) == (1, 0, len(clip.diff.added) + 1, 1.0)
    assert (found.speed_ratio, found.memory_ratio) == (None, None)
    assert "Not measured: the two did not run side by side." in made.page
    assert made.page.count("data:image/jpeg") >= 2

    replace_job(storage, trial, Limits())
    job, results = shown(storage, job_id)
    assert results.deep_results == analysed.deep.results.model_dump(mode="json", warnings=False)
    assert (job.resolved_model, job.status, job.attempt) == (NEW, "done", 1)
    folder = job.deep_results_s3_key.rpartition("/")[0]
    assert f"/analysis/{job_id}/trials/" in folder
    assert all(storage.store.exists(job.s3_bucket, f"{folder}/{name}") for name in COMPANIONS)
    assert storage.store.exists(job.s3_bucket, before[0].deep_results_s3_key)
    assert desk.trials.counts(NEW, "shadow") == counts(done=1, replaced=1)


def test_it_waits_while_jobs_wait(embedded_storage: Storage, extractor: PoseExtractor, analysed: Footage) -> None:
    desk, stop = bench(embedded_storage, extractor), threading.Event()
    desk.trials.enlist(NEW, "rerun", [done(embedded_storage, analysed)])
    session = embedded_storage.queue.create_session(OWNER, title="N", session_type="fielding")
    embedded_storage.queue.attach_upload(OWNER, session.id, "local", "sessions/x/clip.mp4", 1)
    embedded_storage.queue.submit(OWNER, session.id, FIELDING)
    polite = replace(ENDS, yields=True)
    thread = threading.Thread(target=work_off, args=(desk, "rerun", polite, stop))
    thread.start()
    time.sleep(0.5)
    assert desk.trials.counts(NEW, "rerun") == counts(waiting=1)
    assert embedded_storage.queue.claim("worker-1") is not None
    thread.join(timeout=60)
    assert desk.trials.counts(NEW, "rerun") == counts(done=1)


def test_a_stop_hands_back_and_what_cannot_be_measured_says_why(
    embedded_storage: Storage, extractor: PoseExtractor, analysed: Footage, tmp_path: Path
) -> None:
    desk, stop = bench(embedded_storage, extractor), threading.Event()
    nobody = write(tmp_path / "nobody.mp4", [np.full((496, 884, 3), 90, np.uint8)] * 8)
    empty = done(embedded_storage, analysed, clip=nobody)
    desk.trials.enlist(NEW, "rerun", [empty])
    stop.set()
    claimed = desk.trials.claim(NEW, "rerun")
    assert claimed is not None
    run_trial(desk, claimed, stop)
    assert desk.trials.counts(NEW, "rerun") == counts(waiting=1)

    lost, unseen = done(embedded_storage, analysed), done(embedded_storage, analysed, parquet=False)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"no clip" * 50)
    unreadable = done(embedded_storage, analysed, clip=torn)
    job = embedded_storage.queue.get(OWNER, lost)
    embedded_storage.store.delete("local", job.s3_key or "")
    desk.trials.enlist(NEW, "rerun", [lost, unseen, unreadable])
    work_off(desk, "rerun", ENDS, threading.Event())
    codes = {"no_person": 1, "source_missing": 1, "not_found": 1, "container_not_allowed": 1}
    assert desk.trials.counts(NEW, "rerun") == counts(**codes)
    (kept,) = desk.trials.ended(NEW, base=OLD)  # only where the version is to blame
    clip = compared_clip(kept)
    assert clip is not None
    assert (kept.job_id, clip.failed_a, clip.failed_b) == (empty, None, "no_person")


def test_a_rerun_that_is_killed_goes_on_and_replaces_when_told(
    embedded_storage: Storage, extractor: PoseExtractor, analysed: Footage, tmp_path: Path, model_cache: Path
) -> None:
    jobs = [done(embedded_storage, analysed) for _ in range(2)]
    artifact = StoredArtifact(bucket="local", key="models/1.zip", sha256="1" * 64)
    ModelCatalogue(embedded_storage.database).add(replace(BUILT_IN, ref=ModelRef.parse(OLD), artifact=artifact))
    environment = {
        "FRONTFOOT_DATA_DIR": str(tmp_path / "data"),
        "FRONTFOOT_CACHE_DIR": str(model_cache),
        "FRONTFOOT_LEASE_S": "3",
        "DATABASE_URL": embedded_storage.database.url,
    }
    trials = Trials(embedded_storage.database)
    before = [shown(embedded_storage, job) for job in jobs]
    with _rerunning(environment) as process:
        _until(lambda: trials.counts(NEW, "rerun").running == 1, process)
        process.kill()
    assert trials.counts(NEW, "rerun").done < len(jobs)
    early = _invoked(environment, "rerun", NEW, "--replace", "--json")
    assert (early.exit_code, json.loads(early.stdout)["error"]["code"]) == (exits.USAGE, "invalid_state")
    work_off(bench(embedded_storage, extractor), "rerun", ENDS, threading.Event())
    assert trials.counts(NEW, "rerun") == counts(done=2)
    assert [shown(embedded_storage, job) for job in jobs] == before

    frontfoot = _frontfoot(environment)
    (athlete,) = frontfoot("rerun", NEW, "--diff", "--json")["athletes"]
    assert (athlete["athlete"], [one["name"] for one in athlete["analyses"]]) == ("coach:jane player:p7", jobs)
    assert [[item["id"] for item in one["gone"]] for one in athlete["analyses"]] == [[reports.FINDING.id]] * 2
    compared = frontfoot("compare", OLD, NEW, "--shadow", "--out", str(tmp_path / "out"), "--json")
    assert ([clip["name"] for clip in compared["clips"]], compared["rounds"]) == (jobs, [])
    first, second = trials.ended(NEW)
    embedded_storage.store.delete("local", sibling_key(second.outcome.results_key or "", EXTRACTION))
    told = frontfoot("rerun", NEW, "--replace", "--json")
    assert (told["replaced"], [item["name"] for item in told["skipped"]]) == (1, [second.job_id])
    assert shown(embedded_storage, second.job_id) == before[1]
    assert embedded_storage.queue.get(OWNER, first.job_id).resolved_model == NEW
    assert frontfoot("rerun", NEW, "--status", "--json")["replaced"] == 1


def _rerunning(environment: dict[str, str]) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRONTFOOT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "frontfoot", "models", "rerun", NEW, "--nice", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean | environment,
    )


def _until(met: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not met():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _frontfoot(environment: dict[str, str]) -> Callable[..., dict[str, Any]]:
    def run(*arguments: str) -> dict[str, Any]:
        ended = _invoked(environment, *arguments)
        assert ended.exit_code == 0, ended.output
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer

    return run


def _invoked(environment: dict[str, str], *arguments: str) -> Result:
    hidden = dict.fromkeys(name for name in os.environ if name.startswith(("FRONTFOOT_", "DATABASE_URL")))
    return CliRunner(env={**hidden, **environment}).invoke(app, ["models", *arguments])
