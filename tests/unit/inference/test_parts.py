"""A clip comes out the same, bit for bit, in one pass and in parts. The real model and real decoders."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from footage import Image, half_size_frames, write

from inference.errors import ExtractionCanceled, FrameAccountingError, FrameTooSmall, NoPerson, SegmentsUnsure
from inference.extract import ExtractorOptions, ExtractRequest, PoseExtractor, join, load_extractor
from inference.extraction_io import read_part, write_extraction, write_part
from inference.parts import People, SegmentPeople
from inference.probe import survey
from inference.segments import SegmentRules
from inference.tracking import SubjectHint
from inference.video import VideoLimits

pytestmark = pytest.mark.model

EVERY_FRAME = ExtractRequest(segments=SegmentRules(min_s=0.4))
B_FRAMES = {"bf": "3", "b_strategy": "0"}


@pytest.fixture(scope="module")
def extractor(model_cache: Path) -> Iterator[PoseExtractor]:
    loaded = load_extractor(ExtractorOptions(threads=2, cache_dir=model_cache))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def frames(sample_clip: Path) -> list[Image]:
    """Somebody walks; a second and a half."""
    return half_size_frames(sample_clip, 60, 105)


@pytest.fixture(scope="module")
def clip(frames: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three segments, with B-frames."""
    return write(tmp_path_factory.mktemp("parts") / "clip.mp4", frames, group=15, options=B_FRAMES)


@pytest.fixture(scope="module")
def parts(extractor: PoseExtractor, clip: Path) -> list[SegmentPeople]:
    surveyed = survey(clip, rules=EVERY_FRAME.segments)
    return [extractor.detect(clip, EVERY_FRAME, surveyed, segment) for segment in surveyed.segments]


def _split(extractor: PoseExtractor, path: Path, request: ExtractRequest) -> bytes:
    """The bytes of an extraction in parts; the last one first."""
    surveyed = survey(path, request.limits, request.segments)
    assert len(surveyed.segments) > 2
    parts = [extractor.detect(path, request, surveyed, segment) for segment in reversed(surveyed.segments)]
    return write_extraction(join(surveyed, parts, request), fingerprint="")


def test_parts_in_any_order_are_the_whole(extractor: PoseExtractor, clip: Path, parts: list[SegmentPeople]) -> None:
    whole = extractor.extract(clip, EVERY_FRAME)
    assert whole.receipt.decoded == whole.receipt.inferred == 45
    assert whole.poses.seen.sum() > 40
    surveyed = survey(clip, rules=EVERY_FRAME.segments)
    for order in ([0, 1, 2], [2, 0, 1]):
        joined = join(surveyed, [parts[number] for number in order], EVERY_FRAME)
        assert write_extraction(joined, fingerprint="") == write_extraction(whole, fingerprint="")
    assert sum(len(part.decoded_s) for part in parts) == whole.receipt.decoded


