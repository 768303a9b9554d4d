"""People are followed, never exchanged; on made-up walkers, and on the real model's poses of the sample clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.errors import NoPerson, SubjectNotFound
from inference.poses import Pose
from inference.tracking import MAX_PEOPLE, Choice, SubjectHint, Tracker

# A standing figure, x and y in body heights from the middle of the feet; y downwards.
FIGURE = np.array(
    [
        (0.00, -0.93), (0.02, -0.95), (-0.02, -0.95), (0.04, -0.94), (-0.04, -0.94), (0.10, -0.82), (-0.10, -0.82),
        (0.14, -0.63), (-0.14, -0.63), (0.15, -0.46), (-0.15, -0.46), (0.07, -0.52), (-0.07, -0.52), (0.08, -0.28),
        (-0.08, -0.28), (0.08, -0.04), (-0.08, -0.04),
    ]
)  # fmt: skip
Place = tuple[float, float]
Frames = list[tuple[float, list[Pose], list[int]]]
"""(time, poses, whose each pose is)."""


def figure(
    x: float, y: float, *, height: float = 400.0, swing: float = 0.0, jitter: NDArray[np.float64] | None = None
) -> Pose:
    points = FIGURE.copy()
    points[[9, 14, 16], 0] += 0.15 * np.sin(swing)
    points[[10, 13, 15], 0] -= 0.15 * np.sin(swing)
    points = points * height + (x, y)
    if jitter is not None:
        points = points + jitter
    low, high = points.min(axis=0) - 0.03 * height, points.max(axis=0) + 0.03 * height
    return Pose(
        keypoints=points.astype(np.float32),
        confidence=np.full(17, 0.9, np.float32),
        box=np.array([*low, *high], np.float32),
        score=0.9,
    )


def walk(
    paths: Sequence[Callable[[float], Place | None]],
    *,
    fps: float,
    seconds: float,
    seed: int = 1,
    height: float = 400.0,
) -> Frames:
    """Walkers with the model's jitter (0.5 % of height); a path gives None where its walker is not detected."""
    random = np.random.default_rng(seed)
    frames: Frames = []
    for index in range(round(fps * seconds)):
        time = index / fps
        found = [(who, place) for who, path in enumerate(paths) if (place := path(time)) is not None]
        random.shuffle(found)  # the detector's order means nothing
        poses = [
            figure(*place, height=height, swing=6 * time + who, jitter=random.normal(0, 0.005 * height, (17, 2)))
            for who, place in found
        ]
        frames.append((time, poses, [who for who, _ in found]))
    return frames


def follow(frames: Frames, hints: Sequence[SubjectHint] = ()) -> Choice:
    tracker = Tracker()
    for time, poses, _ in frames:
        tracker.update(time, poses)
    return tracker.choose(hints)


def who(frames: Frames, choice: Choice) -> list[int | None]:
    return [people[pick] if pick >= 0 else None for (_, _, people), pick in zip(frames, choice.picks, strict=True)]


RATES = pytest.mark.parametrize("fps", [10, 30, 240])


@RATES
def test_one_walker_is_one_person(fps: int) -> None:
    frames = walk([lambda t: (200 + 560 * t, 700)], fps=fps, seconds=3)
    choice = follow(frames)
    assert who(frames, choice) == [0] * len(frames)
    assert choice.subject.people == 1
    assert choice.subject.confidence == 1.0
    assert choice.subject.source == "automatic"
    np.testing.assert_array_equal(choice.keypoints, np.stack([poses[0].keypoints for _, poses, _ in frames]))
    np.testing.assert_array_equal(choice.boxes, np.stack([poses[0].box for _, poses, _ in frames]))


@RATES
def test_a_sprint_is_followed(fps: int) -> None:
    """9 m/s at a height of 1.8 m and 400 pixels, from a standing start."""
    frames = walk([lambda t: (200 + 2000 * max(t - 0.5, 0) ** 2 / (0.5 + max(t - 0.5, 0)), 700)], fps=fps, seconds=1.5)
    assert who(frames, follow(frames)) == [0] * len(frames)


