"""Intervals from past errors: split-conformal with n + 1, over the latest windows (Romano et al. 2019, CQR).

Axes: N windows in the order of their origins, H horizon, Q quantiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

LEAST = 400  # scores that a width is made from; with fewer the steps of the horizon share theirs


def pairs_of(levels: Sequence[float]) -> list[tuple[int, int, float]]:
    """(lower, upper, share that they shall cover) for each pair of quantiles q and 1 - q, of ascending levels."""
    pairs = itertools.combinations(enumerate(levels), 2)
    return [(low, high, round(b - a, 9)) for (low, a), (high, b) in pairs if abs(a + b - 1) < 1e-9]


def scores_of(quantiles: np.ndarray, wanted: np.ndarray, low: int, high: int) -> np.ndarray:
    """How far outside its interval each value lies, negative inside; NaN where nothing came. [N, H]"""
    return np.maximum(quantiles[:, :, low] - wanted, wanted - quantiles[:, :, high])


def width(scores: np.ndarray, share: float) -> np.ndarray:
    """What intervals are to be widened by so that the next one covers `share`, [H].

    Neighbouring steps lend each other their scores where there are few; with none the width is 0.
    """
    horizon = scores.shape[1]
    seen = np.isfinite(scores)
    if not seen.any():
        return np.zeros(horizon)
    reach, count = 0, int(seen.sum())
    while reach < horizon and count * min(1.0, (2 * reach + 1) / horizon) < LEAST:
        reach += 1
    widths = np.zeros(horizon)
    for step in range(horizon):
        near = scores[:, max(0, step - reach) : step + reach + 1]
        near = near[np.isfinite(near)]
        if len(near):
            place = min(len(near), int(np.ceil((len(near) + 1) * share))) - 1
            widths[step] = np.partition(near, place)[place]
    return widths


def latest(origins: np.ndarray, series: np.ndarray, window_steps: int) -> np.ndarray:
    """bool [N]: whether a window is among the last window_steps of its own series, whose end is not that of others."""
    found = np.zeros(len(origins), bool)
    for number in np.unique(series):
        own = series == number
        found[own] = origins[own] > origins[own].max() - window_steps
    return found


def static_widths(quantiles: np.ndarray, wanted: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """What is added to each quantile, [H, Q]."""
    found = np.zeros(quantiles.shape[1:])
    for low, high, share in pairs_of(levels):
        by = width(scores_of(quantiles, wanted, low, high), share)
        found[:, low], found[:, high] = -by, by
    return found


def rolling(
    quantiles: np.ndarray,
    wanted: np.ndarray,
    origins: np.ndarray,
    levels: Sequence[float],
    *,
    window_steps: int,
    every: int,
    start: int,
) -> np.ndarray:
    """Quantiles [N, H, Q] widened by the errors that were known at each origin, of the latest window_steps.

    Args:
        origins: int [N], sorted; windows of one origin are of different series.
        every: steps between two looks at the errors.
        start: the first origin that is widened; what comes before it is only learned from.
    """
    horizon = quantiles.shape[1]
    made = quantiles.copy()
    for low, high, share in pairs_of(levels):
        scores = scores_of(quantiles, wanted, low, high)
        for block in range(start, int(origins[-1]) + 1, every):
            now = slice(*np.searchsorted(origins, [block, block + every]))
            known = slice(*np.searchsorted(origins, [block - horizon - window_steps, block - horizon + 1]))
            if now.start == now.stop or known.start == known.stop:
                continue
            by = width(scores[known], share)
            made[now, :, low] -= by
            made[now, :, high] += by
    return np.sort(made, axis=2)
