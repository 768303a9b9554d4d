"""Every metric × every disturbance of a recording: a number within its bound, or none and the reason for it.

One row a metric of a mode: who shows it, from where, from how many real frames a second on, and which keypoints it
cannot do without. A metric of the registry without a row fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from cricketer import delivery, drive, pick_up, take
from cricketer.body import Body
from cricketer.camera import Camera
from cricketer.clips import Clip, film
from cricketer.disturbances import gappy, hidden, mirrored, moved, slowed
from cricketer.extras import set_off, shuffle
from cricketer.movement import Movement, Truth
from cricketer.noise import CLEAN, Noise

from models.documents import Metric
from pipeline.biomechanics.measure import ROOMS, measure

ACTORS: dict[str, Callable[[], Movement]] = {
    "bowler": lambda: delivery.deliver(Body(), delivery.Technique()),
    "folding": lambda: delivery.deliver(Body(), delivery.Technique(knee_contact=172, flexion=40, extension=0)),
    "batter": lambda: drive.drive(Body(), drive.Technique()),
    "left-hander": lambda: drive.drive(Body(), drive.Technique(hand="left")),
    "keeper": lambda: take.take(Body(), take.Technique()),
    "shuffler": lambda: shuffle(Body()),
    "fielder": lambda: pick_up.pick_up(Body(), pick_up.Technique()),
    "upright": lambda: pick_up.pick_up(Body(), pick_up.Technique(lean=45.0, hips=30.0)),
    "starter": lambda: set_off(Body()),
}
HEAD = "nose left_eye right_eye left_ear right_ear"
BASE_FPS = 60.0
WHITE_AND_SLOW = replace(CLEAN, white=1.0, slow=1.0)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a metric asks for, by hand from the laws and not from the code."""

    mode: str
    metric: str
    actor: str
    view: str
    hides: str
    """Keypoints; without one of them there is no number."""
    over: tuple[float, float] = (-np.inf, np.inf)
    """Seconds of the movement over which they are hidden."""
    needs: float = 0.0
    """Real frames a second below which it is refused."""
    refused: str = (
        "not seen|too few frames|fewer than|was not found|no .* found|not clear|not both seen|is not known"
        "|cannot be told apart"
    )
    """Why, where they are hidden; empty: then nobody walks, and who does not is not asked."""
    may: dict[str, str] = field(default_factory=dict)
    """Disturbance → why it may be refused there, though it need not."""
    signed: bool = False
    """To the athlete's left: turns round in a mirror."""

    def __str__(self) -> str:
        return f"{self.mode}-{self.metric}"


def rows(mode: str, actor: str, view: str, table: str, over: tuple[float, float], **common: Any) -> list[Row]:
    """`metric keypoint[,keypoint] [needs]` a line."""
    out = []
    for line in table.strip().splitlines():
        metric, hides, *needs = line.split()
        what = {"metric": metric, "hides": hides.replace(",", " "), "needs": float(needs[0]) if needs else 0.0}
        out.append(Row(mode=mode, actor=actor, view=view, over=over, **what, **common))
    return out