@RATES
@pytest.mark.parametrize("speed", [150.0, 560.0, 1200.0])
@pytest.mark.parametrize("offset", [0.0, 60.0])
def test_two_who_cross_are_never_exchanged(fps: int, speed: float, offset: float) -> None:
    """Through one another, or one a little behind the other. A hole is allowed, a stranger is not."""
    seconds = 1200 / speed
    middle = 600.0
    paths: list[Callable[[float], Place | None]] = [
        lambda t: (middle + speed * (t - seconds / 2), 700),
        lambda t: (middle - speed * (t - seconds / 2), 700 - offset),
    ]
    for seed in range(3):
        frames = walk(paths, fps=fps, seconds=seconds, seed=seed)
        start = frames[0][1][frames[0][2].index(0)].box
        hint = SubjectHint(x=float(start[0] + start[2]) / 2, y=float(start[1] + start[3]) / 2, time_s=0)
        found = who(frames, follow(frames, [hint]))
        assert 1 not in found
        assert found.count(0) > 0.3 * len(frames)


@pytest.mark.parametrize("seed", range(12))
def test_no_crossing_at_ten_frames_a_second_exchanges_anybody(seed: int) -> None:
    """Any two speeds up to 5 m/s, any small offset, with or without one being hidden: the hardest rate of all."""
    random = np.random.default_rng(seed)
    speed, other = random.uniform(300, 1200), random.uniform(-1200, 0)
    offset, meet, hides = random.uniform(-60, 60), random.uniform(400, 800), bool(seed % 2)

    def front(t: float) -> Place:
        return meet + speed * (t - 1), 700

    def back(t: float) -> Place | None:
        x = meet + other * (t - 1)
        return None if hides and abs(x - front(t)[0]) < 70 else (x, 700 + offset)

    frames = walk([front, back], fps=10, seconds=2, seed=seed)
    for athlete, x in ((0, meet - speed), (1, meet - other)):
        found = who(frames, follow(frames, [SubjectHint(x=x, y=500, time_s=0)]))
        assert set(found) <= {athlete, None}
        assert found.count(athlete) >= 6


@RATES
def test_one_who_hides_another_takes_nothing_over(fps: int) -> None:
    """The detector sees one body while two overlap: walker 0 is gone behind walker 1 for half a second."""
    paths: list[Callable[[float], Place | None]] = [
        lambda t: None if 1.2 < t < 1.8 else (200 + 300 * t, 690),
        lambda t: (1100 - 300 * t, 710),
    ]
    frames = walk(paths, fps=fps, seconds=3)
    for athlete, x in ((0, 200), (1, 1100)):
        found = set(who(frames, follow(frames, [SubjectHint(x=x, y=500, time_s=0)])))
        assert found <= {athlete, None}


@RATES
def test_two_who_walk_side_by_side_stay_apart(fps: int) -> None:
    frames = walk([lambda t: (200 + 300 * t, 700), lambda t: (320 + 300 * t, 710)], fps=fps, seconds=3)
    found = who(frames, follow(frames, [SubjectHint(x=200, y=500, time_s=0)]))
    assert set(found) <= {0, None}
    assert found.count(0) > 0.95 * len(frames)


@RATES
@pytest.mark.parametrize("hidden_s", [0.2, 0.45, 1.0])
def test_an_absence_is_bridged(fps: int, hidden_s: float) -> None:
    frames = walk([lambda t: None if 1 <= t < 1 + hidden_s else (200 + 300 * t, 700)], fps=fps, seconds=3)
    choice = follow(frames)
    assert who(frames, choice) == [0 if poses else None for _, poses, _ in frames]
    assert choice.subject.people == 1
    hidden = [index for index, (_, poses, _) in enumerate(frames) if not poses]
    assert np.isnan(choice.keypoints[hidden]).all()
    assert np.isnan(choice.boxes[hidden]).all()


def test_a_long_absence_is_not_bridged() -> None:
    frames = walk([lambda t: None if 1 <= t < 4 else (500, 700)], fps=10, seconds=6)
    choice = follow(frames)
    assert who(frames, choice)[:30] == [None] * 30  # the longer of the two sightings
    assert choice.subject.people == 2


def test_an_absence_with_two_candidates_is_not_bridged() -> None:
    """Two people vanish and appear where either could have come from."""
    paths: list[Callable[[float], Place | None]] = [
        lambda t: None if 1 <= t < 1.8 else (500, 700),
        lambda t: None if 1 <= t < 1.8 else (600, 700),
    ]
    frames = walk(paths, fps=30, seconds=3)
    found = who(frames, follow(frames, [SubjectHint(x=490, y=400, time_s=0)]))
    assert set(found[54:]) == {None}
    assert set(found[:30]) == {0}


