"""Many clips, one batch: order, fairness, back-pressure, and that one clip's trouble stays its own."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

from inference.batcher import FairBatcher
from inference.errors import FrameAccountingError, InferenceError, InferenceStopped, WeightsRejected
from inference.estimator import Prepared
from inference.lane import Lane, LaneAbandoned
from inference.poses import Pose
from inference.preprocess import Letterbox

SMALL = Letterbox.fit(4, 4, long_side=32)
WIDE = Letterbox.fit(8, 4, long_side=64)
PATIENCE_S = 30
"""Far longer than anything here takes; only a fault waits so long."""
NEVER_S = 10 * PATIENCE_S


def frame(clip: int, number: int, letterbox: Letterbox = SMALL) -> tuple[int, Prepared]:
    """A picture that carries its clip and number in its first pixels."""
    image = np.zeros((*letterbox.shape, 3), np.uint8)
    image[0, 0] = clip, number // 256, number % 256
    return number, Prepared(image=image, letterbox=letterbox)


def said(pose: Pose) -> tuple[int, int]:
    """(clip, number) that the stand-in read from the picture."""
    return int(pose.box[0]), int(pose.box[1])


class StandIn:
    """An estimator that reads who a picture is. It can be held up, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        self.shapes: list[set[tuple[int, int]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, batch: Sequence[Prepared]) -> list[list[Pose]]:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        people = [self._pose(picture.image) for picture in batch]
        self.batches.append([said(pose) for pose in people])
        self.shapes.append({picture.shape for picture in batch})
        return [[pose] for pose in people]

    @staticmethod
    def _pose(image: np.ndarray) -> Pose:
        clip, high, low = (int(value) for value in image[0, 0])
        box = np.array([clip, high * 256 + low, 0, 0], np.float32)
        return Pose(keypoints=np.zeros((1, 2), np.float32), confidence=np.zeros(1, np.float32), box=box, score=1.0)


@pytest.fixture
def infer() -> StandIn:
    return StandIn()


Make = Callable[..., FairBatcher]


@pytest.fixture
def make(infer: StandIn) -> Iterator[Make]:
    made: list[FairBatcher] = []

    def build(function: object = infer, **options: object) -> FairBatcher:
        made.append(FairBatcher(function, **options))  # type: ignore[arg-type]
        return made[-1]

    yield build
    infer.gate.set()
    for batcher in made:
        batcher.close()
    leftover = [thread.name for thread in threading.enumerate() if thread.name in {"batcher", "clip"}]
    assert leftover == []


def run(batcher: FairBatcher, clip: int, frames: int, **options: int) -> list[tuple[int, list[Pose]]]:
    return list(batcher.map(range(frames), lambda number: frame(clip, number), **options))


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


def test_results_come_back_in_order_each_with_its_key(make: Make) -> None:
    results = run(make(), clip=7, frames=100)
    assert [key for key, _ in results] == list(range(100))
    assert [said(people[0]) for _, people in results] == [(7, number) for number in range(100)]


def test_a_clip_without_frames_has_no_results(make: Make) -> None:
    assert run(make(), clip=1, frames=0) == []


def test_twenty_clips_at_once_get_what_each_gets_alone_and_share_batches(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=8)
    lengths = {clip: 20 + 7 * clip for clip in range(20)}
    with ThreadPoolExecutor(20) as pool:
        futures = {clip: pool.submit(run, batcher, clip, length) for clip, length in lengths.items()}
        together = {clip: future.result(PATIENCE_S) for clip, future in futures.items()}
    for clip, results in together.items():
        assert [key for key, _ in results] == list(range(lengths[clip]))
        assert [said(people[0]) for _, people in results] == [(clip, number) for number in range(lengths[clip])]
    stats = batcher.stats()
    assert stats.frames == sum(lengths.values()) == sum(map(len, infer.batches))
    assert stats.batches == len(infer.batches)
    assert stats.mixed == sum(len({clip for clip, _ in batch}) > 1 for batch in infer.batches) > 0
    assert stats.fill == pytest.approx(stats.frames / stats.batches / 8)
    assert (stats.lanes, stats.waiting, stats.failed) == (0, 0, 0)
    assert max(map(len, infer.batches)) <= 8


def test_a_long_clip_does_not_starve_a_short_one(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=4, lane_capacity=8)
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(run, batcher, 1, 1000)
        eventually(lambda: len(infer.batches) > 2)
        infer.gate.clear()
        short = pool.submit(run, batcher, 2, 10)
        eventually(lambda: batcher.stats().waiting >= 12)
        infer.gate.set()
        short.result(PATIENCE_S)
        long.result(PATIENCE_S)
    with_short = [i for i, batch in enumerate(infer.batches) if any(clip == 2 for clip, _ in batch)]
    # Half of each batch is the short clip's as long as both wait; a frame is late now and then.
    assert with_short[-1] - with_short[0] < 40
    assert len(infer.batches) > 200


def test_an_urgent_clip_goes_first(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=4, max_wait_s=NEVER_S, lane_capacity=8)
    infer.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        bulk = pool.submit(run, batcher, 1, 16)
        assert infer.entered.wait(PATIENCE_S)
        eventually(lambda: batcher.stats().waiting == 4)
        urgent = pool.submit(lambda: run(batcher, 2, 8, priority=1))
        eventually(lambda: batcher.stats().waiting == 12)
        infer.gate.set()
        bulk.result(PATIENCE_S)
        urgent.result(PATIENCE_S)
    assert [clip for batch in infer.batches[1:3] for clip, _ in batch] == [2] * 8


def test_only_pictures_of_one_shape_share_a_batch(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=4)
    mixed = list(batcher.map(range(40), lambda n: frame(1, n, WIDE if n % 3 else SMALL)))
    assert [key for key, _ in mixed] == list(range(40))
    assert all(len(shapes) == 1 for shapes in infer.shapes)


def test_a_batch_that_stays_small_goes_after_a_while(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=64, max_wait_s=0.01, lane_capacity=64)
    go_on = threading.Event()

    def frames() -> Iterator[int]:
        yield 0
        assert go_on.wait(PATIENCE_S)
        yield 1

    results = batcher.map(frames(), lambda number: frame(1, number))
    assert next(results)[0] == 0
    go_on.set()
    assert [key for key, _ in results] == [1]
    assert infer.batches == [[(1, 0)], [(1, 1)]]


def test_nothing_is_waited_for_when_nothing_can_come(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=64, max_wait_s=NEVER_S, lane_capacity=3)
    started = time.monotonic()
    run(batcher, clip=1, frames=7)
    assert time.monotonic() - started < PATIENCE_S
    assert max(map(len, infer.batches)) <= 3


def test_a_full_lane_holds_its_producer_back(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=2, lane_capacity=5)
    drawn: list[int] = []

    def frames() -> Iterator[int]:
        for number in range(50):
            drawn.append(number)
            yield number

    with closing(batcher.map(frames(), lambda number: frame(1, number))) as results:
        next(results)
        eventually(lambda: len(drawn) >= 7)
        time.sleep(0.05)
        # One was taken, five are on their way, one waits to be put.
        assert len(drawn) == 7
        assert [key for key, _ in results] == list(range(1, 50))


def test_source_frames_are_let_go_once_they_are_prepared(make: Make, infer: StandIn) -> None:
    class Source:
        """A decoded picture whose life can be watched."""

    alive: weakref.WeakSet[Source] = weakref.WeakSet()
    most = 0

    def sources() -> Iterable[Source]:
        nonlocal most
        for _ in range(30):
            source = Source()
            alive.add(source)
            most = max(most, len(alive))
            yield source

    count = sum(1 for _ in make(lane_capacity=16).map(sources(), lambda _: frame(1, 0)))
    gc.collect()
    assert count == 30
    assert most <= 2
    assert len(alive) == 0


def test_a_producers_error_comes_after_the_results_before_it(make: Make) -> None:
    def frames() -> Iterator[int]:
        yield from range(5)
        raise WeightsRejected("the sixth is broken")

    keys = []
    with pytest.raises(WeightsRejected, match="the sixth is broken"):  # noqa: PT012  # how far it got is the point
        for key, _ in make().map(frames(), lambda number: frame(1, number)):
            keys.append(key)
    assert keys == [0, 1, 2, 3, 4]


def test_an_error_while_preparing_is_the_clips_own(make: Make) -> None:
    batcher = make()

    def prepare(number: int) -> tuple[int, Prepared]:
        if number == 3:
            raise ValueError("odd picture")
        return frame(1, number)

    with pytest.raises(ValueError, match="odd picture"):
        list(batcher.map(range(9), prepare))
    assert len(run(batcher, clip=2, frames=9)) == 9


def test_a_failed_inference_fails_the_clips_in_that_batch_and_no_others(make: Make, infer: StandIn) -> None:
    def fragile(batch: Sequence[Prepared]) -> list[list[Pose]]:
        people = infer(batch)
        if any(said(pose)[0] == 13 for (pose,) in people):
            raise RuntimeError("out of memory")
        return people

    batcher = make(fragile, max_batch=1)
    with ThreadPoolExecutor(2) as pool:
        bad, good = pool.submit(run, batcher, 13, 200), pool.submit(run, batcher, 2, 200)
        with pytest.raises(InferenceError, match="out of memory") as caught:
            bad.result(PATIENCE_S)
        assert len(good.result(PATIENCE_S)) == 200
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert batcher.stats().failed == 1
    assert len(run(batcher, clip=3, frames=20)) == 20


def test_clips_that_fail_together_each_raise_an_error_of_their_own(make: Make, infer: StandIn) -> None:
    def broken(batch: Sequence[Prepared]) -> list[list[Pose]]:
        infer(batch)
        raise WeightsRejected("gone")

    batcher = make(broken, max_batch=2, max_wait_s=NEVER_S)
    both = threading.Barrier(2)

    def clip(clip: int) -> None:
        def prepare(number: int) -> tuple[int, Prepared]:
            both.wait(PATIENCE_S)
            return frame(clip, number)

        list(batcher.map([0], prepare))

    with ThreadPoolExecutor(2) as pool:
        errors = [future.exception(PATIENCE_S) for future in [pool.submit(clip, 1), pool.submit(clip, 2)]]
    assert batcher.stats().mixed == 1
    assert [str(error) for error in errors] == ["gone", "gone"]
    assert all(isinstance(error, WeightsRejected) for error in errors)
    assert errors[0] is not errors[1]


def test_a_result_too_few_is_an_error_and_not_a_hang(make: Make, infer: StandIn) -> None:
    with pytest.raises(FrameAccountingError, match="results came out"):
        run(make(lambda batch: infer(batch)[1:]), clip=1, frames=9)


def test_a_consumer_that_leaves_stops_its_producer_and_nobody_else(make: Make) -> None:
    batcher = make(max_batch=2, lane_capacity=2)
    ended = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run, batcher, 2, 300)
        with closing(batcher.map(endless(), lambda number: frame(1, number))) as results:
            assert len(list(islice(results, 5))) == 5
        assert ended.is_set()
        assert len(other.result(PATIENCE_S)) == 300


