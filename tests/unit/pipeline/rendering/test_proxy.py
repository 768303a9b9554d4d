import io

import av
import numpy as np
import pytest
import reports

from models.documents import TimeSpan
from pipeline.rendering.encode import Piece, pieces_of, shown_at
from pipeline.rendering.proxy import Proxy, ProxyWriter, packed_points

NOISE = np.random.default_rng(5).integers(0, 255, (30, 240, 320, 3), dtype=np.uint8)


def spans(*bounds):
    return tuple(TimeSpan(start_s=start, end_s=end) for start, end in bounds)


def write(poses, shown, *, max_bytes=10**6, rows=None, pictures=NOISE):
    with ProxyWriter(poses, shown, max_bytes=max_bytes) as writer:
        for row in range(len(poses.timestamps_s)) if rows is None else rows:
            writer.write(pictures[row % len(pictures)], row)
    return writer.finished()


def test_pieces_follow_one_another_a_picture_apart():
    pieces = pieces_of(spans((2.0, 2.4), (7.0, 7.5), (7.52, 8.0)), shown_s=0.0, interval_s=0.1)
    assert [(piece.start_s, pytest.approx(piece.shown_s)) for piece in pieces] == [(2.0, 0.0), (7.0, 0.5), (7.52, 1.02)]
    assert [shown_at(pieces, time_s) for time_s in (2.0, 2.3, 7.1, 7.9)] == pytest.approx([0, 0.3, 0.6, 1.4])


def test_times_are_kept_and_two_spans_are_joined():
    times = [5.0, 5.033, 5.1, 5.12, 9.5, 9.53, 9.6]
    proxy = write(reports.poses(times, size=(320, 240)), spans((5.0, 5.12), (9.5, 9.6)))
    with av.open(io.BytesIO(proxy.mp4)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    assert proxy.times_s.tolist() == times
    assert shown == pytest.approx([shown_at(proxy.pieces, time_s) for time_s in times], abs=1e-4)
    assert shown[:4] == pytest.approx([0.0, 0.033, 0.1, 0.12], abs=1e-4)
    assert [proxy.shows(time_s) for time_s in (4.9, 5.05, 7.0, 9.6)] == [False, True, False, True]


def test_it_stays_within_its_bytes_even_for_noise():
    poses = reports.poses([number / 30 for number in range(30)], size=(320, 240))
    free = write(poses, spans((0.0, 1.0)), max_bytes=10**8)
    tight = write(poses, spans((0.0, 1.0)), max_bytes=len(free.mp4) // 3)
    assert tight is not None
    assert len(free.mp4) // 6 < len(tight.mp4) <= len(free.mp4) // 3
    assert write(poses, spans((0.0, 1.0)), max_bytes=2_000) is None


@pytest.mark.parametrize(("max_bytes", "size"), [(12 * 1024**2, (1280, 720)), (400_000, (960, 540))])
def test_a_longer_one_is_smaller(max_bytes, size):
    poses = reports.poses([0.0, 10.0], size=(1920, 1080))
    pictures = np.zeros((1, 1080, 1920, 3), np.uint8)
    assert write(poses, spans((0.0, 10.0)), max_bytes=max_bytes, pictures=pictures).size == size


def test_the_same_pictures_give_the_same_bytes():
    poses = reports.poses([number / 30 for number in range(30)], size=(320, 240))
    first, second = (write(poses, spans((0.0, 1.0)), max_bytes=100_000).mp4 for _ in range(2))
    assert first == second


def test_points_are_sixteenths_of_the_small_picture_and_unseen_ones_stay_unseen():
    poses = reports.poses([0.0, 0.1, 0.2], size=(1280, 960), unseen=[1])
    poses.keypoints[0, 0] = 100.4, 20.0
    poses.keypoints[0, 1] = 10_000.0, 5.0
    poses.confidence[0, 2] = 0.29
    packed = packed_points(poses, [0, 1], (640, 480))
    assert packed.dtype == np.int16
    assert packed[0, 0].tolist() == [803, 160]
    assert (packed[0, 1:3] == -32768).all()
    assert (packed[0, 3:] > 0).all()
    assert (packed[1] == -32768).all()


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="for 2 pictures"):
        Proxy(
            mp4=b"", size=(2, 2), pieces=(Piece(start_s=0, end_s=1, shown_s=0),), times_s=np.zeros(2),
            points=np.zeros((3, 17, 2), np.int16),
        )  # fmt: skip
