"""Feet that come down at a known moment."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.biomechanics.events.contacts import Stretch, find_landings, find_plants, fit_contact
from pipeline.biomechanics.motion import prepare

CONTACTS = ("back_foot_contact", "front_foot_contact")


@pytest.mark.parametrize("fps", [60.0, 120.0, 240.0])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_contacts_from_the_side_are_met_between_frames(figures, judge, fps, seed):
    figure = figures.bowler(fps)
    poses = figure.film(white=0.0 if seed is None else 0.7, seed=seed or 0)
    events = judge(poses, "bowling").repetitions[0].events
    for name in CONTACTS:
        assert events[name].half_width_s == pytest.approx(max(1.5 / fps, 0.012), abs=1e-4), name
        assert abs(events[name].time_s - figure.truth[name]) <= (0.004 if seed is None else 0.009), name
    if fps == 120.0:
        assert events["release"].half_width_s <= 0.03


@pytest.mark.parametrize("view", ["front", "behind"])
def test_along_the_pitch_no_contact_of_a_delivery_is_shown(figures, judge, view):
    events = judge(figures.bowler(120.0).film(view=view), "bowling", view=view).repetitions[0].events
    assert "release" in events
    assert not {"back_foot_contact", "front_foot_contact"} & set(events)


def line(figures, contact, speed, fps=60.0):
    """One foot goes up the picture at 4 × `speed` pixels/s for 0.4 s and stops at `contact`; all else stands."""
    times = np.arange(round(fps * 2)) / fps
    figure = figures.walker(fps, seconds=2.0)
    poses = figure.film()
    points = np.repeat(poses.keypoints[:1], len(times), axis=0).astype(float)
    points[:, 15, 1] -= 4.0 * speed * np.clip(times - contact, -0.4, 0.0)
    return prepare(figures.pose_sequence(points, times), 1.0, constant_view=True)


@pytest.mark.parametrize(("contact", "speed"), [(1.0, 300.0), (1.005, 300.0), (0.9925, 200.0)])
def test_a_fitted_contact_lies_between_frames_and_its_width_is_that_of_the_slow_error(figures, contact, speed):
    motion = line(figures, contact, speed)
    time_s, half_width_s = fit_contact(motion, "left", Stretch(first=61, last=119))
    assert time_s == pytest.approx(contact, abs=1 / 60 / 8)
    assert half_width_s == pytest.approx(max(1.5 / 60, 3.3 / (4.0 * speed / motion.stature[0] * 100)), rel=1e-2)


def test_a_contact_that_was_not_seen_lies_where_swing_and_stand_meet_and_is_as_wide_as_its_hole(figures):
    motion = line(figures, 1.0, 300.0)
    cleaned = motion.cleaned.copy()
    cleaned[57:66, 15] = np.nan
    hidden = replace(motion, cleaned=cleaned, trusted=~np.isnan(cleaned[..., 0]))
    time_s, half_width_s = fit_contact(hidden, "left", Stretch(first=59, last=119))
    assert time_s == pytest.approx(1.0, abs=1 / 60)
    assert half_width_s == pytest.approx(10 / 60 / 2, abs=2e-6)


def test_a_stand_that_lies_in_a_hole_is_none(figures):
    motion = line(figures, 1.0, 300.0)
    assert any(55 <= plant.first <= 65 for plant in find_plants(motion, "left", along=False))
    trusted = motion.trusted.copy()
    trusted[55:, 15] = False
    assert not any(plant.first >= 55 for plant in find_plants(replace(motion, trusted=trusted), "left", along=False))


def test_a_contact_without_a_swing_before_it_stays_where_the_plant_begins(figures):
    motion = line(figures, 0.0, 300.0)
    time_s, half_width_s = fit_contact(motion, "left", Stretch(first=1, last=119))
    assert (time_s, half_width_s) == (pytest.approx(1 / 60, abs=2e-6), pytest.approx(1.5 / 60))


def test_every_swing_of_a_walk_along_the_pitch_ends_in_a_stand(figures):
    figure = figures.walker(60.0)
    motion = prepare(figure.film(view="behind"), 1.0, constant_view=False)
    sides = ("left", "right")
    landed = sorted(fit_contact(motion, side, p)[0] for side in sides for p in find_landings(motion, side))
    inside = [t for t in figure.truth["contacts"] if 1.1 < t < 4.9]
    assert [t for t in landed if 1.05 < t < 4.95] == pytest.approx(inside, abs=0.025)


@pytest.mark.parametrize("view", ["front", "behind"])
@pytest.mark.parametrize("fps", [30.0, 60.0])
def test_no_gait_is_read_along_the_pitch(figures, judge, view, fps):
    # A walker's steps are seen from there; half of a run-up's are not, and a rate of those that are is no step rate.
    metrics = judge(figures.walker(fps).film(view=view, white=0.5), "bowling", view=view).metrics
    assert {metrics[name].status for name in ("cadence", "step_length", "travel_speed")} == {"not_measurable"}


def test_the_run_up_from_behind_has_its_steps(figures, judge):
    delivery = judge(figures.bowler(60.0).film(view="behind"), "bowling", view="behind").repetitions[0]
    assert [step.time_s for step in delivery.steps][-5:] == pytest.approx([0.825, 1.1, 1.375, 1.65, 1.925], abs=0.02)
