"""People of pictures → the rows that `postprocess` takes, for backends whose models tell people apart themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.errors import BackendUnavailable
from inference.poses import FloatArray


def rows(people: Sequence[FloatArray], pictures: int, keypoints: int) -> FloatArray:
    """The people of each of N pictures, (P, 5 + 3K): box, score, keypoints → rows (N, R, 6 + 3K).

    Rows without anybody have the score 0. Raises BackendUnavailable for other shapes and for what is not finite.
    """
    columns = 5 + 3 * keypoints
    if len(people) != pictures:
        raise BackendUnavailable(f"the model answered {pictures} pictures with the people of {len(people)}")
    for found in people:
        if np.ndim(found) != 2 or np.shape(found)[1] != columns or not np.isfinite(found).all():
            raise BackendUnavailable(
                f"the model's people of a picture are {np.shape(found)}, not finite (people, {columns})"
            )
    filled = np.zeros((pictures, max(map(len, people), default=0), columns + 1), np.float32)
    for picture, found in zip(filled, people, strict=True):
        picture[: len(found), :5] = found[:, :5]
        picture[: len(found), 6:] = found[:, 5:]
    return filled
