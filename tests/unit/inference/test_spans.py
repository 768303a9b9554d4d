"""Coarse to fine: every frame once, in order, what whole frames would show; and nothing kept, nothing left running."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from lamps import HIDDEN, MISPLACED, WHOLE, Lamp, LampNetwork, Scene, lamp_estimator, pictures

from inference.ahead import ahead
from inference.artifact import Precision
from inference.backends import openvino_backend
from inference.batcher import BatchStats, FairBatcher
from inference.catalog import DEFAULT_MODEL, resolve
from inference.errors import ExtractionCanceled, InferenceError, VideoTooLong
from inference.estimator import Estimator
from inference.extract import ExtractRequest, PoseExtractor
from inference.pictures import Picture
from inference.poses import Pose
from inference.sampling import Sampler
from inference.spans import Seen, SpanReader, SpanRules
from inference.tracks import overlap, size_of
from inference.video import open_video


@dataclass(frozen=True)
class Outcome:
    seen: list[Seen]
    redone: int
    network: LampNetwork

    @property
    def crops(self) -> int:
        """Crops inferred."""
        return sum(n for n, *shape in self.network.inferred if tuple(shape) != WHOLE)

    @property
    def whole(self) -> int:
        """Whole frames inferred."""
        return sum(n for n, *shape in self.network.inferred if tuple(shape) == WHOLE)

    def middles(self) -> list[list[tuple[float, float]]]:
        """Of everybody in every frame, from left to right."""
        boxes = [[pose.box for pose in people] for _, _, people in self.seen]
        return [sorted(((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in frame) for frame in boxes]


def batcher_of(estimator: Estimator) -> FairBatcher:
    return FairBatcher(estimator.infer, max_batch=estimator.best_batch, servers=estimator.servers)


def follow(source: Iterator[Picture], rules: SpanRules | None = None, network: LampNetwork | None = None) -> Outcome:
    network = network or LampNetwork()
    estimator = lamp_estimator(network)
    batcher = batcher_of(estimator)
    try:
        with batcher.lane() as lane:
            reader = SpanReader(estimator, lane, rules or SpanRules())
            seen = list(reader.people(as_generator(source)))
    finally:
        batcher.close()
    return Outcome(seen, reader.redone, network)


def as_generator(source: Iterator[Picture]) -> Generator[Picture, None, None]:
    yield from source


def follow_both(frames: int, scene: Scene) -> tuple[Outcome, Outcome]:
    """As crops, and whole."""
    return follow(pictures(frames, scene)), follow(pictures(frames, scene), SpanRules(whole_frames=True))


def walker(index: int) -> list[Lamp]:
    return [Lamp(x=250 + 4 * index, y=380 + 20 * np.sin(index / 5))]


def assert_same_people(crops: Outcome, whole: Outcome, atol: float = 4.0) -> None:
    """To the pixel or two that a lamp's edge may move by scaling."""
    assert [frame[:2] for frame in crops.seen] == [frame[:2] for frame in whole.seen]
    for ours, reference in zip(crops.middles(), whole.middles(), strict=True):
        assert len(ours) == len(reference)
        np.testing.assert_allclose(np.reshape(ours, (-1, 2)), np.reshape(reference, (-1, 2)), atol=atol)


class TestEveryFrame:
    @pytest.mark.parametrize("frames", [1, 2, 3, 16, 17, 40])
    def test_comes_once_in_order_with_its_own_time_and_people(self, frames: int) -> None:
        done = follow(pictures(frames, walker))
        assert [index for index, _, _ in done.seen] == list(range(frames))
        assert [time_s for _, time_s, _ in done.seen] == [index / 30 for index in range(frames)]
        for index, ((x, y),) in enumerate(done.middles()):
            (lamp,) = walker(index)
            assert (x, y) == pytest.approx((lamp.x, lamp.y), abs=4)
        assert done.redone == 0

    def test_is_inferred_in_a_crop_and_anchors_beside(self) -> None:
        done = follow(pictures(90, walker))
        assert done.crops == 90
        assert 2 <= done.whole <= 90 // 4

    def test_nothing_in_is_nothing_out(self) -> None:
        assert follow(iter(())).seen == []

    def test_whole_when_asked_for_and_no_frame_twice(self) -> None:
        done = follow(pictures(50, walker), SpanRules(whole_frames=True))
        assert (done.whole, done.crops, done.redone) == (50, 0, 0)
        assert len(done.seen) == 50

    def test_with_nobody_in_it_is_inferred_whole(self) -> None:
        done = follow(pictures(40, lambda index: []))
        assert [people for _, _, people in done.seen] == [[]] * 40
        assert (done.crops, done.redone) == (0, 0)

    def test_of_a_crowd_is_inferred_whole(self) -> None:
        crowd, whole = follow_both(40, lambda index: [Lamp(x=70 + 95 * n, y=360, height=150) for n in range(13)])
        assert crowd.crops == 0
        assert_same_people(crowd, whole, atol=0)

    def test_of_a_file_of_uneven_rate_is_looked_for_where_its_time_says(self) -> None:
        times = np.cumsum([0.02, 0.02, 0.09, 0.02] * 15)

        def uneven() -> Iterator[Picture]:
            for index, time_s in enumerate(times.tolist()):
                (one,) = pictures(1, lambda _, time_s=time_s: [Lamp(x=200 + 150 * time_s, y=360)])
                yield Picture(decoded=one.decoded, index=index, timestamp_s=time_s, rotation=0)

        done = follow(uneven())
        assert [x for ((x, _),) in done.middles()] == pytest.approx((200 + 150 * times).tolist(), abs=4)
        assert done.redone == 0

    def test_shows_two_who_walk_past_each_other(self) -> None:
        crops, whole = follow_both(
            60, lambda index: [Lamp(x=200 + 5 * index, y=250, height=140), Lamp(x=900 - 5 * index, y=520, height=170)]
        )
        assert crops.crops > 60
        assert_same_people(crops, whole)


