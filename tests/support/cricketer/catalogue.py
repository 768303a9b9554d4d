"""Which movements there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cricketer.delivery import random_delivery
from cricketer.drive import random_drive
from cricketer.movement import Movement
from cricketer.pick_up import random_pick_up
from cricketer.take import random_take

MODES: dict[str, tuple[str, ...]] = {
    "bowling": ("side", "behind"),
    "batting": ("side", "front"),
    "wicketkeeping": ("side", "front"),
    "fielding": ("side", "front"),
}
"""Mode → the views in which it is proved."""
_RANDOM: dict[str, Callable[..., Movement]] = {
    "bowling": random_delivery,
    "batting": random_drive,
    "wicketkeeping": random_take,
    "fielding": random_pick_up,
}


def random_movement(mode: str, rng: np.random.Generator, **fixed: Any) -> Movement:
    """A random athlete of a mode; `fixed` sets parameters of its `Technique`."""
    return _RANDOM[mode](rng, **fixed)


def possible_movement(mode: str, rng: np.random.Generator, **fixed: Any) -> Movement:
    """`random_movement`, drawn anew where a body cannot do it: one batter in two hundred strides beyond his legs."""
    while True:
        try:
            return random_movement(mode, rng, **fixed)
        except AssertionError as why:
            if "farther away than the leg is long" not in str(why):
                raise
