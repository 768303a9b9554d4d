import base64
import io
import json
import re
from pathlib import Path

import av
import clips
import cv2
import numpy as np
import pytest
import reports

from inference.errors import FrameTooLarge, VideoUnreadable
from inference.video import VideoLimits
from models.documents import Repetition
from pipeline.measurements import Signal
from pipeline.rendering.render import RenderLimits, render

SIZE = (256, 192)
BOX = (100, 30, 160, 170)
PTS_MS = [0, 33, 50, 83, 200, 233, 266, 300, 333, 366, 500, 533]


@pytest.fixture
def clip(tmp_path) -> Path:
    recipe = clips.Recipe(width=SIZE[0], height=SIZE[1], frames=len(PTS_MS), pts_ms=PTS_MS)
    return clips.make(tmp_path / "clip.mp4", recipe)


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "out: 1"
    folder.mkdir()
    return folder


def sampled(step=1, **fields):
    indices = list(range(0, len(PTS_MS), step))
    return reports.poses([PTS_MS[i] / 1000 for i in indices], indices=indices, size=SIZE, box=BOX, **fields)


def signals(poses):
    values = np.arange(len(poses.timestamps_s), dtype=float)
    seen = Signal(id="a", label="Knee", unit="deg", times_s=poses.timestamps_s, values=values)
    return [seen, Signal(id="b", label="Elbow", unit="deg", times_s=poses.timestamps_s, values=values * np.nan)]


def overlay_frames(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def test_page_text_and_overlay_are_written(clip, out):
    poses, document = sampled(), reports.results(size=SIZE)
    paths = render(clip=clip, poses=poses, results=document, signals=signals(poses), out=out)
    assert [path.name for path in paths] == ["report.html", "report.pdf", "report.md", "overlay.mp4"]
    assert paths[1].read_bytes().startswith(b"%PDF-")
    assert paths[2].read_text() == document.report.text
    assert {path.name for path in out.iterdir()} == {path.name for path in paths}
    html = paths[0].read_text()
    assert ">Knee</figcaption>" in html
    assert "Elbow" not in html
    again = [path.read_bytes() for path in paths]
    render(clip=clip, poses=poses, results=document, signals=signals(poses), out=out)
    assert again == [path.read_bytes() for path in paths]


@pytest.mark.parametrize("step", [1, 3])
def test_every_skeleton_lies_on_its_own_frame(clip, out, step):
    poses = sampled(step)
    render(clip=clip, poses=poses, results=reports.results(size=SIZE), signals=[], out=out)
    frames = overlay_frames(out / "overlay.mp4")
    assert [time_s for time_s, _ in frames] == pytest.approx(poses.timestamps_s.tolist(), abs=1e-4)
    # The skeleton covers the bars in the middle, and the time the lowest: frame 8's bit is left of both.
    assert [clips.frame_number(picture) & 3 for _, picture in frames] == [i & 3 for i in poses.frame_indices.tolist()]


def embedded(html, part):
    (text,) = re.findall(rf'<script type="[^"]*" id="{part}">([^<]*)</script>', html)
    return text


def shown_frames(html):
    """(moment of the clip that the page says, number on the picture) of every picture of the page's video."""
    data = json.loads(embedded(html, "player-data"))
    times = np.frombuffer(base64.b64decode(data["times"]), "<f8")
    with av.open(io.BytesIO(base64.b64decode(embedded(html, "player-video")))) as container:
        pictures = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    for (shown_s, _), time_s in zip(pictures, times, strict=True):
        piece = [piece for piece in data["pieces"] if piece["start"] <= time_s][-1]
        assert shown_s == pytest.approx(piece["shown"] + time_s - piece["start"], abs=1e-4)
    return [
        (time_s, clips.frame_number(picture)) for (_, picture), time_s in zip(pictures, times.tolist(), strict=True)
    ]


@pytest.mark.parametrize("step", [1, 3])
def test_the_pages_video_shows_every_moment_at_its_own_time(clip, out, step):
    poses = sampled(step)
    render(clip=clip, poses=poses, results=reports.results(size=SIZE), signals=[], out=out)
    frames = shown_frames((out / "report.html").read_text())
    assert frames == list(zip(poses.timestamps_s.tolist(), poses.frame_indices.tolist(), strict=True))


def test_the_pages_video_is_cut_to_what_the_report_rests_on(clip, out):
    repetitions = [Repetition(index=index, start_s=at, end_s=at) for index, at in enumerate((-0.44, 0.85))]
    document = reports.results(size=SIZE, findings=[], watches=[], repetitions=repetitions)
    limits = RenderLimits(max_proxy_s=0.3)
    render(clip=clip, poses=sampled(), results=document, signals=[], out=out, limits=limits)
    frames = shown_frames((out / "report.html").read_text())
    assert [number for _, number in frames] == [0, 1, 2, 9, 10, 11], "half a second before and after each"


def test_a_video_that_is_too_large_is_left_out(clip, out):
    limits = RenderLimits(max_proxy_bytes=500)
    render(clip=clip, poses=sampled(), results=reports.results(size=SIZE), signals=[], out=out, limits=limits)
    html = (out / "report.html").read_text()
    assert "<video" not in html
    assert "<script" not in html
    assert "When it happened" in html


def test_stills_show_their_own_frames(clip, out):
    document = reports.results(
        size=SIZE, watches=[], metrics={}, findings=[reports.FINDING.model_copy(update={"evidence": EVIDENCE})]
    )
    render(clip=clip, poses=sampled(), results=document, signals=[], out=out)
    html = (out / "report.html").read_text()
    overview, first, second = (jpeg(data) for data in re.findall(r"data:image/jpeg;base64,([^\"]+)", html))
    assert clips.frame_number(overview) == 7, "the frame at 0.3 s; dimmed bars are still told apart"
    assert 150 < first.shape[0] <= 560
    assert np.abs(first.astype(int) - second).mean() > 3, "two frames, two pictures"
    assert "frame 9" in html
    assert "frame 2<" in html


EVIDENCE = reports.evidence().model_copy(update={"frames": (9, 2), "times_s": (0.366, 0.05)})


def jpeg(data):
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)


