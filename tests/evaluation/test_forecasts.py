"""Measures of forecasts against their definitions, and tests that keep their promise on noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from seqpipe.evaluation.forecasts import (
    Layout,
    block_interval,
    diebold_mariano,
    figures,
    holm,
    pinball,
    repeats_last,
    row_mean,
    smape,
    weighted_quantile_loss,
)


def lying(origins, overlap=1, series=None):
    """Windows at these origins, each of a series of its own."""
    origins = np.asarray(origins)
    return Layout(origins, np.arange(len(origins)) if series is None else series, overlap)


def test_forecasts_smape_and_pinball_by_hand():
    assert smape(np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]])).tolist() == [[100.0, 0.0]]
    found = pinball(np.array([[[1.0, 3.0]]]), np.array([[2.0]]), [0.1, 0.9])
    assert found[0, 0] == pytest.approx(0.2)  # 2 * mean of 0.1 * 1 and 0.1 * 1
    np.testing.assert_array_equal(row_mean(np.array([[np.nan, np.nan], [1.0, np.nan], [1.0, 4.0]])), [np.nan, 1, 2.5])


def test_forecasts_figures_by_hand_leave_out_what_is_missing_and_series_that_never_change():
    median, wanted = np.array([[1.0, 2.0], [0.0, 4.0]]), np.array([[3.0, 2.0], [np.nan, 1.0]])
    assert figures(median, wanted, np.array([0.5, 0.0])) == pytest.approx(
        {
            "mae": 5 / 3,
            "rmse": (13 / 3) ** 0.5,
            "smape": 220 / 3,  # of 100, 0 and 120
            "standardised_mse": 8.0,  # of 16 and 0
            "standardised_mae": 2.0,
        }
    )
    still = figures(median, wanted, np.zeros(2))
    assert (still["standardised_mse"], still["standardised_mae"]) == (0.0, 0.0)


def test_forecasts_weighted_quantile_loss_by_hand():
    quantiles = np.array([[[0.5, 1.5], [7.0, 7.0]]])
    wanted = np.array([[-0.5, np.nan]])
    assert weighted_quantile_loss(quantiles, wanted, [0.5, 0.9]) == pytest.approx(0.7 / 0.5)  # of 1 and 0.4
    assert weighted_quantile_loss(quantiles, np.zeros((1, 2)), [0.5, 0.9]) == 0.0


@pytest.mark.parametrize(("count", "overlap", "most"), [(200, 6, 0.085), (2000, 24, 0.075)])
def test_forecasts_diebold_mariano_finds_what_is_not_there_as_rarely_as_it_says(count, overlap, most):
    rng = np.random.default_rng(1)
    layout = lying(np.arange(count), overlap, np.zeros(count, int))
    found = [
        diebold_mariano(
            np.zeros(count), np.convolve(rng.normal(size=count + overlap - 1), np.ones(overlap), "valid"), layout
        )
        for _ in range(400)
    ]
    assert 0.02 <= np.mean([p < 0.05 for _, p in found]) <= most, "windows of so many steps overlap"
    statistic, p = diebold_mariano(np.zeros(count), 1 + rng.normal(size=count), layout)
    assert statistic > 3
    assert p < 0.001


def test_forecasts_that_repeat_the_last_value_are_told():
    rng = np.random.default_rng(2)
    changes = rng.normal(size=(2, 500))
    before, wanted = changes[0], changes.sum(axis=0)
    assert repeats_last(before + 0.01 * rng.normal(size=500), wanted, before)
    assert not repeats_last(wanted + 0.1 * rng.normal(size=500), wanted, before)


@pytest.mark.parametrize("overlap", [1, 2, 5])
@pytest.mark.parametrize("count", [8, 9, 40])
@pytest.mark.parametrize("walk", [False, True])
def test_forecasts_diebold_mariano_is_a_test_of_the_mean_with_the_variance_of_what_overlaps(count, overlap, walk):
    rng = np.random.default_rng(3)
    apart = np.convolve(rng.normal(0.3, size=count + 4), np.ones(5 if walk else 1), "valid")[:count]
    kept = min(overlap, count // 3)
    expected = np.nan
    for kernel in ("uniform", "bartlett"):
        if np.isnan(expected):  # a variance below zero has no root
            options = {"maxlags": kept - 1, "use_correction": False, "kernel": kernel}
            with np.errstate(invalid="ignore"):
                expected = OLS(apart, np.ones(count)).fit(cov_type="HAC", cov_kwds=options).tvalues[0]
    expected *= np.sqrt((count + 1 - 2 * kept + kept * (kept - 1) / count) / count)
    ours, layout = np.zeros(count), lying(np.arange(count), overlap)
    statistic, p = diebold_mariano(ours, apart, layout)
    assert statistic == pytest.approx(expected)
    assert p == pytest.approx(2 * t.sf(abs(expected), max(1, count / overlap - 1)))  # so many do not overlap
    assert diebold_mariano(apart, ours, layout)[0] == pytest.approx(-expected)
    doubled = np.repeat(apart, 2) + np.tile([0.5, -0.5], count)  # two windows of an origin count as their mean
    both = diebold_mariano(np.zeros(2 * count), doubled, lying(np.repeat(np.arange(count), 2), overlap))
    assert both == pytest.approx((statistic, p))


def test_forecasts_diebold_mariano_of_a_few_horizons_claims_no_more_than_it_should():
    rng, horizon, wrong = np.random.default_rng(6), 12, 0
    for _ in range(400):
        apart = np.convolve(
            rng.normal(size=4 * horizon), np.ones(horizon), "valid"
        )  # three horizons without a difference
        wrong += diebold_mariano(np.zeros(len(apart)), apart, lying(np.arange(len(apart)), horizon))[1] < 0.05
    assert wrong < 400 * 0.1


def test_forecasts_diebold_mariano_of_few_origins_goes_over_series():
    apart = np.random.default_rng(4).normal(0.3, size=42)
    alone = diebold_mariano(np.zeros(42), apart, lying(np.arange(42)))
    assert diebold_mariano(np.zeros(42), apart, lying(np.arange(42) % 7, 5)) == pytest.approx(alone)
    missing = np.concatenate([apart, [np.nan]])
    assert diebold_mariano(np.zeros(43), missing, lying(np.arange(43) % 7, 5)) == pytest.approx(alone)
    series = np.arange(42) // 7  # six series at seven origins, whose windows overlap: a sample of six
    means = diebold_mariano(np.zeros(6), apart.reshape(6, 7).mean(axis=1), lying(np.zeros(6, int)))
    assert diebold_mariano(np.zeros(42), apart, lying(np.arange(42) % 7, 5, series)) == pytest.approx(means)
    assert diebold_mariano(np.zeros(42), apart, lying(np.arange(42) % 7, 5, series // 3)) == (0.0, 1.0)


def test_forecasts_diebold_mariano_of_three_series_is_a_t_test():
    found = diebold_mariano(np.zeros(3), np.array([1.0, 2.0, 4.0]), lying(np.zeros(3, int)))
    assert found == pytest.approx(tuple(ttest_1samp([1.0, 2.0, 4.0], 0)))


@pytest.mark.parametrize("apart", [[1.0, 2.0], [1.0, 1.0, 1.0], [np.nan] * 5])
def test_forecasts_diebold_mariano_of_too_little_says_nothing(apart):
    assert diebold_mariano(np.zeros(len(apart)), np.array(apart), lying(np.arange(len(apart)))) == (0.0, 1.0)


def test_forecasts_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(5)
    for count in (1, 2, 7):
        p = rng.random(count) ** 3
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_forecasts_interval_of_independent_origins_is_about_that_of_the_mean():
    values = np.random.default_rng(6).normal(5, 2, size=400)
    found = block_interval(values, lying(np.arange(400)), samples=4000, seed=1)
    assert found["value"] == pytest.approx(values.mean())
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.06)
    assert found == block_interval(np.append(values, np.nan), lying(np.arange(401)), samples=4000, seed=1)


def test_forecasts_interval_ends_where_a_mean_can_be():
    values = np.array([0.1, 0.2, 4.0, 0.1, 3.0])
    free = block_interval(values, lying(np.arange(5)), samples=400, seed=1)
    bound = block_interval(values, lying(np.arange(5)), samples=400, seed=1, bounds=(0.0, np.inf))
    assert free["low"] < 0
    assert bound == {**free, "low": 0.0}


def test_forecasts_interval_is_wider_where_neighbours_are_alike():
    walk = np.repeat(np.random.default_rng(7).normal(size=40), 10)  # ten alike: the mean is known as of 40
    width = [
        found["high"] - found["low"]
        for overlap in (1, 5)
        for found in [block_interval(walk, lying(np.arange(400), overlap), samples=4000, seed=1)]
    ]
    assert width[0] == pytest.approx(2 * 1.96 * walk.std() / 20, rel=0.1)
    assert width[1] == pytest.approx(np.sqrt(7) * width[0], rel=0.25)  # a block seldom begins where ten alike do


@pytest.mark.parametrize(("count", "overlap"), [(100, 6), (300, 24), (30, 12)])
def test_forecasts_interval_holds_the_mean_of_windows_that_overlap_about_as_often_as_it_says(count, overlap):
    rng, layout, held = np.random.default_rng(8), lying(np.arange(count), overlap, np.zeros(count, int)), 0
    for shocks in rng.normal(size=(400, count + overlap - 1)):
        found = block_interval(np.convolve(shocks, np.ones(overlap), "valid"), layout, samples=300, seed=1)
        held += found["low"] <= 0 <= found["high"]
    assert 0.88 <= held / 400 <= 0.98


@pytest.mark.parametrize("place", [0, 8])
def test_forecasts_interval_draws_the_first_and_the_last_origin(place):
    values = np.zeros(9)
    values[place] = 1.0
    assert block_interval(values, lying(np.arange(9), 2), samples=4000, seed=1)["high"] > 0


def test_forecasts_interval_counts_windows_not_origins():
    origins = np.repeat(np.arange(8), [9, 1, 1, 1, 1, 1, 1, 1])
    values = (origins > 0).astype(float)
    found = block_interval(values, lying(origins), samples=4000, seed=1)
    assert found["value"] == 7 / 16
    assert found["high"] >= 1.0, "without the origin of nine windows"
    assert found["low"] < 0.25
    few = block_interval(values, lying(np.minimum(origins, 6), 3), samples=4000, seed=1)
    assert few["high"] - few["low"] == pytest.approx(2 * 2.13 * values.std() / np.sqrt(15), rel=0.15), (
        "windows one by one"
    )


def test_forecasts_interval_of_few_origins_draws_series_where_there_are_three():
    windows = Layout(np.tile(np.arange(5), 3), np.repeat(np.arange(3), 5), 2)
    found = block_interval(np.repeat([0.0, 1.0, 5.0], 5), windows, samples=400, seed=1)
    assert found == pytest.approx(block_interval(np.array([0.0, 1.0, 5.0]), lying(np.arange(3)), samples=400, seed=1))


def test_forecasts_interval_of_nothing_is_none():
    assert all(np.isnan(list(block_interval(np.array([np.nan]), lying([0]), samples=4000, seed=1).values())))


def test_forecasts_that_cannot_be_told_from_repetition():
    row = np.arange(9.0)
    assert repeats_last(row, row, row) is None
    row = np.arange(10.0)
    assert repeats_last(row, row**2, row) is True
    assert repeats_last(row, row, row) is False
    assert repeats_last(np.zeros(20), np.arange(20.0), np.arange(20.0)) is None
