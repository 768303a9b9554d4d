"""Every kind of clip a phone or a camera writes, and every way a file can be bad, with real encoders and decoders."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import clips
import cv2
import numpy as np
import pytest

import inference.video as video_module
from inference.demux import open_container
from inference.errors import (
    ContainerNotAllowed,
    FrameTooLarge,
    FrameTooSmall,
    InferenceError,
    NoFrames,
    NoVideoStream,
    VideoEmpty,
    VideoTooLong,
    VideoTruncated,
    VideoUnreadable,
)
from inference.probe import probe
from inference.sampling import AFTER_WINDOW, NOT_SAMPLED, Sampler
from inference.video import (
    DUPLICATE_TIMESTAMP,
    SIZE_CHANGED,
    TIMESTAMP_BACKWARDS,
    Frame,
    Tally,
    VideoLimits,
    open_video,
)

MakeClip = Callable[..., Path]
QUIET = (("x265-params", "log-level=none"),)


def read(path: Path, **kwargs: object) -> tuple[list[Frame], Tally]:
    with open_video(path) as video:
        frames = list(video.frames(**kwargs))
        return frames, video.tally


def numbers(frames: list[Frame]) -> list[int]:
    return [clips.frame_number(frame.image) for frame in frames]


FORMATS = {
    "h264": {},
    "h264 in mov": {"container": "mov"},
    "h264 in matroska": {"container": "matroska"},
    "h264 in ts": {"container": "mpegts"},
    "h264 in avi, b-frames": {"container": "avi"},
    "h264 10 bit": {"pix_fmt": "yuv420p10le"},
    "h264 4:4:4": {"pix_fmt": "yuv444p"},
    "h264 fragmented": {"mux": (("movflags", "frag_keyframe+empty_moov"),), "options": (("g", "10"),)},
    "h264 with sound": {"sound": True},
    "hevc": {"codec": "libx265", "options": QUIET},
    "hevc 10 bit": {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": QUIET},
    "vp9 in webm": {"codec": "libvpx-vp9", "container": "webm"},
    "vp9 in mp4": {"codec": "libvpx-vp9"},
    "mpeg4": {"codec": "mpeg4"},
    "mpeg4 in avi, b-frames": {"codec": "mpeg4", "container": "avi", "options": (("bf", "2"),)},
    "mjpeg in avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "container": "avi"},
}


@pytest.mark.parametrize("recipe", FORMATS.values(), ids=FORMATS.keys())
def test_every_format_yields_its_frames_in_order_and_in_time(make_clip: MakeClip, recipe: dict[str, object]) -> None:
    path = make_clip(**recipe)
    frames, tally = read(path)
    assert numbers(frames) == list(range(30))
    assert [frame.index for frame in frames] == list(range(30))
    times = np.array([frame.timestamp_s for frame in frames])
    np.testing.assert_allclose(times, np.arange(30) / 30, atol=0.6e-3)  # Matroska rounds to milliseconds
    assert all(clips.upright(frame.image) for frame in frames)
    assert frames[0].image.flags.c_contiguous
    assert (tally.decoded, tally.wanted, tally.skipped, tally.broken) == (30, 30, {}, 0)
    assert not tally.truncated
    assert tally.gaps == ()
    assert tally.fps_measured == pytest.approx(30, rel=0.011)
    clip = probe(path)
    assert (clip.width, clip.height) == (128, 96)
    assert clip.fps == pytest.approx(30, rel=0.001)
    assert clip.duration_s == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize("codec", ["mpeg4", "libvpx-vp9"])
def test_odd_sizes(make_clip: MakeClip, codec: str) -> None:
    frames, _ = read(make_clip(codec=codec, container="matroska", width=131, height=97, frames=5))
    assert frames[0].image.shape == (97, 131, 3)
    assert numbers(frames) == list(range(5))


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_metadata_brings_frames_upright(make_clip: MakeClip, rotation: int) -> None:
    path = make_clip(rotation=rotation, frames=5)
    frames, tally = read(path)
    clip = probe(path)
    assert all(clips.upright(frame.image) for frame in frames)
    assert numbers(frames) == list(range(5))
    assert tally.rotation == clip.rotation == rotation
    assert frames[0].image.shape == (clip.height, clip.width, 3)
    assert (clip.width, clip.height) == ((128, 96) if rotation % 180 == 0 else (96, 128))
    assert frames[0].image.flags.c_contiguous


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(("pix_fmt", "levels"), [("yuv420p", 0), ("yuvj420p", 0), ("yuv420p10le", 5)])
def test_pictures_are_those_of_opencv(make_clip: MakeClip, rotation: int, pix_fmt: str, levels: int) -> None:
    """Grey level for grey level; ten bits are rounded to eight on another path, which differs at edges."""
    path = make_clip(rotation=rotation, frames=3, pix_fmt=pix_fmt)
    frames, _ = read(path)
    capture = cv2.VideoCapture(str(path))
    for frame in frames:
        found, picture = capture.read()
        assert found
        np.testing.assert_allclose(frame.image.astype(int), picture[:, :, ::-1].astype(int), rtol=0, atol=levels)
    capture.release()


def test_the_sample_clip_is_pixel_for_pixel_what_opencv_reads(sample_clip: Path) -> None:
    capture = cv2.VideoCapture(str(sample_clip))
    with open_video(sample_clip) as video:
        for frame in video.frames(Sampler(max_time_s=0.5)):
            found, picture = capture.read()
            assert found
            np.testing.assert_array_equal(frame.image, picture[:, :, ::-1])
        assert video.tally.wanted == 15
    capture.release()


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_variable_frame_rates_keep_their_times(make_clip: MakeClip, container: str) -> None:
    times = (0, 33, 100, 110, 400, 433)
    frames, tally = read(make_clip(container=container, frames=6, pts_ms=times))
    np.testing.assert_allclose([frame.timestamp_s for frame in frames], np.array(times) / 1000, atol=1e-9)
    assert tally.gaps == ((pytest.approx(0.033), pytest.approx(0.1)), (pytest.approx(0.11), pytest.approx(0.4)))
    assert tally.fps_measured == pytest.approx(1 / 0.033)


def test_time_counts_from_the_streams_start(make_clip: MakeClip) -> None:
    frames, _ = read(make_clip(container="mpegts", frames=5))  # whose muxer begins at 1.4 s
    assert frames[0].timestamp_s == 0.0


def test_a_frame_that_does_not_advance_is_skipped(make_clip: MakeClip) -> None:
    path = make_clip(codec="mpeg4", container="matroska", frames=4, packet_ms=(0, 33, 33, 66))
    frames, tally = read(path)
    assert numbers(frames) == [0, 1, 3]
    assert [frame.index for frame in frames] == [0, 1, 3]
    assert tally.skipped == {DUPLICATE_TIMESTAMP: 1}
    assert tally.receipt(3).decoded == 4


def test_time_that_runs_backwards_is_skipped(tmp_path: Path) -> None:
    """Two recordings in one transport stream: the second begins before the first ended."""
    first = clips.make(tmp_path / "a", clips.Recipe(container="mpegts", frames=20))
    second = clips.make(tmp_path / "b", clips.Recipe(container="mpegts", frames=30))
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    frames, tally = read(path)
    assert np.all(np.diff([frame.timestamp_s for frame in frames]) > 0)
    assert tally.skipped[TIMESTAMP_BACKWARDS] >= 15
    assert tally.wanted == len(frames) == 30
    assert tally.decoded == tally.wanted + sum(tally.skipped.values())


def test_a_picture_of_another_size_is_skipped(tmp_path: Path) -> None:
    big = clips.make(tmp_path / "a", clips.Recipe(container="mpegts", frames=5))
    small = clips.make(tmp_path / "b", clips.Recipe(container="mpegts", frames=9, width=64, height=64))
    path = tmp_path / "both.ts"
    path.write_bytes(big.read_bytes() + small.read_bytes())
    frames, tally = read(path)
    assert {frame.image.shape for frame in frames} == {(96, 128, 3)}
    assert tally.skipped[SIZE_CHANGED] == 9


def test_only_wanted_frames_are_handed_out(make_clip: MakeClip) -> None:
    frames, tally = read(make_clip(frames=60), wanted=Sampler(sample_fps=10))
    assert numbers(frames) == list(range(0, 60, 3))
    assert tally.skipped == {NOT_SAMPLED: 40}
    assert tally.receipt(20).skipped == {NOT_SAMPLED: 40}
    with pytest.raises(ValueError, match="decoded 60"):
        tally.receipt(19)


def test_decoding_ends_with_the_window(make_clip: MakeClip) -> None:
    frames, tally = read(make_clip(frames=60), wanted=Sampler(max_time_s=0.5))
    assert numbers(frames) == list(range(15))
    assert tally.decoded == 16
    assert tally.skipped == {AFTER_WINDOW: 1}
    assert tally.broken == 0
    assert not tally.truncated


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_number_of_threads_changes_nothing(make_clip: MakeClip, threads: int) -> None:
    path = make_clip(frames=20)
    alone, _ = read(path)
    with open_video(path, threads=threads) as video:
        for frame, other in zip(video.frames(), alone, strict=True):
            assert frame.timestamp_s == other.timestamp_s
            np.testing.assert_array_equal(frame.image, other.image)


@pytest.mark.parametrize("recipe", [{}, {"codec": "mjpeg", "pix_fmt": "yuvj420p", "container": "avi"}])
def test_broken_packets_are_skipped_and_counted(tmp_path: Path, recipe: dict[str, object]) -> None:
    path = clips.with_broken_packet(tmp_path / "clip", (10, 11, 20), clips.Recipe(**recipe, options=(("g", "1"),)))
    frames, tally = read(path)
    assert numbers(frames) == [n for n in range(30) if n not in (10, 11, 20)]
    np.testing.assert_allclose([f.timestamp_s for f in frames], np.array(numbers(frames)) / 30, atol=1e-6)
    assert tally.broken == 3
    assert tally.decoded == 27
    assert not tally.truncated
    assert len(tally.gaps) == 2


TRUNCATED = {
    "mp4": {"mux": (("movflags", "faststart"),)},
    "fragmented mp4": {"mux": (("movflags", "frag_keyframe+empty_moov"),), "options": (("g", "10"),)},
    "matroska": {"container": "matroska"},
    "avi": {"container": "avi", "codec": "mpeg4"},
}


@pytest.mark.parametrize("recipe", TRUNCATED.values(), ids=TRUNCATED.keys())
def test_a_truncated_file_yields_what_it_holds_and_says_so(tmp_path: Path, recipe: dict[str, object]) -> None:
    frames, tally = read(clips.cut_tail(tmp_path / "clip", clips.Recipe(frames=60, **recipe)))
    assert 5 < len(frames) < 60
    assert numbers(frames)[:6] == list(range(6))
    assert tally.truncated
    assert tally.receipt(len(frames)).truncated


def test_a_container_damaged_in_the_middle_counts_as_truncated(tmp_path: Path) -> None:
    path = clips.make(tmp_path / "clip", clips.Recipe(container="matroska", frames=60))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = b"\0" * 400
    path.write_bytes(bytes(data))
    frames, tally = read(path)
    assert 5 < len(frames) < 60
    assert tally.truncated or tally.broken


BAD: dict[str, tuple[Callable[[Path], Path], type[InferenceError], str]] = {
    "empty": (clips.empty, VideoEmpty, "video_empty"),
    "noise": (clips.noise, VideoUnreadable, "video_unreadable"),
    "concat": (lambda p: clips.ffconcat(p, "neighbour.mp4"), ContainerNotAllowed, "container_not_allowed"),
    "playlist": (lambda p: clips.playlist(p, "neighbour.mp4"), ContainerNotAllowed, "container_not_allowed"),
    "dash": (lambda p: clips.dash_manifest(p, "neighbour.mp4"), ContainerNotAllowed, "container_not_allowed"),
    "sdp": (clips.session_description, ContainerNotAllowed, "container_not_allowed"),
    "audio only": (clips.audio_only, NoVideoStream, "no_video_stream"),
    "audio with a cover": (clips.audio_with_cover, NoVideoStream, "no_video_stream"),
    "no frames": (clips.no_frames, NoFrames, "no_frames"),
    "cut in the header": (clips.cut_in_header, VideoTruncated, "video_truncated"),
    "one pixel": (clips.tiny, FrameTooSmall, "frame_too_small"),
    "8K": (clips.beyond_8k, FrameTooLarge, "frame_too_large"),
    "two hours": (clips.two_hours, VideoTooLong, "video_too_long"),
    "two hours, undeclared": (clips.two_hours_declared_as_one_second, VideoTooLong, "video_too_long"),
}


@pytest.mark.parametrize(("make", "error", "code"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("how", [probe, read])
def test_bad_input_ends_as_a_clear_error(
    tmp_path: Path, make: Callable[[Path], Path], error: type[InferenceError], code: str, how: Callable[[Path], object]
) -> None:
    path = make(tmp_path / "clip.mp4")
    with pytest.raises(error) as caught:
        how(path)
    assert type(caught.value) is error
    assert caught.value.code == code
    assert not caught.value.transient


def test_a_declared_size_is_refused_before_a_frame_is_decoded(tmp_path: Path) -> None:
    path = clips.beyond_8k(tmp_path / "clip")
    with pytest.raises(FrameTooLarge, match="8192x4320"):
        open_video(path)


def test_every_frame_broken_is_no_frames(tmp_path: Path) -> None:
    path = clips.with_broken_packet(tmp_path / "clip", range(5), clips.Recipe(frames=5, options=(("g", "1"),)))
    with open_video(path) as video, pytest.raises(NoFrames):
        list(video.frames())


def test_too_many_frames_are_refused(make_clip: MakeClip) -> None:
    path = make_clip(frames=20)
    limits = VideoLimits(max_frames=10)
    with pytest.raises(VideoTooLong):
        probe(path, limits)
    with open_video(path, limits) as video, pytest.raises(VideoTooLong):
        list(video.frames())


def test_memory_does_not_grow_with_the_clip(make_clip: MakeClip) -> None:
    def peak(frames: int) -> int:
        path = make_clip(frames=frames, codec="mpeg4")
        tracemalloc.start()
        with open_video(path) as video:
            assert sum(1 for _ in video.frames()) == frames
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)  # imports
    assert peak(600) < peak(60) + 100_000


def test_only_the_time_inside_the_decoder_counts_as_decoding(make_clip: MakeClip) -> None:
    path = make_clip()
    with open_video(path) as video:
        assert video.decode_s == 0
        began = time.perf_counter()
        pictures = video.pictures()
        next(pictures)
        first_s = video.decode_s
        assert 0 < first_s < time.perf_counter() - began
        time.sleep(0.05)
        assert video.decode_s == first_s
        list(pictures)
        assert first_s < video.decode_s < time.perf_counter() - began - 0.05
    with open_video(path) as video:
        list(video.packets())
        assert video.decode_s == 0


def test_two_readings_give_the_same_bytes(make_clip: MakeClip) -> None:
    path = make_clip(frames=10)
    assert [f.image.tobytes() for f in read(path)[0]] == [f.image.tobytes() for f in read(path)[0]]


REWOUND = {name: recipe for name, recipe in FORMATS.items() if "ts" not in name and "avi" not in name}
REWOUND["a time before the start"] = {"options": (("bf", "2"),)}
REWOUND["no index"] = {"container": "matroska", "mux": (("live", "1"),)}


@pytest.mark.parametrize("recipe", REWOUND.values(), ids=REWOUND.keys())
def test_a_clip_rewound_is_the_clip(make_clip: MakeClip, recipe: dict[str, object]) -> None:
    path = make_clip(**recipe)
    frames, tally = read(path)
    with open_video(path, threads=1) as video:
        assert len(list(video.packets())) == 30
        assert video.rewound()
        again = list(video.frames())
        assert video.tally == tally
    assert [(f.index, f.timestamp_s) for f in again] == [(f.index, f.timestamp_s) for f in frames]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(again, frames, strict=True))


@pytest.mark.parametrize("container", ["avi", "mpegts"])
def test_without_an_index_of_key_frames_nothing_is_rewound(make_clip: MakeClip, container: str) -> None:
    with open_video(make_clip(container=container)) as video:
        assert not video.rewound(), "not read yet"
        assert len(list(video.packets())) == 30
        assert not video.rewound()


def test_a_truncated_clip_is_not_rewound(tmp_path: Path) -> None:
    with open_video(clips.cut_tail(tmp_path / "clip", clips.Recipe(container="matroska", frames=60))) as video:
        list(video.packets())
        assert video.tally.truncated
        assert not video.rewound()


@pytest.mark.parametrize("container", ["matroska", "mp4"])
def test_where_the_index_leads_elsewhere_a_clip_is_opened_again(
    make_clip: MakeClip, tmp_path: Path, container: str
) -> None:
    """It begins without a key frame: Matroska's index leads to the first one, MP4's nowhere."""
    whole, path = make_clip(container=container, options=(("g", "10"), ("bf", "0"))), tmp_path / "cut"
    with av.open(str(whole)) as source, av.open(str(path), "w", format=container) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in list(source.demux(source.streams.video[0]))[3:30]:
            packet.stream = stream
            out.mux(packet)
    with open_video(path) as video:
        notes = list(video.packets())
        assert (len(notes), notes[0].key) == (27, False)
        assert not video.rewound()
    assert probe(path).width == 128


@pytest.mark.parametrize(("container", "openings"), [("mp4", 1), ("matroska", 1), ("mpegts", 2)])
def test_a_probe_opens_a_clip_once_where_it_can(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, container: str, openings: int
) -> None:
    path = make_clip(container=container)
    opened = []
    monkeypatch.setattr(video_module, "open_container", lambda *args: opened.append(1) or open_container(*args))
    assert (probe(path).width, len(opened)) == (128, openings)


def test_probe_of_the_sample_clip(sample_clip: Path) -> None:
    clip = probe(sample_clip)
    assert (clip.width, clip.height, clip.rotation) == (1768, 994, 0)
    assert (clip.container, clip.codec) == ("mov", "vp9")
    assert clip.duration_s == pytest.approx(7.667, abs=0.001)
    assert clip.fps == pytest.approx(30)
    assert clip.sha256 == "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039"
