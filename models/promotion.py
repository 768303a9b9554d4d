"""What a promotion needs: limits that an operator sets to what a comparison of two models came to."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from models.documents import Document
from models.limits import Count, Positive, Share, limits_of


class Totals(Document):
    """A comparison in the numbers that a policy may limit; None where nothing was measured."""

    clips: int
    """That have results by both."""
    failures: int
    """Clips that have results by `a` and none by `b`."""
    oks: float | None
    """Mean of the clips, weighted by the frames that both saw."""
    found_ratio: float | None
    """Frames in which `b` saw the athlete, over those of `a`."""
    mirrored_more: float | None
    """Share of frames mirrored, swapped or merged by `b`, less that of `a`."""
    jitter_ratio: float | None
    """Median over the clips of `b`'s over `a`'s."""
    moved_share: float | None
    """Of the metrics that either could measure, those that moved or that one alone could."""
    flips: int
    speed_ratio: float | None
    """`b`'s frames a second over `a`'s, side by side."""
    memory_ratio: float | None


class Policy(BaseModel):
    """Limits of `Totals`; what is left out is not asked for. Field names are limit and direction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clips_min: Annotated[int, Field(ge=1)] = 1
    failures_max: Count | None = None
    oks_min: Share | None = None
    found_ratio_min: Positive | None = None
    mirrored_more_max: Share | None = None
    jitter_ratio_max: Positive | None = None
    moved_share_max: Share | None = None
    flips_max: Count | None = None
    speed_ratio_min: Positive | None = None
    memory_ratio_max: Positive | None = None

    def unmet(self, totals: Totals) -> tuple[str, ...]:
        """A line for every limit that is not met, such as `oks is 0.8812, at least 0.9 is wanted`."""
        lines = []
        for limit in limits_of(self):
            value = getattr(totals, limit.figure)
            if value is None:
                lines.append(f"{limit.figure} was not measured, {limit} is wanted")
            elif limit.passed_by(value):
                lines.append(f"{limit.figure} is {value:.4g}, {limit} is wanted")
        return tuple(lines)
