"""Real poses of the sample clip against what needs no labels: her footprints, gravity, bones that keep their length."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.poses import COCO_17, ModelInfo, PoseSequence
from pipeline.biomechanics.jumps import find_implausible_fall, find_jumps
from pipeline.biomechanics.kinematics import compute_centre, compute_eye_to_ankle
from pipeline.biomechanics.motion import prepare

DATA = Path(__file__).parents[3] / "data"
MODEL = ModelInfo(name="yolo11n-pose", version="8", sha256="0" * 64, backend="torch", precision="fp32", runtime="")


def load(name):
    with np.load(DATA / name) as data:
        stored = {name: data[name] for name in data.files}
    width, height = stored.pop("frame_size").tolist()
    return PoseSequence(**stored, skeleton=COCO_17, frame_size=(width, height), model=MODEL)


@pytest.fixture(scope="module")
def walking():
    return load("walker.npz")


@pytest.fixture(scope="module")
def acrobat():
    return load("acrobat.npz")


def every(poses, step, first=0):
    names = ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices")
    return replace(poses, **{name: getattr(poses, name)[first::step] for name in names})


def test_her_steps_and_speed_are_those_of_her_footprints(walking, judge):
    """By eye, in the decoded pictures: at frame 59 her front heel lands at x = 1333, at frame 170, six steps later, at
    x = 225 (each ± 5 px). From the soles to the top of the head she measures 395 px there and 425 px here, both in
    mid-stride, where a walker is about 3 % lower than standing: 422 px, ± 2 %.
    """
    stature, way, time_s = 422.0, 1333.0 - 225.0, (170 - 59) / 30
    metrics = judge(walking, "fielding").metrics
    counted = {"step_length": way / 6 / stature * 100, "travel_speed": way / time_s / stature * 100,
               "cadence": 60 * 6 / time_s}  # fmt: skip
    for name, value in counted.items():
        assert abs(metrics[name].value - value) <= 2 * metrics[name].expected_error, name
    assert counted == pytest.approx({"step_length": 43.8, "travel_speed": 71.0, "cadence": 97.3}, abs=0.1)


@pytest.mark.parametrize("first", [0, 1])
def test_half_the_frames_say_the_same_within_the_stated_error(walking, judge, first):
    whole, half = judge(walking, "fielding").metrics, judge(every(walking, 2, first), "fielding").metrics
    for name in ("step_length", "cadence", "travel_speed", "trunk_lean"):
        rand = np.hypot(*(m[name].rand / np.sqrt(m[name].n) for m in (whole, half)))
        limit = max(2 * rand, whole[name].expected_error)  # sys is the same camera's in both
        assert abs(half[name].value - whole[name].value) <= limit, name


def test_both_halves_of_her_walk_say_the_same(walking, judge):
    one, two = (judge(part, "fielding").metrics for part in (
        replace_span(walking, 0.0, 3.9), replace_span(walking, 3.7, 7.7)))  # fmt: skip
    for name in ("step_length", "cadence", "travel_speed"):
        error = np.hypot(one[name].expected_error, two[name].expected_error)
        assert abs(one[name].value - two[name].value) <= 2 * error, name


def replace_span(poses, start, end):
    keep = (poses.timestamps_s >= start) & (poses.timestamps_s <= end)
    names = ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices")
    return replace(poses, **{name: getattr(poses, name)[keep] for name in names})


def test_her_bones_keep_their_length_within_the_models_own_error(walking):
    """In her walk a leg's bones lie in the picture's plane: hip and knee at 2 % of height, ankles at up to 3.6 %."""
    motion = prepare(walking, 1.0, constant_view=True)
    shares = {}
    for side in ("left", "right"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle")):
            bone = motion.point(f"{side}_{upper}").path - motion.point(f"{side}_{lower}").path
            length = np.hypot(*bone.T) / motion.stature * 100
            length = length[~np.isnan(length)]
            shares[side, upper] = float(np.percentile(length, 84) - np.percentile(length, 16)) / 2
            assert 18 < np.median(length) < 28, (side, upper)  # Drillis and Contini: 24.5 and 24.6
    assert max(share for (_, upper), share in shares.items() if upper == "hip") < np.hypot(2.0, 2.0)
    assert max(share for (_, upper), share in shares.items() if upper == "knee") < np.hypot(2.0, 3.6)


def test_the_acrobat_falls_as_gravity_says():
    """From his leap off the roof (in the air since frame 168, by eye) to the landing at frame 190, second by second.

    The body's centre must fall at 9.81 m/s² for a man of 1.75 m, his stature read off his jumping on the roof: a wrong
    clock would be off by its square. Upside down the model errs by tens of pixels, so 20 % is all that is asked.
    """
    with np.load(DATA / "demo_detections.npz") as data:
        frames, times = data["frame"], data["timestamps_s"]
        points = data["keypoints_x8"].astype(float) / 8
    hips = points[:, [11, 12]].mean(axis=1)
    roof = points[(frames < 100) & (hips[:, 0] < 700) & (hips[:, 1] < 320)]
    chain = compute_eye_to_ankle({name: roof[:, i] for i, name in enumerate(COCO_17.keypoint_names)}) / 0.897
    stature = float(np.percentile(chain, 75))
    fall = np.flatnonzero((frames >= 168) & (frames <= 190) & (hips[:, 0] > 700))
    joints = {name: points[fall, i, 1] for i, name in enumerate(COCO_17.keypoint_names)}
    joints |= {"head": points[fall, 3:5, 1].mean(axis=1), "shoulders": points[fall, 5:7, 1].mean(axis=1),
               "hips": points[fall, 11:13, 1].mean(axis=1)}  # fmt: skip
    acceleration = 2 * np.polyfit(times[frames[fall]] - times[168], compute_centre(joints, "right"), 2)[0]
    assert acceleration / stature * 1.75 == pytest.approx(9.81, rel=0.2)


def slowed(poses, factor):
    """As a camera with so many times the frames a second shows it, played at the old rate; linear in between."""
    frames = np.arange((len(poses.timestamps_s) - 1) * factor + 1) / factor

    def between(values):
        flat = values.reshape(len(values), -1)
        columns = [np.interp(frames, np.arange(len(flat)), column) for column in flat.T]
        return np.stack(columns, axis=1).reshape(len(frames), *values.shape[1:]).astype(values.dtype)

    names = ("keypoints", "confidence", "boxes", "timestamps_s")
    parts = {name: between(getattr(poses, name)) for name in names}
    parts["timestamps_s"] = parts["timestamps_s"] * factor
    return replace(poses, **parts, frame_indices=np.arange(len(frames)))


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_his_jumping_jacks_show_how_much_the_clip_was_slowed(acrobat, factor):
    """Four jumps on the roof, by eye; his stature is nobody's guess but 1.75 m, so a tenth is asked for."""
    jumps = find_jumps(prepare(slowed(acrobat, factor), 1.0, constant_view=False))
    assert 3 <= len(jumps) <= 4
    assert all(0.4 < jump.time_s / factor < 2.4 for jump in jumps)
    found = find_implausible_fall(jumps, None)
    assert found == (None if factor == 1 else pytest.approx(factor, rel=0.1))


def test_she_jumps_nowhere(walking):
    assert find_jumps(prepare(walking, 1.0, constant_view=True)) == ()


@pytest.mark.parametrize(("step", "first"), [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)])
@pytest.mark.parametrize("view", ["side", "front"])
def test_no_somersault_is_a_shot(acrobat, judge, step, first, view):
    """In the second half of the frames two in which his wrists met, upside down, once made one."""
    assert judge(every(acrobat, step, first), "batting", view=view).repetitions == ()
