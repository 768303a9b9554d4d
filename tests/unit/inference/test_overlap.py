import numpy as np
import pytest

from inference.subject import overlap_of_others


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def test_it_is_the_largest_share_of_the_athlete_that_one_other_person_covers():
    own = (0, 0, 10, 20)
    frames = [
        boxes(own),
        boxes(own, (5, 0, 30, 20)),  # the right half
        boxes((-10, 0, 2, 20), own, (0, 15, 10, 40)),  # a fifth, and a quarter
        boxes(own, (50, 50, 60, 60)),
        boxes((1, 1, 2, 2)),
    ]
    shares = overlap_of_others(frames, np.array([0, 0, 1, 0, -1]))
    assert shares.tolist() == pytest.approx([0.0, 0.5, 0.25, 0.0, np.nan], nan_ok=True)
    assert overlap_of_others([], np.array([], np.int64)).shape == (0,)