def test_parts_that_run_side_by_side_are_the_whole(
    extractor: PoseExtractor, clip: Path, parts: list[SegmentPeople]
) -> None:
    """Their frames share batches; no pose depends on that."""
    surveyed = survey(clip, rules=EVERY_FRAME.segments)
    found: dict[int, SegmentPeople] = {}

    def work(number: int) -> None:
        found[number] = extractor.detect(clip, EVERY_FRAME, surveyed, surveyed.segments[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, part in enumerate(parts):
        assert write_part(found[number], fingerprint="") == write_part(part, fingerprint="")


@pytest.mark.parametrize(
    "request_",
    [
        replace(EVERY_FRAME, sample_fps=11.7),
        replace(EVERY_FRAME, sample_fps=10.0, whole_frames=True, slowmo_factor=2.0),
    ],
    ids=["sampled", "sampled, whole frames"],
)
def test_a_sampled_variable_rate_is_split_without_a_seam(
    extractor: PoseExtractor, frames: list[Image], tmp_path: Path, request_: ExtractRequest
) -> None:
    times = np.cumsum(np.random.default_rng(5).integers(12, 60, len(frames))).tolist()
    path = write(tmp_path / "clip.mp4", frames, group=15, times_ms=times, options=B_FRAMES)
    whole = extractor.extract(path, request_)
    assert 0 < whole.receipt.inferred < 23
    assert _split(extractor, path, request_) == write_extraction(whole, fingerprint="")


def test_who_the_athlete_is_does_not_cross_a_cut(extractor: PoseExtractor, frames: list[Image], tmp_path: Path) -> None:
    """Points on one of two people far apart: between anchors the other is left out, until the next cut."""
    twice = [np.ascontiguousarray(np.hstack([image, image[:, ::-1]])) for image in frames]
    path = write(tmp_path / "clip.mp4", twice, group=15, options=B_FRAMES)
    poses = extractor.extract(path, EVERY_FRAME).poses
    seen = np.flatnonzero(poses.seen)[[5, 25]]
    hints = tuple(
        SubjectHint(x=(x1 + x2) / 2, y=(y1 + y2) / 2, time_s=time_s)
        for (x1, y1, x2, y2), time_s in zip(poses.boxes[seen].tolist(), poses.timestamps_s[seen].tolist(), strict=True)
    )
    pointed = replace(EVERY_FRAME, subject=hints)
    surveyed = survey(path, rules=pointed.segments)
    first, *_, last = (
        [
            int(extractor.detect(path, request, surveyed, segment).people.counts.sum())
            for request in (EVERY_FRAME, pointed)
        ]
        for segment in surveyed.segments
    )
    assert first[1] < first[0], "somebody was left out"
    assert last[1] == last[0], "nobody has said who is who there"
    whole = extractor.extract(path, pointed)
    assert _split(extractor, path, pointed) == write_extraction(whole, fingerprint="")


def test_cuts_change_nothing_where_nothing_is_cut(extractor: PoseExtractor, clip: Path) -> None:
    """With whole frames no anchor moves, so the rules themselves make no difference."""
    plain = replace(EVERY_FRAME, whole_frames=True, sample_fps=10.0)
    uncut = replace(plain, segments=SegmentRules())
    assert len(survey(clip, rules=uncut.segments).segments) == 1
    a, b = (write_extraction(extractor.extract(clip, request), fingerprint="") for request in (plain, uncut))
    assert a == b


def test_a_kept_part_comes_back_bit_for_bit(parts: list[SegmentPeople]) -> None:
    for part in parts:
        content = write_part(part, fingerprint="print")
        again = read_part(content, fingerprint="print")
        assert (again.segment, again.model, again.skeleton) == (part.segment, part.model, part.skeleton)
        assert write_part(again, fingerprint="print") == content
        with pytest.raises(ValueError, match="something else"):
            read_part(content, fingerprint="another")
        for length in range(0, len(content), 997):
            with pytest.raises(ValueError, match="kept extraction"):
                read_part(content[:length], fingerprint="print")


def test_parts_that_are_not_one_clip_are_refused(clip: Path, parts: list[SegmentPeople]) -> None:
    surveyed = survey(clip, rules=EVERY_FRAME.segments)
    other = replace(parts[0], clip_sha256="00")
    stranger = replace(parts[0], model=replace(parts[0].model, precision="other"))
    for wrong in ([], parts[1:], [*parts, parts[0]], [other, *parts[1:]], [stranger, *parts[1:]]):
        with pytest.raises(FrameAccountingError):
            join(surveyed, wrong, EVERY_FRAME)


def test_nobody_in_any_part_is_nobody_in_the_clip(clip: Path, parts: list[SegmentPeople]) -> None:
    empty = [
        replace(
            part,
            people=People.gather(((index, time, []) for index, time, _ in part.people.frames()), keypoints=17),
        )
        for part in parts
    ]
    surveyed = survey(clip, rules=EVERY_FRAME.segments)
    with pytest.raises(NoPerson):
        join(surveyed, empty, EVERY_FRAME)
    assert join(surveyed, [empty[0], *parts[1:]], EVERY_FRAME).poses.seen[:15].sum() == 0


def test_a_part_fails_with_its_own_error(extractor: PoseExtractor, clip: Path) -> None:
    surveyed = survey(clip, rules=EVERY_FRAME.segments)
    canceled = threading.Event()
    canceled.set()
    with pytest.raises(ExtractionCanceled):
        extractor.detect(clip, EVERY_FRAME, surveyed, surveyed.segments[1], canceled=canceled)
    turned = replace(surveyed, clip=replace(surveyed.clip, rotation=90))
    with pytest.raises(SegmentsUnsure):
        extractor.detect(clip, EVERY_FRAME, turned, surveyed.segments[1])
    with pytest.raises(ValueError, match="whole clip"):
        extractor.detect(clip, replace(EVERY_FRAME, window_s=1.0), surveyed, surveyed.segments[1])
    late = replace(EVERY_FRAME, limits=VideoLimits(min_side=4000))
    with pytest.raises(FrameTooSmall):
        extractor.detect(clip, late, surveyed, surveyed.segments[2])


def test_progress_is_a_share_of_the_part(extractor: PoseExtractor, clip: Path) -> None:
    surveyed = survey(clip, rules=EVERY_FRAME.segments)
    shares: list[float] = []
    extractor.detect(clip, EVERY_FRAME, surveyed, surveyed.segments[2], on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[0] == pytest.approx(0.0, abs=1e-6)
    assert 0.9 < shares[-1] <= 1.0
