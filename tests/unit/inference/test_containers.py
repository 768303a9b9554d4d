"""Content decides what a file is, and whether all of it is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import clips
import pytest

from inference.containers import identify
from inference.errors import (
    ContainerNotAllowed,
    InferenceError,
    SourceMissing,
    VideoEmpty,
    VideoUnreadable,
)

FAMILIES = [("mp4", "mov"), ("mov", "mov"), ("matroska", "matroska"), ("webm", "matroska"), ("avi", "avi")]


@pytest.mark.parametrize(("container", "demuxer"), [*FAMILIES, ("mpegts", "mpegts")])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.txt", "clip.jpg", "clip"])
def test_the_name_decides_nothing(tmp_path: Path, container: str, demuxer: str, name: str) -> None:
    codec = "libvpx-vp9" if container == "webm" else "mpeg4"
    path = clips.make(tmp_path / name, clips.Recipe(codec=codec, container=container, frames=3))
    found = identify(path)
    assert (found.demuxer, found.cut, found.indexed) == (demuxer, False, True)


@pytest.mark.parametrize(("container", "demuxer"), [*FAMILIES[:3], FAMILIES[4]])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_cut_file_is_seen_by_its_structure(tmp_path: Path, container: str, demuxer: str, share: float) -> None:
    mux = (("movflags", "faststart"),) if demuxer == "mov" else ()
    whole = clips.make(tmp_path / "whole", clips.Recipe(codec="mpeg4", container=container, mux=mux))
    assert not identify(whole).cut
    assert identify(clips.cut(tmp_path / "cut", whole, share)).cut


def test_a_transport_stream_cut_within_a_packet_is_seen(tmp_path: Path) -> None:
    whole = clips.make(tmp_path / "whole", clips.Recipe(container="mpegts"))
    data = whole.read_bytes()
    for lead in (0, 50):  # a recording may begin within a packet
        path = tmp_path / "part"
        path.write_bytes(data[lead:])
        assert not identify(path).cut
        path.write_bytes(data[lead:-40])
        assert identify(path).cut


def test_an_mp4_without_its_index_is_seen(tmp_path: Path) -> None:
    found = identify(clips.cut_in_header(tmp_path / "clip.mp4"))
    assert found.cut
    assert not found.indexed


@pytest.mark.parametrize("tail", [b"\0" * 100, b"\xff" * 100, b"\x00\x00"])
def test_padding_behind_the_last_box_is_no_fault(tmp_path: Path, tail: bytes) -> None:
    path = clips.make(tmp_path / "clip.mp4")
    path.write_bytes(path.read_bytes() + tail)
    assert not identify(path).cut


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", VideoEmpty),
        (b"hello", ContainerNotAllowed),
        (b"ffconcat version 1.0\nfile neighbour.mp4\n", ContainerNotAllowed),
        (b"#EXTM3U\n", ContainerNotAllowed),
        ("\ufeff#EXTM3U\n".encode(), ContainerNotAllowed),
        ("#EXTM3U\n".encode("utf-16"), ContainerNotAllowed),
        (b"x" * 4095 + "é".encode(), ContainerNotAllowed),
        (b"G" * 4096, ContainerNotAllowed),
        (b"FLV\x01\x05\x00\x00", ContainerNotAllowed),
        (b"RIFF\x00\x10\x00\x00WAVEfmt \x10\x00", ContainerNotAllowed),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", ContainerNotAllowed),
        (b"\0", VideoUnreadable),
        (b"\x13\x37\x00\xfe" * 100, VideoUnreadable),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, error: type[InferenceError]) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        identify(path)
    assert type(caught.value) is error


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        identify(tmp_path / "nothing.mp4")
    with pytest.raises(VideoUnreadable):
        identify(tmp_path)


def test_a_walk_through_boxes_ends(tmp_path: Path) -> None:
    """A file of nothing but empty boxes costs a bounded number of steps."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\x00\x00\x00\x08free" * 300_000)
    assert identify(path).demuxer == "mov"
    shutil.rmtree(tmp_path)
