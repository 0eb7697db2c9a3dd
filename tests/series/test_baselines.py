"""Forecasts without a network, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.series.baselines import (
    Climatology,
    drift,
    filled_forward,
    histories,
    last_value,
    mean_season,
    seasonal_naive,
    statistical,
)

NONE = np.nan


def rows(*values):
    return np.array(values, np.float64)


def test_baselines_histories_end_at_their_places_and_begin_with_missing_values():
    values = np.array([1, 2, 3, 4], np.float32)
    found = histories(values, np.array([0, 1, 3]), 3)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, rows([NONE, NONE, 1], [NONE, 1, 2], [2, 3, 4]))


def test_baselines_fill_forward_from_the_value_before():
    x = rows([NONE, 1, NONE, NONE, 2], [3, np.inf, 4, NONE, NONE], [NONE] * 5)
    expected = rows([NONE, 1, 1, 1, 2], [3, 3, 4, 4, 4], [NONE] * 5)
    np.testing.assert_array_equal(filled_forward(x), expected)
    np.testing.assert_array_equal(last_value(x, 2), rows([2, 2], [4, 4], [NONE] * 2))


@pytest.mark.parametrize(
    ("season", "history", "expected"),
    [
        (3, [1, 2, 3, 4, 5, 6], [4, 5, 6, 4, 5, 6, 4]),
        (3, [1, 2, 3, NONE, 5, NONE], [1, 5, 3, 1]),  # two before
        (2, [9, 8, 1, NONE, NONE, NONE, NONE, 3], [1, 3, 1]),  # three before
        (2, [9, 8, NONE, NONE, NONE, NONE, NONE, 3], [3, 3]),  # four before is the last value instead
        (3, [7, 8, 9], [7, 8, 9, 7]),
        (4, [7, 8, 9], [9, 7, 8, 9, 9]),  # a season longer than the history
        (1, [5, NONE, NONE], [5, 5]),
    ],
)
def test_baselines_seasonal_naive_repeats_a_season(season, history, expected):
    np.testing.assert_array_equal(seasonal_naive(rows(history), len(expected), season), rows(expected))


@pytest.mark.parametrize(
    ("season", "history", "expected"),
    [
        (2, [1, 2, 3, 5], [2, 3.5, 2, 3.5, 2]),
        (1, [99, 1, 2, 3, 4, 5, 6, 7], [4, 4]),  # seven at most
        (2, [4, NONE, 1, NONE, NONE, 8], [2.5, 8]),
        (2, [NONE, 6, NONE, 8], [8, 7]),  # no value at this phase: the last
        (4, [7, 8, 9], [9, 7, 8, 9, 9]),
        (3, [7, 8, 9], [7, 8, 9, 7]),
    ],
)
def test_baselines_mean_season_is_the_mean_at_the_same_phase(season, history, expected):
    np.testing.assert_array_equal(mean_season(rows(history), len(expected), season), rows(expected))


def test_baselines_drift_goes_on_from_the_last_value_along_the_line_from_the_first():
    history = rows([NONE, 2, 9, 6], [NONE, NONE, NONE, 5], [1, 4, 4, 7], [NONE] * 4)
    np.testing.assert_array_equal(drift(history, 3), rows([8, 10, 12], [5, 5, 5], [9, 11, 13], [NONE] * 3))
    assert drift(rows([NONE, 2, 4, NONE, 8, NONE]), 3).tolist() == [[12, 14, 16]]


STEPS = np.arange(120)
WAVES = np.stack([STEPS / 24, STEPS / 12], axis=1)


def waves(at):
    turns = 2 * np.pi * at[..., None] / 24
    return (10 + 3 * np.sin(turns) - 2 * np.cos(2 * turns))[..., 0]


def asked(fitted, last, history):
    """A forecast of 3 steps behind the step `last`."""
    past, future = np.arange(last - 6, last + 1), np.arange(last + 1, last + 4)
    angles = [np.stack([at / 24, at / 12], axis=-1)[None] for at in (past, future)]
    return fitted(np.array([history], np.float64), *angles)[0]


def test_baselines_climatology_finds_the_waves_and_takes_what_is_missing_for_them():
    values = waves(STEPS)
    values[[5, 40]] = NONE
    fitted = Climatology(values, WAVES, 3)
    np.testing.assert_allclose(fitted.weights, [10, 3, 0, 0, -2], atol=1e-9)
    assert fitted.lags.shape == (7, 3)
    history = waves(np.arange(24, 31))
    np.testing.assert_allclose(asked(fitted, 30, history), waves(np.arange(31, 34)), atol=1e-6)
    np.testing.assert_allclose(asked(fitted, 30, [NONE] * 7), waves(np.arange(31, 34)), atol=1e-9)


def test_baselines_climatology_predicts_what_the_waves_leave_from_seven_steps_of_it():
    left = np.random.default_rng(0).normal(size=120)
    left[50] = NONE
    fitted = Climatology(waves(STEPS) + left, WAVES, 3)
    turns = 2 * np.pi * WAVES
    design = np.concatenate([np.ones((120, 1)), np.sin(turns), np.cos(turns)], axis=1)
    left = waves(STEPS) + left - design @ fitted.weights
    windows = np.array([left[at : at + 10] for at in range(111) if np.isfinite(left[at : at + 10]).all()])
    assert len(windows) == 101
    past, future = windows[:, :7], windows[:, 7:]
    penalised = past.T @ past + 1e-6 * np.sum(past**2) * np.eye(7)
    np.testing.assert_allclose(fitted.lags, np.linalg.inv(penalised) @ past.T @ future, rtol=1e-9)
    history = (waves(STEPS) + left)[110:117].copy()
    history[3:5] = NONE  # what the waves left before stands on
    rest = (waves(STEPS) + left - design @ fitted.weights)[[110, 111, 112, 112, 112, 115, 116]]
    np.testing.assert_allclose(asked(fitted, 116, history), rest @ fitted.lags + design[117:120] @ fitted.weights)


def test_baselines_climatology_that_never_saw_ten_steps_in_a_row_is_waves_alone():
    values = np.where(STEPS % 9 == 0, NONE, waves(STEPS))
    fitted = Climatology(values, WAVES, 3)
    np.testing.assert_array_equal(fitted.lags, np.zeros((7, 3)))
    np.testing.assert_allclose(asked(fitted, 30, np.arange(7)), waves(np.arange(31, 34)), atol=1e-9)


def season_of_four(steps):
    rng = np.random.default_rng(1)
    return 20 + 0.5 * np.arange(steps) + np.tile([0, 4, -3, 1], steps)[:steps] + rng.normal(size=steps)


@pytest.mark.parametrize(("steps", "season", "periods"), [(9, 4, 4), (8, 4, None), (20, 1, None)])
@pytest.mark.filterwarnings("ignore")  # of what is asked here; the baseline keeps quiet by itself
def test_baselines_statistical_are_those_of_statsmodels_with_a_season_seen_more_than_twice(steps, season, periods):
    theta = pytest.importorskip("statsmodels.tsa.forecasting.theta")
    smoothing = pytest.importorskip("statsmodels.tsa.holtwinters")
    seen = season_of_four(steps)
    history = np.concatenate([[NONE, NONE], seen])[None]
    fit = theta.ThetaModel(seen, period=periods or 1, deseasonalize=periods is not None).fit()
    np.testing.assert_allclose(statistical(history, 3, season, "theta")[0], fit.forecast(3))
    fit = smoothing.ExponentialSmoothing(
        seen, trend="add", damped_trend=True, seasonal=periods and "add", seasonal_periods=periods
    ).fit()
    np.testing.assert_allclose(statistical(history, 3, season, "ets")[0], fit.forecast(3))


@pytest.mark.parametrize("kind", ["theta", "ets"])
def test_baselines_statistical_fill_gaps_and_pass_over_what_cannot_be_fitted(kind):
    pytest.importorskip("statsmodels")
    whole = season_of_four(9)
    whole[5] = whole[4]
    gap = whole.copy()
    gap[5] = NONE
    found = statistical(np.stack([np.full(9, NONE), whole, gap]), 2, 1, kind)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    np.testing.assert_array_equal(found[1], found[2])
