"""Stored poses judged anew: the same by the same rules, and what changes by others."""

from __future__ import annotations

import deliveries
import pytest

from inference.given_poses import read_poses
from inference.poses_io import write_parquet
from models.requests import AnalysisOptions, OwnRules
from pipeline.coaching.changes import diff
from pipeline.rederive import rederive
from pipeline.results import json_bytes

LENIENT = """name = "lenient"
version = 1
extends = "frontfoot"
mode = "bowling"

[[rule]]
id = "bowling_front_knee_folds"
finding = 100
"""


@pytest.fixture(scope="module")
def poses():
    return deliveries.poses()


@pytest.fixture(scope="module")
def stored(poses):
    return deliveries.results(poses, height_m=1.8, audience="analyst")


def own(text):
    return OwnRules.model_validate({"files": ({"name": "lenient.toml", "text": text},)})


def test_the_same_code_and_rules_give_the_same_bytes(tmp_path, poses, stored):
    write_parquet(tmp_path / "poses.parquet", poses)
    again = rederive(stored, read_poses(tmp_path / "poses.parquet"), stored.options)
    assert json_bytes(again) == json_bytes(stored)
    assert diff(stored, again).empty


def test_a_stored_document_comes_back_the_same_from_json(poses, stored):
    read = type(stored).model_validate_json(json_bytes(stored))
    assert json_bytes(rederive(read, poses, read.options)) == json_bytes(stored)


def test_other_rules_change_findings_and_no_metric(poses, stored):
    knee = stored.metrics["front_knee_min"]
    assert 100 < knee.value < 110  # past our 130 by two errors of 10 degrees, within one of the other mark
    asked = stored.options.model_copy(update={"rules": own(LENIENT)})
    after = rederive(stored, poses, asked)
    assert after.metrics == stored.metrics
    change = diff(stored, after)
    assert (change.rules_before, change.rules_after) == ("frontfoot@2", "lenient@1+frontfoot@2")
    assert [(item.after.id, item.before.kind, item.after.kind) for item in change.changed] == [
        ("bowling_front_knee_folds", "technique", "watch")
    ]
    assert (change.added, change.gone, change.moved) == ((), (), ())
    assert after.findings.rule_set.sha256 != stored.findings.rule_set.sha256


def test_another_height_moves_what_is_in_metres(poses, stored):
    after = rederive(stored, poses, stored.options.model_copy(update={"height_m": 2.4}))
    moved = {item.metric: item for item in diff(stored, after).moved}
    assert set(moved) == {"run_up_speed", "travel_speed"}
    assert moved["run_up_speed"].after == pytest.approx(moved["run_up_speed"].before * 2.4 / 1.8, abs=0.001)


def test_another_slow_motion_is_another_rate(poses, stored):
    after = rederive(stored, poses, AnalysisOptions(height_m=1.8, slowmo_factor=2.0))
    assert (stored.real_fps, after.real_fps) == (60.0, 120.0)


def test_poses_of_another_clip_are_refused(stored):
    with pytest.raises(ValueError, match="not those of these results"):
        rederive(stored, deliveries.poses(fps=30.0), AnalysisOptions())