DELIVERY, SHOT, CROUCH, PICK_UP = (1.6, 2.7), (1.6, 2.4), (0.5, 3.0), (1.5, 2.3)
WHOLE = (-np.inf, np.inf)
ROWS = [
    *rows("bowling", "bowler", "side", """
        front_knee_angle_contact left_knee
        front_knee_min left_knee
        front_knee_angle_release left_knee
        front_hip_flexion_contact left_knee
        trunk_flexion_change left_shoulder
        bowling_arm_angle_contact right_wrist 48
        stride_length left_ankle
        release_height right_wrist 48
        delivery_time left_ankle 48
        """, DELIVERY, may={"24": "back-foot contact was not found"}),
    *rows("bowling", "folding", "side", "front_knee_class left_knee 60", DELIVERY),
    *rows("bowling", "bowler", "side", """
        run_up_speed left_hip
        run_up_speed_ratio left_hip
        cadence left_ankle,right_ankle
        step_length left_ankle
        travel_speed left_hip
        trunk_lean left_shoulder
        """, WHOLE),
    *rows("bowling", "bowler", "behind", """
        release_height right_wrist 48
        trunk_lateral_flexion_release left_shoulder
        head_sideways_contact left_ankle
        foot_line_offset left_ankle
        """, DELIVERY),
    *rows("batting", "batter", "side", """
        head_forward_plant left_ankle
        head_forward_impact left_ankle
        head_steadiness left_hip
        plant_before_impact left_ankle 48
        front_knee_angle_impact left_knee
        """, SHOT),
    *rows("batting", "left-hander", "side", "lead_elbow_angle_impact right_elbow", SHOT),
    *rows("batting", "batter", "side", """
        base_width left_ankle
        weight_transfer right_elbow
        trunk_lean left_shoulder
        """, WHOLE),
    *rows("batting", "batter", "front", """
        head_sideways_plant left_ankle
        trunk_lateral_flexion_plant left_shoulder
        """, SHOT, may={"24": "no front-foot plant was found"}),
    *rows("wicketkeeping", "keeper", "side", """
        crouch_knee_angle right_knee
        crouch_hip_angle right_knee
        crouch_depth left_hip
        hand_height_ready right_wrist
        """, CROUCH),
    Row(mode="wicketkeeping", metric="head_steadiness", actor="keeper", view="front", hides=HEAD, over=CROUCH),
    Row(mode="wicketkeeping", metric="crouch_tilt", actor="keeper", view="front", hides="left_shoulder", over=CROUCH,
        signed=True),
    *rows("wicketkeeping", "shuffler", "front", "lateral_steps left_ankle\nshuffles left_ankle", (2.4, 4.5),
          may={"noisy": "the camera seems to move"}),
    *rows("wicketkeeping", "keeper", "side", "trunk_lean left_shoulder", WHOLE),
    *rows("fielding", "fielder", "side", """
        approach_speed left_hip
        pick_up_speed_ratio left_hip
        hip_height_pick_up left_hip
        """, PICK_UP),
    *rows("fielding", "starter", "side", """
        first_step_length right_ankle
        second_step_length left_ankle
        step_length left_ankle
        cadence left_ankle,right_ankle
        travel_speed left_hip
        trunk_lean left_shoulder
        throw_elbow_height right_elbow
        """, WHOLE),
    *rows("fielding", "fielder", "front", "head_outside_feet_pick_up left_ankle\nreach_pick_up left_ankle", PICK_UP),
    Row(mode="fielding", metric="trunk_lateral_flexion_pick_up", actor="upright", view="front", hides="left_shoulder",
        over=PICK_UP, signed=True),
    *(row for mode in ("batting", "wicketkeeping") for row in rows(mode, "starter", "side", """
        cadence left_ankle,right_ankle
        step_length left_ankle
        travel_speed left_hip
        """, WHOLE, refused="")),
]  # fmt: skip
NEVER = [("bowling", "elbow_extension"), ("bowling", "shoulder_counter_rotation"),
         ("bowling", "hip_shoulder_separation"), ("batting", "x_factor")]  # fmt: skip
"""What no single camera shows, whatever the recording."""

RATES = ("24", "30", "60", "120", "240")
SAME = ("mirrored", "slowed", "translated", "scaled")
DISTURBANCES = ("clean", "noisy", "gaps", *SAME, *RATES)
"""`occluded` beside them hides something else in each row."""
BOUND = {"noisy": 3.0, "24": 2.0, "30": 2.0}
"""Expected errors that a number may be off; 1.2 elsewhere: without noise it is the definition and the view that err."""


@cache
def movement(actor: str) -> Movement:
    return ACTORS[actor]()


@cache
def filmed(actor: str, mode: str, view: str, disturbance: str) -> Clip:
    """Square, level, far away, 400 pixels tall."""
    own = movement(actor)
    fps = float(disturbance) if disturbance in RATES else BASE_FPS
    noise: Noise = WHITE_AND_SLOW if disturbance == "noisy" else CLEAN
    camera = Camera(view=view, distance=3456.0, focal=3.6, target=own.centre)
    clip = film([own], view, fps, np.random.default_rng(4), noise=noise, camera=camera)
    clip = replace(clip, context=replace(clip.context, mode=mode))  # type: ignore[arg-type]
    changes = {"wide": moved, "gaps": gappy, "mirrored": mirrored, "slowed": slowed,
               "translated": lambda one: moved(one, right=311.0, down=-87.0, later=12.3),
               "scaled": lambda one: moved(one, scale=1.4)}  # fmt: skip
    return changes[disturbance](clip) if disturbance in changes else clip


@cache
def metrics(actor: str, mode: str, view: str, disturbance: str) -> dict[str, Metric]:
    if disturbance == f"{BASE_FPS:g}":
        return metrics(actor, mode, view, "clean")
    clip = filmed(actor, mode, view, disturbance)
    return measure(clip.poses, clip.context).metrics


def truth_of(row: Row, metric: Metric) -> float | str:
    own = movement(row.actor)
    if row.metric in DEFINED:
        return DEFINED[row.metric](own, metric)
    return own.truth.get(f"{row.metric}@{row.view}", own.truth.get(row.metric, np.nan))


def refusal(metric: Metric) -> str:
    assert (metric.value, metric.status, metric.n) == (None, "not_measurable", 0)
    return metric.reason or ""


