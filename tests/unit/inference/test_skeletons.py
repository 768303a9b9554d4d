"""A model with feet: what it sees comes out of the clip, out of the files, and by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reports
from comparing import extraction
from lamps import Lamp, LampNetwork, lamp_estimator, pictures

from inference.batcher import FairBatcher
from inference.crops import body_height
from inference.extraction_io import read_extraction, write_extraction
from inference.given_poses import read_poses
from inference.poses import COCO_17, Pose, Skeleton
from inference.poses_io import read_npz, write_npz, write_parquet
from inference.skeletons import HALPE_26
from inference.spans import SpanReader, SpanRules

PLAIN = reports.poses([0.0, 0.1, 0.3], indices=[0, 3, 9], unseen=[1])
POSES = reports.with_feet(PLAIN)


def test_names_lead_to_columns() -> None:
    assert HALPE_26.sides("heel") == (24, 25)
    assert HALPE_26.has("head", "left_big_toe")
    assert not COCO_17.has("left_hip", "left_big_toe")
    assert COCO_17.exchanged() == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert HALPE_26.exchanged()[17:] == [17, 18, 19, 21, 20, 23, 22, 25, 24]


def test_poses_are_cut_down_by_name() -> None:
    cut = POSES.only(COCO_17)
    np.testing.assert_array_equal(cut.keypoints, PLAIN.keypoints)
    np.testing.assert_array_equal(cut.confidence, PLAIN.confidence)
    assert PLAIN.only(COCO_17) is PLAIN
    with pytest.raises(KeyError, match="head"):
        PLAIN.only(HALPE_26)


def test_all_keypoints_of_a_model_come_out_of_its_clip_through_anchors_and_crops() -> None:
    network = LampNetwork(skeleton=HALPE_26)
    estimator = lamp_estimator(network)
    batcher = FairBatcher(estimator.infer, max_batch=estimator.best_batch, servers=estimator.servers)
    try:
        source = (picture for picture in pictures(20, lambda index: [Lamp(x=250 + 4 * index, y=380)]))
        with batcher.lane() as lane:
            seen = list(SpanReader(estimator, lane, SpanRules()).people(source))
    finally:
        batcher.close()
    assert len({shape[1:] for shape in network.inferred}) > 1, "crops were looked at"
    height = Lamp(x=0, y=0).height
    wide = 0.4 * height
    for index, _, (pose,) in seen:
        assert pose.keypoints.shape == (26, 2)
        left, top = 250 + 4 * index - wide / 2, 380 - height / 2
        wanted = [(left + 0.8 * wide, top + height), (left + 0.74 * wide, top + 0.99 * height)]
        found = pose.keypoints[[HALPE_26.index("left_big_toe"), HALPE_26.index("left_heel")]]
        np.testing.assert_allclose(found, wanted, atol=4.0)


@pytest.mark.parametrize("write", [write_npz, write_parquet])
def test_files_keep_all_of_them(tmp_path: Path, write: Callable[..., None]) -> None:
    write(tmp_path / "poses", POSES)
    read = read_poses(tmp_path / "poses")
    assert read.skeleton == HALPE_26
    np.testing.assert_array_equal(read.keypoints, POSES.keypoints)
    np.testing.assert_array_equal(read.confidence, POSES.confidence)
    if write is write_npz:
        assert read_npz(tmp_path / "poses").skeleton == HALPE_26


def test_a_file_in_another_order_is_read_by_name(tmp_path: Path) -> None:
    """Toes first, and a keypoint that nobody knows: both are put right."""
    order = [*range(20, 26), *range(20)]
    np.savez(
        tmp_path / "poses.npz", keypoints=np.insert(POSES.keypoints[:, order], 3, np.nan, axis=1),
        confidence=np.insert(POSES.confidence[:, order], 3, 0.9, axis=1), timestamps_s=POSES.timestamps_s,
        frame_indices=POSES.frame_indices, box=POSES.boxes, frame_size=np.array(POSES.frame_size),
        keypoint_names=np.insert(np.array([HALPE_26.keypoint_names[k] for k in order], dtype="<U16"), 3, "left_thumb"),
    )  # fmt: skip
    read = read_poses(tmp_path / "poses.npz")
    assert read.skeleton == HALPE_26
    np.testing.assert_array_equal(read.keypoints[[0, 2]], POSES.keypoints[[0, 2]])


def test_an_extraction_keeps_them() -> None:
    content = write_extraction(extraction(POSES), fingerprint="mark")
    again = read_extraction(content, fingerprint="mark").poses
    assert again.skeleton == HALPE_26
    np.testing.assert_array_equal(again.keypoints, POSES.keypoints)


def test_feet_and_a_heads_top_change_no_height() -> None:
    """(0.32 + 0.22 + 0.22) · 64 px of trunk, thigh and shank (upright but for 0.09 · 30 px sideways) / 0.779."""
    tall = [pose_of(poses.keypoints[0], poses.confidence[0]) for poses in (PLAIN, POSES)]
    heights = [body_height(pose, skeleton) for pose, skeleton in zip(tall, (COCO_17, HALPE_26), strict=True)]
    assert heights[0] == heights[1] == pytest.approx((np.hypot(0.32 * 64, 0.1 * 30) + 0.44 * 64) / 0.779, rel=1e-3)
    nameless = Skeleton(name="one", keypoint_names=("nose",), left_right=(), limbs=())
    alone = replace(tall[0], keypoints=tall[0].keypoints[:1], confidence=tall[0].confidence[:1])
    assert body_height(alone, nameless) == 64


def pose_of(keypoints: np.ndarray, confidence: np.ndarray) -> Pose:
    return Pose(keypoints=keypoints, confidence=confidence, box=PLAIN.boxes[0], score=0.9)
