"""Whoever is in a clip can be pointed at, and the point names that person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from inference.errors import NoPerson
from inference.lineup import line_up
from inference.poses import Pose
from inference.tracking import Tracker

Path = Callable[[float], tuple[float, float] | None]
FPS = 10.0


def person(x: float, y: float, height: float, phase: float) -> Pose:
    """A box with a grid of keypoints in it that swings a little."""
    grid = np.stack(np.meshgrid(np.linspace(-0.15, 0.15, 3), np.linspace(-0.9, 0, 6)), axis=-1).reshape(-1, 2)[:17]
    points = grid * height + (x, y)
    points[::2, 0] += 0.05 * height * np.sin(phase)
    return Pose(
        keypoints=points.astype(np.float32),
        confidence=np.full(17, 0.9, np.float32),
        box=np.array([x - 0.2 * height, y - height, x + 0.2 * height, y], np.float32),
        score=0.9,
    )


def frames(seconds: float, *people: tuple[Path, float], stretch: float = 1.0) -> list[tuple[int, float, list[Pose]]]:
    """(index, time, poses): every third frame of 30 a second; `stretch` is the slow motion."""
    out = []
    for step in range(round(seconds * FPS)):
        time_s = step / FPS
        poses = [person(*place, height, 5 * time_s) for path, height in people if (place := path(time_s)) is not None]
        out.append((3 * step, time_s * stretch, poses))
    return out


def across(y: float, speed: float = 300.0) -> Path:
    return lambda t: (200 + speed * t, y)


def test_the_larger_one_comes_first_and_each_point_names_its_own() -> None:
    seen = frames(3, (across(300), 150.0), (across(900), 400.0))
    lineup = line_up(seen, window_s=30)
    assert [one.number for one in lineup.people] == [1, 2]
    assert (lineup.chosen, lineup.people[0].prominence) == (1, 1.0)
    # Presence is seconds × size × range: both are alike but for the size, and the range against it.
    assert 0 < lineup.people[1].prominence < 0.6
    for one, place in zip(lineup.people, (1, 0), strict=True):
        tracker = Tracker()
        for _, time_s, poses in seen:
            tracker.update(time_s, poses)
        choice = tracker.choose((one.hint,))
        assert choice.picks.tolist() == [place] * len(seen)
        assert choice.subject.confidence == 1.0
        assert one.share == 1.0
        assert (one.first_s, one.last_s) == (0.0, 2.9)
        assert one.frame == round(one.hint.time_s * 30)
        assert set(one.boxes) == {1, 2}


def test_the_confidence_is_that_of_the_choice() -> None:
    seen = frames(3, (across(300), 300.0), (across(900), 300.0))
    tracker = Tracker()
    for _, time_s, poses in seen:
        tracker.update(time_s, poses)
    lineup = line_up(seen, window_s=30)
    assert lineup.confidence == tracker.choose().subject.confidence == pytest.approx(0.0, abs=0.01)
    assert lineup.people[1].prominence == pytest.approx(1.0, abs=0.01)


def test_the_point_lies_where_nobody_else_is() -> None:
    """The smaller stands before the larger until 2 s, where it would be seen best: it grows no more after that."""
    still: Path = lambda t: (500.0, 900.0)  # noqa: E731
    walker: Path = lambda t: (500.0 if t < 2 else 500.0 + 400 * (t - 2), 820.0)  # noqa: E731
    seen = frames(4, (still, 600.0), (walker, 160.0))
    lineup = line_up(seen, window_s=30)
    small = next(one for one in lineup.people if one.boxes[one.number][3] == 820.0)
    big = next(box for number, box in small.boxes.items() if number != small.number)
    assert not big[0] <= small.hint.x <= big[2]
    assert small.hint.time_s > 2


def test_the_choice_is_made_in_the_window_alone() -> None:
    """Who is there first is followed, though a larger one comes later; and the later one's point lies later."""
    first: Path = lambda t: (200 + 100 * t, 300.0) if t < 4 else None  # noqa: E731
    later: Path = lambda t: (900 - 100 * t, 900.0) if t > 5 else None  # noqa: E731
    lineup = line_up(frames(12, (first, 150.0), (later, 500.0)), window_s=4.0)
    assert [one.hint.time_s < 4 for one in lineup.people] == [False, True]
    assert lineup.chosen == 2
    assert [one.share for one in lineup.people] == [pytest.approx(69 / 120), pytest.approx(40 / 120)]


def test_the_point_lies_in_the_window_though_the_person_is_seen_better_later() -> None:
    grows = [
        (index, time_s, [person(300 + 100 * time_s, 900, 200 + 40 * time_s, 5 * time_s)])
        for index, time_s, _ in frames(8)
    ]
    (one,) = line_up(grows, window_s=4.0).people
    assert one.hint.time_s == 4.0
    (one,) = line_up(grows, window_s=30.0).people
    assert one.hint.time_s == 7.9


def test_slow_motion_gives_times_of_the_clip() -> None:
    lineup = line_up(frames(3, (across(300), 300.0), stretch=8.0), window_s=30, slowmo_factor=8.0)
    assert len(lineup.people) == 1
    assert lineup.people[0].last_s == pytest.approx(2.9 * 8)
    assert lineup.people[0].frame * 8 / 30 == pytest.approx(lineup.people[0].hint.time_s)


def test_nobody_is_nobody() -> None:
    with pytest.raises(NoPerson):
        line_up(frames(2, (lambda t: None, 300.0)), window_s=30)
    with pytest.raises(NoPerson):
        line_up([], window_s=30)
