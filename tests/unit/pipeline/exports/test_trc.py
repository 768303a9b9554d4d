"""The .trc is what Sports2D's own reader and writer have it: compared with lines written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import reports

from inference.poses import COCO_17, PoseSequence
from pipeline.exports.trc import trc_text

NAMES = COCO_17.keypoint_names


def poses() -> PoseSequence:
    """Keypoint k of frame t at x = 10 k + t, y = 20 + k: 96 - 20 - k upwards."""
    made = reports.poses([0.0, 0.5, 1.0], indices=[4, 5, 6])
    keypoints = np.array([[(10 * k + t, 20 + k) for k in range(17)] for t in range(3)], np.float32)
    keypoints[1, NAMES.index("right_knee")] = np.nan
    confidence = made.confidence.copy()
    confidence[2, NAMES.index("left_shoulder")] = 0.29
    return replace(made, keypoints=keypoints, confidence=confidence)


def lines(made: PoseSequence | None = None, **options: float | None) -> list[str]:
    text = trc_text(made or poses(), **({"slowmo_factor": 1.0, "metres_per_pixel": None, "name": "a.trc"} | options))
    assert text.endswith("\n")
    return text[:-1].split("\n")


def test_the_header_is_that_of_sports2d() -> None:
    kind, names, facts, markers, axes, *rows = lines()
    assert kind == "PathFileType\t4\t(X/Y/Z)\ta.trc"
    assert names == (
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
    )
    assert facts == "2.0\t2.0\t3\t15\tpx\t2.0\t4\t3"
    # The tree of Pose2Sim's COCO_17 in pre-order, then what Sports2D adds.
    order = [
        "RHip",
        "RKnee",
        "RAnkle",
        "LHip",
        "LKnee",
        "LAnkle",
        "Nose",
        "RShoulder",
        "RElbow",
        "RWrist",
        "LShoulder",
        "LElbow",
        "LWrist",
        "Hip",
        "Neck",
    ]
    assert markers == "Frame#\tTime\t" + "\t\t\t".join(order) + "\t\t\t"
    assert axes.startswith("\t\tX1\tY1\tZ1\tX2\tY2\tZ2\t")
    assert axes.endswith("\tX15\tY15\tZ15")
    assert {len(row.split("\t")) for row in (axes, *rows)} == {2 + 3 * 15}


def marker(row: str, place: int) -> list[str]:
    return row.split("\t")[2 + 3 * place : 5 + 3 * place]


def test_pixels_point_upwards_from_the_lower_left_corner() -> None:
    rows = lines()[5:]
    assert [row.split("\t")[:2] for row in rows] == [["4", "0.000000"], ["5", "0.500000"], ["6", "1.000000"]]
    assert marker(rows[1], 0) == ["121.000", "64.000", "0.000"]  # right_hip is 12: x 121, y 32 of 96
    assert marker(rows[0], 13) == ["115.000", "64.500", "0.000"]  # between 110, 65 and 120, 64
    assert marker(rows[0], 14) == ["55.000", "70.500", "0.000"]  # shoulders are 5 and 6


def test_what_was_not_seen_is_empty_in_x_and_y() -> None:
    rows = lines()[5:]
    assert [marker(row, 1) for row in rows] == [
        ["140.000", "62.000", "0.000"],
        ["", "", "0.000"],
        ["142.000", "62.000", "0.000"],
    ]
    assert [marker(row, 10)[0] for row in rows] == ["50.000", "51.000", ""]  # doubtful in the last frame
    assert [marker(row, 14)[0] for row in rows] == ["55.000", "56.000", ""]  # and the neck with it


def test_metres_and_real_time() -> None:
    _, _, facts, _, _, *rows = lines(slowmo_factor=4.0, metres_per_pixel=0.01)
    assert facts == "8.0\t8.0\t3\t15\tm\t8.0\t4\t3"
    assert [row.split("\t")[1] for row in rows] == ["0.000000", "0.125000", "0.250000"]
    assert marker(rows[1], 0) == ["1.21000", "0.64000", "0.00000"]


def test_with_feet_the_markers_are_those_that_sports2d_writes_for_halpe() -> None:
    """The tree of Pose2Sim's HALPE_26 in pre-order; hip and neck are the model's own, not midpoints."""
    made = reports.with_feet(poses())
    keypoints = made.keypoints.copy()
    keypoints[:, 19], keypoints[:, 23] = (3.0, 90.0), (5.0, 91.0)  # hip, right small toe
    _, _, facts, markers, axes, *rows = lines(replace(made, keypoints=keypoints))
    assert facts.split("\t")[3] == "22"
    order = [
        "Hip", "RHip", "RKnee", "RAnkle", "RBigToe", "RSmallToe", "RHeel", "LHip", "LKnee", "LAnkle", "LBigToe",
        "LSmallToe", "LHeel", "Neck", "Head", "Nose", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist",
    ]  # fmt: skip
    assert markers == "Frame#\tTime\t" + "\t\t\t".join(order) + "\t\t\t"
    assert {len(row.split("\t")) for row in (axes, *rows)} == {2 + 3 * 22}
    assert marker(rows[0], 0) == ["3.000", "6.000", "0.000"]
    assert marker(rows[0], 5) == ["5.000", "5.000", "0.000"]
    assert marker(rows[0], 1) == ["120.000", "64.000", "0.000"]  # right_hip as without feet
