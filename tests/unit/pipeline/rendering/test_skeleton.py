import numpy as np
import pytest
import reports

from inference.poses import COCO_17
from inference.skeletons import HALPE_26
from pipeline.rendering.skeleton import CENTRE, LEFT, MIN_CONFIDENCE, RIGHT, draw_skeleton, line_width

BOX = (100.0, 50.0, 300.0, 550.0)


@pytest.fixture
def person():
    sequence = reports.poses([0.0], size=(400, 600), box=BOX)
    return sequence.keypoints[0], sequence.confidence[0]


def drawn(keypoints, confidence):
    image = np.full((600, 400, 3), 90, np.uint8)
    draw_skeleton(image, keypoints, confidence, COCO_17)
    return image


def middle(keypoints, first, second):
    x, y = (keypoints[COCO_17.index(first)] + keypoints[COCO_17.index(second)]) / 2
    return round(float(y)), round(float(x))


def test_sides_have_their_colours(person):
    image = drawn(*person)
    assert tuple(image[middle(person[0], "left_hip", "left_knee")]) == LEFT
    assert tuple(image[middle(person[0], "right_elbow", "right_wrist")]) == RIGHT
    assert tuple(image[middle(person[0], "left_hip", "right_hip")]) == CENTRE


@pytest.mark.parametrize("unseen", ["nan", "low confidence", "confidence unknown"])
def test_what_was_not_seen_is_not_drawn(person, unseen):
    keypoints, confidence = person
    knee = COCO_17.index("left_knee")
    place = keypoints[knee].round().astype(int)
    if unseen == "nan":
        keypoints[knee] = np.nan
    else:
        confidence[knee] = np.nan if unseen == "confidence unknown" else MIN_CONFIDENCE - 0.01
    image = drawn(keypoints, confidence)
    around = image[place[1] - 30 : place[1] + 30, place[0] - 12 : place[0] + 12]
    assert (around == 90).all()
    assert tuple(image[middle(keypoints, "right_hip", "right_knee")]) == RIGHT


def test_nobody_leaves_the_picture_alone(person):
    assert (drawn(np.full((17, 2), np.nan, np.float32), np.full(17, np.nan, np.float32)) == 90).all()


def test_points_far_outside_do_no_harm(person):
    keypoints, confidence = person
    keypoints[COCO_17.index("left_wrist")] = (1e9, -1e9)
    assert tuple(drawn(keypoints, confidence)[middle(keypoints, "left_hip", "left_knee")]) == LEFT


def test_lines_grow_with_the_person():
    widths = [line_width(reports.STANDING * height) for height in (40, 220, 440, 4000)]
    assert widths == sorted(widths)
    assert widths[0] == 1
    assert widths[1] < widths[2]
    assert widths[3] == 8


def test_feet_are_drawn_in_the_colour_of_their_side():
    sequence = reports.with_feet(reports.poses([0.0], size=(400, 600), box=BOX))
    keypoints = sequence.keypoints[0].copy()
    heel, toe = HALPE_26.index("left_heel"), HALPE_26.index("right_big_toe")
    keypoints[heel], keypoints[toe] = (290.0, 590.0), (60.0, 590.0)
    image = np.full((600, 400, 3), 90, np.uint8)
    draw_skeleton(image, keypoints, sequence.confidence[0], HALPE_26)
    assert tuple(image[590, 290]) == LEFT
    assert tuple(image[590, 60]) == RIGHT
    x, y = ((keypoints[toe] + keypoints[HALPE_26.index("right_ankle")]) / 2).round().astype(int)
    assert tuple(image[y, x]) == RIGHT, "a limb joins ankle and toe"
