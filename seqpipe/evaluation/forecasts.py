"""How good forecasts are, and whether one is better than another.

Axes: N windows, H horizon, Q quantiles; a missing outcome is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST_ORIGINS = 8  # origins from which differences are tested over time, else over series
LEAST_SAMPLE = 3


def smape(forecast: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """200 |y - f| / (|y| + |f|), per cent, as in M4; [N, H]."""
    both = np.abs(wanted) + np.abs(forecast)
    return np.where(
        both > 0,
        200 * np.abs(wanted - forecast) / np.where(both > 0, both, 1),
        np.where(np.isfinite(both), 0.0, np.nan),
    )


def pinball(quantiles: np.ndarray, wanted: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Twice the mean pinball loss over the quantiles, [N, H]."""
    errors = wanted[:, :, None] - quantiles
    shares = np.asarray(levels)
    return (2 * np.maximum(shares * errors, (shares - 1) * errors)).mean(axis=2)


def row_mean(values: np.ndarray) -> np.ndarray:
    """The mean of each row's finite values, [N]; NaN where there are none."""
    seen = np.isfinite(values)
    return np.where(seen.any(axis=1), np.where(seen, values, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1), np.nan)


def figures(median: np.ndarray, wanted: np.ndarray, std: np.ndarray) -> dict[str, float]:
    """MAE, RMSE and sMAPE; MSE and MAE in units of each series' spread in training."""
    away = wanted - median
    scaled = away / np.where(std > 0, std, np.nan)[:, None]
    return {
        "mae": float(np.nanmean(np.abs(away))),
        "rmse": float(np.sqrt(np.nanmean(away**2))),
        "smape": float(np.nanmean(smape(median, wanted))),
        "standardised_mse": float(np.nanmean(scaled**2)) if np.isfinite(scaled).any() else 0.0,
        "standardised_mae": float(np.nanmean(np.abs(scaled))) if np.isfinite(scaled).any() else 0.0,
    }


def weighted_quantile_loss(quantiles: np.ndarray, wanted: np.ndarray, levels: list[float]) -> float:
    """Pinball losses over the sum of what came."""
    total = np.nansum(np.abs(wanted))
    return float(np.nansum(pinball(quantiles, wanted, levels)) / total) if total > 0 else 0.0


class Layout(NamedTuple):
    """Where windows lie in time, so that those which share steps do not count as independent.

    origins: int [N]. series: int [N], whose windows they are. overlap: how many neighbouring origins' windows share a
        step with one's own, itself counted.
    """

    origins: np.ndarray
    series: np.ndarray
    overlap: int

    def grouped(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Sums and counts of the finite values of each origin, in order, and how many origins overlap.

        With few origins those of each series, which overlap with nothing.
        """
        whole = np.isfinite(values)
        few = len(np.unique(self.origins[whole])) < LEAST_ORIGINS
        _, number = np.unique((self.series if few else self.origins)[whole], return_inverse=True)
        return np.bincount(number, weights=values[whole]), np.bincount(number), 1 if few else self.overlap


def diebold_mariano(losses: np.ndarray, others: np.ndarray, layout: Layout) -> tuple[float, float]:
    """Statistic and two-sided p of the mean difference of losses, others less ours; positive where ours are better.

    Diebold and Mariano 1995 with the correction of Harvey, Leybourne and Newbold 1997: differences are averaged over
    the windows of an origin, their variance takes in so many autocovariances as windows overlap; with Bartlett's
    weights where it would not be positive. Student's t is that of as many windows as do not overlap. With few origins
    the series, each averaged, are the sample; without three of them nothing is said.

    Args:
        losses, others: float [N].
    """
    from scipy.stats import t

    sums, counts, overlap = layout.grouped(others - losses)
    apart = sums / counts
    count = len(apart)
    if count < LEAST_SAMPLE or not np.ptp(apart):
        return 0.0, 1.0
    error = _standard_error(apart - apart.mean(), overlap)
    if not error:
        return 0.0, 1.0
    statistic = float(apart.mean() / error)
    return statistic, float(2 * t.sf(abs(statistic), max(1.0, count / overlap - 1)))


def _standard_error(centred: np.ndarray, overlap: int) -> float:
    """Of the mean of neighbours that share steps, [N] less their mean; 0 where it cannot be told."""
    count = len(centred)
    overlap = int(min(overlap, max(1, count // 3)))
    covariances = np.array([centred[lag:] @ centred[: count - lag] / count for lag in range(overlap)])
    variance = covariances[0] + 2 * covariances[1:].sum()
    if variance <= 0:
        variance = covariances[0] + 2 * ((1 - np.arange(1, overlap) / overlap) * covariances[1:]).sum()
    correction = max(1e-9, (count + 1 - 2 * overlap + overlap * (overlap - 1) / count) / count)
    return float(np.sqrt(max(variance, 0.0) / count / correction))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, so that all together err as rarely as one (Holm 1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    adjusted, highest = np.zeros(len(p_values)), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted.tolist()


def block_interval(
    values: np.ndarray, layout: Layout, *, samples: int, seed: int, bounds: tuple[float, float] = (-np.inf, np.inf)
) -> dict[str, float]:
    """{value, low, high} of a mean over windows [N], 95 %, from a circular bootstrap of blocks of neighbouring origins.

    Blocks are three times as long as windows overlap, and the interval is stretched as Student's t is for so many of
    them: plain percentiles, and shorter blocks, give intervals that are too narrow. With few origins series are drawn,
    and single windows where there are not three of them. bounds: of what the mean can be, which stretching ignores.
    """
    from scipy.stats import norm, t

    whole = np.isfinite(values)
    if not whole.any():
        return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    sums, counts, overlap = layout.grouped(values)
    if len(sums) < LEAST_SAMPLE:
        sums, counts, overlap = values[whole], np.ones(whole.sum(), np.int64), 1
    size = len(sums)
    block = int(min(3 * overlap if overlap > 1 else 1, max(1, size // 3)))
    starts = np.random.default_rng(seed).integers(size, size=(samples, -(-size // block)))
    cumulated = [np.concatenate([[0.0], np.cumsum(np.tile(part, 2))]) for part in (sums, counts)]
    drawn = [(part[starts + block] - part[starts]).sum(axis=1) for part in cumulated]
    value, spare = float(values[whole].mean()), max(1.0, size / max(block, overlap) - 1)
    stretch = t.ppf(0.975, spare) / norm.ppf(0.975) * np.sqrt((spare + 1) / spare)
    low, high = np.clip(value + stretch * (np.quantile(drawn[0] / drawn[1], [0.025, 0.975]) - value), *bounds)
    return {"value": value, "low": float(low), "high": float(high)}


def repeats_last(forecast: np.ndarray, wanted: np.ndarray, before: np.ndarray) -> bool | None:
    """Whether the first step's forecast follows the value before more closely than the value that came.

    Args:
        forecast, wanted, before: float [N], changes do not matter, so each is taken less its mean.
    Returns:
        None where it cannot be told.
    """
    rows = np.stack([forecast, wanted, before])
    rows = rows[:, np.isfinite(rows).all(axis=0)]
    if rows.shape[1] < 10 or (rows.std(axis=1) == 0).any():
        return None
    correlation = np.corrcoef(rows)
    return bool(correlation[0, 2] > correlation[0, 1])
