"""Many clips, one batch: order, fairness, priority, every frame accounted for, and that one clip's trouble stays its
own.
"""

from __future__ import annotations

import gc
import random
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import NoReturn

import numpy as np
import pytest

from inference.batcher import PATIENCE, FairBatcher
from inference.errors import FrameAccountingError, InferenceError, InferenceStopped, RuntimeBroken, WeightsRejected
from inference.estimator import Kind, Prepared
from inference.lane import Group, Lane
from inference.poses import Pose
from inference.preprocess import Letterbox

SMALL = Letterbox.fit(4, 4, long_side=32)
WIDE = Letterbox.fit(8, 4, long_side=64)
PATIENCE_S = 30
"""Far longer than anything here takes; only a fault waits so long."""
NEVER_S = 10 * PATIENCE_S


def frame(clip: int, number: int, letterbox: Letterbox = SMALL, *, fine: bool = True) -> Prepared:
    """A picture that carries its clip and number in its first pixels."""
    image = np.zeros((*letterbox.shape, 3), np.uint8)
    image[0, 0] = clip, number // 256, number % 256
    return Prepared(image=image, letterbox=letterbox, fine=fine)


def frames(clip: int, numbers: Sequence[int]) -> list[Prepared]:
    return [frame(clip, number) for number in numbers]


def said(people: list[Pose]) -> tuple[int, int]:
    """(clip, number) that the stand-in read from the picture."""
    (pose,) = people
    return int(pose.box[0]), int(pose.box[1])


