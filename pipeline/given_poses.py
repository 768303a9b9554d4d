"""Poses that came as a file, as the extraction of a clip that is not there: what they say of it, and no more."""

from __future__ import annotations

import numpy as np

from inference.errors import NoPerson
from inference.extract import Extraction
from inference.poses import ClipInfo, ExtractionReceipt, PoseSequence, Subject
from inference.tally import rhythm


def extraction_of(poses: PoseSequence) -> Extraction:
    """What would have been extracted, of at least two frames. Raises NoPerson where nobody is seen in any.

    Size and times are those of the poses; the clip ends with its last frame. Every frame in the file counts as decoded
    and inferred.
    """
    if not poses.seen.any():
        raise NoPerson("Nobody is seen in any frame of the poses.")
    times = poses.timestamps_s
    fps, gaps = rhythm(times)
    width, height = poses.frame_size
    clip = ClipInfo(
        width=width,
        height=height,
        rotation=0,
        duration_s=float(times[-1]) + 1 / fps,
        fps=(len(times) - 1) / float(times[-1] - times[0]),
        container="",
        codec="",
        sha256="",
    )
    receipt = ExtractionReceipt(decoded=len(times), inferred=len(times), fps_measured=fps, gaps=gaps)
    return Extraction(clip=clip, poses=poses, receipt=receipt, subject=_subject(poses))


def _subject(poses: PoseSequence) -> Subject:
    """Whoever the file follows, where it shows them largest and surest."""
    x1, y1, x2, y2 = poses.boxes.T
    worth = np.hypot(x2 - x1, y2 - y1) * np.nan_to_num(poses.confidence).mean(axis=1)
    best = int(np.argmax(np.where(poses.seen, worth, -1.0)))
    left, top, right, bottom = poses.boxes[best].tolist()
    return Subject(
        source="caller",
        confidence=1.0,
        people=1,
        box=(left, top, right, bottom),
        time_s=float(poses.timestamps_s[best]),
    )
