"""Ridges from sums, against solving the equations of each penalty."""

from __future__ import annotations

import numpy as np

from seqpipe.series.ridge import PENALTIES, RidgeSums


def test_ridge_penalties_go_from_a_ten_millionth_to_ten_by_half_powers():
    np.testing.assert_allclose(PENALTIES, 10.0 ** (np.arange(-14, 3) / 2))


def test_ridge_of_batches_solves_the_weighted_equations_for_each_penalty():
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(3, size=(30, 4)), rng.normal(5, size=(30, 2)), rng.uniform(0.5, 2, size=30)
    x[:, -1] = 1.0
    sums = RidgeSums.empty(4, 2)
    assert sums.rows == 0
    sums.add(x[:20], y[:20], weights[:20])
    sums.add(x[20:], y[20:], weights[20:])
    assert sums.rows == 30
    scaled, wanted = x * weights[:, None], y * weights[:, None]
    squares = scaled.T @ scaled
    means = np.average(x, axis=0, weights=weights**2)
    variances = np.sum((weights[:, None] * (x - means)) ** 2, axis=0)  # of the constant none, and no penalty
    found = sums.solve()
    assert len(found) == 17
    for penalty, answer in zip(PENALTIES, found, strict=True):
        penalised = squares + penalty * variances.sum() / 3 * np.diag([1, 1, 1, 0])
        np.testing.assert_allclose(answer, np.linalg.solve(penalised, scaled.T @ wanted), rtol=1e-9)


def test_ridge_takes_rows_in_float32_and_adds_them_up_in_float64():
    sums = RidgeSums.empty(1, 1)
    ones = np.ones((1, 1), np.float32)
    for inputs in (ones * 4096, ones):
        sums.add(inputs, ones, np.ones(1, np.float32))
    assert (sums.squares.dtype, sums.products.dtype) == (np.float64, np.float64)
    assert (sums.squares.item(), sums.products.item()) == (4096.0**2 + 1, 4097.0)


def test_ridge_takes_a_negative_variance_for_none():
    sums = RidgeSums(np.diag([1.0, -0.25, 1.0]), np.array([[1.0], [1.0], [0.0]]))
    for penalty, answer in zip(PENALTIES, sums.solve(), strict=True):  # the mean variance is a half
        np.testing.assert_allclose(answer[:, 0], [1 / (1 + penalty / 2), 2 / penalty, 0])


def test_ridge_without_any_variance_stays_finite():
    sums = RidgeSums(np.zeros((3, 3)), np.array([[1.0], [3.0], [0.0]]))
    for penalty, answer in zip(PENALTIES, sums.solve(), strict=True):
        np.testing.assert_allclose(answer[:, 0], np.array([1, 3, 0]) / (penalty * 1e-12))
    assert not np.any(RidgeSums.empty(2, 1).solve())