class StandIn:
    """An estimator that reads who a picture is. It can be held up, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        self.kinds: list[set[Kind]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = 0
        self._lock = threading.Lock()

    def __call__(self, batch: Sequence[Prepared]) -> list[list[Pose]]:
        people = [[self._pose(picture.image)] for picture in batch]
        with self._lock:
            self.inside += 1
            self.batches.append([said(seen) for seen in people])
            self.kinds.append({picture.kind for picture in batch})
        assert self.gate.wait(PATIENCE_S)
        with self._lock:
            self.inside -= 1
        return people

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

    def build(function: object = infer, *, most: int = 4, **options: object) -> FairBatcher:
        made.append(FairBatcher(function, max_batch=lambda kind: most, **options))  # type: ignore[arg-type]
        return made[-1]

    yield build
    infer.gate.set()
    for batcher in made:
        batcher.close()
    assert [thread.name for thread in threading.enumerate() if thread.name == "batcher"] == []


def run(batcher: FairBatcher, clip: int, count: int, *, priority: int = 0, group: int = 8) -> list[tuple[int, int]]:
    """What a clip of so many frames is told, as `SpanReader` goes about it: a group is begun before one is finished."""
    told: list[tuple[int, int]] = []
    begun: deque[Group] = deque()
    with batcher.lane(priority=priority) as lane:
        for first in range(0, count, group):
            begun.append(lane.submit(frames(clip, range(first, min(first + group, count)))))
            if len(begun) > 1:
                told += map(said, begun.popleft().result())
        for group_left in begun:
            told += map(said, group_left.result())
    return told


def all_of(clip: int, count: int) -> list[tuple[int, int]]:
    return [(clip, number) for number in range(count)]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


def hungry(batcher: FairBatcher, count: int) -> None:
    """Return once so many clips wait for results."""

    def look() -> bool:
        with batcher._lock:
            return sum(lane.hungry for lane in batcher._lanes) == count

    eventually(look)


def sizes(infer: StandIn) -> list[int]:
    return [len(batch) for batch in infer.batches]


class TestOneClip:
    def test_results_come_back_in_order_each_for_its_frame(self, make: Make) -> None:
        assert run(make(), clip=7, count=1000) == all_of(7, 1000)

    def test_a_clip_without_frames_has_no_results(self, make: Make) -> None:
        assert run(make(), clip=1, count=0) == []

    def test_groups_may_be_asked_for_in_any_order_and_twice(self, make: Make) -> None:
        with make().lane() as lane:
            groups = [lane.submit(frames(1, range(5 * k, 5 * k + 5))) for k in range(4)]
            told = {k: list(map(said, groups[k].result())) for k in (2, 0, 3, 1, 2)}
        assert told == {k: [(1, number) for number in range(5 * k, 5 * k + 5)] for k in range(4)}

    def test_only_pictures_of_one_kind_share_a_batch(self, make: Make, infer: StandIn) -> None:
        pictures = [frame(1, n, WIDE if n % 3 else SMALL, fine=n % 2 == 0) for n in range(60)]
        batcher = make()
        with batcher.lane() as lane:
            assert list(map(said, lane.submit(pictures).result())) == all_of(1, 60)
        assert all(len(kinds) == 1 for kinds in infer.kinds)
        assert {kind for kinds in infer.kinds for kind in kinds} == {p.kind for p in pictures}
        expected = Counter((size, *kind) for size, (kind,) in zip(sizes(infer), infer.kinds, strict=True))
        assert batcher.stats().shapes == expected

    def test_each_kind_has_a_full_batch_of_its_own(self, make: Make, infer: StandIn) -> None:
        batcher = FairBatcher(infer, max_batch=lambda kind: 8 if kind[1] == 32 else 2)
        with batcher.lane() as lane:
            lane.submit([frame(1, n, WIDE if n < 16 else SMALL) for n in range(32)]).result()
        batcher.close()
        assert {kind[1]: size for size, (kind,) in zip(sizes(infer), infer.kinds, strict=True)} == {64: 2, 32: 8}
        assert batcher.stats().fill == 1

    def test_batches_hold_powers_of_two(self, make: Make, infer: StandIn) -> None:
        with make(most=64, max_wait_s=NEVER_S).lane() as lane:
            lane.submit(frames(1, range(27))).result()
        assert sizes(infer) == [16, 8, 2, 1]

    def test_a_small_rest_goes_at_once_when_nothing_can_come(self, make: Make, infer: StandIn) -> None:
        batcher = make(most=64, max_wait_s=NEVER_S)
        started = time.monotonic()
        assert run(batcher, clip=1, count=7, group=3) == all_of(1, 7)
        assert time.monotonic() - started < PATIENCE_S

    def test_a_batch_that_stays_small_goes_after_a_while(self, make: Make, infer: StandIn) -> None:
        with make(most=64, max_wait_s=0.01).lane() as lane:
            group = lane.submit(frames(1, range(2)))
            eventually(lambda: group.complete)  # nobody asked for the result
        assert infer.batches == [[(1, 0), (1, 1)]]

    def test_a_full_batch_waits_for_nobody(self, make: Make, infer: StandIn) -> None:
        with make(most=4, max_wait_s=NEVER_S).lane() as lane:
            group = lane.submit(frames(1, range(8)))
            eventually(lambda: group.complete)
        assert sizes(infer) == [4, 4]

    def test_several_threads_work_at_once(self, make: Make, infer: StandIn) -> None:
        infer.gate.clear()
        with make(most=2, servers=3).lane() as lane:
            group = lane.submit(frames(1, range(20)))
            eventually(lambda: infer.inside == 3)
            assert lane._lock.acquire(timeout=PATIENCE_S), "inference holds no lock"
            lane._lock.release()
            infer.gate.set()
            assert list(map(said, group.result())) == all_of(1, 20)

    def test_pictures_are_let_go_once_they_are_inferred(self, make: Make) -> None:
        alive: weakref.WeakSet[Prepared] = weakref.WeakSet()

        class Watched(Prepared):
            """A prepared picture whose life can be watched."""

            __slots__ = ("__weakref__",)

        def watched(number: int) -> Prepared:
            plain = frame(1, number)
            made = Watched(image=plain.image, letterbox=plain.letterbox)
            alive.add(made)
            return made

        with make(servers=2).lane() as lane:
            group = lane.submit([watched(number) for number in range(30)])
            group.result()
            gc.collect()
            eventually(lambda: len(alive) == 0)


class TestManyClips:
    @pytest.mark.parametrize("servers", [1, 3])
    def test_twenty_at_once_get_what_each_gets_alone_and_share_batches(
        self, make: Make, infer: StandIn, servers: int
    ) -> None:
        batcher = make(most=8, servers=servers)
        lengths = {clip: 20 + 7 * clip for clip in range(20)}
        with ThreadPoolExecutor(20) as pool:
            futures = {clip: pool.submit(run, batcher, clip, length) for clip, length in lengths.items()}
            together = {clip: future.result(PATIENCE_S) for clip, future in futures.items()}
        assert together == {clip: all_of(clip, length) for clip, length in lengths.items()}
        stats = batcher.stats()
        assert stats.frames == sum(lengths.values()) == sum(sizes(infer))
        assert stats.batches == len(infer.batches) == sum(stats.shapes.values())
        assert stats.mixed == sum(len({clip for clip, _ in batch}) > 1 for batch in infer.batches) > 0
        assert stats.fill == pytest.approx(stats.frames / stats.batches / 8)
        assert (stats.lanes, stats.waiting, stats.failed) == (0, 0, 0)
        assert max(sizes(infer)) <= 8

    def test_no_frame_of_mixed_batches_is_lost_or_inferred_twice(self, make: Make, infer: StandIn) -> None:
        """Clips of every length, kind and priority come, leave early and go on, on several threads."""
        batcher = make(most=8, servers=4, max_wait_s=0.001)
        told: dict[int, list[tuple[int, int]]] = {}
        submitted: dict[int, int] = {}

        def clip(number: int) -> None:
            chance = random.Random(number)
            leaves = number % 5 == 0
            told[number], submitted[number] = [], 0
            begun: deque[Group] = deque()
            with batcher.lane(priority=number % 3) as lane:
                for _ in range(chance.randrange(3, 30)):
                    span = range(submitted[number], submitted[number] + chance.randrange(0, 17))
                    boxes = [chance.choice([SMALL, WIDE]) for _ in span]
                    begun.append(
                        lane.submit(
                            [frame(number, n, box, fine=n % 2 == 0) for n, box in zip(span, boxes, strict=True)]
                        )
                    )
                    submitted[number] = span.stop
                    if len(begun) > 2:
                        told[number] += map(said, begun.popleft().result())
                if not leaves:
                    for group in begun:
                        told[number] += map(said, group.result())

        with ThreadPoolExecutor(24) as pool:
            for future in [pool.submit(clip, number) for number in range(60)]:
                future.result(PATIENCE_S)
        assert any(len({clip for clip, _ in batch}) > 2 for batch in infer.batches)
        inferred = Counter(each for batch in infer.batches for each in batch)
        assert set(inferred.values()) == {1}, "inferred twice"
        for number, results in told.items():
            expected = all_of(number, submitted[number])
            assert results == (expected[: len(results)] if number % 5 == 0 else expected)
            assert set(results) <= set(inferred)
        stats = batcher.stats()
        assert stats.frames == inferred.total()
        assert (stats.lanes, stats.waiting, stats.failed) == (0, 0, 0)

    def test_a_long_clip_does_not_starve_a_short_one(self, make: Make, infer: StandIn) -> None:
        batcher = make(most=4)
        infer.gate.clear()
        with ThreadPoolExecutor(2) as pool:
            long = pool.submit(run, batcher, 1, 4000, group=2000)
            eventually(lambda: infer.inside == 1)
            short = pool.submit(run, batcher, 2, 10)
            eventually(lambda: batcher.stats().waiting >= 2000)
            infer.gate.set()
            assert short.result(PATIENCE_S) == all_of(2, 10)
            assert long.result(PATIENCE_S) == all_of(1, 4000)
        with_short = [i for i, batch in enumerate(infer.batches) if any(clip == 2 for clip, _ in batch)]
        # Half of each batch is the short clip's as long as both wait; its second group is late now and then.
        assert with_short[-1] < 200
        assert len(infer.batches) > 900

    def test_clips_take_turns_frame_by_frame(self, make: Make, infer: StandIn) -> None:
        batcher = make(most=4, max_wait_s=NEVER_S)
        infer.gate.clear()
        with batcher.lane() as first, batcher.lane() as second, batcher.lane() as third:
            groups = [first.submit(frames(1, range(10)))]
            eventually(lambda: infer.inside == 1)
            groups += [second.submit(frames(2, range(6))), third.submit(frames(3, range(4)))]
            infer.gate.set()
            eventually(lambda: all(group.complete for group in groups))
        assert [clip for clip, _ in infer.batches[0]] == [1] * 4
        after = [clip for batch in infer.batches[1:] for clip, _ in batch]
        assert after == [2, 3, 1] * 4 + [2, 1, 2, 1]

    def test_nobody_waits_when_all_are_hungry(self, make: Make, infer: StandIn) -> None:
        """A lone clip's tail, or that of several: nothing could fill the batch up."""
        batcher = make(most=64, max_wait_s=NEVER_S)
        infer.gate.clear()
        with ThreadPoolExecutor(3) as pool, batcher.lane() as busy:
            asked = [pool.submit(run, batcher, clip, 3) for clip in (1, 2)]
            hungry(batcher, 2)
            time.sleep(0.02)
            assert infer.batches == [], "somebody may still come"
            last = busy.submit(frames(3, range(2)))
            waits = pool.submit(last.result)
            hungry(batcher, 3)
            infer.gate.set()
            waits.result(PATIENCE_S)
            assert [future.result(PATIENCE_S) for future in asked] == [all_of(1, 3), all_of(2, 3)]
        assert sizes(infer) == [8]
        assert len({clip for clip, _ in infer.batches[0]}) == 3

    def test_who_leaves_is_waited_for_no_longer(self, make: Make) -> None:
        batcher = make(most=64, max_wait_s=NEVER_S)
        with ThreadPoolExecutor(1) as pool:
            with batcher.lane():
                asked = pool.submit(run, batcher, 1, 3)
                hungry(batcher, 1)
            assert asked.result(PATIENCE_S) == all_of(1, 3)


