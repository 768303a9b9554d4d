"""The value objects refuse what cannot be: wrong shapes, time that goes back, frames that nobody accounts for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inference.poses import COCO_17, ExtractionReceipt, ModelInfo, Pose, PoseSequence

MODEL = ModelInfo(name="m", version="1", sha256="0" * 64, backend="torch", precision="fp32", runtime="torch 2")


def sequence(**changed: Any) -> PoseSequence:
    values: dict[str, Any] = {
        "keypoints": np.zeros((3, 17, 2), np.float32),
        "confidence": np.ones((3, 17), np.float32),
        "boxes": np.array([[0, 0, 1, 1], [np.nan] * 4, [0, 0, 1, 1]], np.float32),
        "timestamps_s": np.array([0.0, 0.1, 0.3]),
        "frame_indices": np.array([0, 1, 3]),
        "skeleton": COCO_17,
        "frame_size": (640, 480),
        "model": MODEL,
    }
    return PoseSequence(**values | changed)


def test_what_was_not_seen_is_known_by_its_box() -> None:
    assert sequence().seen.tolist() == [True, False, True]


def test_a_keypoint_is_found_by_name() -> None:
    keypoints = np.arange(3 * 17 * 2, dtype=np.float32).reshape(3, 17, 2)
    path = sequence(keypoints=keypoints).keypoint("left_ankle")
    np.testing.assert_array_equal(path, keypoints[:, 15])


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"keypoints": np.zeros((3, 16, 2), np.float32)}, "keypoints"),
        ({"confidence": np.ones((2, 17), np.float32)}, "confidence"),
        ({"boxes": np.zeros((3, 5), np.float32)}, "boxes"),
        ({"frame_indices": np.array([0, 1])}, "frame_indices"),
        ({"timestamps_s": np.array([0.0, 0.2, 0.2])}, "timestamps do not increase"),
        ({"frame_indices": np.array([0, 2, 1])}, "frame indices do not increase"),
    ],
)
def test_a_sequence_that_cannot_be(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        sequence(**changed)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"keypoints.*confidence.*box"):
        Pose(
            keypoints=np.zeros((17, 3), np.float32),
            confidence=np.ones(16, np.float32),
            box=np.zeros(5, np.float32),
            score=1.0,
        )


@pytest.mark.parametrize(("decoded", "inferred"), [(10, 6), (10, 8), (0, 1)])
def test_a_receipt_that_loses_a_frame_cannot_be_built(decoded: int, inferred: int) -> None:
    with pytest.raises(ValueError, match=f"decoded {decoded} is not inferred {inferred} \\+ skipped 3"):
        ExtractionReceipt(decoded=decoded, inferred=inferred, skipped={"not_sampled": 1, "after_window": 2})


def test_a_receipt_that_accounts_for_all() -> None:
    receipt = ExtractionReceipt(decoded=9, inferred=6, skipped={"not_sampled": 1, "after_window": 2})
    assert receipt.inferred + sum(receipt.skipped.values()) == receipt.decoded
