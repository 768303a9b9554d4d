"""What may be said at all: the laws of view, frame rate and size, as data.

A `Verdict` is a status with its reason and the recording that would fix it; several combine into the worst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.documents import Status, ViewDocument

ViewNeed = Literal["side", "along", "any", "never"]
"""`side`: square of the pitch. `along`: from the front or behind. `never`: no single camera shows it."""
RateNeed = Literal["timing", "contact", "posture", "gait", "still"]

SIZE_MIN_PX = 120.0
SIZE_GOOD_PX = 200.0
YAW_GOOD, YAW_MAX = 20.0, 35.0
"""Degrees off square."""
RATE_TOLERANCE = 0.995
"""47.952 frames a second is twice the cinema's 23.976 and counts as 48."""
RATES: dict[RateNeed, tuple[float, float]] = {
    "timing": (95.0, 48.0),
    "contact": (48.0, 23.5),
    "posture": (48.0, 23.5),
    "gait": (23.5, 15.0),
    "still": (10.0, 10.0),
}
"""Real frames a second from which a metric is (measurable, degraded)."""
ADVISED_FPS = 120
"""Frames a second of the next clip: cameras offer it, and every need is met. One number, or readers must choose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether something may be said."""

    status: Status
    reason: str | None = None
    advice: str | None = None


MEASURABLE = Verdict(status="measurable")
_ORDER: dict[Status, int] = {"measurable": 0, "degraded": 1, "not_measurable": 2}


def refused(reason: str, advice: str | None = None) -> Verdict:
    """Not measurable, and why."""
    return Verdict(status="not_measurable", reason=reason, advice=advice)


def degraded(reason: str, advice: str | None = None) -> Verdict:
    """Measured, with less trust, and why."""
    return Verdict(status="degraded", reason=reason, advice=advice)


def worst(*verdicts: Verdict) -> Verdict:
    """The strictest of the verdicts; those as strict add their reasons, each once, in the order given."""
    status: Status = max((v.status for v in verdicts), key=_ORDER.__getitem__, default="measurable")
    if status == "measurable":
        return MEASURABLE
    deciding = [v for v in verdicts if v.status == status]
    if status == "not_measurable":
        return deciding[0]
    reasons = list(dict.fromkeys(v.reason for v in deciding if v.reason))
    advice = list(dict.fromkeys(v.advice for v in deciding if v.advice))
    return Verdict(status=status, reason="; ".join(reasons) or None, advice=" ".join(advice) or None)


def judge_view(need: ViewNeed, view: ViewDocument, yaw: float | None) -> Verdict:
    """Does the camera stand where the metric needs it? `yaw`: measured degrees off square, or None."""
    if need == "never":
        return refused(
            "one camera cannot show this: it needs the depth that a picture leaves out",
            "Several synchronised cameras or a marker-based laboratory are needed.",
        )
    if need == "any":
        return MEASURABLE
    where = "square to the pitch (side)" if need == "side" else "along the pitch (from the front or behind)"
    advice = f"Film {where} and give that view."
    if view.value is None:
        return refused("the camera's view of the pitch is not known", "Give the view (--view side, front or behind).")
    fits = view.value == "side" if need == "side" else view.value in ("front", "behind")
    if not fits:
        return refused(f"needs a camera {where}; this one is {view.value}", advice)
    if need == "along" or yaw is None or yaw <= YAW_GOOD:
        return MEASURABLE
    oblique = refused if yaw > YAW_MAX else degraded
    return oblique(
        f"the athlete moves about {yaw:.0f}° off square to the camera", "Film more exactly square to the pitch."
    )


def judge_estimated_view(view: ViewDocument) -> Verdict:
    """An estimated view degrades what depends on it where no run-up shows it."""
    if view.source == "estimate":
        return degraded("the view is an estimate", "Give the view (--view side, front or behind).")
    return MEASURABLE


def judge_rate(need: RateNeed, fps: float) -> Verdict:
    """Are there enough real, distinct frames a second?"""
    good, least = RATES[need]
    advice = f"Film at {ADVISED_FPS} frames a second or more."
    if not fps >= least * RATE_TOLERANCE:
        return refused(f"needs at least {least:g} real frames a second; there are {fps:.0f}", advice)
    if fps < good * RATE_TOLERANCE:
        return degraded(f"{fps:.0f} real frames a second; {good:g} are needed for full trust", advice)
    return MEASURABLE


def judge_size(stature_px: float, *, angle: bool) -> Verdict:
    """Is the athlete large enough in the picture? Under 120 px no angle is measured; under 200 all degrades."""
    advice = "Film from nearer, or zoom in, so that the athlete fills at least a quarter of the picture's height."
    if angle and not stature_px >= SIZE_MIN_PX:
        return refused(f"the athlete is only {stature_px:.0f} pixels tall; angles need {SIZE_MIN_PX:.0f}", advice)
    if not stature_px >= SIZE_GOOD_PX:
        return degraded(f"the athlete is only {stature_px:.0f} pixels tall", advice)
    return MEASURABLE


def judge_timing(timing_error: float, sys: float) -> Verdict:
    """Rate of change × half-width / √3 against `sys`: up to half of it is fine, up to 1.5 of it degrades."""
    advice = "Film at a higher frame rate: the moment is not known exactly enough."
    if timing_error > 1.5 * sys:
        return refused("it changes too fast at that moment for this frame rate", advice)
    if timing_error > 0.5 * sys:
        return degraded("it changes fast at that moment for this frame rate", advice)
    return MEASURABLE
