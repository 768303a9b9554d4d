"""What the recording, not the athlete, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inference.poses import PoseSequence
from models.requests import Mode
from pipeline.biomechanics import gates
from pipeline.biomechanics.clock import find_implausible_cadence
from pipeline.biomechanics.cut import describe_cuts
from pipeline.biomechanics.doubts import OVERLAP_FRAMES, OVERLAP_MAX
from pipeline.biomechanics.motion import CORE, Motion
from pipeline.biomechanics.readings import Found
from pipeline.biomechanics.runs import judge_run, longest_run
from pipeline.biomechanics.scene import Scene
from pipeline.biomechanics.signals import CONFIDENCE_MIN
from pipeline.biomechanics.steps import Step
from pipeline.measurements import MeasureContext, RecordingIssue

VISIBLE_MIN = 10
"""Frames in which trunk and a leg are seen: fewer show no movement."""
VISIBLE_SHARE_MIN = 0.3
VISIBLE_SECONDS = 2.0
"""Seen for this long, a small share of a long clip is enough."""
TRUSTED_FROM: Mapping[Mode, str] = {
    "bowling": "angles at a foot contact need {contact} for full trust, release and timing {timing}",
    "batting": "what is read at plant and impact needs {posture} for full trust, timing {timing}",
    "wicketkeeping": "sideways steps need {contact} for full trust",
    "fielding": "what is read at the pick-up and the throw needs {posture} for full trust",
}
"""Which of a mode's metrics ask for how many frames a second."""
PLANTED_S = 0.12
MOVING_SPEED, MOVING_SHARE = 40.0, 0.35
"""% of height per second: four times the wander of a planted ankle; and a share of the athlete's own speed."""


def is_visible(poses: PoseSequence) -> bool:
    """Whether shoulders, hips and one leg are seen often enough: 10 frames, and 30 % of the clip or 2 s of it."""
    sure = {name: poses.confidence[:, i] >= CONFIDENCE_MIN for i, name in enumerate(poses.skeleton.keypoint_names)}
    leg = (sure["left_knee"] & sure["left_ankle"]) | (sure["right_knee"] & sure["right_ankle"])
    seen = np.all([sure[name] for name in CORE], axis=0) & leg
    interval = float(np.median(np.diff(poses.timestamps_s)))
    return bool(
        seen.sum() >= VISIBLE_MIN and (seen.mean() >= VISIBLE_SHARE_MIN or seen.sum() * interval >= VISIBLE_SECONDS)
    )


def camera_moves(motion: Motion, steps: Sequence[Step]) -> bool:
    """Whether the camera follows the athlete: a planted foot falls behind the hips faster than these cross the picture.

    Median over the steps of (fastest fall of ankle against hips within 0.12 s) minus (speed of the hips then), against
    40 % of height/s and 35 % of the fall. Needs four steps that follow as in a walk or run, at a cadence that someone
    has: else they tell nothing, and the camera is taken to stand.
    """
    run = longest_run(steps, motion.slowmo)
    if judge_run(run) or find_implausible_cadence(run, motion.slowmo) is not None:
        return False
    hips = motion.point("hips", "contact")
    across = motion.velocity(hips)[:, 0]
    falls, excess = [], []
    for step in run:
        relative = motion.velocity(motion.point(f"{step.side}_ankle", "contact"))[:, 0] - across
        planted = motion.window(step.time_s, step.time_s + PLANTED_S * motion.slowmo)
        good = planted[~np.isnan(relative[planted])]
        if len(good) < 2:
            continue
        fastest = good[np.argmax(np.abs(relative[good]))]
        falls.append(abs(relative[fastest]))
        excess.append(falls[-1] - abs(float(np.median(across[good]))))
    if len(falls) < 4:
        return False
    return float(np.median(excess)) > max(MOVING_SPEED, MOVING_SHARE * float(np.median(falls)))


