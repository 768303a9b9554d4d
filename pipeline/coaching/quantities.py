"""Numbers as a reader meets them: rounded to what the error allows, with a unit, the same in every locale."""

from __future__ import annotations

import math

from models.documents import Metric, Unit
from pipeline.coaching.compare import own_spread
from pipeline.coaching.words import Words

DECIMALS: dict[Unit, int] = {"s": 2, "m_per_s": 1, "ratio": 2}
"""Decimals a unit is worth where its error asks for no more; the others are worth none."""


def digits(value: float, decimals: int) -> str:
    """`value` with so many decimals, a plain `-` before a negative and never `-0`."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def quantity(value: float, unit: Unit, words: Words) -> str:
    """A number without an error, such as a reference: as many decimals as it needs, up to 3."""
    (value,), _ = _shown((value,), unit, words)
    decimals = next((count for count in range(3) if round(value, count) == round(value, 3)), 3)
    return digits(value, decimals) + words.unit[unit]


def with_error(value: float, error: float, unit: Unit, words: Words, *, of: str | None = None) -> str:
    """`14 ± 3 % of height`: with more decimals (up to 3) where the error would otherwise round to 0.

    `of`: what is said instead of the unit.
    """
    (value, error), decimals = _shown((value, error), unit, words)
    while decimals < 3 and round(error, decimals) == 0:
        decimals += 1
    return f"{digits(value, decimals)} ± {digits(error, decimals)}{words.unit[unit] if of is None else of}"


def spread(value: float, unit: Unit, words: Words) -> str:
    """A standard deviation: one decimal more than the unit's own."""
    (value,), decimals = _shown((value,), unit, words)
    return digits(value, decimals + 1) + words.unit[unit]


def varied(metric: Metric, words: Words) -> str:
    """By how much an athlete varied over the repetitions, and how much of that may be ours; empty where the noise alone
    explains it, or repetitions are too few.

    The slow error of keypoints and camera is in `sys`. How much of it changes from one repetition to the next nobody
    knows: between none and all of it, so the athlete's part is √(own² - sys²) at the least.
    """
    said, part = words.measured, _own_part(metric, words)
    if part is None:
        return ""
    most, least = part
    if least is None:
        return said.spread.format(spread=most)
    return said.spread_least.format(spread=most, least=least)


def compared_spread(value: float, metric: Metric, words: Words) -> str:
    """The athlete's own spread `value` as a sentence compares it: from its least to its most, for an audience that is
    told both at once.
    """
    said, part = words.measured, _own_part(metric, words)
    if said.between is None or part is None or part[1] is None:
        return spread(value, metric.unit, words)
    most, least = part
    return said.between.format(spread=most, least=least)


def _own_part(metric: Metric, words: Words) -> tuple[str, str | None] | None:
    """How much of a spread is the athlete's at the most, with its unit, and at the least, without; no least where it is
    shown as the same. None where the noise alone explains the spread.
    """
    own = own_spread(metric)
    if not own:
        return None
    most, unit = spread(own, metric.unit, words), words.unit[metric.unit]
    theirs = math.sqrt(max(own**2 - (metric.sys or 0.0) ** 2, 0.0))
    least = spread(theirs, metric.unit, words).removesuffix(unit) if theirs else "0"
    return most, None if least == most.removesuffix(unit) else least


def measured(name: str, metric: Metric, words: Words) -> str:
    """The value of the metric `name` for a reader: a class is its own word, a way to one side or the other has its
    word instead of a sign where the number is not 0. Raises `ValueError` where there is no value.
    """
    if isinstance(metric.value, str):
        return words.classes.get(metric.value, metric.value)
    if metric.value is None:
        raise ValueError("a metric that was not measured has no number to show")
    if metric.expected_error is None:
        return quantity(metric.value, metric.unit, words)
    side = side_of(name, metric, words)
    text = with_error(metric.value, metric.expected_error, metric.unit, words, of=words.unit_of.get(name))
    return text if side is None else f"{text.removeprefix('-')} {side}"


def side_of(name: str, metric: Metric, words: Words) -> str | None:
    """The word for the side on which a value lies; for one that is smaller than its error, that it may be either.

    None where the metric has no sides, or its number is shown as 0.
    """
    direction = words.direction.get(name)
    if direction is None or not isinstance(metric.value, float) or metric.expected_error is None:
        return None
    shown = with_error(metric.value, metric.expected_error, metric.unit, words)
    if float(shown.split(" ")[0]) == 0:
        return None
    if abs(metric.value) < metric.expected_error:
        return direction.either or words.measured.either
    return direction.plus if metric.value > 0 else direction.minus


def _shown(values: tuple[float, ...], unit: Unit, words: Words) -> tuple[tuple[float, ...], int]:
    """Numbers as this audience sees them, in hundredths where it does, and the decimals that they are worth."""
    if unit not in words.percent:
        return values, DECIMALS.get(unit, 0)
    return tuple(100 * value for value in values), max(0, DECIMALS.get(unit, 0) - 2)
