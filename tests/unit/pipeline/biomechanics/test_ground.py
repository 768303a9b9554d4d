from dataclasses import replace

import numpy as np
import pytest
from cricketer.body import Body
from cricketer.camera import Camera
from cricketer.clips import film, judge
from cricketer.delivery import Technique, deliver
from cricketer.noise import CLEAN

from inference.poses import COCO_17
from pipeline.biomechanics.ground import GroundLine, find_line, fit_line
from pipeline.biomechanics.motion import prepare

FRAME = (3840, 2160)
FOCAL = 0.9 * 3840


def run(yaw_deg, *, away=9.0, right=-1.0, length=6.0, fps=60.0, seconds=2.0):
    """Way (T,) in statures of who runs a line, and the column and size (T,) at which a pinhole shows it."""
    times = np.arange(round(fps * seconds)) / fps
    way = length * times / seconds - length / 2
    yaw = np.radians(yaw_deg)
    depth = away + way * np.sin(yaw)
    return times, way, FOCAL * (right + way * np.cos(yaw)) / depth + FRAME[0] / 2, FOCAL / depth


@pytest.mark.parametrize("yaw", [-33.0, -20.0, 0.0, 20.0, 33.0])
def test_a_line_gives_back_the_way_that_was_run_wherever_it_lies_in_the_picture(yaw):
    times, way, x, size = run(yaw)
    line = fit_line(x, size, times, FRAME)
    # The slope is drawn towards square by the slow error that a real size has: by 3° of 33 at most.
    assert np.degrees(line.yaw) == pytest.approx(yaw, abs=0.1 * abs(yaw) + 0.05)
    assert np.diff(line.way(x)[[0, -1]])[0] == pytest.approx(100 * (way[-1] - way[0]), rel=0.03)
    assert line.size(x) == pytest.approx(size, rel=0.03)


def test_the_exact_line_is_exact():
    _, way, x, size = run(25.0)
    depth = 9.0 + 1.0 * np.tan(np.radians(25.0))  # where it crosses the lens's axis
    line = GroundLine(away=depth, yaw=np.radians(25.0), focal=FOCAL, centre=FRAME[0] / 2, middle=FRAME[0] / 2,
                      yaw_sys=0.0, scale_sys=0.0)  # fmt: skip
    assert np.diff(line.way(x)) == pytest.approx(100 * np.diff(way), abs=1e-9)
    assert line.size(x) == pytest.approx(size, rel=1e-12)
    assert line.foreshortening(x)[1:-1] == pytest.approx((np.gradient(x, way) / size)[1:-1], rel=1e-3)


def test_the_stated_error_is_what_a_wrong_slope_and_a_wrong_focal_length_make_of_a_length():
    yaw, x = np.radians(20.0), np.array([3400.0, 3401.0])

    def line(tan, share=1.0, **known):
        focal = share * FOCAL
        sizes = FOCAL / 9.0 * (1 - np.tan(yaw) * (2200.0 - 1920.0) / FOCAL)  # what was seen in the middle, whatever tan
        slope = -tan * sizes / FOCAL / (1 - tan * (2200.0 - 1920.0) / FOCAL)
        on_axis = sizes + slope * (1920.0 - 2200.0)
        return GroundLine(away=focal / on_axis, yaw=float(np.arctan(-slope * focal / on_axis)), focal=focal,
                          centre=1920.0, middle=2200.0, **{"yaw_sys": 0.0, "scale_sys": 0.0} | known)  # fmt: skip

    def length(one):
        return float(np.diff(one.way(x))[0])

    true = length(line(np.tan(yaw)))
    by_slope = abs(length(line(np.tan(yaw) + 0.01)) / true - 1)
    assert line(np.tan(yaw), yaw_sys=0.01).sys(3400.0) == pytest.approx(np.hypot(by_slope, 0.12 * np.sin(yaw) ** 2),
                                                                         rel=0.1)  # fmt: skip
    by_focal = abs(length(line(np.tan(yaw), share=1.01)) / true - 1)
    assert line(np.tan(yaw)).sys(3400.0) == pytest.approx(12 * by_focal, rel=0.05)