def collect_issues(scene: Scene, context: MeasureContext, found: Sequence[Found]) -> tuple[RecordingIssue, ...]:
    """All that limits what can be said, the gravest first."""
    motion = scene.motion
    issues: list[RecordingIssue] = []

    def add(name: str, text: str, advice: str) -> None:
        issues.append(RecordingIssue(id=name, text=text, advice=advice))

    size = float(np.median(motion.stature))
    if not size >= gates.SIZE_GOOD_PX:
        add("ATHLETE_TOO_SMALL", f"The athlete is only {size:.0f} pixels tall; 200 are needed for full trust.",
            "Film from nearer, or zoom in.")  # fmt: skip
    if context.stage == "deep" and motion.fps < gates.RATES["contact"][0] * gates.RATE_TOLERANCE:
        issues.append(few_frames(context.mode, motion.fps))
    issues += _view_issues(scene)
    if scene.camera_moves:
        add(
            "CAMERA_MOVES",
            "The camera seems to move: feet that should stand slide through the picture.",
            "Put the camera on a tripod.",
        )
    if motion.sides.mirrored_share > 0.05:
        add("SIDES_UNSURE", "Left and right were exchanged in "
            f"{100 * motion.sides.mirrored_share:.0f} % of the frames.", "Film from nearer.")  # fmt: skip
    issues += _timing_issues(scene)
    issues += _missing(scene, context, found)
    if context.gaps:
        add("TIME_GAPS", f"Frames are missing in {len(context.gaps)} places of the clip.",
            "Film with a constant frame rate and send the original file.")  # fmt: skip
    if not np.mean(motion.well_seen) >= VISIBLE_SHARE_MIN:
        share = 100 * np.mean(motion.well_seen)
        add("LITTLE_SEEN", f"The athlete was seen well enough to measure in {share:.0f} % of the frames.",
            "Keep the whole athlete in the picture.")  # fmt: skip
    return tuple(issues)


def few_frames(mode: Mode, fps: float) -> RecordingIssue:
    """At `fps` real frames a second something of this mode is not seen with full trust."""
    rates = {need: f"{good:g}" for need, (good, _) in gates.RATES.items()}
    return RecordingIssue(
        id="LOW_FRAME_RATE",
        text=f"There are {fps:.0f} real frames a second; {TRUSTED_FROM[mode].format(**rates)}.",
        advice=f"Film at {gates.ADVISED_FPS} frames a second or more.",
    )


def _timing_issues(scene: Scene) -> list[RecordingIssue]:
    slowmo, wrong = scene.motion.slowmo, scene.clock
    if wrong is None:
        return []
    advice = (
        "If this is slow motion, give its factor (--slowmo)."
        if slowmo == 1
        else f"Check the slow-motion factor: {slowmo:g} was given (--slowmo)."
    )
    text = f"{str(wrong.reason)[:1].upper()}{str(wrong.reason)[1:]}."
    return [RecordingIssue(id="IMPLAUSIBLE_TIMING", text=text, advice=advice)]


def _missing(scene: Scene, context: MeasureContext, found: Sequence[Found]) -> list[RecordingIssue]:
    """What is not in the clip, or hidden in it."""
    issues = []
    if context.stage == "deep":
        advice = "Start filming earlier, stop later, and keep the athlete in the picture."
        issues += [
            RecordingIssue(id="ACTION_CUT_OFF", text=text, advice=advice) for text in describe_cuts(scene, found)
        ]
    covered = float(np.mean(scene.motion.overlap > OVERLAP_MAX))
    if covered >= OVERLAP_FRAMES:
        text = f"Somebody else overlaps the athlete in {100 * covered:.0f} % of the frames."
        advice = "Film with nobody between or behind."
        issues.append(RecordingIssue(id="PEOPLE_OVERLAP", text=text, advice=advice))
    return issues


def _view_issues(scene: Scene) -> list[RecordingIssue]:
    if scene.view.value is None:
        return [
            RecordingIssue(
                id="VIEW_UNKNOWN",
                text="From where the camera looks is not known, so what depends on it is not measured.",
                advice="Give the view: side, front or behind.",
            )
        ]
    if scene.view.value == "other":
        return [
            RecordingIssue(
                id="VIEW_OBLIQUE",
                text="The camera looks neither square to the pitch nor along it.",
                advice="Film square to the pitch, or along it.",
            )
        ]
    if scene.view_doubtful:
        return [
            RecordingIssue(
                id="VIEW_DOUBTFUL",
                text=f"The view was given as {scene.view.value}, but the athlete travels straight across the picture.",
                advice="Check the view (--view side, front or behind), and that the right person was followed.",
            )
        ]
    return []
