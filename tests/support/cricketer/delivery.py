"""A whole delivery: run-up, back-foot and front-foot contact, release, follow-through."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cricketer.body import ANKLE, Array, Body, Plant, assemble, column, ease, foot, mirror, random_body
from cricketer.feet import Feet, with_feet
from cricketer.movement import APPROACH, Movement, Truth


@dataclass(frozen=True, kw_only=True)
class Technique:
    """One bowler. Angles in degrees, lengths in % of height, times in seconds."""

    arm: str = "right"
    speed: float = 290.0
    """In the middle of the run-up, % of height a second."""
    ratio: float = 1.0
    """Speed before delivery against that."""
    step: float = 0.27
    contacts: float = 0.17
    """Back-foot to front-foot contact."""
    to_release: float = 0.10
    """Front-foot contact to release."""
    swing: float = 0.5
    """Time of the arm's full circle."""
    ahead: float = 26.0
    """Front ankle ahead of the hips at its contact."""
    knee_contact: float = 165.0
    flexion: float = 15.0
    """Contact to minimum."""
    extension: float = 5.0
    """Minimum to release."""
    tilt: float = 12.0
    """Of the trunk away from the arm, from front-foot contact on."""
    head: float = 4.0
    """Head away from the arm, against the middle of the feet, median over contact to contact + 0.2 s."""
    line: float = 2.0
    """Front foot across the back foot's line."""
    lean: float = 8.0
    lean_release: float = 30.0
    start: float = 0.0
    """Where in the cycle of steps the clip begins, 0..1."""
    feet: Feet | None = None


def random_technique(rng: np.random.Generator) -> Technique:
    """Anybody, from an upright medium pacer to somebody with every fault."""
    return Technique(
        arm="right" if rng.random() < 0.75 else "left", speed=rng.uniform(210, 370), ratio=rng.uniform(0.85, 1.08),
        step=rng.uniform(0.24, 0.31), contacts=rng.uniform(0.14, 0.21), to_release=rng.uniform(0.08, 0.13),
        swing=rng.uniform(0.42, 0.55), ahead=rng.uniform(20, 30), knee_contact=rng.uniform(150, 174),
        flexion=rng.uniform(2, 35), extension=rng.uniform(0, 25), tilt=rng.uniform(0, 28), head=rng.uniform(-4, 18),
        line=rng.uniform(-14, 14), lean=rng.uniform(0, 12), lean_release=rng.uniform(15, 45), start=rng.random(),
    )  # fmt: skip


def random_delivery(rng: np.random.Generator, **fixed: Any) -> Movement:
    """One athlete and one technique; `fixed` sets parameters of `Technique`."""
    body = random_body(rng)
    return deliver(body, replace(random_technique(rng), **fixed))


def deliver(body: Body, how: Technique) -> Movement:
    """The movement, its lateral place adjusted until the head is where `how.head` says, before feet roll."""
    shift = 0.0
    for _ in range(2):
        movement = _deliver(body, replace(how, feet=None), shift)
        shift += how.head - movement.truth["head_sideways_contact"]
    return _deliver(body, how, shift)