def test_a_double_detection_is_one_person() -> None:
    tracker = Tracker()
    for index in range(30):
        whole = figure(500 + 5 * index, 700)
        upper = Pose(
            keypoints=whole.keypoints + 2,
            confidence=np.where(np.arange(17) < 13, 0.8, 0.1).astype(np.float32),
            box=whole.box * np.float32([1, 1, 1, 0.8]),
            score=0.5,
        )
        tracker.update(index / 30, [upper, whole] if index % 3 else [whole, upper])
    choice = tracker.choose()
    assert choice.subject.people == 1
    assert choice.picks.tolist() == [1 if index % 3 else 0 for index in range(30)]


def test_at_most_eight_are_followed() -> None:
    tracker = Tracker()
    for index in range(10):
        tracker.update(index / 30, [figure(300 * n, 700) for n in range(20)])
    assert tracker.choose().subject.people == MAX_PEOPLE


def test_equals_mean_low_confidence() -> None:
    frames = walk([lambda t: (300 + 100 * t, 700), lambda t: (1000 + 100 * t, 700)], fps=30, seconds=3)
    assert follow(frames).subject.confidence < 0.1


@pytest.mark.parametrize("second", [lambda t: (1300, 700) if t < 1 else None, lambda t: (1300, 700)])
def test_whoever_is_there_longest_and_moves_most_is_the_athlete(second: Callable[[float], Place | None]) -> None:
    frames = walk([lambda t: (200 + 300 * t, 700), second], fps=30, seconds=3)
    choice = follow(frames)
    assert set(who(frames, choice)) == {0}
    assert choice.subject.confidence > 0.3


def test_the_larger_is_the_athlete() -> None:
    tracker = Tracker()
    for index in range(60):
        tracker.update(index / 30, [figure(300 + index, 400, height=150), figure(900 + index, 900, height=500)])
    assert set(tracker.choose().picks.tolist()) == {1}


def test_points_win_and_may_name_several_pieces() -> None:
    paths: list[Callable[[float], Place | None]] = [
        lambda t: (200, 700) if t < 1 else ((900, 700) if t > 3.5 else None),  # too far apart to be joined
        lambda t: (1500 + 50 * t, 900),
    ]
    frames = walk(paths, fps=30, seconds=5)
    assert set(who(frames, follow(frames))) == {1}
    choice = follow(frames, [SubjectHint(x=200, y=500, time_s=0.5), SubjectHint(x=900, y=500, time_s=4)])
    found = who(frames, choice)
    assert set(found[:30]) == set(found[110:]) == {0}
    assert set(found[30:105]) == {None}
    assert (choice.subject.source, choice.subject.confidence) == ("caller", 1.0)


def test_the_nearest_point_in_time_decides_between_people() -> None:
    frames = walk([lambda t: (300, 700), lambda t: (900, 700)], fps=10, seconds=4)
    hints = [SubjectHint(x=300, y=500, time_s=1), SubjectHint(x=900, y=500, time_s=3)]
    found = who(frames, follow(frames, hints))
    assert found[:20] == [0] * 20
    assert found[21:] == [1] * 19


def test_a_point_in_two_boxes_is_less_sure() -> None:
    frames = walk([lambda t: (500, 700), lambda t: (590, 710)], fps=30, seconds=2)
    choice = follow(frames, [SubjectHint(x=540, y=500, time_s=1)])
    assert choice.subject.confidence == 0.5


@pytest.mark.parametrize(("x", "time_s"), [(1500.0, 1.0), (500.0, 3.0)])
def test_a_point_that_hits_nobody_is_named(x: float, time_s: float) -> None:
    frames = walk([lambda t: (500, 700)], fps=30, seconds=2)
    with pytest.raises(SubjectNotFound, match=f"{x:g},500 .* {time_s:g} s"):
        follow(frames, [SubjectHint(x=500, y=500, time_s=1), SubjectHint(x=x, y=500, time_s=time_s)])


def test_our_own_points_may_miss() -> None:
    frames = walk([lambda t: (500, 700), lambda t: (900 + 200 * t, 700)], fps=30, seconds=2)
    tracker = Tracker()
    for time, poses, _ in frames:
        tracker.update(time, poses)
    missed, hit = SubjectHint(x=1, y=1, time_s=1), SubjectHint(x=500, y=500, time_s=1)
    assert set(who(frames, tracker.choose([missed], source="automatic"))) == {1}
    choice = tracker.choose([missed, hit], source="automatic")
    assert set(who(frames, choice)) == {0}
    assert choice.subject.source == "automatic"


def test_the_subject_is_shown_where_it_is_seen_best() -> None:
    tracker = Tracker()
    for index in range(30):
        tracker.update(index / 30, [figure(500, 700, height=400 + (8 * index if index < 20 else 0))])
    subject = tracker.choose().subject
    assert subject.time_s == pytest.approx(19 / 30)
    assert subject.box[3] - subject.box[1] == pytest.approx(552 * 0.97, rel=0.01)


