"""Numbers as a reader meets them: rounded to what the error allows, with a unit, the same in every locale."""

from __future__ import annotations

from models.documents import Metric, Unit
from pipeline.coaching.words import Words

DECIMALS: dict[Unit, int] = {"s": 2, "m_per_s": 1, "ratio": 2}
"""Decimals a unit is worth where its error asks for no more; the others are worth none."""


def digits(value: float, decimals: int) -> str:
    """`value` with so many decimals, a plain `-` before a negative and never `-0`."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text


def quantity(value: float, unit: Unit, words: Words) -> str:
    """A number without an error, such as a reference: as many decimals as it needs, up to 3."""
    decimals = next((count for count in range(3) if round(value, count) == round(value, 3)), 3)
    return digits(value, decimals) + words.unit[unit]


def with_error(value: float, error: float, unit: Unit, words: Words) -> str:
    """`14 ± 3 % of height`: with more decimals (up to 3) where the error would otherwise round to 0."""
    decimals = DECIMALS.get(unit, 0)
    while decimals < 3 and round(error, decimals) == 0:
        decimals += 1
    return f"{digits(value, decimals)} ± {digits(error, decimals)}{words.unit[unit]}"


def spread(value: float, unit: Unit, words: Words) -> str:
    """A standard deviation: one decimal more than the unit's own."""
    return digits(value, DECIMALS.get(unit, 0) + 1) + words.unit[unit]


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
    text = with_error(metric.value, metric.expected_error, metric.unit, words)
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
        return words.measured.either
    return direction.plus if metric.value > 0 else direction.minus
