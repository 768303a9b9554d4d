"""Poses and results made by hand, for the tests of what draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inference.poses import COCO_17, ModelInfo, PoseSequence
from inference.skeletons import HALPE_26
from models.documents import (
    ClipDocument,
    Coverage,
    Event,
    Evidence,
    Finding,
    Findings,
    Metric,
    ModelDocument,
    ReceiptDocument,
    Repetition,
    Report,
    ReportSection,
    Results,
    Sentence,
    SubjectDocument,
    TimeSpan,
    ViewDocument,
    Watch,
)

# A standing person, as shares of the box: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles.
STANDING = np.array(
    [
        (0.5, 0.08), (0.55, 0.06), (0.45, 0.06), (0.6, 0.07), (0.4, 0.07), (0.75, 0.2), (0.25, 0.2), (0.85, 0.36),
        (0.15, 0.36), (0.9, 0.5), (0.1, 0.5), (0.65, 0.52), (0.35, 0.52), (0.66, 0.74), (0.34, 0.74), (0.66, 0.96),
        (0.34, 0.96),
    ],
    dtype=np.float32,
)  # fmt: skip


def poses(
    times_s: Sequence[float],
    *,
    indices: Sequence[int] | None = None,
    size: tuple[int, int] = (128, 96),
    box: tuple[float, float, float, float] = (50, 16, 80, 80),
    unseen: Sequence[int] = (),
) -> PoseSequence:
    """Somebody stands in `box` at all `times_s`, save in the rows `unseen`."""
    count = len(times_s)
    corner, extent = np.array(box[:2]), np.array(box[2:]) - np.array(box[:2])
    keypoints = np.repeat((corner + STANDING * extent)[None].astype(np.float32), count, axis=0)
    confidence = np.full((count, 17), 0.9, np.float32)
    boxes = np.repeat(np.array([box], np.float32), count, axis=0)
    for row in unseen:
        keypoints[row], confidence[row], boxes[row] = np.nan, np.nan, np.nan
    return PoseSequence(
        keypoints=keypoints,
        confidence=confidence,
        boxes=boxes,
        timestamps_s=np.array(times_s, np.float64),
        frame_indices=np.array(range(count) if indices is None else indices, np.int64),
        skeleton=COCO_17,
        frame_size=size,
        model=ModelInfo(name="m", version="1", sha256="0" * 64, backend="openvino", precision="fp32", runtime="r 1"),
    )


def with_feet(poses: PoseSequence) -> PoseSequence:
    """The same as a model of HALPE-26 would see it: head, neck, hip, and toes and heels to either side of the ankle."""
    more = np.full((len(poses.timestamps_s), 9, 2), np.nan, np.float32)
    more[:, 0] = poses.keypoint("nose") - (0, 5)
    for place, joint in ((1, "shoulder"), (2, "hip")):
        more[:, place] = (poses.keypoint(f"left_{joint}") + poses.keypoint(f"right_{joint}")) / 2
    for place, off in ((3, (3, 2)), (5, (4, 2)), (7, (-1, 2))):
        more[:, place] = poses.keypoint("left_ankle") + off
        more[:, place + 1] = poses.keypoint("right_ankle") + off
    sure = np.repeat(poses.confidence[:, :1], 9, axis=1)
    return replace(
        poses, keypoints=np.concatenate([poses.keypoints, more], axis=1),
        confidence=np.concatenate([poses.confidence, sure], axis=1), skeleton=HALPE_26,
    )  # fmt: skip


def evidence(*times_s: float, fps: float = 30.0, spans: Sequence[tuple[float, float]] = ()) -> Evidence:
    """Frames of a steady clip, and spans."""
    return Evidence(
        frames=tuple(round(time_s * fps) for time_s in times_s),
        times_s=times_s,
        spans=tuple(TimeSpan(start_s=start, end_s=end) for start, end in spans),
    )


METRICS = {
    "front_knee_min": Metric(
        value=128.6, unit="deg", expected_error=8.4, sys=8.0, rand=3.0, status="degraded", n=1,
        reason="30 frames a second", label="front knee, most bent", evidence=evidence(0.5, spans=[(0.4, 0.6)]),
    ),
    "run_up_speed_ratio": Metric(
        value=0.86, unit="ratio", expected_error=0.03, status="measurable", n=1, label="speed kept",
        evidence=evidence(0.2, 0.4, spans=[(0.1, 0.5)]),
    ),
    "release_height": Metric(
        value=None, unit="pct_height", status="not_measurable", label="release height", reason="no release was seen",
        advice="film a whole delivery",
    ),
    "front_knee_angle_release": Metric(
        value=None, unit="deg", status="not_measurable", label="front knee at release", reason="no release was seen",
        advice="film a whole delivery",
    ),
    "delivery_time": Metric(
        value=None, unit="s", status="not_measurable", label="delivery time", reason="asks for 95 frames a second",
        advice="film at 120 frames a second",
    ),
    "hip_shoulder_separation": Metric(
        value=None, unit="deg", status="not_measurable", label="hip-shoulder separation", reason="one camera is flat",
    ),
}  # fmt: skip

FINDING = Finding(
    id="run_up_slows", type="technique", metric="run_up_speed_ratio", title="You slow down",
    text="Your hips move **14 % slower** at the end.", severity="medium", confidence=1.3, claim="likely",
    reference="0.90", reference_kind="convention", cue="Run *through* the crease", drill="Five run-throughs",
    evidence=evidence(0.2, 0.4, spans=[(0.1, 0.5)]),
)  # fmt: skip

WATCH = Watch(id="knee", metric="front_knee_min", text="The knee is near 130°.", evidence=evidence(0.5))

SECTIONS = (
    ReportSection(
        id="assessment",
        title="Overall Assessment",
        text="Judged from 1 delivery: speed kept.",
        sentences=(
            Sentence(
                text="Judged from 1 delivery: speed kept.",
                kind="fact",
                metrics=("run_up_speed_ratio",),
                evidence=evidence(0.2, 0.4),
            ),
        ),
    ),
    ReportSection(id="priorities", title="What to work on", text="…"),
    ReportSection(id="watches", title="Close calls", text="…"),
    ReportSection(id="measured", title="What we measured", text="…"),
    ReportSection(id="not_measured", title="What we could not measure", text="- Film a whole delivery."),
    ReportSection(id="recording", title="About this video", text="- Filmed from the side."),
    ReportSection(id="method", title="How far to trust this", text="- One camera."),
)


def results(
    *,
    findings: Sequence[Finding] = (FINDING,),
    watches: Sequence[Watch] = (WATCH,),
    repetitions: Sequence[Repetition] | None = None,
    metrics: dict[str, Metric] | None = None,
    sections: Sequence[ReportSection] = SECTIONS,
    size: tuple[int, int] = (128, 96),
    duration_s: float = 1.0,
) -> Results:
    """A bowling clip of a second with one finding, one watch, and more that could not be measured."""
    one = Repetition(
        index=0, start_s=0.1, end_s=0.9, events={"front_foot_contact": Event(time_s=0.5, half_width_s=0.02)}
    )
    return Results(
        code_version="0.1.0",
        stage="deep",
        clip=ClipDocument(
            width=size[0], height=size[1], duration_s=duration_s, fps=30.0, rotation=0, sha256="1" * 64,
            container="mov", codec="h264",
        ),
        model=ModelDocument(
            name="m", sha256="0" * 64, backend="openvino", precision="fp32", version="1", runtime="r 1"
        ),
        receipt=ReceiptDocument(decoded=30, inferred=20, skipped={"not_sampled": 10}),
        mode="bowling",
        view=ViewDocument(value="side", source="caller", confidence=1.0),
        subject=SubjectDocument(
            source="automatic", confidence=0.8, people=2, visible_share=1.0, box=(50, 16, 80, 80), time_s=0.3
        ),
        repetitions=(one,) if repetitions is None else tuple(repetitions),
        metrics=METRICS if metrics is None else metrics,
        findings=Findings(
            findings=tuple(findings), watches=tuple(watches), overall_level="medium" if findings else "low",
            coverage=Coverage(measured=2, applicable=6), basis="partial",
        ),
        report=Report(text="**Overall Assessment**: judged from 1 delivery: speed kept.\n", sections=tuple(sections)),
    )  # fmt: skip
