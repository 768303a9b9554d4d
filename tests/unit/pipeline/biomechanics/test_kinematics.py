import numpy as np
import pytest

from pipeline.biomechanics.kinematics import compute_eye_to_ankle, compute_joint_angle, compute_size, compute_tilt


def test_a_pendulum_knee_is_read_exactly():
    bend = np.linspace(0, 170, 50)
    hip, knee = np.tile([0.0, 40.0], (50, 1)), np.zeros((50, 2))
    ankle = 40 * np.stack((np.sin(np.radians(bend)), -np.cos(np.radians(bend))), axis=-1)
    assert compute_joint_angle(hip, knee, ankle) == pytest.approx(180 - bend, abs=1e-9)


def test_a_rotating_trunk_is_read_exactly_and_signed():
    turn = np.arange(-179.0, 180.0, 7.0)
    shoulders = 30 * np.stack((np.sin(np.radians(turn)), np.cos(np.radians(turn))), axis=-1)
    assert compute_tilt(shoulders, np.zeros_like(shoulders)) == pytest.approx(turn, abs=1e-9)


def test_no_direction_and_no_point_are_nan():
    origin, missing = np.zeros((1, 2)), np.full((1, 2), np.nan)
    assert np.isnan(compute_tilt(origin, origin)).all()
    assert np.isnan(compute_joint_angle(origin, origin, np.ones((1, 2)))).all()
    assert np.isnan(compute_joint_angle(missing, origin, np.ones((1, 2)))).all()


def test_the_chain_of_a_body_gives_its_stature_however_the_knees_bend(figures):
    for depth in (49.0, 28.0):
        one = figures.column(np.zeros(20), 0.0, depth)
        figure = figures.build(
            np.arange(20) / 30, hips=one, lean=np.full(20, 10.0), tilt=np.zeros(20),
            ankles=(figures.column(np.zeros(20), 5.0, 3.9), figures.column(np.zeros(20), -5.0, 3.9)),
            wrists=(one, one),
        )  # fmt: skip
        poses = figure.film(pixels=300)
        chain = compute_eye_to_ankle({n: poses.keypoint(n).astype(float) for n in poses.skeleton.keypoint_names})
        assert chain / 0.897 == pytest.approx(np.full(20, 300.0), rel=1e-4)


def test_the_size_follows_who_comes_nearer_and_is_nan_without_a_body():
    times = np.arange(120) / 30
    size = compute_size(0.897 * (100 + 50 * times), times, 0.5)
    assert size[60] == pytest.approx(100 + 50 * 2.25, abs=3)  # the upper quartile of ± 0.5 s
    assert np.isnan(compute_size(np.full(120, np.nan), times, 0.5)).all()


def test_of_noisy_legs_in_the_picture_s_plane_the_mean_and_of_noisy_sizes_the_median_are_not_too_long():
    rng = np.random.default_rng(0)
    straight = {"eye": 89.7, "shoulder": 77.9, "hip": 49.1, "knee": 24.6, "ankle": 0.0}
    paths = {f"{side}_{name}": np.stack((rng.normal(0, 1, 2000), height + rng.normal(0, 2, 2000)), axis=1)
             for name, height in straight.items() for side in ("left", "right")}  # fmt: skip
    times = np.arange(2000) / 100
    plane = compute_size(compute_eye_to_ankle(paths, in_plane=True), times, np.inf, in_plane=True)[0]
    usual = compute_size(compute_eye_to_ankle(paths), times, np.inf)[0]
    assert plane == pytest.approx(100.0, abs=0.7)
    assert usual > 103.0
