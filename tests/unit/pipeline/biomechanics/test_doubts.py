"""What an oblique camera and bystanders take from a reading."""

import numpy as np
import pytest

from models.documents import ViewDocument
from models.requests import AnalysisOptions
from pipeline.biomechanics.measure import measure
from pipeline.biomechanics.view import projection_sys
from pipeline.measurements import MeasureContext

SIDE = ViewDocument(value="side", source="caller", confidence=1.0)


@pytest.mark.parametrize(("yaw", "degrees"), [(None, 0), (0, 0), (20, 0), (25, 5), (30, 7), (35, 9.5), (40, 12)])
def test_the_projection_error_is_that_of_the_table(yaw, degrees):
    assert projection_sys(yaw) == degrees


def test_it_is_added_to_the_angles_of_an_oblique_run_up_and_to_nothing_else(figures, judge):
    figure = figures.bowler(60.0)
    x, y, z = np.moveaxis(figure.joints, -1, 0)
    x = x - x.mean()
    measured = {}
    for yaw in (10.0, 25.0):
        turn = np.radians(yaw)
        depth = 1000 - x * np.sin(turn) + y * np.cos(turn)
        picture = np.stack((x * np.cos(turn) + y * np.sin(turn), -z), axis=-1) * (2 * 1728 / depth)[..., None]
        poses = figures.pose_sequence(picture + np.array([1920.0, 900.0]), figure.times)
        object.__setattr__(poses, "frame_size", (3840, 2160))
        measured[yaw] = judge(poses, "bowling").metrics
    knees = [measured[yaw]["front_knee_min"].sys for yaw in (10.0, 25.0)]
    assert np.sqrt(knees[1] ** 2 - knees[0] ** 2) == pytest.approx(5.0, abs=1.5)  # the yaw itself is estimated
    assert measured[25.0]["release_height"].sys == pytest.approx(measured[10.0]["release_height"].sys, abs=0.2)


def test_somebody_in_front_degrades_what_is_read_there_and_nothing_elsewhere(figures):
    poses = figures.bowler(120.0).film()

    def judged(share, start, end):
        overlap = np.zeros(len(poses.timestamps_s), np.float32)
        overlap[(poses.timestamps_s >= start) & (poses.timestamps_s <= end)] = share
        context = MeasureContext(mode="bowling", stage="deep", view=SIDE, options=AnalysisOptions(), overlap=overlap)
        return measure(poses, context).metrics

    covered, nearly, earlier = judged(0.4, 2.35, 2.65), judged(0.29, 2.35, 2.65), judged(0.4, 0.0, 0.2)
    assert covered["front_knee_min"].status == "degraded"
    assert "somebody else overlaps" in (covered["front_knee_min"].reason or "")
    for clear in (nearly, earlier):
        assert clear["front_knee_min"].status == "measurable"


def test_what_hangs_on_a_release_by_the_far_arm_is_never_measurable(figures, judge):
    near = judge(figures.bowler(240.0).film(), "bowling").metrics
    far = judge(figures.bowler(240.0).film(yaw=180.0), "bowling").metrics
    for name in ("front_knee_angle_release", "trunk_flexion_change", "delivery_time", "release_height"):
        assert far[name].status != "measurable", name
    assert near["delivery_time"].status == far["front_knee_min"].status == "measurable"
