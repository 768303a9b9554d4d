"""The same clip and request give the same bytes in one process and through worker and Ray, on every store."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from footage import Image, write
from workers import Bench

from inference.extract import PoseExtractor
from inference.sources import LocalClip
from models.artifacts import artifact_key
from models.documents import Results
from models.requests import AnalysisOptions, AnalysisRequest, OwnRules, RulesFile
from pipeline import stages
from pipeline.results import json_bytes
from pipeline.run import Analysis, run_pose_metrics_findings_report
from pipeline.stages import Limits

pytestmark = [pytest.mark.ray, pytest.mark.model]

REQUEST = AnalysisRequest(analysis_mode="bowling", camera_view="side", include_frames=True)


@pytest.fixture(scope="module")
def clip(footage: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second and a half of a woman who walks."""
    return write(tmp_path_factory.mktemp("same") / "clip.mp4", footage[60:105])


@pytest.fixture(scope="module")
def in_process(clip: Path, extractor: PoseExtractor) -> Analysis:
    return run_pose_metrics_findings_report(LocalClip(path=clip), REQUEST, extractor=extractor, limits=Limits())


def test_worker_and_command_agree(bench: Bench, clip: Path, in_process: Analysis) -> None:
    job_id = bench.submit(clip, REQUEST)
    with bench.working():
        (job,) = bench.finish([job_id])

    assert (job.status, job.stage, job.progress_pct, job.error_code) == ("done", "DONE", 100, None)
    assert in_process.deep is not None
    stored = bench.storage.queue.results(job.owner, job_id)
    assert Results.model_validate(stored.quick_results) == in_process.quick.results
    assert Results.model_validate(stored.deep_results) == in_process.deep.results
    assert stored.results == {"quick": stored.quick_results, "deep": stored.deep_results}
    assert job.deep_findings == stored.deep_results["findings"]  # type: ignore[index]
    assert job.deep_report == stored.deep_results["report"]  # type: ignore[index]

    def artifact(name: str) -> bytes:
        key = artifact_key(job.s3_key or "", job_id, job.attempt, name)
        return b"".join(bench.storage.store.open(bench.storage.store.bucket, key).chunks)

    assert artifact("quick_results.json") == json_bytes(in_process.quick.results)
    assert artifact("deep_results.json") == json_bytes(in_process.deep.results)
    assert job.deep_results_s3_key == artifact_key(job.s3_key or "", job_id, 1, "deep_results.json")
    assert set(in_process.files) == {"report.html", "report.pdf", "report.md", "overlay.mp4", "poses.parquet"}
    for name, content in in_process.files.items():
        assert artifact(name) == content, name


def test_what_the_sample_says_is_true(sample_clip: Path, extractor: PoseExtractor) -> None:
    """Checked by hand against the video: a woman walks through the picture from the right, nobody bowls."""
    quick = extractor.extract(sample_clip, stages.extract_request("quick", REQUEST, Limits(), None))
    extraction = extractor.extract(sample_clip, stages.extract_request("deep", REQUEST, Limits(), quick))
    measurements = stages.measure_poses(extraction, REQUEST, "deep")
    findings = stages.judge(measurements)
    report = stages.word(extraction, measurements, findings)
    results = stages.compose(extraction, measurements, findings, report, REQUEST.include_frames)
    assert results.receipt.decoded == results.receipt.inferred == 230
    assert results.clip.fps == pytest.approx(30.0)
    assert (results.clip.width, results.clip.height, results.clip.codec) == (1768, 994, "vp9")
    # The athlete is the woman: at 3.8 s she is right of the middle, in the lower half.
    poses = extraction.poses
    row = int(poses.timestamps_s.searchsorted(3.8))
    x1, y1, x2, _ = poses.boxes[row]
    assert 800 < (x1 + x2) / 2 < 1200
    assert y1 > 450
    assert results.metrics["front_knee_angle_contact"].status == "not_measurable"
    assert results.metrics["elbow_extension"].status == "not_measurable"
    assert results.findings.basis == "insufficient"
    assert results.report.text.startswith("**Overall Assessment**: this clip does not let us judge")


def test_a_quick_only_job_by_own_rules_leaves_the_deep_columns_empty(embedded: Bench, clip: Path) -> None:
    text = 'name = "club"\nversion = 3\nextends = "frontfoot"\ndisable = ["bowling_foot_line"]\n'
    rules = OwnRules(files=(RulesFile(name="club.toml", text=text),))
    asked = {"deep_enabled": False, "include_frames": False, "options": AnalysisOptions(rules=rules)}
    job_id = embedded.submit(clip, REQUEST.model_copy(update=asked))
    with embedded.working():
        (job,) = embedded.finish([job_id])
    stored = embedded.storage.queue.results(job.owner, job_id)
    assert job.status == "done"
    assert job.quick_report
    assert (job.deep_findings, job.deep_report, job.deep_results_s3_key) == (None, None, None)
    assert stored.results == {"quick": stored.quick_results, "deep": None}
    assert stored.quick_results is not None
    assert stored.quick_results["findings"]["rules"] == "club@3+frontfoot@2"
    assert stored.quick_results["findings"]["rule_set"]["sha256"] == sha256(text.encode()).hexdigest()
    receipt = stored.quick_results["receipt"]
    assert receipt == {
        "decoded": 45,
        "inferred": 15,
        "skipped": {"not_sampled": 30},
        "broken": 0,
        "truncated": False,
        "gaps": [],
    }
