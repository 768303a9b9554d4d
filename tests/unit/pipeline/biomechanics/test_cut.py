"""Clips that begin or end in the middle of an action."""

from dataclasses import replace

import numpy as np
import pytest


def cut(poses, start, end):
    keep = (poses.timestamps_s >= start) & (poses.timestamps_s <= end)
    names = ("keypoints", "confidence", "boxes", "timestamps_s", "frame_indices")
    return replace(poses, **{name: getattr(poses, name)[keep] for name in names})


def texts(measured):
    return [issue.text for issue in measured.recording if issue.id == "ACTION_CUT_OFF"]


def test_a_whole_delivery_is_not_cut_and_a_late_start_says_what_is_missing(figures, judge):
    poses = figures.bowler(120.0).film()  # release at 2.5 s
    assert texts(judge(poses, "bowling")) == []
    late = judge(cut(poses, 2.3, 3.4), "bowling")
    assert len(texts(late)) == 1
    assert texts(late)[0].startswith("The athlete is seen only from 0.2 s before the release: the last step")
    assert "seen only from" in (late.metrics["stride_length"].reason or "")
    assert late.metrics["stride_length"].advice == "Start filming earlier."


@pytest.mark.parametrize(
    ("mode", "figure", "span", "said"),
    [
        ("bowling", "bowler", (0.0, 2.45), "ends with an arm coming over"),
        ("batting", "batter", (0.0, 1.98), "ends with the hands swinging"),
        ("wicketkeeping", "keeper", (0.0, 1.2), "ends in a crouch"),
        ("fielding", "fielder", (2.42, 4.0), "begins with a hand at the ground"),
    ],
)
def test_an_action_that_an_edge_cuts_is_said_where_none_was_found(figures, judge, mode, figure, span, said):  # noqa: PLR0917 - a table
    measured = judge(cut(getattr(figures, figure)(60.0).film(), *span), mode, handedness="right")
    if not measured.repetitions:
        assert any(said in text for text in texts(measured))
    else:
        assert texts(measured)


def test_who_only_walks_is_cut_nowhere(figures, judge):
    for mode in ("bowling", "batting", "wicketkeeping", "fielding"):
        assert texts(judge(figures.walker(30.0).film(), mode)) == []


def test_a_keeper_who_leaves_the_picture_in_his_crouch(figures, judge):
    poses = figures.keeper(30.0).film()
    measured = judge(cut(poses, 0.0, 2.9), "wicketkeeping")
    assert len(measured.repetitions) == 1
    assert "the rise and the take may be missing" in texts(measured)[0]
    assert "until" in (measured.metrics["hand_height_ready"].reason or "")
    assert np.isfinite(measured.metrics["crouch_depth"].value)
