"""Every moment that is found has its line in the vocabulary, and every line is found in somebody.

The keeper's are in `test_footwork.py`, with the only one here who takes a ball.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cricketer import delivery, drive, pick_up
from cricketer.body import Body
from cricketer.camera import Camera
from cricketer.clips import film
from cricketer.movement import Movement
from cricketer.noise import CLEAN

from pipeline.biomechanics.events.vocabulary import MOMENTS
from pipeline.biomechanics.measure import measure

ACTORS: dict[str, Callable[[], Movement]] = {
    "bowling": lambda: delivery.deliver(Body(), delivery.Technique()),
    "batting": lambda: drive.drive(Body(), drive.Technique()),
    "fielding": lambda: pick_up.pick_up(Body(), pick_up.Technique()),
}


@pytest.mark.parametrize("mode", ACTORS)
def test_what_is_found_is_what_is_listed(mode):
    movement = ACTORS[mode]()
    camera = Camera(target=movement.centre)
    clip = film([movement], "side", 120.0, np.random.default_rng(4), noise=CLEAN, camera=camera)
    (repetition,) = measure(clip.poses, clip.context).repetitions
    assert set(repetition.events) == set(MOMENTS[mode])
