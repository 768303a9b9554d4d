"""Which of an athlete's measures repeats best, where that can be told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from models.documents import Metric
from pipeline.coaching.compare import own_spread


def most_repeatable(names: Sequence[str], metrics: Mapping[str, Metric]) -> str | None:
    """The metric whose own spread over repetitions is the smallest among those of the same unit.

    Compared as variances with the measurement's taken off, from 4 repetitions on, as spreads are anywhere else; the
    error of one over n repetitions is (own² + rand²)·√(2/(n-1)). None unless it is smaller than each other one by more
    than one error of their difference, whether none or all of `sys` changed from repetition to repetition (how much
    does nobody knows), and unless there is another one: of two alike, neither is the most repeatable. Of several units
    the one with the most metrics counts, the first among equals.
    """
    by_unit: dict[str, list[str]] = {}
    for name in names:
        if own_spread(metrics[name]) is not None:
            by_unit.setdefault(metrics[name].unit, []).append(name)
    rivals = max(by_unit.values(), key=len, default=[])
    if len(rivals) < 2:
        return None
    best, *others = sorted(rivals, key=lambda name: own_spread(metrics[name]) or 0.0)
    return best if all(_is_smaller(metrics[best], metrics[other]) for other in others) else None


def _is_smaller(one: Metric, other: Metric) -> bool:
    """Whether one variance is smaller than another by more than one error of their difference.

    The difference is linear in the share of `sys` that changes, so it is enough to look at none and all of it.
    """
    (less, less_error), (more, more_error) = _variance(one), _variance(other)
    ours = (other.sys or 0.0) ** 2 - (one.sys or 0.0) ** 2
    return min(more - less, more - less - ours) > math.hypot(less_error, more_error)


def _variance(metric: Metric) -> tuple[float, float]:
    """The athlete's own variance and its error: noise hides what is smaller than itself."""
    own, rand = own_spread(metric) or 0.0, metric.rand or 0.0
    return own**2, (own**2 + rand**2) * math.sqrt(2 / (metric.n - 1))
