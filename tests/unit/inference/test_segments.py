"""Where clips are cut, and that a segment holds exactly the pictures that the whole clip shows in its time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import clips
import numpy as np
import pytest

from inference.errors import SegmentsUnsure
from inference.probe import survey
from inference.sampling import Sampler
from inference.segments import WHOLE, Planner, SegmentRules, Segments, cuts_s
from inference.video import Frame, Tally, open_video

MakeClip = Callable[..., Path]
SECOND = SegmentRules(min_s=0.9)
GROUPS = (("g", "30"), ("keyint_min", "30"), ("sc_threshold", "0"))
X265 = "log-level=none:keyint=30:min-keyint=30:scenecut=0:open-gop={}"

SPLIT = {
    "h264, b-frames": {"options": (*GROUPS, ("bf", "3"))},
    "h264, open groups": {"options": (*GROUPS, ("bf", "3"), ("x264-params", "open-gop=1"))},
    "h264, no b-frames": {"options": (*GROUPS, ("bf", "0"))},
    "h264 in matroska": {"container": "matroska", "options": (*GROUPS, ("bf", "3"))},
    "h264 in fragments": {"options": GROUPS, "mux": (("movflags", "frag_keyframe+empty_moov"),)},
    "h264, turned": {"options": GROUPS, "rotation": 90},
    "hevc, closed groups": {"codec": "libx265", "options": (("x265-params", X265.format(0)),)},
    "hevc, open groups": {"codec": "libx265", "options": (("x265-params", X265.format(1)),)},
    "vp9 in webm": {"codec": "libvpx-vp9", "container": "webm", "options": (("g", "30"), ("cpu-used", "8"))},
    "key frames alone": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "a variable rate": {
        "options": (*GROUPS, ("bf", "2")),
        "pts_ms": tuple(np.cumsum(np.random.default_rng(3).integers(12, 90, 120)).tolist()),
    },
}


def _whole(path: Path, **sampling: float) -> tuple[list[Frame], Tally, np.ndarray]:
    with open_video(path) as video:
        return list(video.frames(Sampler(**sampling))), video.tally, video.times


def _part(path: Path, segments: Segments, number: int, **sampling: float) -> tuple[list[Frame], Tally, np.ndarray]:
    segment = segments[number]
    before_s = segment.entry.before_s if segment.entry else None
    with open_video(path) as video:
        pictures = video.pictures(Sampler(**sampling, after_s=before_s), segment)
        frames = [Frame(image=p.rgb(), index=p.index, timestamp_s=p.timestamp_s) for p in pictures]
        return frames, video.tally, video.times


@pytest.mark.parametrize("sampling", [{}, {"sample_fps": 11.7}], ids=["every frame", "sampled"])
@pytest.mark.parametrize("recipe", SPLIT.values(), ids=SPLIT.keys())
def test_the_parts_are_the_whole(make_clip: MakeClip, recipe: dict[str, object], sampling: dict[str, float]) -> None:
    path = make_clip(**{"frames": 120, **recipe})
    segments = survey(path, rules=SECOND).segments
    assert len(segments) > 2
    frames, tally, times = _whole(path, **sampling)
    parts = [_part(path, segments, number, **sampling) for number in reversed(range(len(segments)))][::-1]
    together = [frame for part, _, _ in parts for frame in part]
    assert [(f.index, f.timestamp_s) for f in together] == [(f.index, f.timestamp_s) for f in frames]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(together, frames, strict=True))
    np.testing.assert_array_equal(np.concatenate([times for _, _, times in parts]), times)
    assert sum(part.decoded for _, part, _ in parts) == tally.decoded == 120
    assert sum(part.skipped.get("not_sampled", 0) for _, part, _ in parts) == tally.skipped.get("not_sampled", 0)
    assert {part.rotation for _, part, _ in parts} == {tally.rotation}


def test_cuts_lie_at_key_frames_far_enough_apart(make_clip: MakeClip) -> None:
    path = make_clip(frames=250, options=GROUPS)
    for min_s, expected in (
        (0.5, (1, 2, 3, 4, 5, 6, 7)),
        (1.5, (2, 4, 6)),
        (3.0, (3,)),
        (4.0, (4,)),
        (4.4, ()),
        (60, ()),
    ):
        segments = survey(path, rules=SegmentRules(min_s=min_s)).segments
        assert cuts_s(segments) == pytest.approx(expected), min_s
        assert [segment.number for segment in segments] == list(range(len(expected) + 1))
        if expected:
            assert sum(segment.pictures or 0 for segment in segments) == 250
        else:
            assert segments == (WHOLE,)


def test_a_clip_without_a_key_frame_inside_is_not_cut(make_clip: MakeClip) -> None:
    assert survey(make_clip(frames=120), rules=SECOND).segments == (WHOLE,)


@pytest.mark.parametrize(
    "recipe",
    [
        {"container": "avi", "options": (*GROUPS, ("bf", "0"))},
        {"container": "mpegts", "options": GROUPS},
        {
            "container": "matroska",
            "options": (*GROUPS, ("bf", "0")),
            "packet_ms": tuple(33 * n if n != 50 else 33 * 49 for n in range(120)),
        },
    ],
    ids=["avi", "mpegts", "a time twice"],
)
def test_where_packets_do_not_surely_match_pictures_a_clip_is_not_cut(
    make_clip: MakeClip, recipe: dict[str, object]
) -> None:
    path = make_clip(frames=120, **recipe)
    assert survey(path, rules=SECOND).segments == (WHOLE,)


def test_a_clip_that_ends_early_is_not_cut(tmp_path: Path) -> None:
    recipe = clips.Recipe(mux=(("movflags", "faststart"),), frames=120, options=GROUPS)
    path = clips.cut_tail(tmp_path / "clip", recipe)
    assert survey(path, rules=SegmentRules(min_s=0.5)).segments == (WHOLE,)


def test_a_damaged_segment_says_so(tmp_path: Path) -> None:
    recipe = clips.Recipe(codec="mjpeg", pix_fmt="yuvj420p", frames=120)
    path = clips.with_broken_packet(tmp_path / "clip", (75,), recipe)
    segments = survey(path, rules=SECOND).segments
    assert len(segments) == 4
    with pytest.raises(SegmentsUnsure):
        _part(path, segments, 2)
    assert [len(_part(path, segments, number)[0]) for number in (0, 1, 3)] == [
        segments[number].pictures for number in (0, 1, 3)
    ]


def test_pictures_that_need_what_was_before_the_cut_are_noticed(make_clip: MakeClip) -> None:
    """Intra refresh: its key packets only begin a picture that is whole a second later."""
    params = "intra-refresh=1:keyint=30:bframes=0"
    path = make_clip(frames=120, width=320, height=240, options=(("x264-params", params),))
    segments = survey(path, rules=SECOND).segments
    whole = _whole(path)[0]
    for segment in segments:
        try:
            frames, _, _ = _part(path, segments, segment.number)
        except SegmentsUnsure:
            continue
        assert all(np.array_equal(frame.image, whole[frame.index].image) for frame in frames)


def test_a_file_without_an_index_is_read_up_to_the_cut(make_clip: MakeClip) -> None:
    path = make_clip(frames=120, container="matroska", options=GROUPS, mux=(("live", "1"),))
    segments = survey(path, rules=SECOND).segments
    assert len(segments) == 4
    whole = _whole(path)[0]
    for number in (3, 1):
        frames = _part(path, segments, number)[0]
        assert [clips.frame_number(f.image) for f in frames] == [
            clips.frame_number(whole[f.index].image) for f in frames
        ]
        assert len(frames) == segments[number].pictures


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not positive"):
        SegmentRules(min_s=0.0)


def test_an_empty_clip_is_not_cut() -> None:
    assert Planner(SECOND).segments("mov") == (WHOLE,)
