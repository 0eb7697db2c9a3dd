"""What a forecaster has to beat: forecasts that need no network.

Axes: N windows, T steps of history, H horizon.
"""

from __future__ import annotations

import numpy as np

MEAN_OF = 7  # seasons that are averaged
LAGS = 7  # of the autoregression on what climatology leaves


def histories(values: np.ndarray, places: np.ndarray, steps: int) -> np.ndarray:
    """float64 [N, steps], the values up to each place."""
    at = places[:, None] + np.arange(1 - steps, 1)
    return np.where(at >= 0, values[np.maximum(at, 0)], np.nan).astype(np.float64)


def filled_forward(values: np.ndarray) -> np.ndarray:
    """[N, T] with each missing value as the one before it; what has none before it stays missing."""
    seen = np.isfinite(values)
    at = np.maximum.accumulate(np.where(seen, np.arange(values.shape[1]), 0), axis=1)
    return np.take_along_axis(values, at, axis=1)


def last_value(history: np.ndarray, horizon: int) -> np.ndarray:
    return np.repeat(filled_forward(history)[:, -1:], horizon, axis=1)


def seasonal_naive(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The value a season before, or two or three where that is missing; else the last value."""
    found = np.full((len(history), horizon), np.nan)
    ahead = np.arange(1, horizon + 1)
    for back in range(3):
        at = history.shape[1] - 1 + ahead - season * (-(-ahead // season) + back)
        earlier = np.where(at >= 0, history[:, np.maximum(at, 0)], np.nan)
        found = np.where(np.isfinite(found), found, earlier)
    return np.where(np.isfinite(found), found, last_value(history, horizon))


def mean_season(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The mean of the last seven seasons at the same phase."""
    ahead = np.arange(1, horizon + 1)
    base = history.shape[1] - 1 + ahead - season * -(-ahead // season)
    total, count = np.zeros((len(history), horizon)), np.zeros((len(history), horizon))
    for back in range(MEAN_OF):
        at = base - season * back
        earlier = np.where(at >= 0, history[:, np.maximum(at, 0)], np.nan)
        total, count = total + np.nan_to_num(earlier), count + np.isfinite(earlier)
    return np.where(count > 0, total / np.maximum(count, 1), last_value(history, horizon))


def drift(history: np.ndarray, horizon: int) -> np.ndarray:
    """The line through the first and the last value."""
    full = filled_forward(history)
    seen = np.isfinite(history)
    first = np.argmax(seen, axis=1)
    last = history.shape[1] - 1 - np.argmax(seen[:, ::-1], axis=1)
    start = np.take_along_axis(full, first[:, None], axis=1)[:, 0]
    slope = (full[:, -1] - start) / np.maximum(last - first, 1)
    since = (history.shape[1] - 1 - last)[:, None]  # steps at the end that have no value
    return full[:, -1:] + slope[:, None] * (since + np.arange(1, horizon + 1))


class Climatology:
    """Waves of the year and of the season, and an autoregression on what they leave: one for a series.

    Args:
        values: float [T] of the training part. angles: float [T, waves], turns of each wave at each step.
    """

    def __init__(self, values: np.ndarray, angles: np.ndarray, horizon: int):
        seen = np.isfinite(values)
        design = _waves(angles)
        self.weights = np.linalg.lstsq(design[seen], values[seen], rcond=None)[0]
        left = values - design @ self.weights
        rows = np.lib.stride_tricks.sliding_window_view(left, LAGS + horizon)
        rows = rows[np.isfinite(rows).all(axis=1)]
        past, future = rows[:, :LAGS], rows[:, LAGS:]
        gram = past.T @ past + 1e-6 * np.eye(LAGS) * max(float((past**2).sum()), 1e-12)
        self.lags = np.linalg.solve(gram, past.T @ future) if len(rows) else np.zeros((LAGS, horizon))

    def __call__(self, history: np.ndarray, past_angles: np.ndarray, future_angles: np.ndarray) -> np.ndarray:
        """float [N, H] from histories [N, LAGS] and the angles of their steps [N, LAGS or H, waves]."""
        left = filled_forward(history - _waves(past_angles) @ self.weights)
        return np.nan_to_num(left) @ self.lags + _waves(future_angles) @ self.weights


def _waves(angles: np.ndarray) -> np.ndarray:
    turns = 2 * np.pi * angles
    return np.concatenate([np.ones_like(turns[..., :1]), np.sin(turns), np.cos(turns)], axis=-1)


def statistical(history: np.ndarray, horizon: int, season: int, kind: str) -> np.ndarray:
    """Theta or ETS of statsmodels, [N, H]: a fit a window, so for few windows."""
    import warnings

    from statsmodels.tsa.forecasting.theta import ThetaModel
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    found = last_value(history, horizon)
    for row, values in enumerate(filled_forward(history)):
        seen = values[np.isfinite(values)]
        periods = season if season > 1 and len(seen) > 2 * season else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if kind == "theta":
                    fit = ThetaModel(seen, period=periods or 1, deseasonalize=periods is not None).fit()
                    found[row] = np.asarray(fit.forecast(horizon))
                else:
                    seasonal = "add" if periods else None
                    fit = ExponentialSmoothing(
                        seen, trend="add", damped_trend=True, seasonal=seasonal, seasonal_periods=periods
                    ).fit()
                    found[row] = fit.forecast(horizon)
            except (ValueError, IndexError, np.linalg.LinAlgError):
                continue
    return found
