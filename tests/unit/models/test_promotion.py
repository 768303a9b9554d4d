"""A policy and the numbers that it limits."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.promotion import Policy, Totals

FOUND = Totals(
    clips=1, failures=1, oks=0.9, found_ratio=1.0, mirrored_more=0.1, jitter_ratio=None, moved_share=0.0, flips=1,
    speed_ratio=0.5, memory_ratio=1.5,
)  # fmt: skip


def test_a_policy_names_every_limit_that_is_not_met() -> None:
    assert Policy(flips_max=1, failures_max=1, speed_ratio_min=0.5, oks_min=0.9).unmet(FOUND) == ()
    assert Policy(clips_min=2, flips_max=0, jitter_ratio_max=1.2, memory_ratio_max=1.2).unmet(FOUND) == (
        "clips is 1, at least 2 is wanted",
        "jitter_ratio was not measured, at most 1.2 is wanted",
        "flips is 1, at most 0 is wanted",
        "memory_ratio is 1.5, at most 1.2 is wanted",
    )


def test_every_number_can_be_limited_and_nothing_else() -> None:
    assert {name.rpartition("_")[0] for name in Policy.model_fields} == set(Totals.model_fields)
    with pytest.raises(ValidationError):
        Policy.model_validate({"flip_max": 2})