class TestPriority:
    def _arrival(self, make: Make, infer: StandIn, *, servers: int, kinds: tuple[Letterbox, Letterbox]) -> list[int]:
        """Urgent frames come while bulk work is in progress on every thread and more of it waits: who goes when."""
        batcher = make(most=4, servers=servers, max_wait_s=NEVER_S)
        infer.gate.clear()
        with batcher.lane(priority=3) as bulk, batcher.lane(priority=5) as urgent:
            groups = [bulk.submit([frame(1, n, kinds[0]) for n in range(24)])]
            eventually(lambda: infer.inside == servers)
            groups.append(urgent.submit([frame(2, n, kinds[1]) for n in range(8)]))
            infer.gate.set()
            eventually(lambda: all(group.complete for group in groups))
        return [clip for batch in infer.batches for clip, _ in batch]

    @pytest.mark.parametrize("servers", [1, 2])
    @pytest.mark.parametrize("kinds", [(SMALL, SMALL), (SMALL, WIDE)], ids=["one kind", "two kinds"])
    def test_bulk_work_delays_an_urgent_frame_by_the_batch_in_progress_and_no_more(
        self, make: Make, infer: StandIn, servers: int, kinds: tuple[Letterbox, Letterbox]
    ) -> None:
        in_progress = 4 * servers
        order = self._arrival(make, infer, servers=servers, kinds=kinds)
        assert order == [1] * in_progress + [2] * 8 + [1] * (24 - in_progress)

    def test_an_urgent_batch_goes_before_a_full_one_even_when_it_is_small(self, make: Make, infer: StandIn) -> None:
        batcher = make(most=4, max_wait_s=NEVER_S)
        infer.gate.clear()
        with batcher.lane() as bulk, batcher.lane(priority=1) as urgent:
            groups = [bulk.submit(frames(1, range(12)))]
            eventually(lambda: infer.inside == 1)
            groups.append(urgent.submit([frame(2, 0, WIDE)]))
            infer.gate.set()
            eventually(lambda: all(group.complete for group in groups))
        assert [batch[0][0] for batch in infer.batches] == [1, 2, 1, 1]

    def test_an_urgent_clip_that_waits_is_not_kept_waiting_for_bulk_frames_to_fill_its_batch(self, make: Make) -> None:
        batcher = make(most=64, max_wait_s=NEVER_S)
        with batcher.lane():
            assert run(batcher, 2, 5, priority=1) == all_of(2, 5)

    def test_room_that_urgent_frames_leave_is_used(self, make: Make, infer: StandIn) -> None:
        batcher = make(most=4, max_wait_s=NEVER_S)
        infer.gate.clear()
        with batcher.lane() as bulk, batcher.lane(priority=1) as urgent:
            groups = [bulk.submit(frames(1, range(8)))]
            eventually(lambda: infer.inside == 1)
            groups.append(urgent.submit(frames(2, range(2))))
            infer.gate.set()
            eventually(lambda: groups[1].complete)
        assert infer.batches[1] == [(2, 0), (2, 1), (1, 4), (1, 5)]

    def test_bulk_work_comes_on_all_the_same(self, make: Make, infer: StandIn) -> None:
        """Urgent frames without end: one batch in so many is for who waits longest."""
        batcher = make(most=4, max_wait_s=0.0)
        infer.gate.clear()
        with batcher.lane() as bulk, batcher.lane(priority=1) as urgent:
            ends_never = urgent.submit([frame(2, n, WIDE) for n in range(40 * 4 * PATIENCE)])
            eventually(lambda: infer.inside == 1)
            group = bulk.submit(frames(1, range(12)))
            infer.gate.set()
            group.result()
            assert not ends_never.complete
        turns = [number for number, batch in enumerate(infer.batches) if batch[0][0] == 1]
        assert len(turns) == 3
        assert [later - earlier for earlier, later in pairwise([0, *turns])] == [PATIENCE + 1] * 3

    def test_one_batch_in_so_many_is_all_that_bulk_work_of_several_kinds_takes(
        self, make: Make, infer: StandIn
    ) -> None:
        batcher = make(most=4, max_wait_s=0.0)
        infer.gate.clear()
        many = 20 * 4 * PATIENCE
        with batcher.lane() as small, batcher.lane() as wide, batcher.lane(priority=1) as urgent:
            urgent.submit([frame(3, n, (SMALL, WIDE)[n % 2]) for n in range(many)])
            eventually(lambda: infer.inside == 1)
            small.submit([frame(1, n, SMALL) for n in range(many)])
            wide.submit([frame(2, n, WIDE) for n in range(many)])
            infer.gate.set()
            eventually(lambda: len(infer.batches) >= 6 * (PATIENCE + 1))
            batches = infer.batches[: 6 * (PATIENCE + 1)]
        assert sum(any(clip != 3 for clip, _ in batch) for batch in batches) in {5, 6}


