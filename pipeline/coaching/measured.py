"""What a rule may be held against: the units and views of all metrics, from `metrics.toml` beside this file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from models.documents import Unit
from models.requests import Mode, View
from pipeline.coaching.datafiles import Entry, load

LISTED = Path(__file__).with_name("metrics.toml")

UNIT_DEPENDS = frozenset({"travel_speed"})
"""Not listed: their unit depends on the request."""

VIEWS: Mapping[str, tuple[View, ...]] = MappingProxyType(
    {"side": ("side",), "along": ("front", "behind"), "any": ("side", "front", "behind", "other"), "never": ()}
)
"""In which views a metric that asks for so much is measured."""


class Measured(Entry):
    """One metric, as far as a rule must know it."""

    unit: Unit
    view: Literal["side", "along", "any", "never"]


class _Listed(Entry):
    """The file."""

    bowling: dict[str, Measured]
    batting: dict[str, Measured]
    wicketkeeping: dict[str, Measured]
    fielding: dict[str, Measured]


@cache
def measured_in(mode: Mode) -> Mapping[str, Measured]:
    """The metrics of a mode by id."""
    listed: dict[str, Measured] = getattr(_listed(), mode)
    return MappingProxyType(listed)


@cache
def _listed() -> _Listed:
    return load(LISTED, _Listed)


def misfit(mode: Mode, metric: str, unit: Unit, views: Sequence[View]) -> tuple[str, str] | None:
    """Why a rule for `mode` can never be held against `metric`: the key that is wrong, and what; None where it can."""
    found = measured_in(mode).get(metric)
    if found is None:
        return "metric", f"{mode} has no metric {metric}; there is {', '.join(sorted(measured_in(mode)))}"
    if found.view == "never":
        return "metric", f"one camera never shows {metric}, so nothing can be held against it"
    if found.unit == "class":
        return "metric", f"{metric} is a class, which no number can be held against"
    if unit != found.unit:
        return "unit", f"{metric} is measured in {found.unit}"
    blind = [view for view in views if view not in VIEWS[found.view]]
    if blind:
        return "views", f"{metric} cannot be seen from {', '.join(blind)}, only from {', '.join(VIEWS[found.view])}"
    return None
