import av
import numpy as np
import pytest
import reports

from models.documents import TimeSpan
from pipeline.rendering.encode import fitted_size
from pipeline.rendering.overlay import OverlayWriter

JITTERY = [0.0, 0.033, 0.05, 0.2, 0.211, 0.5, 0.533, 1.0]


def write(path, poses, spans=None, rows=None, threads=1):
    whole = (TimeSpan(start_s=poses.timestamps_s[0], end_s=poses.timestamps_s[-1]),)
    width, height = poses.frame_size
    with OverlayWriter(path, poses, spans or whole, threads=threads) as writer:
        for row in range(len(poses.timestamps_s)) if rows is None else rows:
            writer.write(np.full((height, width, 3), 40 + 20 * row % 160, np.uint8), row)
    return path


def shown_times(path):
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("source", "fitted"),
    [
        ((1768, 994), (1280, 720)), ((3840, 2160), (1280, 720)), ((1080, 1920), (720, 1280)), ((101, 75), (100, 74)),
        ((640, 480), (640, 480)), ((4000, 500), (1280, 160)), ((1440, 1440), (720, 720)),
    ],
)  # fmt: skip
def test_sizes_fit_and_are_even(source, fitted):
    assert fitted_size(*source, 1280, 720) == fitted


@pytest.mark.parametrize("first", [0.0, 0.7])
def test_variable_timestamps_are_kept(tmp_path, first):
    times = [first + time_s for time_s in JITTERY]
    assert shown_times(write(tmp_path / "o.mp4", reports.poses(times))) == pytest.approx(times, abs=1e-4)


def test_every_browser_can_play_it(tmp_path):
    path = write(tmp_path / "o.mp4", reports.poses(JITTERY, size=(101, 75), box=(40, 10, 60, 70)))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "playing starts before all is loaded"
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.width, codec.height) == ("h264", "yuv420p", 100, 74)


def test_spans_follow_one_another(tmp_path):
    times = [number / 10 for number in range(100)]
    spans = (TimeSpan(start_s=2.0, end_s=2.4), TimeSpan(start_s=7.0, end_s=7.2))
    path = write(tmp_path / "o.mp4", reports.poses(times), spans, rows=[20, 21, 22, 23, 24, 70, 71, 72])
    assert shown_times(path) == pytest.approx([number / 10 for number in range(8)], abs=1e-4)


def test_skeleton_and_time_are_drawn(tmp_path):
    poses = reports.poses([0.0, 0.1], size=(640, 480), box=(250, 50, 400, 450), unseen=[1])
    with av.open(str(write(tmp_path / "o.mp4", poses))) as container:
        seen, unseen = (frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0))
    x, y = ((poses.keypoints[0, 11] + poses.keypoints[0, 13]) / 2).round().astype(int)
    red, green, blue = seen[y, x]
    assert red > green + 50 > blue + 100, "an orange left thigh"
    assert np.ptp(unseen[y, x]) <= 4
    assert unseen[440:].max() > 200, "the time in white"
    assert unseen[440:].min() < 30, "on black"


def test_colours_come_back(tmp_path):
    poses = reports.poses([0.0], size=(640, 480), unseen=[0])
    with OverlayWriter(tmp_path / "o.mp4", poses, (TimeSpan(start_s=0, end_s=0),), threads=1) as writer:
        writer.write(np.broadcast_to(np.array([200, 80, 40], np.uint8), (480, 640, 3)).copy(), 0)
    with av.open(str(tmp_path / "o.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert picture[100, 300] == pytest.approx([200, 80, 40], abs=6)


def test_the_same_pictures_give_the_same_file(tmp_path):
    poses = reports.poses(JITTERY)
    first, second = (write(tmp_path / name, poses, threads=2).read_bytes() for name in ("a.mp4", "b.mp4"))
    assert first == second


def test_an_error_among_the_pictures_is_the_error_that_is_raised(tmp_path):
    poses = reports.poses(JITTERY)
    with (
        pytest.raises(RuntimeError, match="decoder"),
        OverlayWriter(tmp_path / "o.mp4", poses, (TimeSpan(start_s=0, end_s=1),), threads=1),
    ):
        raise RuntimeError("decoder")
