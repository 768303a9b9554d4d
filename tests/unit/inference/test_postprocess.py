"""Raw tensors → people: thresholds, suppression, geometry, refusal of foreign layouts."""

from __future__ import annotations

import numpy as np
import pytest

from inference.errors import BackendUnavailable
from inference.postprocess import Selection, poses_from_raw, poses_from_rows, suppress
from inference.preprocess import Letterbox

WHOLE = Letterbox.fit(640, 640)


def raw(*people: tuple[float, float, float, float, float]) -> np.ndarray:
    """(1, 56, A) with keypoint k of each person at its centre + k, confidence k / 100."""
    tensor = np.zeros((1, 56, len(people) + 3), np.float32)
    for anchor, (x, y, width, height, score) in enumerate(people):
        tensor[0, :5, anchor] = x, y, width, height, score
        for k in range(17):
            tensor[0, 5 + 3 * k : 8 + 3 * k, anchor] = x + k, y + k, k / 100
    return tensor


def test_values_land_where_they_belong() -> None:
    (people,) = poses_from_raw(raw((100, 200, 40, 80, 0.9)), [WHOLE], keypoints=17)
    (pose,) = people
    np.testing.assert_array_equal(pose.box, [80, 160, 120, 240])
    np.testing.assert_array_equal(pose.keypoints, [[100 + k, 200 + k] for k in range(17)])
    np.testing.assert_allclose(pose.confidence, np.arange(17) / 100, atol=1e-7)
    assert pose.score == pytest.approx(0.9)
    assert {pose.box.dtype, pose.keypoints.dtype, pose.confidence.dtype} == {np.dtype(np.float32)}


def test_the_way_back_to_the_source_is_each_pictures_own() -> None:
    pair = np.concatenate([raw((320, 192, 64, 36, 0.9))] * 2)
    large, small = poses_from_raw(pair, [Letterbox.fit(1280, 720), Letterbox.fit(640, 360)], keypoints=17)
    np.testing.assert_allclose(small[0].box, [288, 162, 352, 198], atol=1e-3)
    np.testing.assert_allclose(large[0].box, [576, 324, 704, 396], atol=1e-3)


def test_boxes_and_keypoints_end_at_the_pictures_edge() -> None:
    ((pose,),) = poses_from_raw(raw((635, 5, 40, 40, 0.9)), [WHOLE], keypoints=17)
    np.testing.assert_array_equal(pose.box, [615, 0, 640, 25])
    assert pose.keypoints[:, 0].max() == 640


def test_only_scores_above_the_threshold_count() -> None:
    (people,) = poses_from_raw(raw((100, 100, 40, 80, 0.25), (300, 100, 40, 80, 0.26)), [WHOLE], keypoints=17)
    assert [round(pose.score, 2) for pose in people] == [0.26]


def test_nobody_is_an_empty_list() -> None:
    assert poses_from_raw(raw(), [WHOLE], keypoints=17) == [[]]


def test_scores_that_are_no_number_are_nobody() -> None:
    assert poses_from_raw(raw((100, 100, 40, 80, float("nan"))), [WHOLE], keypoints=17) == [[]]


def test_one_person_is_kept_once_and_the_best_comes_first() -> None:
    people = raw((100, 100, 40, 80, 0.6), (101, 100, 40, 80, 0.9), (300, 100, 40, 80, 0.7))
    (kept,) = poses_from_raw(people, [WHOLE], keypoints=17)
    assert [round(pose.score, 1) for pose in kept] == [0.9, 0.7]


def test_the_limit_keeps_the_best() -> None:
    people = raw(*[(20 + 30 * i, 100, 10, 10, 0.3 + i / 100) for i in range(9)])
    (kept,) = poses_from_raw(people, [WHOLE], keypoints=17, selection=Selection(limit=2))
    assert [round(pose.score, 2) for pose in kept] == [0.38, 0.37]


@pytest.mark.parametrize("shape", [(1, 300, 57), (1, 56), (2, 56, 8), (1, 84, 8)])
def test_a_foreign_layout_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BackendUnavailable, match="only YOLO pose heads"):
        poses_from_raw(np.zeros(shape, np.float32), [WHOLE], keypoints=17)


@pytest.mark.parametrize("seed", range(20))
def test_suppression_keeps_what_torchvision_keeps(seed: int) -> None:
    import torch
    from torchvision.ops import nms

    random = np.random.default_rng(seed)
    corner = random.uniform(0, 200, (300, 2))
    boxes = np.concatenate([corner, corner + random.uniform(0, 120, (300, 2))], axis=1).astype(np.float32)
    boxes[::17, 2:] = boxes[::17, :2]  # boxes without area
    scores = random.uniform(0, 1, 300).astype(np.float32)
    scores[::5] = scores[0]  # ties
    for overlap in (0.3, 0.7):
        ours = suppress(boxes, scores, overlap=overlap, limit=300)
        theirs = nms(torch.from_numpy(boxes), torch.from_numpy(scores), overlap).numpy()
        np.testing.assert_array_equal(ours, theirs)


def rows(*people: tuple[float, float, float, float, float]) -> np.ndarray:
    """(1, P + 2, 57): each person's corners and score, keypoint k at its left top corner + k; the rest is padding."""
    tensor = np.zeros((1, len(people) + 2, 57), np.float32)
    for row, person in enumerate(people):
        tensor[0, row, :5] = person
        for k in range(17):
            tensor[0, row, 6 + 3 * k : 9 + 3 * k] = person[0] + k, person[1] + k, k / 100
    return tensor


def test_rows_are_people_as_they_are_best_first() -> None:
    (people,) = poses_from_rows(rows((80, 160, 120, 240, 0.5), (90, 160, 130, 240, 0.9)), [WHOLE], keypoints=17)
    assert [round(pose.score, 2) for pose in people] == [0.9, 0.5]  # they overlap, and both stay
    np.testing.assert_array_equal(people[1].box, [80, 160, 120, 240])
    np.testing.assert_array_equal(people[1].keypoints, [[80 + k, 160 + k] for k in range(17)])
    np.testing.assert_allclose(people[1].confidence, np.arange(17) / 100, atol=1e-7)


def test_rows_below_the_threshold_and_beyond_the_limit_are_nobody() -> None:
    made = rows((0, 0, 9, 9, 0.25), (0, 0, 9, 9, 0.26), (0, 0, 9, 9, 0.8))
    (people,) = poses_from_rows(made, [WHOLE], keypoints=17)
    assert [round(pose.score, 2) for pose in people] == [0.8, 0.26]
    assert poses_from_rows(rows(), [WHOLE], keypoints=17) == [[]]
    (one,) = poses_from_rows(made, [WHOLE], keypoints=17, selection=Selection(limit=1))
    assert [round(pose.score, 2) for pose in one] == [0.8]


@pytest.mark.parametrize("shape", [(1, 56, 8400), (2, 300, 57), (1, 300, 84), (300, 57)])
def test_other_rows_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BackendUnavailable, match="not \\(1, people, 57\\)"):
        poses_from_rows(np.zeros(shape, np.float32), [WHOLE], keypoints=17)