@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_number_within_its_bound_or_the_reason_why_there_is_none(row: Row, disturbance: str) -> None:
    found = metrics(row.actor, row.mode, row.view, disturbance)[row.metric]
    if disturbance in RATES and float(disturbance) < row.needs:
        assert f"needs {row.needs:g}" in refusal(found).replace("at least ", "")
        return
    if found.value is None and disturbance in row.may:
        assert row.may[disturbance] in refusal(found)
        return
    truth = truth_of(row, found)
    if isinstance(truth, str):
        assert found.value in ({truth, "between classes"} if disturbance == "noisy" else {truth})
        return
    assert isinstance(found.value, float), found.reason
    turned = -1.0 if row.signed and disturbance == "mirrored" else 1.0
    assert abs(found.value - turned * truth) <= BOUND.get(disturbance, 1.2) * (found.expected_error or 0.0)


@pytest.mark.parametrize("disturbance", SAME)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_the_same_movement_gives_the_same_number(row: Row, disturbance: str) -> None:
    reference = "clean" if disturbance in ("slowed", "mirrored") else "wide"
    before, after = (metrics(row.actor, row.mode, row.view, name)[row.metric] for name in (reference, disturbance))
    if isinstance(before.value, str):
        assert after.value == before.value
        return
    turned = -1.0 if row.signed and disturbance == "mirrored" else 1.0
    assert after.value == pytest.approx(turned * (before.value or 0.0), rel=2e-3, abs=0.05)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_it_needs_is_hidden(row: Row) -> None:
    clip = hidden(filmed(row.actor, row.mode, row.view, "clean"), row.hides.split(), *row.over)
    found = measure(clip.poses, clip.context).metrics.get(row.metric)
    if found is None:
        assert not row.refused
    else:
        assert re.search(row.refused, refusal(found))


@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize(("mode", "metric"), NEVER)
def test_what_one_camera_cannot_show_is_never_measured(mode: str, metric: str, disturbance: str) -> None:
    actor = {"bowling": "bowler", "batting": "batter"}[mode]
    assert "one camera cannot show this" in refusal(metrics(actor, mode, "side", disturbance)[metric])


@pytest.mark.parametrize("mode", ROOMS)
def test_no_metric_of_the_registry_is_without_a_row(mode: str) -> None:
    named = {row.metric for row in ROWS if row.mode == mode} | {metric for of, metric in NEVER if of == mode}
    assert named == {spec.id for spec in ROOMS[mode][0]}  # type: ignore[index]


# --- Truths that the movements do not bring along, each by its definition ---------------------------------------------


def cadence(own: Movement, _: Metric) -> float:
    """A bowler's is the run-up's: the quick step into front-foot contact is none of it."""
    return 60 * (len(own.steps) - 1) / (own.steps[-1] - own.steps[0])


def lean(own: Movement, _: Metric) -> float:
    return float(np.median(Truth(own.pose, own.duration).lean(0)))


def reach(own: Movement, _: Metric) -> float:
    seen, moment = Truth(own.pose, own.duration), own.events["pick_up"]
    gaps = [np.abs(seen.offset(f"{own.side}_wrist", f"{side}_ankle", 1)) for side in ("left", "right")]
    return float(np.median(np.minimum(*gaps)[seen.over(moment - 0.1, moment + 0.1)]))


def transfer(own: Movement, _: Metric) -> float:
    """Winter 2009, table 4.1; both arms as the one towards the camera, which sees a batter's right side."""
    seen = Truth(own.pose, own.duration)
    at = {name: seen.of(name)[:, 0] for name in ("head", "shoulders", "hips")}
    at |= {f"{side}_{part}": seen.of(f"{side}_{part}")[:, 0] for side in ("left", "right")
           for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")}  # fmt: skip
    segments = [(0.497, "shoulders", "hips", 0.5), (0.056, "right_shoulder", "right_elbow", 0.436),
                (0.044, "right_elbow", "right_wrist", 0.682)]  # fmt: skip
    segments += [(0.1, f"{side}_hip", f"{side}_knee", 0.433) for side in ("left", "right")]
    segments += [(0.061, f"{side}_knee", f"{side}_ankle", 0.606) for side in ("left", "right")]
    centre = 0.081 * at["head"] + sum(m * ((1 - to) * at[a] + to * at[b]) for m, a, b, to in segments)
    share = (centre - at["right_ankle"]) / (at["left_ankle"] - at["right_ankle"])
    impact = own.events["impact"]
    return float(np.median(share[seen.over(impact - 0.1, impact + 0.1)]) - np.median(share[seen.over(0.55, 1.5)]))


DEFINED: dict[str, Callable[[Movement, Metric], float | str]] = {
    "cadence": cadence,
    "travel_speed": lambda own, _: own.speed(own.steps[0], own.steps[-1]) * own.body.height_m / 100,
    "trunk_lean": lean,
    "reach_pick_up": reach,
    "weight_transfer": transfer,
    "front_knee_class": lambda own, _: "flexor",
}