def test_what_cannot_be_told_from_square_is_square():
    times, _, x, size = run(2.0)
    assert fit_line(x, size, times, FRAME).yaw == 0.0


def test_who_stays_in_place_or_is_hardly_seen_has_no_line():
    times, _, x, size = run(0.0)
    assert fit_line(np.full_like(x, 1900.0), size, times, FRAME) is None
    assert fit_line(np.where(times < 0.4, x, np.nan), size, times, FRAME) is None


@pytest.mark.parametrize(("yaw", "there"), [(20.0, True), (80.0, False)])
def test_a_run_that_is_seen_nearly_end_on_has_no_line(delivery, yaw, there):
    camera = Camera(yaw=yaw, distance=1400.0, target=(delivery.centre[0] - 150.0, 0.0))
    clip = film([delivery], "side", 60.0, np.random.default_rng(1), noise=CLEAN, camera=camera)
    motion = prepare(clip.poses, 1.0, constant_view=True, in_plane=True)
    assert (find_line(motion, clip.poses.frame_size) is not None) == there


@pytest.fixture(scope="module")
def delivery():
    return deliver(Body(), Technique(tilt=4.0))


@pytest.mark.parametrize("yaw", [-30.0, -15.0, 0.0, 15.0, 30.0])
def test_speed_and_step_are_the_bowlers_own_from_any_camera_beside_the_pitch(delivery, yaw):
    camera = Camera(yaw=yaw, target=(delivery.centre[0] - 150.0, 0.0))
    clip = film([delivery], "side", 120.0, np.random.default_rng(1), noise=CLEAN, camera=camera)
    metrics = judge(clip).measurements.metrics
    assert metrics["run_up_speed"].value == pytest.approx(delivery.truth["run_up_speed"], rel=0.04)
    assert metrics["step_length"].value == pytest.approx(delivery.truth["step_length"], rel=0.05)
    assert metrics["stride_length"].value == pytest.approx(delivery.truth["stride_length"], abs=6.0)
    # The step before front-foot contact is quicker and is none of the run-up's.
    assert metrics["cadence"].value == pytest.approx(60 / 0.27, rel=0.02)


def test_a_bowler_who_runs_away_gets_smaller_though_the_feet_hardly_move_in_the_picture(delivery):
    """The lens as high as the ankles: they stay on the horizon, and one scale for the clip made release 30 % lower."""
    camera = Camera(view="behind", height=8.0, distance=delivery.centre[0] + 300.0, target=delivery.centre)
    clip = film([delivery], "behind", 120.0, np.random.default_rng(1), noise=CLEAN, camera=camera)
    height = judge(clip).measurements.metrics["release_height"].value
    assert height == pytest.approx(delivery.truth["release_height"], abs=5.0)


def test_a_back_foot_whose_contact_was_hidden_is_no_step_of_the_run_up(delivery):
    """Its last step before is 0.27 s older: with the back foot's own the speed would be that of a later part."""
    camera = Camera(target=(delivery.centre[0] - 150.0, 0.0))
    clip = film([delivery], "side", 120.0, np.random.default_rng(1), noise=CLEAN, camera=camera)
    back = delivery.events["back_foot_contact"] + clip.starts[0]
    confidence = clip.poses.confidence.copy()
    hidden = np.abs(clip.poses.timestamps_s - back - 0.05) < 0.08
    confidence[hidden, COCO_17.index(f"{delivery.side}_ankle")] = 0.1
    poses = replace(clip.poses, confidence=confidence)
    (repetition,) = judge(replace(clip, poses=poses)).measurements.repetitions
    assert "back_foot_contact" not in repetition.events
    assert repetition.steps[-1].time_s == pytest.approx(delivery.steps[-1] + clip.starts[0], abs=0.06)