class TestWhereCropsFail:
    def test_who_is_lost_is_found_in_whole_frames(self) -> None:
        def scene(index: int) -> list[Lamp]:
            (lamp,) = walker(index)
            return [Lamp(x=lamp.x, y=lamp.y, luma=HIDDEN if 20 <= index < 24 else lamp.luma)]

        done, whole = follow_both(60, scene)
        assert_same_people(done, whole)
        assert 4 <= done.redone < 60

    def test_whom_no_crop_shows_whole_frames_show(self) -> None:
        done, whole = follow_both(40, lambda index: [Lamp(x=640, y=360, luma=HIDDEN)])
        assert_same_people(done, whole)
        assert done.redone >= 40

    def test_crops_that_contradict_an_anchor_are_not_believed(self) -> None:
        done, whole = follow_both(40, lambda index: [Lamp(x=640, y=360, luma=MISPLACED)])
        assert_same_people(done, whole)
        assert done.redone >= 40

    def test_who_leaves_the_crop_between_two_anchors_is_not_cut_off(self) -> None:
        def dodge(index: int) -> list[Lamp]:
            """Leaps aside by most of a body height and back between two anchors."""
            return [Lamp(x=600 + 130 * max(0.0, np.sin(index / 16 * np.pi)) ** 2, y=360)]

        done, whole = follow_both(64, dodge)
        assert_same_people(done, whole)
        assert done.redone > 0

    def test_the_others_of_a_frame_keep_their_places(self) -> None:
        def scene(index: int) -> list[Lamp]:
            return [Lamp(x=300 + 2 * index, y=360), Lamp(x=1000, y=360, luma=HIDDEN if 10 <= index < 13 else 230)]

        done, whole = follow_both(48, scene)
        assert_same_people(done, whole)
        assert done.redone > 0

    @pytest.mark.parametrize("first", [14, 16, 17, 21])
    def test_who_comes_into_the_picture_is_seen_from_the_first_frame_on(self, first: int) -> None:
        def scene(index: int) -> list[Lamp]:
            return [Lamp(x=900, y=360)] + ([Lamp(x=8 * (index - first), y=360)] if index >= first else [])

        done, whole = follow_both(56, scene)
        assert_same_people(done, whole, atol=8)

    @pytest.mark.parametrize("last", [14, 15, 16, 21])
    def test_who_leaves_the_picture_is_seen_to_the_last_frame(self, last: int) -> None:
        def scene(index: int) -> list[Lamp]:
            return [Lamp(x=900, y=360)] + ([Lamp(x=8 * (last - index), y=360)] if index <= last else [])

        done, whole = follow_both(56, scene)
        assert_same_people(done, whole, atol=8)

    @pytest.mark.parametrize("speed", [14, 20, 26])
    def test_a_sprinter_is_never_lost(self, speed: int) -> None:
        """From 4.6 to 8.5 m/s for somebody of 1.75 m."""
        done, whole = follow_both(44, lambda index: [Lamp(x=60 + speed * index, y=360)])
        assert_same_people(done, whole)

    def test_two_who_stand_close_are_two_also_where_crops_lose_one(self) -> None:
        def scene(index: int) -> list[Lamp]:
            return [Lamp(x=500, y=360), Lamp(x=570, y=360, luma=HIDDEN if index % 16 in {5, 6} else 230)]

        done, whole = follow_both(48, scene)
        assert_same_people(done, whole)

    @pytest.mark.parametrize(
        "scene",
        [
            lambda index: [Lamp(x=500, y=360)] + ([Lamp(x=570, y=360)] if index >= 9 else []),
            lambda index: [Lamp(x=500, y=360)] + ([Lamp(x=570, y=360)] if index < 9 else []),
        ],
        ids=["one who comes beside", "one who goes"],
    )
    def test_nobody_is_in_a_frame_twice(self, scene: Scene) -> None:
        done, whole = follow_both(48, scene)
        assert_same_people(done, whole)


