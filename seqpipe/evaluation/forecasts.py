"""How good forecasts are, and whether one is better than another.

Axes: N windows, H horizon, Q quantiles; a missing outcome is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST_ORIGINS = 8  # origins from which differences are tested over time, else over series


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


def diebold_mariano(losses: np.ndarray, others: np.ndarray, origins: np.ndarray, overlap: int) -> tuple[float, float]:
    """Statistic and two-sided p of the mean difference of losses, others less ours; positive where ours are better.

    Diebold and Mariano 1995 with the correction of Harvey, Leybourne and Newbold 1997: differences are averaged over
    the windows of an origin, their variance takes in so many autocovariances as windows overlap (with
    Bartlett's weights,
    which keep it positive). With few origins the windows, series by series, are the sample.

    Args:
        losses, others: float [N]. origins: int [N]. overlap: origins whose windows overlap with one's own.
    """
    from scipy.stats import t

    apart = others - losses
    whole = np.isfinite(apart)
    apart, origins = apart[whole], origins[whole]
    unique, number = np.unique(origins, return_inverse=True)
    if len(unique) >= LEAST_ORIGINS:
        apart = np.bincount(number, weights=apart) / np.bincount(number)
    else:
        overlap = 1
    count = len(apart)
    if count < 3 or not np.ptp(apart):
        return 0.0, 1.0
    overlap = int(min(overlap, max(1, count // 3)))
    centred = apart - apart.mean()
    covariances = [float(centred[lag:] @ centred[: count - lag]) / count for lag in range(overlap)]
    variance = covariances[0] + 2 * sum((1 - lag / overlap) * c for lag, c in enumerate(covariances) if lag)
    if variance <= 0:
        return 0.0, 1.0
    correction = max(1e-9, (count + 1 - 2 * overlap + overlap * (overlap - 1) / count) / count)
    statistic = float(apart.mean() / np.sqrt(variance / count) * np.sqrt(correction))
    return statistic, float(2 * t.sf(abs(statistic), count - 1))


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


def block_interval(values: np.ndarray, origins: np.ndarray, *, block: int, samples: int, seed: int) -> dict[str, float]:
    """{value, low, high} of a mean over windows; blocks of neighbouring origins are drawn, since their windows overlap.

    With few origins windows are drawn one by one.
    """
    whole = np.isfinite(values)
    values, origins = values[whole], origins[whole]
    if not len(values):
        return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    unique, number = np.unique(origins, return_inverse=True)
    if len(unique) >= LEAST_ORIGINS:
        sums, counts = np.bincount(number, weights=values), np.bincount(number).astype(float)
    else:
        sums, counts, block = values, np.ones(len(values)), 1
    block = int(min(block, max(1, len(sums) // 3)))
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, len(sums) - block + 1, size=(samples, -(-len(sums) // block)))
    cumulated = [np.concatenate([[0.0], np.cumsum(part)]) for part in (sums, counts)]
    drawn = [(part[starts + block] - part[starts]).sum(axis=1) for part in cumulated]
    low, high = np.quantile(drawn[0] / drawn[1], [0.025, 0.975])
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}


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
