import numpy as np
import pytest

from pipeline.biomechanics import signals


def path(values):
    return np.stack((values, values), axis=-1).astype(float)


def clock(fps=60.0, seconds=4.0):
    return np.arange(round(fps * seconds)) / fps


def test_doubtful_samples_are_missing():
    masked = signals.mask_doubtful(np.ones((4, 2)), np.array([0.29, 0.3, np.nan, 1.0]))
    assert np.isnan(masked[:, 0]).tolist() == [True, False, True, False]


@pytest.mark.parametrize(("missing", "left"), [(5, 0), (6, 0), (7, 7)])
def test_gaps_up_to_a_fifth_of_a_second_are_closed_and_longer_ones_stay(missing, left):
    times = clock(30.0)
    line = path(3 * times)
    line[40 : 40 + missing] = np.nan
    filled = signals.fill_gaps(line, times)
    assert np.isnan(filled[:, 0]).sum() == left
    if not left:
        assert filled == pytest.approx(path(3 * times))


def test_the_ends_are_never_invented():
    times = clock(30.0)
    line = path(times)
    line[:3] = np.nan
    assert np.isnan(signals.fill_gaps(line, times)[:, 0]).sum() == 3


def test_a_wild_sample_goes_and_a_foot_that_lands_stays():
    times = clock(30.0)
    wild = path(np.sin(times))
    wild[50] += 20
    assert np.flatnonzero(np.isnan(signals.reject_outliers(wild, times, 1.0)[:, 0])).tolist() == [50]
    landing = path(np.minimum(times, 2.0) * 500)
    assert not np.isnan(signals.reject_outliers(landing, times, 3.0)).any()


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0, 120.0])
def test_a_wild_sample_goes_also_where_a_file_rounds_its_times_to_milliseconds(fps):
    times = np.round(clock(fps), 3)
    wild = path(np.sin(times))
    wild[50] += 20
    assert np.flatnonzero(np.isnan(signals.reject_outliers(wild, times, 1.0)[:, 0])).tolist() == [50]


@pytest.mark.parametrize("cutoff", [6.0, 12.0])
def test_the_cut_off_is_where_it_says_after_two_passes_and_nothing_is_late(cutoff):
    times = clock(240.0, 8.0)
    wave = np.sin(2 * np.pi * cutoff * times)
    out = signals.smooth(path(wave), times, cutoff)[480:-480, 0]
    assert np.ptp(out) / 2 == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert np.corrcoef(out, wave[480:-480])[0, 1] > 0.9999


def test_slow_motion_passes_untouched_at_any_rate_and_with_uneven_time():
    rng = np.random.default_rng(3)
    even = clock(60.0)
    uneven = even + rng.uniform(-0.004, 0.004, len(even))
    for times in (even, uneven, np.concatenate((clock(30.0, 2.0), 2.0 + clock(120.0, 2.0)))):
        slow = np.sin(2 * np.pi * 0.5 * times)
        assert signals.smooth(path(slow), times, 6.0)[:, 0] == pytest.approx(slow, abs=0.02)


def test_segments_never_see_each_other():
    times = clock(60.0)
    step = path(np.where(times < 2, 0.0, 100.0))
    step[110:135] = np.nan
    out = signals.smooth(step, times, 6.0)
    assert out[:110] == pytest.approx(0.0, abs=1e-9)
    assert out[135:] == pytest.approx(100.0, abs=1e-9)
    assert np.isnan(out[:, 0]).sum() == 25


def test_three_samples_are_no_path():
    times = clock(30.0, 1.0)
    line = path(times)
    line[3:15] = np.nan
    assert np.isnan(signals.smooth(line, times, 6.0)[:, 0]).sum() == 15


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_white_noise_is_measured_as_what_was_put_in(fps):
    times = clock(fps, 20.0)
    raw = path(10 * np.sin(times)) + np.random.default_rng(0).normal(0, 0.5, (len(times), 2))
    smoothed = signals.smooth(raw, times, 6.0)
    trusted = np.ones(len(times), dtype=bool)
    assert signals.white_noise(raw, smoothed, trusted, 6.0, fps) == pytest.approx(0.5, rel=0.12)
    assert np.isnan(signals.white_noise(raw, smoothed, ~trusted, 6.0, fps))


def test_repeats_of_a_frame_rate_conversion_go_and_a_standstill_stays():
    moving = np.repeat(np.arange(10.0), 2)[:, None, None] * np.ones((1, 17, 2))
    assert signals.distinct_frames(moving).sum() == 10
    assert signals.distinct_frames(np.ones((30, 17, 2))).sum() == 30
    assert signals.distinct_frames(np.full((30, 17, 2), np.nan)).sum() == 30


def test_the_design_frequency_stays_below_four_fifths_of_nyquist():
    assert signals.allowed_cutoff(12.0, 60.0) == 12.0
    assert signals.allowed_cutoff(12.0, 24.0) / 0.802 == pytest.approx(0.8 * 12.0)
