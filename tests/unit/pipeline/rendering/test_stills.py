import cv2
import numpy as np
import pytest
import reports

from pipeline.rendering.stills import athlete_still, crop_around, metric_rows, overview_still, subject_row, wanted_rows

FRAME = (1920, 1080)
TIMES = [number / 30 for number in range(30)]


def decoded(still):
    image = cv2.cvtColor(cv2.imdecode(np.frombuffer(still.jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert image.shape[:2] == (still.height, still.width)
    return image


@pytest.mark.parametrize(
    "box",
    [(900, 300, 1000, 700), (600, 500, 1100, 600), (0, 0, 60, 300), (1850, 900, 1920, 1080), (-40, -10, 2000, 1100)],
)
def test_crops_hold_the_athlete_and_stay_in_the_picture(box):
    crop = crop_around(np.array(box, np.float32), FRAME)
    assert crop.left >= 0
    assert crop.top >= 0
    assert crop.left + crop.width <= FRAME[0]
    assert crop.top + crop.height <= FRAME[1]
    assert crop.left <= max(box[0], 0)
    assert crop.left + crop.width >= min(box[2], FRAME[0])
    assert crop.top <= max(box[1], 0)
    assert crop.top + crop.height >= min(box[3], FRAME[1])
    assert 0.74 < crop.width / crop.height < 1920 / 1080 + 0.01


def test_an_unseen_athlete_shows_the_whole_picture():
    crop = crop_around(np.full(4, np.nan, np.float32), FRAME)
    assert (crop.left, crop.top, crop.width, crop.height) == (0, 0, *FRAME)


def test_the_still_shows_the_skeleton_where_the_athlete_is():
    poses = reports.poses([0.4], indices=[12], size=(640, 480), box=(300, 100, 400, 400))
    image = np.full((480, 640, 3), 90, np.uint8)
    still = athlete_still(image, poses, 0)
    assert (still.frame, still.time_s) == (12, pytest.approx(0.4))
    assert (image == 90).all(), "the frame itself must stay clean: the overlay draws on it too"
    crop, picture = crop_around(poses.boxes[0], poses.frame_size), decoded(still)
    scale = still.height / crop.height
    hip, knee = poses.keypoints[0, 11], poses.keypoints[0, 13]
    x, y = ((hip + knee) / 2 - (crop.left, crop.top)) * scale
    red, green, blue = picture[round(y), round(x)].astype(int)
    assert red > 180 > green > 90 > blue, "an orange left thigh"


def test_no_pose_no_skeleton():
    poses = reports.poses([0.0], size=(640, 480), unseen=[0])
    picture = decoded(athlete_still(np.full((480, 640, 3), 90, np.uint8), poses, 0))
    assert np.abs(picture.astype(int) - 90).max() <= 2


def test_the_overview_boxes_the_athlete_and_dims_the_rest():
    document = reports.results(size=(640, 480))
    poses = reports.poses(TIMES, size=(640, 480))
    picture = decoded(overview_still(np.full((480, 640, 3), 200, np.uint8), poses, 9, document.subject))
    left, top, right, bottom = (round(edge) for edge in document.subject.box)
    assert abs(int(picture[(top + bottom) // 2, (left + right) // 2, 0]) - 200) <= 4
    assert abs(int(picture[400, 500, 0]) - 120) <= 4
    assert int(picture[(top + bottom) // 2, left, 0]) > 220


def test_findings_come_before_watches_before_metrics_and_the_limit_holds():
    document, poses = reports.results(), reports.poses(TIMES)
    assert wanted_rows(document, poses, 10) == (6, 12, 15)
    assert wanted_rows(document, poses, 2) == (6, 12)
    assert wanted_rows(reports.results(findings=[], watches=[]), poses, 10) == (15, 6, 12)
    ratio = ["run_up_speed_ratio"]
    assert metric_rows(document, poses) == {15: ["front_knee_min"], 6: ratio, 12: ratio}
    assert subject_row(document, poses) == 9
