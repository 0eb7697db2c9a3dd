"""Measures of forecasts against their definitions, and tests that keep their promise on noise."""

from __future__ import annotations

import numpy as np
import pytest

from seqpipe.evaluation.forecasts import diebold_mariano, pinball, repeats_last, row_mean, smape


def test_forecasts_smape_and_pinball_by_hand():
    assert smape(np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]])).tolist() == [[100.0, 0.0]]
    found = pinball(np.array([[[1.0, 3.0]]]), np.array([[2.0]]), [0.1, 0.9])
    assert found[0, 0] == pytest.approx(0.2)  # 2 * mean of 0.1 * 1 and 0.1 * 1
    assert np.isnan(row_mean(np.array([[np.nan, np.nan]]))[0])


def test_forecasts_diebold_mariano_rarely_finds_what_is_not_there():
    rng = np.random.default_rng(1)
    origins = np.arange(200)
    false = 0
    for _ in range(200):
        shocks = rng.normal(size=205)
        apart = np.convolve(shocks, np.ones(6), mode="valid")  # windows of 6 steps overlap
        false += diebold_mariano(np.zeros(200), apart, origins, 6)[1] < 0.05
    assert false <= 30  # 5 % and what the estimate of the variance costs; 60 % without the overlap
    statistic, p = diebold_mariano(np.zeros(200), 1 + rng.normal(size=200), origins, 6)
    assert statistic > 3
    assert p < 0.001


def test_forecasts_that_repeat_the_last_value_are_told():
    rng = np.random.default_rng(2)
    changes = rng.normal(size=(2, 500))
    before, wanted = changes[0], changes.sum(axis=0)
    assert repeats_last(before + 0.01 * rng.normal(size=500), wanted, before)
    assert not repeats_last(wanted + 0.1 * rng.normal(size=500), wanted, before)
