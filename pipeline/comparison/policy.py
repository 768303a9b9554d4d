"""What a promotion needs of a comparison, as an operator writes it (TOML): limits, and which of them are not met."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pipeline.comparison.documents import Totals

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


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
        for field in type(self).model_fields:
            limit = getattr(self, field)
            name, _, direction = field.rpartition("_")
            value = getattr(totals, name)
            if limit is None:
                continue
            words = f"at {'least' if direction == 'min' else 'most'} {limit:g} is wanted"
            if value is None:
                lines.append(f"{name} was not measured, {words}")
            elif (value < limit) if direction == "min" else (value > limit):
                lines.append(f"{name} is {value:.4g}, {words}")
        return tuple(lines)


def read_policy(path: Path) -> Policy:
    """A policy from its file. Raises ValueError with what is wrong in it, OSError where it cannot be read."""
    try:
        return Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:  # of TOML, of UTF-8 and of pydantic
        raise ValueError(f"{path}: {error}") from None
