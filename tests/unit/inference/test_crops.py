"""Where crops look between two anchors: who is who, how large, how enlarged, and that nothing jumps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from inference.crops import Path, athlete_among, disagree, paths, touches_edge, worth_it
from inference.poses import COCO_17, Pose
from inference.preprocess import Letterbox

PICTURE = (1920, 1080)
WHOLE = Letterbox.fit(*PICTURE)
SPAN_S = 0.5

FIGURE = np.array([
    (0.0, 0.06), (0.03, 0.04), (-0.03, 0.04), (0.06, 0.06), (-0.06, 0.06), (0.13, 0.18), (-0.13, 0.18), (0.15, 0.34),
    (-0.15, 0.34), (0.16, 0.48), (-0.16, 0.48), (0.09, 0.48), (-0.09, 0.48), (0.09, 0.72), (-0.09, 0.72), (0.1, 0.97),
    (-0.1, 0.97),
])  # fmt: skip
"""(17, 2) of somebody who stands and faces the camera, in body heights from the middle of the top."""


def person(x: float, y: float, height: float = 400.0, *, score: float = 0.9, confidence: float = 0.9) -> Pose:
    """Somebody whose box is centred on x, y and 0.4 as wide as high."""
    return Pose(
        keypoints=(np.array([x, y - height / 2]) + FIGURE * height).astype(np.float32),
        confidence=np.full(17, confidence, np.float32),
        box=np.array([x - 0.2 * height, y - height / 2, x + 0.2 * height, y + height / 2], np.float32),
        score=score,
    )


def plan(first: list[Pose], last: list[Pose], elapsed_s: float = SPAN_S) -> list[Path]:
    return paths(first, last, elapsed_s=elapsed_s, whole=WHOLE, skeleton=COCO_17)


def one(start: Pose, end: Pose) -> Path:
    (path,) = plan([start], [end])
    assert path.start is start
    assert path.end is end
    return path


def middle(box: Letterbox) -> np.ndarray:
    return np.array(box.origin) + np.array(box.source) / 2


class TestWhoIsWho:
    def test_everybody_at_two_anchors_has_one_path(self) -> None:
        first = [person(300, 500), person(900, 520, 300), person(1500, 480)]
        last = [person(1530, 480), person(330, 510), person(880, 520, 310)]
        found = {id(path.start): path.end for path in plan(first, last)}
        assert [found[id(pose)] for pose in first] == [last[1], last[2], last[0]]

    def test_who_came_or_went_is_seen_at_one_anchor_only(self) -> None:
        stays, goes, comes = person(300, 500), person(1850, 500), person(520, 500, 150)
        again = person(310, 500)
        found = {(path.start, path.end) for path in plan([stays, goes], [comes, again])}
        assert found == {(stays, again), (goes, None), (None, comes)}

    def test_nobody_runs_faster_than_anybody_can(self) -> None:
        start, end = person(200, 500), person(1700, 500)
        assert {(path.start, path.end) for path in plan([start], [end])} == {(start, None), (None, end)}
        assert len(plan([start], [end], elapsed_s=3.0)) == 1, "with time one gets there"

    def test_nobody_doubles_in_size(self) -> None:
        child, adult = person(600, 500, 200), person(600, 500, 420)
        assert {(path.start, path.end) for path in plan([child], [adult])} == {(child, None), (None, adult)}

    def test_nobody_has_no_path(self) -> None:
        assert plan([], []) == []


class TestWhereItLooks:
    @pytest.mark.parametrize("height", [60.0, 150.0, 400.0, 700.0])
    def test_all_of_the_person_is_in_it_at_both_anchors(self, height: float) -> None:
        start, end = person(700, 540, height), person(700 + height / 3, 530, height * 1.1)
        path = one(start, end)
        for pose, share in ((start, 0.0), (end, 1.0)):
            box = path.box(share, PICTURE)
            low, high = np.array(box.origin), np.add(box.origin, box.source)
            assert np.all(low <= pose.keypoints.min(axis=0))
            assert np.all(pose.keypoints.max(axis=0) <= high)
            assert low[1] < pose.box[1] - 0.1 * height, "arms go up"
            assert not touches_edge(pose, box)

    def test_it_moves_linearly(self) -> None:
        path = one(person(700, 540, 300), person(1000, 500, 330))
        ends = middle(path.box(0.0, PICTURE)), middle(path.box(1.0, PICTURE))
        scales = [path.box(share, PICTURE).scale[0] for share in (0.0, 1.0)]
        for share in np.linspace(0, 1, 11).tolist():
            box = path.box(share, PICTURE)
            np.testing.assert_allclose(middle(box), ends[0] + (ends[1] - ends[0]) * share, atol=1.5)
            assert box.scale[0] == pytest.approx(scales[0] + (scales[1] - scales[0]) * share, rel=0.01)
            assert box.size == path.size

    @pytest.mark.parametrize("heights", [(300, 330, 380, 360), (80, 95, 110, 100), (420, 330, 260, 200)])
    def test_nothing_jumps_at_an_anchor(self, heights: tuple[float, ...]) -> None:
        seen = [person(500 + 150 * n, 540 + 10 * n, height) for n, height in enumerate(heights)]
        for before, after in pairwise([one(a, b) for a, b in pairwise(seen)]):
            end, start = before.box(1.0, PICTURE), after.box(0.0, PICTURE)
            np.testing.assert_allclose(middle(end), middle(start), atol=1.5)
            assert end.scale[0] == pytest.approx(start.scale[0], rel=0.02)

    def test_where_nobody_knows_where_somebody_went_it_is_wider(self) -> None:
        pose = person(900, 540, 300)
        known, (unknown,) = one(pose, pose), plan([pose], [])
        assert unknown.box(0.0, PICTURE).source[0] > known.box(0.0, PICTURE).source[0]
        assert middle(unknown.box(1.0, PICTURE)).tolist() == middle(unknown.box(0.0, PICTURE)).tolist()

    def test_at_the_edge_of_the_picture_it_stays_inside(self) -> None:
        path = one(person(30, 900, 300), person(40, 1000, 300))
        for share in (0.0, 0.5, 1.0):
            box = path.box(share, PICTURE)
            assert box.origin[0] == 0
            assert box.origin[1] + box.source[1] == 1080


class TestHowLarge:
    def test_no_crop_shows_less_detail_than_the_whole_frame(self) -> None:
        for height in np.linspace(40, 1000, 49).tolist():
            path = one(person(960, 540, height), person(980, 540, height * 1.2))
            if path.size is not None:
                for share in (0.0, 0.4, 1.0):
                    box = path.box(share, PICTURE)
                    assert min(box.scale) >= min(WHOLE.scale) * (1 - 1 / min(box.source))

    def test_the_smaller_somebody_is_the_more_they_are_enlarged_up_to_an_end(self) -> None:
        heights = [900.0, 500.0, 300.0, 150.0, 80.0, 40.0]
        scales = [min(one(pose, pose).box(0.0, PICTURE).scale) for pose in (person(960, 540, h) for h in heights)]
        assert scales == sorted(scales)
        assert scales[0] == pytest.approx(WHOLE.scale[0], rel=0.01)
        assert scales[3] > 1.5 * WHOLE.scale[0]
        assert scales[-1] == pytest.approx(scales[-2], rel=0.02), "there is nothing more to see"

    def test_raised_arms_and_bent_knees_do_not_change_how_much_it_is_enlarged(self) -> None:
        standing = person(960, 540, 300)
        points, box = standing.keypoints.copy(), standing.box.copy()
        points[[9, 10], 1] = standing.box[1] - 90.0  # both wrists far overhead
        box[1] -= 100.0
        reaching = replace(standing, keypoints=points, box=box)
        scales = [one(pose, pose).box(0.0, PICTURE).scale[0] for pose in (standing, reaching)]
        assert scales[0] == pytest.approx(scales[1], rel=0.02)

    def test_shapes_are_few_and_what_a_model_takes(self) -> None:
        draw = np.random.default_rng(4)
        shapes = set()
        for _ in range(400):
            x, y, height = draw.uniform(0, 1920), draw.uniform(0, 1080), draw.uniform(40, 900)
            path = one(person(x, y, height), person(x + 0.1 * height, y, height * draw.uniform(0.9, 1.1)))
            shapes.add(path.size)
        shapes.discard(None)
        assert all(side % 32 == 0 for width, height in shapes for side in (width, height))
        assert len(shapes) <= 40

    def test_only_somebody_small_needs_the_finest_level(self) -> None:
        assert one(person(960, 540, 40), person(960, 540, 40)).fine
        assert not one(person(960, 540, 500), person(960, 540, 500)).fine


class TestWhetherItIsWorthIt:
    def test_one_person_is(self) -> None:
        assert worth_it([one(person(900, 540), person(930, 540))], WHOLE)

    def test_nobody_a_crowd_and_somebody_who_fills_the_picture_are_not(self) -> None:
        assert not worth_it([], WHOLE)
        crowd = [person(100 + 110 * n, 540, 300) for n in range(16)]
        assert not worth_it(plan(crowd, crowd), WHOLE)
        giant = replace(person(960, 540, 1000), box=np.array([0, 0, 1920, 1080], np.float32))
        assert not worth_it([one(giant, giant)], WHOLE)

    def test_nor_is_somebody_whom_no_input_can_hold(self) -> None:
        small = person(400, 540, 80)
        points = small.keypoints.copy()
        points[9] = (1600, 540)
        path = one(*[replace(small, keypoints=points)] * 2)
        assert path.size is None
        with pytest.raises(ValueError, match="too large"):
            path.box(0.0, PICTURE)
        assert not worth_it([path], WHOLE)
        assert not worth_it([path, one(person(1800, 540), person(1800, 540))], WHOLE)


class TestTouchingTheEdge:
    BOX = Letterbox.crop(PICTURE, (960.0, 540.0), (192, 256), 0.5)
    """384 x 512 pixels from 768, 284."""

    @staticmethod
    def with_point(x: float, y: float, confidence: float = 0.9) -> Pose:
        pose = person(960, 540, 300)
        points, sure = pose.keypoints.copy(), pose.confidence.copy()
        points[9], sure[9] = (x, y), confidence
        return replace(pose, keypoints=points, confidence=sure)

    def test_not_in_the_middle(self) -> None:
        assert not touches_edge(person(960, 540, 300), self.BOX)

    @pytest.mark.parametrize("point", [(770, 540), (1150, 540), (960, 286), (960, 793)])
    def test_at_each_side(self, point: tuple[float, float]) -> None:
        assert touches_edge(self.with_point(*point), self.BOX)

    def test_beyond_it(self) -> None:
        assert touches_edge(self.with_point(700, 540), self.BOX)

    def test_a_keypoint_that_nobody_is_sure_of_says_nothing(self) -> None:
        assert not touches_edge(self.with_point(770, 540, confidence=0.1), self.BOX)

    @pytest.mark.parametrize(
        ("centre", "point"),
        [((0, 540), (1, 540)), ((1920, 540), (1919, 540)), ((960, 0), (960, 1)), ((960, 1080), (960, 1079))],
        ids=["left", "right", "top", "bottom"],
    )
    def test_where_the_picture_ends_nothing_is_cut_off(
        self, centre: tuple[float, float], point: tuple[float, float]
    ) -> None:
        box = Letterbox.crop(PICTURE, centre, (192, 256), 0.5)
        inside = np.array(box.origin) + np.array(box.source) / 2
        pose = person(float(inside[0]), float(inside[1]), 200)
        points = pose.keypoints.copy()
        points[9] = point
        assert not touches_edge(replace(pose, keypoints=points), box)


class TestDisagreement:
    WHOLE_POSE = person(960, 540, 400)

    def moved(self, x: float) -> Pose:
        return replace(self.WHOLE_POSE, keypoints=self.WHOLE_POSE.keypoints + np.array([x, 0], np.float32))

    def test_jitter_is_none(self) -> None:
        assert not disagree(self.moved(8), self.WHOLE_POSE, COCO_17)

    def test_another_place_is(self) -> None:
        assert disagree(self.moved(100), self.WHOLE_POSE, COCO_17)

    def test_left_for_right_is_none(self) -> None:
        order = COCO_17.exchanged()
        wide = self.WHOLE_POSE.keypoints * np.array([4.0, 1.0], np.float32)  # so that the exchange is no jitter
        whole, turned = replace(self.WHOLE_POSE, keypoints=wide), replace(self.WHOLE_POSE, keypoints=wide[order])
        assert disagree(turned, whole, replace(COCO_17, left_right=())), "without knowing left from right"
        assert not disagree(turned, whole, COCO_17)

    def test_two_that_show_too_little_in_common_cannot(self) -> None:
        unsure = replace(self.moved(300), confidence=np.full(17, 0.1, np.float32))
        assert not disagree(unsure, self.WHOLE_POSE, COCO_17)


class TestPicking:
    def test_who_is_where_the_person_is_expected(self) -> None:
        path = one(person(600, 540), person(1000, 540))
        here, elsewhere = person(800, 540, score=0.3), person(1300, 540, score=0.9)
        assert path.pick([elsewhere, here], 0.5) is here
        assert path.pick([elsewhere], 0.5) is None
        assert path.pick([], 0.5) is None

    def test_nobody_of_another_size(self) -> None:
        path = one(person(600, 540), person(600, 540))
        assert path.pick([person(600, 540, 150)], 0.5) is None

    def test_of_who_was_seen_at_one_anchor_only_the_best_where_they_were(self) -> None:
        (path,) = plan([person(600, 540)], [])
        sure, unsure, away = person(640, 540, score=0.8), person(640, 540, score=0.3), person(1500, 540, score=0.95)
        assert path.pick([unsure, away, sure], 0.7) is sure
        assert path.pick([away], 0.7) is None


class TestTheAthleteAlone:
    """Only where there can be no doubt is anybody left out."""

    def test_who_is_known_and_stands_apart(self) -> None:
        athlete, other = person(400, 540), person(1500, 540)
        found = plan([athlete, other], [person(420, 540), person(1490, 540)])
        chosen = athlete_among(found, athlete, [])
        assert chosen is not None
        assert chosen.start is athlete

    def test_who_is_pointed_at(self) -> None:
        athlete, other = person(400, 540), person(1500, 540)
        found = plan([athlete, other], [person(420, 540), person(1490, 540)])
        chosen = athlete_among(found, None, [(410.0, 540.0, 0.5)])
        assert chosen is not None
        assert chosen.start is athlete

    def test_not_who_is_near_somebody_else(self) -> None:
        athlete, other = person(400, 540), person(560, 540)
        found = plan([athlete, other], [person(420, 540), person(570, 540)])
        assert athlete_among(found, athlete, []) is None

    def test_not_who_passes_another_whoever_the_anchors_take_for_whom(self) -> None:
        athlete, other = person(400, 540), person(900, 540)
        there, elsewhere = person(1250, 540), person(880, 540)
        found = plan([athlete, other], [there, elsewhere])
        assert all(path.start and path.end for path in found)
        assert athlete_among(found, athlete, []) is None

    def test_not_who_goes_out_of_sight(self) -> None:
        athlete = person(400, 540)
        assert athlete_among(plan([athlete], []), athlete, []) is None

    def test_not_where_a_point_lies_on_somebody_else(self) -> None:
        athlete, other = person(400, 540), person(1500, 540)
        found = plan([athlete, other], [athlete, other])
        assert athlete_among(found, athlete, [(1500.0, 540.0, 0.5)]) is None

    def test_not_where_nothing_is_known(self) -> None:
        athlete = person(400, 540)
        assert athlete_among(plan([athlete], [athlete]), None, []) is None