def _deliver(body: Body, how: Technique, shift: float) -> Movement:
    steps = 7
    back = how.start * how.step + steps * how.step
    front = back + how.contacts
    release = front + how.to_release
    duration = release + 0.9
    scale = body.leg / 49.1

    def x_at(t: Array | float) -> Array:
        """Hips: steady, then to `ratio` over half a second before back-foot contact, braked by the front leg."""
        t = np.asarray(t, dtype=np.float64)
        slow_from, after = back - 0.9, np.maximum(t - front, 0.0)
        u = np.clip((t - slow_from) / 0.5, 0, 1)
        eased = 0.5 * (u**3 - u**4 / 2) * how.speed * (how.ratio - 1)  # the integral of smoothstep
        late = np.maximum(np.minimum(t, front) - slow_from - 0.5, 0) * how.speed * (how.ratio - 1)
        way = (how.ahead + 16 * scale) * (1 - np.exp(-after * how.speed * how.ratio / (how.ahead + 16 * scale)))
        return np.asarray(how.speed * np.minimum(t, front) + eased + late + way)

    stand = 17 * scale
    contact = 2 * stand / how.speed
    moments = [back - k * how.step for k in range(steps + 4, 0, -1)]
    odd = [Plant(on=t, ahead=stand, off=t + contact) for t in moments[::2]]
    even = [Plant(on=t, ahead=stand, off=t + contact) for t in moments[1::2]]
    rear_run, front_run = (odd, even) if len(moments) % 2 == 0 else (even, odd)
    rear = [*rear_run, Plant(on=back, ahead=stand, off=back + contact), Plant(on=release + 0.4, ahead=8, off=9)]
    lead = [*front_run, Plant(on=front, ahead=how.ahead, off=9)]
    knee_min = front + 0.6 * how.to_release
    bent = how.knee_contact - how.flexion
    ground = -5.0 - how.line  # the back foot is at -5 from the middle

    def pose(times: Array) -> Array:
        x = x_at(times)
        y = ease(times, [(back - 0.6, 0.0), (back - 0.05, shift)])
        rear_x, rear_z = foot(times, x_at, rear)
        lead_x, lead_z = foot(times, x_at, lead)
        lead_y = ease(times, [(back - 0.1, 5.0), (front - 0.02, ground)])
        run = ANKLE + 0.93 * body.leg
        knee = ease(times, [(front, how.knee_contact), (knee_min, bent), (release, min(bent + how.extension, 176.0))])
        gap = np.square(x - lead_x) + np.square(y + body.half_hips - lead_y)
        over_front = ANKLE + np.sqrt(np.maximum(body.reach(knee) ** 2 - gap, 100.0))
        blend = ease(times, [(back - 0.05, 0.0), (front, 1.0), (release + 0.12, 1.0), (release + 0.6, 0.0)])
        z = (1 - blend) * run + blend * over_front
        phase = np.pi * (times - back) / how.step
        swing = 14 * np.sin(phase) * (1 - ease(times, [(back - 0.2, 0.0), (back, 1.0)]))
        joints = assemble(
            body, hips=column(x, y, z),
            lean=ease(times, [(back, how.lean), (front, how.lean + 2), (release, how.lean_release),
                              (release + 0.3, how.lean_release + 12)]),
            tilt=ease(times, [(back, 0.0), (front, how.tilt), (release + 0.2, how.tilt), (duration, 0.0)]),
            ankles=(column(lead_x, lead_y, lead_z), column(rear_x, -5.0, rear_z)),
            wrists=(column(x + swing + 8, y + 13, 55.0), column(x, y, 50.0)),
        )  # fmt: skip
        shoulder, length = joints[:, 6], 0.97 * (body.upper_arm + body.forearm)
        turn = 2 * np.pi * ease(times, [(release - how.swing / 2, 0.0), (release + how.swing / 2, 1.0)])
        hang = np.radians(25) * np.sin(phase) * (1 - ease(times, [(release - 0.5, 0), (release - 0.3, 1)]))
        arm = column(-np.sin(turn + hang), -0.1, -np.cos(turn + hang))
        joints[:, 10] = shoulder + length * arm
        joints[:, 8] = shoulder + 0.56 * length * arm
        return joints if how.arm == "right" else mirror(joints)

    moves = pose if how.feet is None else with_feet(pose, duration, body, how.feet)
    fine = Truth(moves, duration)
    seen = tuple(t for t in moments if t >= 0)
    events = {"back_foot_contact": back, "front_foot_contact": front, "release": release}
    return Movement(
        mode="bowling", body=body, duration=duration, pose=moves, events=events, side=how.arm, steps=seen,
        speed=fine.speed, truth=_read(fine, how, events, seen, body), centre=(float(x_at(front)), 0.0),
        approach=APPROACH, blurs=((f"{how.arm}_wrist", release), (f"{how.arm}_elbow", release)),
    )  # fmt: skip


def _read(
    seen: Truth, how: Technique, events: dict[str, float], steps: tuple[float, ...], body: Body
) -> dict[str, float]:
    back, front, release = events.values()
    lead, sign = ("left", 1) if how.arm == "right" else ("right", -1)
    b, f, r = (seen.at(t) for t in (back, front, release))
    after = seen.over(front, front + 0.2)
    knee = seen.angle(f"{lead}_hip", f"{lead}_knee", f"{lead}_ankle")
    hip = seen.angle("shoulders", f"{lead}_hip", f"{lead}_knee", plane=True)
    forward = seen.lean(0)
    arm = np.degrees(_between(seen, how.arm)[f])
    third = (back - steps[0]) / 3
    apart = seen.of(f"{lead}_ankle")[f] - seen.of(f"{how.arm}_ankle")[b]
    hips = seen.of("hips")
    run = [seen.of(f"{_foot(i, len(steps), how.arm)}_ankle")[seen.at(t), 0] for i, t in enumerate(steps)]
    return {
        "front_knee_angle_contact": knee[f], "front_knee_min": knee[after].min(), "front_knee_angle_release": knee[r],
        "trunk_lateral_flexion_release": sign * np.median(seen.lean(1)[seen.over(release - 0.05, release + 0.05)]),
        "front_hip_flexion_contact": 180 - hip[f], "trunk_flexion_change": forward[r] - forward[f],
        "bowling_arm_angle_contact": arm,
        "run_up_speed": seen.speed(steps[-5], steps[-1]) * body.height_m / 100,
        "run_up_speed_ratio": seen.speed(steps[0] + 2 * third, back) / seen.speed(steps[0] + third, back - third),
        "stride_length": apart[0], "release_height": seen.height(f"{how.arm}_wrist")[r],
        "delivery_time": release - front,
        "head_sideways_contact": sign * np.median(seen.offset("head", "feet", 1)[after]),
        "foot_line_offset": -sign * (apart[1] - (hips[f, 1] - hips[b, 1])),
        "step_length": float(np.mean(np.diff(run))), "cadence": 60 / how.step,
        "trunk_lean": float(np.median(forward)),
    }  # fmt: skip


def _foot(index: int, count: int, arm: str) -> str:
    """Whose step it is: the last before back-foot contact is the front leg's."""
    other = "left" if arm == "right" else "right"
    return other if (count - 1 - index) % 2 == 0 else arm


def _between(seen: Truth, side: str) -> Array:
    """Angle of the arm against the trunk's line downwards in the plane of travel, radians."""
    arm = seen.of(f"{side}_wrist") - seen.of(f"{side}_shoulder")
    down = seen.of("hips") - seen.of("shoulders")
    one, two = arm[:, [0, 2]], down[:, [0, 2]]
    cosine = np.sum(one * two, axis=-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(two, axis=-1)
    return np.asarray(np.arccos(np.clip(cosine, -1, 1)))
