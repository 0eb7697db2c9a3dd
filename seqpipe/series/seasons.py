"""Which seasons series have: lengths that the step suggests, kept where values resemble those a season before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqpipe.series.clock import DAY_S, WEEK_S, YEAR_S, Step

LONGEST = 1500  # steps of a season that has a table; the year of shorter steps is told by waves
RESEMBLANCE = 0.25  # autocorrelation from which a season counts as found
COUNTED = (4, 5, 7, 12, 24, 48, 52, 96, 168, 336)  # what numbered steps are tried for
LOOKED_AT = 60  # series


def candidates(step: Step) -> list[int]:
    """Season lengths in steps that the calendar suggests, the shortest first."""
    if step.kind == "months":
        return [12 // step.size] if 12 % step.size == 0 and step.size < 12 else []
    if step.kind == "seconds":
        lengths = [span // step.size for span in (3600, DAY_S, WEEK_S) if span % step.size == 0]
        if step.size == WEEK_S:
            lengths.append(52)
        return [length for length in lengths if 2 <= length <= LONGEST]
    return list(COUNTED) if step.kind == "count" else []


def find_seasons(values: Sequence[np.ndarray], step: Step) -> list[int]:
    """The candidates that the values of most series show, the shortest first, at most two: day and week
    rather than hour.

    Args:
        values: float [T] of each series, NaN where missing; of the training part alone.
    """
    found: dict[int, float] = {}
    for season in candidates(step):
        shown = [score for series in _some(values) if (score := _resemblance(series, season)) is not None]
        if shown and np.median(shown) > RESEMBLANCE:
            found[season] = float(np.median(shown))
    best = sorted(found)
    if step.kind == "count":  # a multiple of a season resembles too
        peaks = [
            s for s in best if not any(s % other == 0 and found[s] < found[other] + 0.05 for other in best if other < s)
        ]
        return peaks[:2]
    return best[-2:]


def is_yearly(step: Step, steps: int) -> bool:
    """Whether there is a year and a half to learn the days of the year from."""
    return step.kind == "seconds" and step.size >= 60 and steps * step.size > 1.5 * YEAR_S


def resembles_lag(values: np.ndarray, lag: int) -> float | None:
    """Autocorrelation of a series at a lag; None where it cannot be told."""
    if len(values) < 3 * lag or len(values) < 16:
        return None
    pairs = np.stack([values[lag:], values[:-lag]])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < 8 or (pairs.std(axis=1) == 0).any():
        return None
    return float(np.corrcoef(pairs)[0, 1])


def _resemblance(values: np.ndarray, season: int) -> float | None:
    """Autocorrelation at the season of changes over a quarter of it, where it stands out from a quarter either way.

    Over a quarter a trend is gone and a season is not; of changes from step to step a smooth one is less than noise.
    """
    quarter = max(1, season // 4)
    changes = values[quarter:] - values[:-quarter]
    at = resembles_lag(changes, season)
    if at is None:
        return None
    beside = [resembles_lag(changes, lag) for lag in (season - quarter, season + quarter)]
    return at if all(other is None or at >= other for other in beside) else 0.0


def _some(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    every = max(1, len(values) // LOOKED_AT)
    return list(values[::every])
