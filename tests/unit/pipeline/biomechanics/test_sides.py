import numpy as np
import pytest

from inference.poses import COCO_17
from inference.skeletons import HALPE_26
from pipeline.biomechanics.sides import find_merged, repair_sides

LEFT = [pair[0] for pair in COCO_17.left_right]
RIGHT = [pair[1] for pair in COCO_17.left_right]
LEG = ([11, 13, 15], [12, 14, 16])


def exchanged(points, frames, left, right):
    out = points.copy()
    for i in frames:
        out[i, left], out[i, right] = points[i, right], points[i, left]
    return out


@pytest.fixture
def walk(figures):
    poses = figures.walker(30.0).film()
    return poses.keypoints.astype(float), poses.timestamps_s, np.full(len(poses.timestamps_s), 400.0)


def test_a_correct_walk_is_left_alone(walk):
    points, times, size = walk
    repaired, report = repair_sides(points, times, size, COCO_17)
    assert (report.swapped_share, report.mirrored_share) == (0.0, 0.0)
    kept = ~np.isnan(repaired)
    assert np.array_equal(repaired[kept], points[kept])


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_swapped_leg_is_swapped_back_whole_and_counted(walk, length):
    points, times, size = walk
    apart = int(np.argmax(np.abs(points[60:80, 15, 0] - points[60:80, 16, 0]))) + 60
    frames = range(apart - length // 2, apart - length // 2 + length)
    broken = exchanged(points, frames, *LEG)
    repaired, report = repair_sides(broken, times, size, COCO_17)
    assert report.swapped_share == pytest.approx(length / len(times))
    kept = ~np.isnan(repaired)
    assert np.array_equal(repaired[kept], points[kept])


def test_a_mirrored_body_seen_from_the_front_is_turned_back(figures):
    poses = figures.keeper(30.0).film(view="front")
    points, size = poses.keypoints.astype(float), np.full(len(poses.timestamps_s), 400.0)
    broken = exchanged(points, [40, 41, 42, 90], LEFT, RIGHT)
    repaired, report = repair_sides(broken, poses.timestamps_s, size, COCO_17)
    assert report.mirrored_share == pytest.approx(4 / len(points))
    assert np.array_equal(repaired, points)


def test_one_overlooked_edge_does_not_exchange_what_lies_between_the_others(figures):
    poses = figures.keeper(60.0).film(view="front")
    points, size = poses.keypoints.astype(float), np.full(len(poses.timestamps_s), 400.0)
    points[39] = np.nan  # nobody is seen as the first run begins, so that only its end is
    runs = [40, 41, *range(50, 53), *range(60, 63), *range(70, 72)]
    repaired, report = repair_sides(exchanged(points, runs, LEFT, RIGHT), poses.timestamps_s, size, COCO_17)
    assert report.mirrored_share == pytest.approx(8 / (len(points) - 1))
    assert np.array_equal(repaired[42:], points[42:])


def test_a_jump_without_a_way_back_is_not_repaired(walk):
    points, times, size = walk
    broken = exchanged(points, range(75, len(points)), *LEG)
    assert repair_sides(broken, times, size, COCO_17)[1].swapped_share == 0.0


def test_merged_legs_are_withdrawn_and_passing_ones_kept(walk):
    points, times, size = walk
    crossing = find_merged(points, times, size, COCO_17)
    assert crossing.sum() == 0
    merged = points.copy()
    apart = int(np.argmax(np.abs(points[60:80, 15, 0] - points[60:80, 16, 0]))) + 60
    merged[apart : apart + 4, 16] = merged[apart : apart + 4, 15]
    merged[apart : apart + 4, 14] = merged[apart : apart + 4, 13]
    repaired, report = repair_sides(merged, times, size, COCO_17)
    assert np.flatnonzero(report.merged).tolist() == list(range(apart, apart + 4))
    assert np.isnan(repaired[report.merged][:, [13, 14, 15, 16]]).all()
    assert not np.isnan(repaired[:, :13]).any()


def test_a_leg_drawn_on_the_other_as_they_pass_is_merged_though_the_feet_change_order():
    """Both ankles and both knees meet for three frames; in a swing the knee is ahead as the ankles pass."""
    times = np.arange(20) / 30
    points = np.zeros((20, 17, 2))
    points[:, 15, 0] = 25.0 * (np.arange(20) - 10.2)  # 6 % of height a frame past the other foot
    points[:, 13, 0], size = points[:, 15, 0] + 60.0, np.full(20, 400.0)
    assert not find_merged(points, times, size, COCO_17).any()
    points[9:12, 15], points[9:12, 13] = points[9:12, 16], points[9:12, 14]
    assert np.flatnonzero(find_merged(points, times, size, COCO_17)).tolist() == [9, 10, 11]


def test_feet_side_by_side_are_seen_while_they_stand_and_not_while_they_run():
    times = np.arange(60) / 30
    points = np.zeros((60, 17, 2))
    points[:, 15:17] = 100.0  # both ankles at one place
    size = np.full(60, 400.0)
    assert not find_merged(points, times, size, COCO_17).any()
    assert find_merged(points[:9], times[:9], size[:9], COCO_17).all()  # 0.27 s are no stand
    points[:, 15:17, 0] += 200.0 * times[:, None]
    assert find_merged(points, times, size, COCO_17).all()


def footed(points):
    """HALPE-26: a toe ahead of each ankle and a heel behind it."""
    more = np.full((len(points), 9, 2), np.nan)
    for side, ankle in enumerate((15, 16)):
        for place, ahead in ((3, 40.0), (5, 35.0), (7, -15.0)):
            more[:, place + side] = points[:, ankle] + (ahead, 12.0)
    return np.concatenate([points, more], axis=1)


def test_a_swapped_leg_takes_its_foot_along_and_changes_nothing_else(walk):
    points, times, size = walk
    apart = int(np.argmax(np.abs(points[60:80, 15, 0] - points[60:80, 16, 0]))) + 60
    whole = footed(points)
    broken = footed(exchanged(points, [apart, apart + 1], *LEG))
    plain, _ = repair_sides(exchanged(points, [apart, apart + 1], *LEG), times, size, COCO_17)
    repaired, report = repair_sides(broken, times, size, HALPE_26)
    assert report.swapped_share == pytest.approx(2 / len(times))
    assert np.array_equal(repaired[:, :17], plain, equal_nan=True)
    kept = ~np.isnan(repaired)
    assert np.array_equal(repaired[kept], whole[kept])


def test_feet_alone_never_turn_a_leg(walk):
    points, times, size = walk
    whole = footed(points)
    broken = exchanged(whole, [70, 71], [20, 22, 24], [21, 23, 25])
    repaired, report = repair_sides(broken, times, size, HALPE_26)
    assert report.swapped_share == 0.0
    assert np.array_equal(repaired[70:72, 20:], broken[70:72, 20:])


def test_the_feet_of_merged_legs_are_withdrawn_with_them(walk):
    points, times, size = walk
    apart = int(np.argmax(np.abs(points[60:80, 15, 0] - points[60:80, 16, 0]))) + 60
    merged = points.copy()
    merged[apart : apart + 4, [14, 16]] = merged[apart : apart + 4, [13, 15]]
    repaired, report = repair_sides(footed(merged), times, size, HALPE_26)
    assert np.flatnonzero(report.merged).tolist() == list(range(apart, apart + 4))
    assert np.isnan(repaired[report.merged][:, [13, 14, 15, 16, *range(20, 26)]]).all()
    assert not np.isnan(repaired[~report.merged][:, 20:]).any()
