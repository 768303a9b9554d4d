"""Stored poses, today's metric code and rules → the results anew. Nothing is decoded and nothing inferred.

With the code and the rules that made them, results come out byte for byte as they are stored: what they say of clip,
receipt and athlete is rounded already, and everything else is measured from the same poses.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from inference.extract import Extraction
from inference.given_poses import read_poses
from inference.poses import ClipInfo, ExtractionReceipt, PoseSequence, Subject
from models.artifacts import ArtifactStore, sibling_key
from models.documents import Results
from models.requests import AnalysisOptions, AnalysisRequest
from pipeline import stages
from pipeline.measurements import NO_VIDEO

POSES = "poses.parquet"


def rederive(stored: Results, poses: PoseSequence, options: AnalysisOptions) -> Results:
    """The results that `stored` would be today, from its own poses.

    Mode, stage and a caller's view are those of `stored`; `options` holds what else the caller said, and the rules.
    Raises ValueError where the poses are not those of the results, `DataFileError` for bad rules.
    """
    extraction = extraction_of(stored, poses)
    request = AnalysisRequest(
        analysis_mode=stored.mode,
        camera_view=stored.view.value if stored.view.source == "caller" else None,
        include_frames=stored.frames is not None,
        deep_enabled=stored.stage == "deep",
        options=options,
    )
    measurements = stages.measure_poses(extraction, request, stored.stage)
    if stored.poses is not None:
        measurements = replace(measurements, recording=(*measurements.recording, NO_VIDEO))
    findings = stages.judge(measurements)
    report = stages.word(extraction, measurements, findings)
    sha256 = None if stored.poses is None else stored.poses.sha256
    return stages.compose(extraction, measurements, findings, report, request.include_frames, poses_sha256=sha256)


def extraction_of(stored: Results, poses: PoseSequence) -> Extraction:
    """The extraction behind stored results. Raises ValueError where the poses are somebody else's."""
    clip, receipt, subject = stored.clip, stored.receipt, stored.subject
    if receipt.inferred != len(poses.timestamps_s) or (clip.width, clip.height) != poses.frame_size:
        raise ValueError("the poses are not those of these results")
    return Extraction(
        clip=ClipInfo(
            width=clip.width,
            height=clip.height,
            rotation=clip.rotation,
            duration_s=clip.duration_s,
            fps=clip.fps,
            container=clip.container or "",
            codec=clip.codec or "",
            sha256=clip.sha256 or "",
        ),
        poses=poses,
        receipt=ExtractionReceipt(
            decoded=receipt.decoded,
            inferred=receipt.inferred,
            skipped=receipt.skipped,
            broken=receipt.broken,
            truncated=receipt.truncated,
            rotation=clip.rotation,
            gaps=tuple((gap.start_s, gap.end_s) for gap in receipt.gaps),
        ),
        subject=Subject(
            source=subject.source,
            confidence=subject.confidence,
            people=subject.people,
            box=subject.box,
            time_s=subject.time_s,
        ),
    )


def stored_poses(store: ArtifactStore, bucket: str, results_key: str) -> PoseSequence:
    """The file beside a job's results. Raises NotFound, and PosesUnreadable and its kin."""
    content = b"".join(store.open(bucket, sibling_key(results_key, POSES)).chunks)
    with tempfile.TemporaryDirectory(prefix="frontfoot-") as scratch:
        path = Path(scratch) / POSES
        path.write_bytes(content)
        return read_poses(path)