class TestEnding:
    def test_what_decoding_raises_arrives_after_the_frames_before(self) -> None:
        def broken() -> Iterator[Picture]:
            yield from pictures(100, walker)
            raise VideoTooLong("too long")

        estimator = lamp_estimator()
        batcher = batcher_of(estimator)
        numbers: list[int] = []
        with batcher.lane() as lane:
            people = SpanReader(estimator, lane, SpanRules()).people(as_generator(broken()))
            with pytest.raises(VideoTooLong):
                numbers.extend(index for index, _, _ in people)
        batcher.close()
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > 30
        assert threads_named("clip") == []

    def test_what_inference_raises_arrives_too(self) -> None:
        class Failing(LampNetwork):
            def infer(self, batch: np.ndarray, *, fine: bool = True) -> np.ndarray:
                if len(self.inferred) > 5:
                    raise RuntimeError("no luck")
                return super().infer(batch, fine=fine)

        with pytest.raises(InferenceError, match="no luck"):
            follow(pictures(200, walker), network=Failing())
        assert threads_named("clip") == []

    def test_leaving_early_ends_decoding(self) -> None:
        taken: list[int] = []
        closed = threading.Event()

        def endless() -> Generator[Picture, None, None]:
            try:
                for picture in pictures(1_000_000, walker):
                    taken.append(picture.index)
                    yield picture
            finally:
                closed.set()

        estimator = lamp_estimator()
        batcher = batcher_of(estimator)
        with batcher.lane() as lane:
            with closing(SpanReader(estimator, lane, SpanRules()).people(endless())) as people:
                assert next(people)[0] == 0
            assert threads_named("clip") == []
            assert closed.is_set()
            assert len(taken) < 200
        batcher.close()


class TestMemory:
    def test_pictures_go_when_their_span_is_done_however_long_the_clip(self) -> None:
        def most_alive(frames: int) -> int:
            alive: weakref.WeakSet[object] = weakref.WeakSet()
            most = 0

            def watched() -> Generator[Picture, None, None]:
                nonlocal most
                for picture in pictures(frames, walker, size=(640, 360)):
                    alive.add(picture.decoded)
                    most = max(most, len(alive))
                    yield picture

            seen = follow(watched()).seen
            assert len(seen) == frames
            del seen
            gc.collect()
            assert len(alive) == 0
            return most

        short, long = most_alive(120), most_alive(600)
        assert long <= short + 20
        assert long <= 100


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


class TestAhead:
    def test_items_come_in_order_and_what_making_them_raises_after_them(self) -> None:
        def items() -> Generator[int, None, None]:
            yield from range(7)
            raise LookupError("the eighth")

        taken: list[int] = []
        with pytest.raises(LookupError, match="the eighth"):
            taken.extend(ahead(items()))
        assert taken == list(range(7))
        assert threads_named("clip") == []

    def test_it_is_no_more_than_its_depth_ahead(self) -> None:
        made: list[int] = []

        def items() -> Generator[int, None, None]:
            for number in range(50):
                made.append(number)
                yield number

        with closing(ahead(items(), depth=2)) as source:
            for taken in range(5):
                assert next(source) == taken
                time.sleep(0.02)
                assert len(made) <= taken + 5
        assert len(made) < 15

    def test_closing_it_closes_what_makes_the_items(self) -> None:
        closed: list[str] = []

        def items() -> Generator[int, None, None]:
            try:
                yield from range(1000)
            finally:
                closed.append(threading.current_thread().name)

        source = ahead(items())
        next(source)
        source.close()
        assert closed == ["clip"]


class TestExtraction:
    """The whole way from a file, with lamps for people."""

    def test_a_cancel_stops_it_and_leaves_nothing_behind(self, sample_clip: Path) -> None:
        estimator = lamp_estimator()
        extractor, request = PoseExtractor(estimator), ExtractRequest(window_s=3.0)
        canceled = threading.Event()
        shares: list[float] = []

        def stop_soon(share: float) -> None:
            shares.append(share)
            if share > 0.1:
                canceled.set()

        with pytest.raises(ExtractionCanceled):
            extractor.extract(sample_clip, request, on_progress=stop_soon, canceled=canceled)
        assert 0.1 < shares[-1] < 0.2
        assert threads_named("clip") == []
        assert extractor.batcher.stats().lanes == 0
        canceled_s = extractor.decode_s
        assert canceled_s > 0, "what a canceled clip cost was spent all the same"

        spent: list[float] = []
        extractor.extract(sample_clip, request, on_progress=lambda share: spent.append(extractor.decode_s))
        assert spent == sorted(spent)
        assert canceled_s < spent[0] < spent[-1] == extractor.decode_s, "it grows while a clip is in progress"
        extractor.close()