def test_nobody_is_no_person() -> None:
    tracker = Tracker()
    tracker.update(0.0, [])
    with pytest.raises(NoPerson):
        tracker.choose()
    with pytest.raises(NoPerson):
        tracker.choose([SubjectHint(x=1, y=1, time_s=0)])


@pytest.mark.parametrize("time_s", [0.0, -1.0, float("nan")])
def test_time_must_increase(time_s: float) -> None:
    tracker = Tracker()
    tracker.update(0.0, [])
    with pytest.raises(ValueError, match="does not follow"):
        tracker.update(time_s, [])


def test_clips_do_not_know_of_one_another() -> None:
    first, second = (walk([lambda t, x=x: (x + 100 * t, 700)], fps=30, seconds=2, seed=x) for x in (200, 900))
    together = Tracker(), Tracker()
    for one, other in zip(first, second, strict=True):
        together[0].update(one[0], one[1])
        together[1].update(other[0], other[1])
    for tracker, frames in zip(together, (first, second), strict=True):
        alone, mixed = follow(frames), tracker.choose()
        assert mixed.subject == alone.subject
        np.testing.assert_array_equal(mixed.keypoints, alone.keypoints)


# What yolo11n-pose sees in the sample clip, every frame, kept as a file: 230 frames, 375 people.
DETECTIONS = Path(__file__).parents[2] / "data" / "demo_detections.npz"


def demo(step: int) -> tuple[list[int], list[float], list[list[Pose]]]:
    with np.load(DETECTIONS) as file:
        times, frame, score = file["timestamps_s"], file["frame"], file["score"]
        keypoints, box = (file[name].astype(np.float32) / 8 for name in ("keypoints_x8", "box_x8"))
        confidence = file["confidence"].astype(np.float32)
    indices = list(range(0, len(times), step))
    poses = [
        [
            Pose(keypoints=keypoints[k], confidence=confidence[k], box=box[k], score=float(score[k]))
            for k in np.flatnonzero(frame == index)
        ]
        for index in indices
    ]
    return indices, times[indices].tolist(), poses


def demo_choice(step: int, *hints: SubjectHint) -> tuple[NDArray[np.int64], Choice]:
    indices, times, poses = demo(step)
    tracker = Tracker()
    for time, people in zip(times, poses, strict=True):
        tracker.update(time, people)
    return np.array(indices), tracker.choose(hints)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_the_walking_woman_is_the_athlete_of_the_sample_clip(step: int) -> None:
    indices, choice = demo_choice(step)
    seen = choice.picks >= 0
    walk_in, walk_out = 42, 195
    inside = (indices >= walk_in) & (indices <= walk_out)
    assert seen[inside].all()
    assert not seen[indices < 30].any()
    assert (choice.boxes[seen, 3] > 850).all()  # feet on the grass, never on the roof
    middle = (choice.boxes[inside, 0] + choice.boxes[inside, 2]) / 2
    assert np.diff(middle).max() < 15  # from right to left, box edges breathing
    assert choice.subject.people == 2
    assert 0.2 < choice.subject.confidence < 0.8


def test_slow_motion_changes_the_clips_time_and_nothing_else() -> None:
    _, times, poses = demo(3)  # ten real frames a second, as the quick pass takes them
    hint = SubjectHint(x=1000, y=700, time_s=3.8)
    life, slow = Tracker(), Tracker(slowmo_factor=8)
    for time, people in zip(times, poses, strict=True):
        life.update(time, people)
        slow.update(8 * time, people)
    for hints in ((), (hint,)):
        expected = life.choose(hints)
        got = slow.choose([replace(point, time_s=8 * point.time_s) for point in hints])
        assert np.array_equal(got.picks, expected.picks)
        assert np.count_nonzero(got.picks >= 0) > 50
        assert got.subject == replace(expected.subject, time_s=pytest.approx(8 * expected.subject.time_s))


@pytest.mark.parametrize("step", [1, 3])
def test_a_point_on_the_man_is_the_man(step: int) -> None:
    indices, choice = demo_choice(step, SubjectHint(x=600, y=250, time_s=1.0))
    seen = choice.picks >= 0
    assert seen[indices <= 135].all()
    on_roof = indices <= 135
    assert (choice.boxes[on_roof, 3] < 480).all()
    assert (choice.boxes[seen & ~on_roof, 0] > 700).all()  # somersault and landing are on the right of the shed
    assert choice.subject.source == "caller"
