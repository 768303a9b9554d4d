"""The rows of `benchmarks/science.py errors`, of one athlete each."""

from __future__ import annotations

from argparse import Namespace

from benchmarks import science


def test_with_feet_the_same_athlete_is_judged_twice() -> None:
    asked = Namespace(athletes=1, seed=3, yaw=None, clean=False, foot_together=1.0)
    with_them, without = science.errors_with_feet("wicketkeeping", "side", 30.0, asked)
    assert (with_them["skeleton"], without["skeleton"]) == ("halpe-26", "coco-17 of it")
    assert with_them["found"] == without["found"] == 1
    assert with_them["metrics"] == without["metrics"], "no contact is read of a keeper: feet change nothing"
    assert {"crouch_depth", "head_steadiness"} <= set(with_them["metrics"])