Precise = Callable[[Precision], Estimator]


@pytest.fixture
def real(model_cache: Path) -> Iterator[Precise]:
    loaded: list[Estimator] = []

    def load(precision: Precision) -> Estimator:
        spec = resolve(DEFAULT_MODEL)
        loaded.append(Estimator.load(spec, backend="openvino", precision=precision, threads=2, cache_dir=model_cache))
        return loaded[-1]

    yield load
    for estimator in loaded:
        estimator.close()


def read(
    batcher: FairBatcher, estimator: Estimator, clip: Path, *, seconds: float, whole: bool = False
) -> tuple[list[Seen], int]:
    with open_video(clip) as video, batcher.lane() as lane:
        reader = SpanReader(estimator, lane, SpanRules(whole_frames=whole))
        return list(reader.people(video.pictures(Sampler(max_time_s=seconds)))), reader.redone


def flat(seen: Sequence[Seen]) -> list[np.ndarray]:
    """Every number of every frame."""
    return [
        np.concatenate(
            [[index, time_s]] + [part.ravel() for p in people for part in (p.box, p.keypoints, p.confidence)]
        )
        for index, time_s, people in seen
    ]


@pytest.mark.model
@pytest.mark.parametrize("precision", openvino_backend.precisions())
def test_a_clip_shows_the_same_alone_and_among_eight_bit_for_bit(
    precision: Precision, real: Precise, sample_clip: Path
) -> None:
    estimator = real(precision)
    batcher = batcher_of(estimator)
    alone, _ = read(batcher, estimator, sample_clip, seconds=0.4)
    assert batcher.stats().mixed == 0
    results: list[list[Seen]] = []

    def one() -> None:
        results.append(read(batcher, estimator, sample_clip, seconds=0.4)[0])

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert batcher.stats().mixed > 5, "the clips shared batches"
    batcher.close()
    assert len(results) == 8
    assert len(alone) == 12
    for seen in results:
        for ours, reference in zip(flat(seen), flat(alone), strict=True):
            np.testing.assert_array_equal(ours, reference)


def matched(people: Sequence[Pose], pose: Pose) -> Pose | None:
    """Who overlaps this one most."""
    best = max(people, key=lambda other: overlap(other.box, pose.box), default=None)
    return best if best is not None and overlap(best.box, pose.box) > 0.4 else None


@pytest.mark.model
def test_crops_find_whom_whole_frames_find_where_they_are(real: Precise, sample_clip: Path) -> None:
    estimator = real("fp32")
    batcher = batcher_of(estimator)
    whole, redone = read(batcher, estimator, sample_clip, seconds=1.2, whole=True)
    assert redone == 0
    before = batcher.stats()
    assert before.frames == len(whole) == 36
    crops, redone = read(batcher, estimator, sample_clip, seconds=1.2)
    after = batcher.stats()
    batcher.close()
    assert after.frames - before.frames >= 36 + redone
    pixels = sum(
        (n * h * w) * (count - before.shapes.get((n, h, w, fine), 0)) for (n, h, w, fine), count in after.shapes.items()
    )
    assert pixels < 0.7 * 36 * 384 * 640, "crops are what it costs"
    distances: list[float] = []
    found = expected = 0
    for (index, time_s, ours), (other, other_s, reference) in zip(crops, whole, strict=True):
        assert (index, time_s) == (other, other_s)
        for pose in (one for one in reference if one.score > 0.5):
            expected += 1
            same = matched(ours, pose)
            found += same is not None
            if same is not None:
                distances.append(apart(same, pose, estimator))
        for number, pose in enumerate(ours):
            for twin in ours[number + 1 :]:
                assert overlap(pose.box, twin.box) <= 0.7, f"somebody twice in frame {index}"
    assert expected >= 36
    assert found >= 0.99 * expected
    assert np.median(distances) < 0.04


def pixels_of(stats: BatchStats) -> int:
    """Inferred so far."""
    return sum(count * number * height * width for (number, height, width, _), count in stats.shapes.items())


def apart(a: Pose, b: Pose, estimator: Estimator) -> float:
    """Median distance of the keypoints in sizes, with left and right as they fit best."""
    order = np.arange(17)
    for left, right in estimator.skeleton.left_right:
        order[[left, right]] = right, left
    return min(
        float(np.median(np.linalg.norm(a.keypoints[turn] - b.keypoints, axis=1))) for turn in (np.arange(17), order)
    ) / size_of(b.box)
