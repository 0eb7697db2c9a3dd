"""Conformal widths: what they promise on new data, and that the future is not used."""

from __future__ import annotations

import numpy as np

from seqpipe.series.conformal import latest, rolling, static_widths, width

LEVELS = [0.1, 0.5, 0.9]


def test_conformal_width_is_the_order_statistic_with_one_more():
    scores = np.arange(1.0, 401.0)[:, None]
    assert width(scores, 0.8)[0] == np.ceil(401 * 0.8)


def test_conformal_covers_new_outcomes():
    rng = np.random.default_rng(1)
    wanted, quantiles = rng.normal(size=(4000, 2)), np.zeros((4000, 2, 3))
    made = quantiles[2000:] + static_widths(quantiles[:2000], wanted[:2000], LEVELS)
    covered = (wanted[2000:] >= made[:, :, 0]) & (wanted[2000:] <= made[:, :, 2])
    assert abs(covered.mean() - 0.8) < 0.03


def test_conformal_rolling_uses_no_error_that_is_not_known_yet():
    rng = np.random.default_rng(2)
    wanted, quantiles, origins = rng.normal(size=(300, 4)), np.zeros((300, 4, 3)), np.arange(300)
    options = {"window_steps": 60, "every": 1, "start": 100}
    before = rolling(quantiles, wanted, origins, LEVELS, **options)
    changed = wanted.copy()
    changed[197:] = 1e6  # the first target that reaches past origin 200 is that of origin 197
    after = rolling(quantiles, changed, origins, LEVELS, **options)
    np.testing.assert_array_equal(before[:201], after[:201])
    assert not np.array_equal(before[205:], after[205:])


def test_conformal_latest_windows_are_those_of_each_series():
    origins, series = np.array([1, 2, 3, 90, 95, 100]), np.array([1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(latest(origins, series, 2), [False, True, True, False, False, True])
    assert not len(latest(origins[:0], series[:0], 2))
