"""The books of one clip: every frame of a group gets one result, or the clip raises."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inference.errors import FrameAccountingError, InferenceError, InferenceStopped
from inference.estimator import Kind, Prepared
from inference.lane import Group, Lane
from inference.poses import Pose
from inference.preprocess import Letterbox

PATIENCE_S = 30
SMALL, WIDE = Letterbox.fit(4, 4, long_side=32), Letterbox.fit(8, 4, long_side=64)


def prepared(letterbox: Letterbox = SMALL, *, fine: bool = True) -> Prepared:
    return Prepared(image=np.zeros((*letterbox.shape, 3), np.uint8), letterbox=letterbox, fine=fine)


def people(mark: float) -> list[Pose]:
    box = np.array([mark, 0, 0, 0], np.float32)
    return [Pose(keypoints=np.zeros((1, 2), np.float32), confidence=np.zeros(1, np.float32), box=box, score=1.0)]


def marks(group: Group) -> list[float]:
    return [float(seen[0].box[0]) for seen in group.result()]


@pytest.fixture
def lane() -> Lane:
    lock = threading.Lock()
    return Lane(lock, threading.Condition(lock), priority=0)


def test_results_stand_in_the_order_of_submission_whatever_order_they_come_in(lane: Lane) -> None:
    group = lane.submit([prepared(), prepared(WIDE), prepared(fine=False)])
    kinds: list[Kind] = [(32, 32, False), (32, 64, True), (32, 32, True)]
    with lane._lock:
        for kind in kinds:
            frame = lane.take(kind)
            assert frame.prepared.kind == kind
            lane.deliver(frame, people(frame.place))
    assert lane.waiting == {}
    assert marks(group) == [0, 1, 2]


def test_frames_of_a_kind_wait_in_the_order_of_submission(lane: Lane) -> None:
    groups = [lane.submit([prepared()] * 3), lane.submit([prepared(), prepared(WIDE)])]
    with lane._lock:
        taken = [lane.take((32, 32, True)) for _ in range(4)]
        assert list(lane.waiting) == [(32, 64, True)]
    assert [(groups.index(frame.group), frame.place) for frame in taken] == [(0, 0), (0, 1), (0, 2), (1, 0)]


def test_a_group_of_nothing_is_complete(lane: Lane) -> None:
    assert lane.submit([]).result() == []


def test_a_second_result_of_a_frame_fails_the_clip(lane: Lane) -> None:
    group = lane.submit([prepared(), prepared()])
    with lane._lock:
        frame = lane.take((32, 32, True))
        lane.deliver(frame, people(0))
        lane.deliver(frame, people(0))
    with pytest.raises(FrameAccountingError, match="frame 0 of a group got two results"):
        group.result()


def test_the_first_error_stays_and_nothing_waits_any_longer(lane: Lane) -> None:
    group = lane.submit([prepared()])
    with lane._lock:
        frame = lane.take((32, 32, True))
        lane.fail(InferenceError("first"))
        lane.fail(InferenceError("second"))
        lane.deliver(frame, people(0))
    later = lane.submit([prepared()])
    assert lane.waiting == {}
    for failed in (group, later):
        with pytest.raises(InferenceError, match="first"):
            failed.result()


def test_a_clip_is_hungry_from_when_it_waits_until_its_result_is_there(lane: Lane) -> None:
    group, other = lane.submit([prepared()]), lane.submit([prepared()])
    assert not lane.hungry
    with ThreadPoolExecutor(1) as pool:
        with lane._lock:
            waiting = pool.submit(other.result)
        with lane._work:
            assert lane._work.wait_for(lambda: lane.hungry, PATIENCE_S)
            lane.deliver(lane.take((32, 32, True)), people(0))
            assert group.complete
            assert lane.hungry
            lane.deliver(lane.take((32, 32, True)), people(0))
            assert not lane.hungry
        waiting.result(PATIENCE_S)


def test_failing_wakes_who_waits(lane: Lane) -> None:
    group = lane.submit([prepared()])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(group.result)
        with lane._work:
            assert lane._work.wait_for(lambda: lane.hungry, PATIENCE_S)
            lane.fail(InferenceStopped())
        with pytest.raises(InferenceStopped):
            waiting.result(PATIENCE_S)
