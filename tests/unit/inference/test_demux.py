"""A clip leads to no other file, whatever it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import clips
import pytest
from watching import watching

from inference.containers import Container
from inference.demux import open_container
from inference.errors import InferenceError
from inference.probe import probe
from inference.video import open_video

TEXTS: dict[str, Callable[[Path, str], Path]] = {
    "ffconcat": clips.ffconcat,
    "playlist": clips.playlist,
    "dash": clips.dash_manifest,
}


def decode(path: Path) -> None:
    with open_video(path) as video:
        for _ in video.frames():
            pass


@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("how", [probe, decode])
def test_a_text_named_mp4_does_not_open_its_neighbour(
    tmp_path: Path, make: Callable[[Path, str], Path], how: Callable[[Path], object]
) -> None:
    neighbour = clips.make(tmp_path / "neighbour.mp4")
    path = make(tmp_path / "clip.mp4", neighbour.name)
    with watching(neighbour) as watch:
        with pytest.raises(InferenceError):
            how(path)
        assert not watch.opened


def test_the_watch_sees_what_libavformat_opens(tmp_path: Path) -> None:
    """Without our guards the forty bytes do open the neighbour: so the tests above can fail."""
    neighbour = clips.make(tmp_path / "neighbour.mp4")
    path = clips.ffconcat(tmp_path / "clip.mp4", neighbour.name)
    with watching(neighbour) as watch:
        with av.open(str(path)) as container:
            assert container.streams.video
        assert watch.opened


@pytest.mark.parametrize("demuxer", ["mov", "matroska", "avi", "mpegts"])
def test_the_demuxer_is_forced_even_past_the_first_door(tmp_path: Path, demuxer: str) -> None:
    neighbour = clips.make(tmp_path / "neighbour.mp4")
    path = clips.ffconcat(tmp_path / "clip.mp4", neighbour.name)
    with watching(neighbour) as watch:
        with pytest.raises(InferenceError):
            open_container(path, Container(demuxer=demuxer, cut=False, indexed=True), 10**7)
        assert not watch.opened


def test_an_external_data_reference_is_not_followed(tmp_path: Path) -> None:
    neighbour = clips.make(tmp_path / "neighbour.mov", clips.Recipe(container="mov"))
    path = clips.external_reference(tmp_path / "clip.mov", neighbour)
    with watching(neighbour) as watch:
        with pytest.raises(InferenceError):
            decode(path)
        assert not watch.opened


def test_the_watch_sees_an_external_data_reference(tmp_path: Path) -> None:
    """With FFmpeg's own switches thrown, the very same file does open its neighbour."""
    neighbour = clips.make(tmp_path / "neighbour.mov", clips.Recipe(container="mov"))
    path = clips.external_reference(tmp_path / "clip.mov", neighbour)
    with watching(neighbour) as watch:
        with av.open(str(path), container_options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
            assert sum(1 for _ in container.decode(video=0)) == 30
        assert watch.opened


@pytest.mark.parametrize("name", ["concat:a.mp4|b.mp4", "http:x.mp4", "a%03d.mp4", "pipe:0", "-"])
def test_a_name_is_no_address(tmp_path: Path, name: str) -> None:
    path = clips.make(tmp_path / "plain.mp4").rename(tmp_path / name)
    assert probe(path).width == 128


@pytest.mark.parametrize("name", ["clip.txt", "clip.m3u8", "clip.jpg", "clip"])
def test_a_real_video_under_a_wrong_name_is_read(tmp_path: Path, name: str) -> None:
    assert probe(clips.make(tmp_path / name)).codec == "h264"
