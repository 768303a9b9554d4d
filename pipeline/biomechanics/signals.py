"""From noisy, gappy keypoint paths to smooth ones. Pure functions; time is real seconds and need not be uniform.

The chain: doubtful samples out (`mask_doubtful`, `reject_outliers`), short gaps closed (`fill_gaps`), a zero-lag
low-pass (`smooth`). Long gaps stay NaN and cut a path into segments that never see each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.signal import butter, sosfiltfilt, sosfreqz

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

CONFIDENCE_MIN = 0.3
GAP_MAX_S = 0.2
HAMPEL_WINDOW_S = 0.2
HAMPEL_FACTOR = 4.0
SEGMENT_MIN = 4
"""Fewer samples in a row are no path."""
TWO_PASS = 0.802
"""(√2 - 1)^(1/4): a second-order Butterworth run both ways has its -3 dB point at this fraction of its own cut-off."""
NYQUIST_SHARE = 0.8
_UNEVEN = 0.02
_EPS = 1e-5
"""Seconds: times are known to the microsecond."""
HOLE = 1.5
"""Intervals: two samples farther apart than that miss one between them, however unevenly a file rounds its times."""


def mask_doubtful(path: Array, confidence: Array) -> Array:
    """`path` (…, 2) with NaN where `confidence` (…,) is below 0.3 or missing."""
    return np.where((confidence >= CONFIDENCE_MIN)[..., None], path, np.nan)


def typical_interval(times: Array) -> float:
    """Median seconds between samples; NaN with fewer than two."""
    return float(np.median(np.diff(times))) if len(times) > 1 else float("nan")


def segments(times: Array, valid: Mask, max_gap: float = GAP_MAX_S) -> Iterator[slice]:
    """Runs of valid samples without a hole in time longer than `max_gap` plus one and a half intervals."""
    if len(times) == 0:
        return
    limit = max_gap + HOLE * typical_interval(times) if len(times) > 1 else max_gap
    start: int | None = None
    for i in range(len(times)):
        if start is not None and (not valid[i] or times[i] - times[i - 1] > limit):
            yield slice(start, i)
            start = None
        if valid[i] and start is None:
            start = i
    if start is not None:
        yield slice(start, len(times))


def reject_outliers(path: Array, times: Array, floor: float) -> Array:
    """Hampel filter on the residual to a local robust line: single wild samples of `path` (T, 2) become NaN.

    Window 0.2 s, at least 5 samples; the line has the median slope and the median level, so that a wild sample moves it
    nowhere. A sample is wild when its residual exceeds both 4 × 1.4826 × the median residual of its window and `floor`
    (same unit as `path`): an honest kink, such as a foot that lands, raises its neighbours' residuals too and is kept.
    """
    out = path.copy()
    window = max(5, round(HAMPEL_WINDOW_S / typical_interval(times)) | 1)
    for part in segments(times, ~np.isnan(path[:, 0]), max_gap=0.0):
        count = part.stop - part.start
        if count < window:
            continue
        pieces = np.moveaxis(np.lib.stride_tricks.sliding_window_view(path[part], window, axis=0), -1, 1)
        slope = np.median(np.diff(pieces, axis=1), axis=1)
        level = pieces - slope[:, None] * np.arange(window)[None, :, None]
        residual = np.linalg.norm(level - np.median(level, axis=1)[:, None], axis=-1)
        limit = np.maximum(floor, HAMPEL_FACTOR * 1.4826 * np.median(residual, axis=1))
        sample = np.arange(count)
        own = np.clip(sample - window // 2, 0, count - window)
        out[part][residual[own, sample - own] > limit[own]] = np.nan
    return out


def fill_gaps(path: Array, times: Array) -> Array:
    """Close holes of up to 0.2 s in `path` (T, 2) by a monotone cubic (PCHIP); longer ones and the ends stay NaN."""
    good = np.flatnonzero(~np.isnan(path[:, 0]))
    if len(good) < SEGMENT_MIN:
        return path.copy()
    out = path.copy()
    interval = typical_interval(times)
    curve = PchipInterpolator(times[good], path[good], axis=0)
    for before, after in pairwise(good):
        if after - before > 1 and times[after] - times[before] - interval <= GAP_MAX_S + _EPS:
            out[before + 1 : after] = curve(times[before + 1 : after])
    return out


def allowed_cutoff(cutoff: float, fps: float) -> float:
    """The effective cut-off (Hz) that `smooth` uses: its corrected design frequency stays below 0.8 of Nyquist."""
    return min(cutoff, TWO_PASS * NYQUIST_SHARE * fps / 2)


def smooth(path: Array, times: Array, cutoff: float) -> Array:
    """Zero-lag low-pass: second-order Butterworth both ways, -3 dB at `cutoff` Hz. (T, 2) → (T, 2).

    Segments apart; one of fewer than 4 samples becomes NaN. Uneven timestamps (variable frame rate, mixed sampling) are
    resampled by PCHIP onto the finest interval of the segment, filtered there, and read back at the samples' own times.
    """
    out = np.full_like(path, np.nan)
    for part in segments(times, ~np.isnan(path[:, 0])):
        own, values = times[part], path[part]
        if len(own) < SEGMENT_MIN:
            continue
        steps = np.diff(own)
        if np.ptp(steps) <= 2 * _UNEVEN * np.median(steps):
            out[part] = _low_pass(values, 1 / float(np.mean(steps)), cutoff)
            continue
        count = int(np.ceil((own[-1] - own[0]) / np.percentile(steps, 10))) + 1
        grid = np.linspace(own[0], own[-1], count)
        even = _low_pass(PchipInterpolator(own, values, axis=0)(grid), (count - 1) / (own[-1] - own[0]), cutoff)
        out[part] = PchipInterpolator(grid, even, axis=0)(own)
    return out


def _low_pass(values: Array, fps: float, cutoff: float) -> Array:
    design = allowed_cutoff(cutoff, fps) / TWO_PASS
    sos = _butterworth(design, fps)
    pad = min(len(values) - 1, int(np.ceil(fps / design)))
    return np.asarray(sosfiltfilt(sos, values, axis=0, padtype="odd", padlen=pad), dtype=np.float64)


@lru_cache(maxsize=256)
def _butterworth(design: float, fps: float) -> Array:
    """Second-order sections; made once for the many paths of a clip."""
    return np.asarray(butter(2, design, fs=fps, output="sos"), dtype=np.float64)


def white_noise(raw: Array, smoothed: Array, trusted: Mask, cutoff: float, fps: float) -> float:
    """Standard deviation of the white noise per axis in `raw` (T, 2): SD(residual) / the share that `smooth` took.

    The SD is the robust one (1.4826 × MAD), which leaves out events; only `trusted` (T,) samples count (seen, not
    interpolated, not merged). NaN with fewer than 10 of them.
    """
    residual = (raw - smoothed)[trusted & ~np.isnan(smoothed[:, 0])]
    if len(residual) < 10:
        return float("nan")
    spread = 1.4826 * np.median(np.abs(residual - np.median(residual, axis=0)), axis=0)
    return float(np.sqrt(np.mean(spread**2)) / noise_shares(cutoff, fps)[0])


@lru_cache(maxsize=256)
def noise_shares(cutoff: float, fps: float) -> tuple[float, float]:
    """What becomes of white noise of unit SD: SD of the residual that `smooth` takes out, and SD of what it leaves.

    From the filter's own gain G over all frequencies: √mean((1 - G)²) and √mean(G²). The usual √(1 - f_c/f_Nyquist)
    for the first takes a wall for a slope and underestimates the noise, at 30 frames a second by a fifth and more.
    """
    design = allowed_cutoff(cutoff, fps) / TWO_PASS
    _, response = sosfreqz(_butterworth(design, fps), worN=512)
    gain = np.abs(response) ** 2
    return float(np.sqrt(np.mean((1 - gain) ** 2))), float(np.sqrt(np.mean(gain**2)))


def distinct_frames(keypoints: Array) -> Mask:
    """(T,) False for a repeat of the frame before it, as frame-rate conversion makes: keypoints (T, K, 2) equal to the
    digit.

    Up to 4 repeats in a row; a longer run is a picture (or a test figure) that stands still, and stays.
    """
    same = np.zeros(len(keypoints), dtype=bool)
    if len(keypoints) > 1:
        a, b = keypoints[1:], keypoints[:-1]
        equal = np.all((a == b) | (np.isnan(a) & np.isnan(b)), axis=(1, 2))
        same[1:] = equal & ~np.all(np.isnan(a), axis=(1, 2))
    keep = np.ones(len(keypoints), dtype=bool)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], same.astype(np.int8), [0]))))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start <= 4:
            keep[start:end] = False
    return keep
