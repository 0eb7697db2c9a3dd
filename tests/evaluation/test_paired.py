"""Differences of two pipelines against scipy's binomial and against resampling row by row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from seqpipe.evaluation.forecasts import Layout, block_interval
from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.paired import difference, mean_with_interval, with_interval
from seqpipe.evaluation.rows import RowFigures

LEVELS = [0.025, 0.975]
ACCURACY = Measure("accuracy", "accuracy")


class _Precision(Measure):
    """Hits of all rows by tries of all rows: no mean of rows."""

    is_mean = False

    def of(self, rows, times):
        return float(times @ rows.columns["hits"] / (times @ rows.columns["tries"]))


PRECISION = _Precision("precision", "precision")


class _Overlapping(Measure):
    """A mean of rows of which each shares steps with the next."""

    def layout(self, rows):
        return Layout(np.arange(12), np.zeros(12, int), 2)


def systems(*seeds, name="accuracy"):
    return [RowFigures("k", {name: np.random.default_rng(seed).random(12)}) for seed in seeds]


def tried(seed):
    rng = np.random.default_rng(seed)
    return RowFigures("k", {"hits": rng.integers(0, 9, 12), "tries": rng.integers(9, 20, 12)})


def test_paired_mean_of_right_and_wrong_has_the_quantiles_of_a_binomial():
    values = np.array([1.0] * 30 + [0.0] * 10)
    expected = (0.75, *binom.ppf(LEVELS, 40, 0.75) / 40)
    assert mean_with_interval(values, samples=5000, seed=3) == pytest.approx(expected, abs=1e-12)


def test_paired_mean_equals_drawing_kinds_of_values_with_their_share():
    values = np.array([0.5, -1.0, 4.0, 0.5])
    drawn = np.random.default_rng(7).multinomial(4, [0.25, 0.5, 0.25], size=50) @ [-1.0, 0.5, 4.0] / 4
    assert mean_with_interval(values, samples=50, seed=7) == pytest.approx((1.0, *np.quantile(drawn, LEVELS)))


def test_paired_mean_of_what_two_have_right_equals_resampling_row_by_row():
    rng = np.random.default_rng(7)
    a, b = rng.random(120) < 0.8, rng.random(120) < 0.7
    value, low, high = mean_with_interval(a.astype(int) - b, samples=20_000, seed=1)
    rows = rng.integers(120, size=(20_000, 120))
    resampled = a[rows].mean(axis=1) - b[rows].mean(axis=1)
    assert value == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert (low, high) == pytest.approx(tuple(np.quantile(resampled, LEVELS)), abs=1.01 / 120)


def test_paired_difference_of_means_is_of_the_mean_over_seeds():
    ours, theirs = systems(1, 2), systems(3, 4, 5)
    columns = [np.mean([part.columns["accuracy"] for part in parts], axis=0) for parts in (ours, theirs)]
    value, low, high = mean_with_interval(columns[0] - columns[1], samples=5000, seed=1)
    assert value == pytest.approx(columns[0].mean() - columns[1].mean())
    assert difference(ACCURACY, ours, theirs) == {"value": value, "low": low, "high": high}
    assert difference(ACCURACY, ours, theirs, seed=2)["low"] != low
    assert difference(ACCURACY, theirs, ours)["value"] == -value


def test_paired_difference_of_rows_that_overlap_in_time_draws_blocks():
    ours, theirs = systems(1, 2), systems(3)
    apart = np.mean([part.columns["accuracy"] for part in ours], axis=0) - theirs[0].columns["accuracy"]
    measure = _Overlapping("accuracy", "accuracy")
    expected = block_interval(apart, measure.layout(ours[0]), samples=5000, seed=4)
    assert difference(measure, ours, theirs, seed=4) == pytest.approx(expected)
    assert expected["value"] == pytest.approx(apart.mean())


def resampled(ours, less, seed, samples):
    """One draw of rows for all systems of a sample."""

    def mean(parts, times):
        return np.mean([(times @ part.columns["hits"]) / (times @ part.columns["tries"]) for part in parts])

    rng = np.random.default_rng(seed)
    draws = [np.ones(12, int), *(rng.multinomial(12, np.full(12, 1 / 12)) for _ in range(samples))]
    whole, *drawn = [mean(ours, times) - (mean(less, times) if less else 0) for times in draws]
    low, high = np.quantile(drawn, LEVELS)
    return {"value": pytest.approx(whole), "low": pytest.approx(low), "high": pytest.approx(high)}


def test_paired_difference_of_what_is_no_mean_resamples_rows_of_all_alike():
    ours, theirs = [tried(1), tried(2)], [tried(3)]
    assert difference(PRECISION, ours, theirs) == resampled(ours, theirs, 1, 1000)
    assert difference(PRECISION, ours, theirs, seed=5) == resampled(ours, theirs, 5, 1000)


def test_paired_interval_of_a_system_alone():
    assert with_interval(PRECISION, [tried(1), tried(2)], samples=40, seed=3) == resampled(
        [tried(1), tried(2)], [], 3, 40
    )


def test_paired_difference_of_a_system_and_itself_is_exactly_nothing():
    assert set(difference(PRECISION, [tried(1)], [tried(1)]).values()) == {0.0}
    assert set(difference(ACCURACY, systems(1), systems(1)).values()) == {0.0}