def test_rotated_clips_are_upright(tmp_path, out):
    recipe = clips.Recipe(width=192, height=256, frames=6, rotation=90, numbers=[0] * 6)
    clip = clips.make(tmp_path / "turned.mp4", recipe)
    poses = reports.poses([i / 30 for i in range(6)], size=(256, 192), box=BOX, unseen=range(1, 6))
    render(clip=clip, poses=poses, results=reports.results(size=SIZE), signals=[], out=out)
    assert all(clips.upright(picture) for _, picture in overlay_frames(out / "overlay.mp4"))


def test_long_clips_are_cut_and_the_page_says_so(clip, out):
    document = reports.results(size=SIZE, watches=[], repetitions=[], findings=[])
    limits = RenderLimits(max_overlay_s=0.2)
    render(clip=clip, poses=sampled(), results=document, signals=[], out=out, limits=limits)
    assert len(overlay_frames(out / "overlay.mp4")) == 5
    assert "Too long to show whole: 0:00.200 of" in (out / "report.html").read_text()


def test_another_clip_is_refused(tmp_path, clip, out):
    document = reports.results(size=SIZE)
    shorter = clips.make(tmp_path / "short.mp4", clips.Recipe(width=SIZE[0], height=SIZE[1], frames=5))
    with pytest.raises(ValueError, match="lacks 7 of the frames"):
        render(clip=shorter, poses=sampled(), results=document, signals=[], out=out)
    smaller = clips.make(tmp_path / "small.mp4", clips.Recipe(frames=12))
    with pytest.raises(ValueError, match=r"\(128, 96\), not \(256, 192\)"):
        render(clip=smaller, poses=sampled(), results=document, signals=[], out=out)


def test_the_decoders_limits_apply(tmp_path, clip, out):
    document, poses = reports.results(size=SIZE), sampled()
    limits = RenderLimits(video=VideoLimits(max_side=200))
    with pytest.raises(FrameTooLarge):
        render(clip=clip, poses=poses, results=document, signals=[], out=out, limits=limits)
    with pytest.raises(VideoUnreadable):
        render(
            clip=clips.ffconcat(tmp_path / "list.mp4", clip.name), poses=poses, results=document, signals=[], out=out
        )


@pytest.mark.parametrize(
    "wrong", [{"max_overlay_s": 0}, {"max_proxy_s": 0}, {"max_proxy_bytes": 0}, {"max_stills": -1}, {"threads": 0}]
)
def test_limits_are_checked(wrong):
    with pytest.raises(ValueError, match="positive"):
        RenderLimits(**wrong)