class TestTrouble:
    def test_a_failed_inference_fails_the_clips_in_that_batch_and_no_others(self, make: Make, infer: StandIn) -> None:
        def fragile(batch: Sequence[Prepared]) -> list[list[Pose]]:
            people = infer(batch)
            if any(said(seen)[0] == 13 for seen in people):
                raise RuntimeError("the device is gone")
            return people

        batcher = make(fragile, most=1)
        with ThreadPoolExecutor(2) as pool:
            bad, good = pool.submit(run, batcher, 13, 200), pool.submit(run, batcher, 2, 200)
            with pytest.raises(InferenceError, match="the device is gone") as caught:
                bad.result(PATIENCE_S)
            assert good.result(PATIENCE_S) == all_of(2, 200)
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert batcher.stats().failed == 1
        assert run(batcher, clip=3, count=20) == all_of(3, 20)

    def test_clips_that_fail_together_each_raise_an_error_of_their_own(self, make: Make) -> None:
        def broken(batch: Sequence[Prepared]) -> NoReturn:
            raise WeightsRejected("gone")

        batcher = make(broken, most=2, max_wait_s=NEVER_S)
        with ThreadPoolExecutor(2) as pool, batcher.lane() as last:
            asked = [pool.submit(run, batcher, clip, 1) for clip in (1, 2)]
            errors = [future.exception(PATIENCE_S) for future in asked]
            assert last.submit([]).result() == []
        assert batcher.stats().mixed == 1
        assert [str(error) for error in errors] == ["gone", "gone"]
        assert all(isinstance(error, WeightsRejected) for error in errors)
        assert errors[0] is not errors[1]

    def test_a_strangers_error_becomes_one_with_a_code(self, make: Make) -> None:
        def broken(batch: Sequence[Prepared]) -> NoReturn:
            raise KeyError("layer 7")

        with pytest.raises(InferenceError, match="layer 7") as caught:
            run(make(broken), clip=1, count=1)
        assert caught.value.code == "inference_failed"
        assert isinstance(caught.value.__cause__, KeyError)

    @pytest.mark.parametrize("change", [lambda people: people[1:], lambda people: people + people[:1]])
    def test_a_result_too_few_or_too_many_is_an_error_and_not_a_hang(
        self, make: Make, infer: StandIn, change: Callable[[list[list[Pose]]], list[list[Pose]]]
    ) -> None:
        with pytest.raises(FrameAccountingError, match="results came out"):
            run(make(lambda batch: change(infer(batch))), clip=1, count=9)

    def test_a_clip_that_leaves_takes_its_frames_along_and_nobody_else(self, make: Make, infer: StandIn) -> None:
        batcher = make(most=2)
        infer.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            with batcher.lane() as lane:
                lane.submit(frames(1, range(50)))
                eventually(lambda: infer.inside == 1)
                other = pool.submit(run, batcher, 2, 300)
                eventually(lambda: batcher.stats().waiting > 48)
            assert batcher.stats().waiting <= 16, "the other's alone"
            infer.gate.set()
            assert other.result(PATIENCE_S) == all_of(2, 300)
        assert sum(clip == 1 for batch in infer.batches for clip, _ in batch) == 2
        with pytest.raises(InferenceStopped):
            lane.submit(frames(1, range(2))).result()

    def test_closing_wakes_everybody(self, make: Make, infer: StandIn) -> None:
        batcher = make(most=2, max_wait_s=NEVER_S, servers=2)
        infer.gate.clear()
        with ThreadPoolExecutor(5) as pool:
            asked = [pool.submit(run, batcher, clip, 50) for clip in range(4)]
            hungry(batcher, 4)
            closing_one = pool.submit(batcher.close)
            for future in asked:
                with pytest.raises(InferenceStopped):
                    future.result(PATIENCE_S)
            infer.gate.set()
            closing_one.result(PATIENCE_S)
        batcher.close()
        with pytest.raises(InferenceStopped):
            run(batcher, clip=1, count=1)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_nobody_waits_for_a_thread_that_died(self, make: Make) -> None:
        def dies(batch: Sequence[Prepared]) -> NoReturn:
            raise SystemExit

        told: list[RuntimeBroken] = []
        batcher = make(dies, servers=2, on_broken=told.append)
        for _ in range(2):
            with pytest.raises(RuntimeBroken, match="has died: SystemExit"):
                run(batcher, clip=1, count=9)
        batcher.close()
        assert len(told) == 1

    def test_a_broken_runtime_fails_every_clip_and_is_asked_nothing_more(self, make: Make, infer: StandIn) -> None:
        """What it says next might be wrong: also the clips that are not in the batch, and those that come later."""
        told: list[tuple[str, bool]] = []

        def breaks(batch: Sequence[Prepared]) -> list[list[Pose]]:
            people = infer(batch)
            if any(said(seen)[0] == 13 for seen in people):
                raise RuntimeBroken("deaf")
            return people

        def told_first(error: RuntimeBroken) -> None:
            time.sleep(0.05)
            told.append((error.message, any(future.done() for future in asked)))

        asked: list[Future[list[tuple[int, int]]]] = []
        batcher = make(breaks, most=1, on_broken=told_first)
        infer.gate.clear()
        with ThreadPoolExecutor(3) as pool:
            asked += [pool.submit(run, batcher, clip, 50) for clip in (13, 2, 3)]
            hungry(batcher, 3)
            infer.gate.set()
            errors = [future.exception(PATIENCE_S) for future in asked]
        assert [str(error) for error in errors] == ["deaf"] * 3
        assert all(isinstance(error, RuntimeBroken) and error.transient for error in errors)
        assert len({id(error) for error in errors}) == 3
        assert told == [("deaf", False)]
        eventually(lambda: not any(thread.name == "batcher" for thread in threading.enumerate()))
        batches = len(infer.batches)
        with pytest.raises(RuntimeBroken, match="deaf"):
            run(batcher, clip=4, count=1)
        batcher.close()
        with pytest.raises(RuntimeBroken, match="deaf"):
            run(batcher, clip=4, count=1)
        assert (len(infer.batches), len(told)) == (batches, 1)

    @pytest.mark.parametrize("options", [{"servers": 0}, {"max_wait_s": -1}])
    def test_senseless_limits_are_refused(self, options: dict[str, int], make: Make) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            make(**options)


def test_the_threads_time_counts_while_there_is_a_clip(make: Make) -> None:
    batcher = make(servers=2)
    assert batcher.stats().thread_s == 0
    run(batcher, clip=1, count=20)
    before = batcher.stats()
    assert 0 < before.infer_s < before.thread_s
    time.sleep(0.01)
    assert batcher.stats().thread_s == before.thread_s
    with batcher.lane():
        time.sleep(0.01)
        assert batcher.stats().thread_s >= before.thread_s + 2 * 0.01


def test_a_lane_is_the_clips_own(make: Make) -> None:
    batcher = make()
    with batcher.lane() as one, batcher.lane() as other:
        groups: list[tuple[Lane, Group]] = [(one, one.submit(frames(1, [0]))), (other, other.submit(frames(2, [0])))]
        assert [group.lane is lane for lane, group in groups] == [True, True]
        assert [said(group.result()[0]) for _, group in groups] == [(1, 0), (2, 0)]