def test_a_generator_that_was_never_started_leaves_nothing_behind(make: Make) -> None:
    batcher = make()
    batcher.map(range(3), lambda number: frame(1, number)).close()
    assert batcher.stats().lanes == 0


def test_closing_wakes_everybody(make: Make, infer: StandIn) -> None:
    batcher = make(max_batch=2, max_wait_s=NEVER_S, lane_capacity=2)
    infer.gate.clear()
    with ThreadPoolExecutor(5) as pool:
        futures = [pool.submit(run, batcher, clip, 50) for clip in range(4)]
        eventually(lambda: batcher.stats().waiting == 6)
        closing_one = pool.submit(batcher.close)
        for future in futures:
            with pytest.raises(InferenceStopped):
                future.result(PATIENCE_S)
        infer.gate.set()
        closing_one.result(PATIENCE_S)
    batcher.close()
    with pytest.raises(InferenceStopped):
        run(batcher, clip=1, frames=1)


@pytest.mark.parametrize("options", [{"max_batch": 0}, {"lane_capacity": 0}, {"max_wait_s": -1}])
def test_senseless_limits_are_refused(options: dict[str, int], make: Make) -> None:
    with pytest.raises(ValueError, match="max_batch"):
        make(**options)


class TestLane:
    """The books of one clip."""

    @pytest.fixture
    def lane(self) -> Lane:
        lock = threading.Lock()
        lane = Lane(lock, threading.Condition(lock), capacity=9, priority=0)
        for number in range(3):
            lane.put(number, frame(1, number)[1])
        return lane

    @pytest.mark.parametrize("order", [(1,), (0, 0), (0, 2), (0, 1, 2, 3)], ids=["early", "twice", "gap", "too many"])
    def test_a_result_out_of_turn_fails_the_clip(self, lane: Lane, order: tuple[int, ...]) -> None:
        with lane._lock:
            for number in order:
                lane.deliver(number, [])
        with pytest.raises(FrameAccountingError, match=f"frame {order[-1]} came"):
            list(lane.results())

    def test_the_first_error_stays(self, lane: Lane) -> None:
        with lane._lock:
            lane.fail(InferenceError("first"))
            lane.fail(InferenceError("second"))
            lane.deliver(0, [])
        with pytest.raises(InferenceError, match="first"):
            list(lane.results())
        with pytest.raises(LaneAbandoned):
            lane.put(3, frame(1, 3)[1])
