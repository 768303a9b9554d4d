"""How many steps lie between two that were found: by which foot, and by how long it took."""

import pytest

from pipeline.biomechanics.metrics.common import count_steps, is_even
from pipeline.biomechanics.steps import Step


def run(*steps):
    return tuple(Step(side=side, index=i, time_s=time_s, half_width_s=0.067) for i, (side, time_s) in enumerate(steps))


@pytest.mark.parametrize(
    ("steps", "counts"),
    [
        ([("left", 0.0), ("right", 0.5), ("left", 1.1), ("right", 1.6)], [1, 1, 1]),
        (
            [("left", 0.0), ("right", 0.5), ("right", 1.6), ("left", 2.1)],
            [1, 2, 1],
        ),  # the left one in between was missed
        ([("left", 0.0), ("right", 0.5), ("right", 1.1), ("left", 1.6)], [1, 1, 1]),  # one foot taken for the other
        ([("left", 0.0), ("left", 1.1), ("left", 2.1)], [2, 2]),  # the other foot is out of sight
        ([("left", 0.0)], []),
    ],
)
def test_from_a_foot_to_itself_a_step_was_missed_unless_it_came_too_soon(steps, counts):
    assert count_steps(run(*steps)).tolist() == counts
    assert is_even(run(*steps))
