"""Frames are chosen by time alone."""

from __future__ import annotations

import numpy as np
import pytest

from inference.sampling import AFTER_WINDOW, NOT_SAMPLED, Sampler, every_frame


def kept(sampler: Sampler, times: list[float]) -> list[int]:
    return [index for index, time in enumerate(times) if sampler(index, time) is None]


def steady(fps: float, seconds: float, *, digits: int | None = None) -> list[float]:
    times = [k / fps for k in range(round(fps * seconds))]
    return times if digits is None else [round(time, digits) for time in times]


@pytest.mark.parametrize("digits", [None, 3])
@pytest.mark.parametrize(("fps", "cap", "step"), [(30, 10, 3), (60, 10, 6), (240, 10, 24), (60, 30, 2), (240, 60, 4)])
def test_whole_ratios_keep_their_phase(fps: int, cap: int, step: int, digits: int | None) -> None:
    times = steady(fps, 60, digits=digits)
    assert kept(Sampler(sample_fps=cap), times) == list(range(0, len(times), step))


@pytest.mark.parametrize("digits", [None, 3])
@pytest.mark.parametrize("fps", [24000 / 1001, 25, 30000 / 1001, 30, 60, 120, 240])
def test_a_cap_at_or_above_the_clips_rate_keeps_everything(fps: float, digits: int | None) -> None:
    times = steady(fps, 30, digits=digits)
    assert len(kept(Sampler(sample_fps=240), times)) == len(times)
    assert len(kept(Sampler(sample_fps=fps), times)) == len(times)


@pytest.mark.parametrize("fps", [24, 25, 29.97, 50, 59.94, 119.88, 239.76])
def test_the_rate_does_not_drift(fps: float) -> None:
    times = steady(fps, 600)
    chosen = np.array([times[i] for i in kept(Sampler(sample_fps=10), times)])
    assert len(chosen) == pytest.approx(6000, abs=1)
    late = chosen - np.arange(len(chosen)) / 10
    assert late.min() > -0.016
    assert late.max() < 1 / fps + 1e-9


def test_a_hole_is_not_made_up_for() -> None:
    times = steady(30, 1) + [5 + time for time in steady(30, 1)]
    chosen = [times[i] for i in kept(Sampler(sample_fps=10), times)]
    assert len(chosen) == 20
    assert np.diff(chosen).min() > 0.09


def test_variable_rates_and_negative_times() -> None:
    assert kept(Sampler(sample_fps=10), [-0.05, 0.0, 0.02, 0.3, 0.31, 0.4]) == [0, 1, 3, 5]


def test_the_window_ends_before_its_time() -> None:
    sampler = Sampler(sample_fps=10, max_time_s=0.2)
    assert [sampler(i, i / 30) for i in range(8)] == [
        None, NOT_SAMPLED, NOT_SAMPLED, None, NOT_SAMPLED, NOT_SAMPLED, AFTER_WINDOW, AFTER_WINDOW,
    ]  # fmt: skip


def test_without_a_cap_every_frame_is_wanted() -> None:
    assert kept(Sampler(), steady(30, 1)) == list(range(30))
    assert every_frame(3, 0.1) is None


@pytest.mark.parametrize("bad", [{"sample_fps": 0.0}, {"sample_fps": float("nan")}, {"max_time_s": -1.0}])
def test_nonsense_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not positive"):
        Sampler(**bad)
