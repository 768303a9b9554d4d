"""Poses of one person, and what they look like when left and right are exchanged: for comparisons of models."""

from __future__ import annotations

from dataclasses import replace

import reports

from inference.extract import Extraction
from inference.poses import ClipInfo, ExtractionReceipt, PoseSequence, Subject

TIMES = [n / 30 for n in range(30)]
POSES = reports.poses(TIMES)


def extraction(poses: PoseSequence) -> Extraction:
    return Extraction(
        clip=ClipInfo(
            width=128, height=96, rotation=0, duration_s=1, fps=30, container="mov", codec="h264", sha256="1" * 64
        ),
        poses=poses,
        receipt=ExtractionReceipt(decoded=30, inferred=30),
        subject=Subject(source="automatic", confidence=1.0, people=2, box=(50, 16, 80, 80), time_s=0.0),
    )


def exchanged(rows: slice) -> PoseSequence:
    points = POSES.keypoints.copy()
    for left, right in POSES.skeleton.left_right:
        points[rows, left], points[rows, right] = POSES.keypoints[rows, right], POSES.keypoints[rows, left]
    return replace(POSES, keypoints=points)
