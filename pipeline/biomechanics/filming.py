"""The recording that would let a metric be measured: what its view and its rate ask of the next clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from models.documents import ViewDocument
from pipeline.biomechanics import gates
from pipeline.biomechanics.gates import RateNeed
from pipeline.biomechanics.readings import Spec

FILM_FPS: Mapping[RateNeed, int] = MappingProxyType(
    {"timing": 120, "contact": 60, "posture": 60, "gait": 30, "still": 30}
)
"""Frames a second that cameras offer, from which each need is fully met: for who looks one metric up. A report asks
for `gates.ADVISED_FPS`.
"""


Place = Literal["side", "along"]
"""Where to put the camera: square of the pitch, or along it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filming:
    """One clip, and what it could add."""

    view: Place
    adds: tuple[str, ...]
    """Ids of metrics."""


def is_filmable(spec: Spec) -> bool:
    """Whether any recording with one camera lets this version measure it."""
    return spec.view != "never" and spec.not_built is None


def is_fit(spec: Spec, view: ViewDocument, fps: float) -> bool:
    """Whether the recording's view and rate do not forbid the metric; where the view is unknown, only what needs none
    fits.
    """
    verdicts = (gates.judge_view(spec.view, view, None), gates.judge_rate(spec.rate, fps))
    return all(verdict.status != "not_measurable" for verdict in verdicts)


def choose_clip(missing: Iterable[Spec], view: ViewDocument, fps: float) -> Filming | None:
    """The one clip that could add most of what this recording's view or rate forbids; the side where both add as much.

    None where neither view nor rate is the reason for anything that is missing.
    """
    forbidden = [spec for spec in missing if is_filmable(spec) and not is_fit(spec, view, fps)]
    choices = []
    places: tuple[Place, ...] = ("side", "along")
    for where in places:
        fits = [spec for spec in forbidden if spec.view in (where, "any")]
        if fits:
            choices.append(Filming(view=where, adds=tuple(spec.id for spec in fits)))
    return max(choices, key=lambda clip: len(clip.adds), default=None)
