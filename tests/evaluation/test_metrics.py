from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from seqpipe.evaluation import metrics


def _calibrated(rows: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits and labels drawn from their softmax: the right temperature is 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, classes)) * 1.5
    cumulative = np.exp(logits).cumsum(axis=1)
    labels = (rng.random((rows, 1)) * cumulative[:, -1:] > cumulative).sum(axis=1)
    return logits, labels


# Newcombe 1998, Two-sided confidence intervals for the single proportion, table I, method 3; 8/10 and 1/1 by hand.
@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (8, 10, 0.4902, 0.9433),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_metrics_wilson_interval_equals_published_values(correct, total, low, high):
    assert metrics.wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


def test_metrics_wilson_interval_has_exact_ends_and_widens_with_confidence():
    for total in range(1, 200):
        assert metrics.wilson_interval(0, total)[0] == 0.0
        assert metrics.wilson_interval(total, total)[1] == 1.0
    narrow, wide = metrics.wilson_interval(30, 50, 0.9), metrics.wilson_interval(30, 50, 0.99)
    assert wide[0] < narrow[0] < 0.6 < narrow[1] < wide[1]


def test_metrics_per_class_by_hand_with_an_absent_class_and_one_never_predicted():
    rows = metrics.per_class([0, 0, 0, 1], [0, 0, 1, 3], ["a", "b", "absent", "missed"])
    a, b, absent, missed = rows
    assert a == {"name": "a", "precision": pytest.approx(2 / 3), "recall": 1.0, "f1": pytest.approx(0.8), "support": 2}
    assert b == {"name": "b", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert absent == {"name": "absent", "precision": None, "recall": None, "f1": None, "support": 0}
    assert missed == {"name": "missed", "precision": None, "recall": 0.0, "f1": 0.0, "support": 1}


def test_metrics_per_class_of_rows_with_any_number_of_classes():
    a, b = metrics.per_class([[1, 0], [1, 1], [0, 0]], [[1, 1], [0, 1], [0, 1]], ["a", "b"])
    assert a == {"name": "a", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert b == {"name": "b", "precision": 1.0, "recall": pytest.approx(1 / 3), "f1": 0.5, "support": 3}


def test_metrics_negative_log_likelihood_equals_scikit_learn_and_survives_large_logits():
    logits, labels = _calibrated(300, 5, seed=3)
    expected = log_loss(labels, metrics.softmax(logits), labels=range(5))
    assert metrics.negative_log_likelihood(logits, labels) == pytest.approx(expected, rel=1e-9)
    assert metrics.negative_log_likelihood([[0.0, 5000.0]], [0]) == 5000.0
    assert str(metrics.negative_log_likelihood([[60.0, 0.0]], [0])) == "0.0"  # not below


def test_metrics_calibration_error_equals_a_loop_over_rows():
    logits, labels = _calibrated(500, 3, seed=4)
    probabilities = metrics.softmax(logits * 2)
    # Edges, 0 and 1 are values too: a bin holds its upper edge, the first also 0.
    probabilities[:3] = [[0.6, 0.4, 0.0], [1.0, 0.0, 0.0], [0.4, 0.3, 0.3]]
    total = 0.0
    for bins in (1, 10, 15):
        expected = 0.0
        for bin_index in range(bins):
            low, high = bin_index / bins, (bin_index + 1) / bins
            inside = [
                (max(row), int(np.argmax(row)) == label)
                for row, label in zip(probabilities, labels, strict=True)
                if low < max(row) <= high
            ]
            if inside:
                gap = abs(sum(p for p, _ in inside) - sum(right for _, right in inside)) / len(inside)
                expected += gap * len(inside) / len(labels)
        found = metrics.calibration_bins(probabilities, labels, bins).calibration_error
        assert found == pytest.approx(expected, abs=1e-12)
        total += expected
    assert total > 0.2


@pytest.mark.parametrize(("label", "error"), [(0, 0.0), (1, 1.0)])
def test_metrics_calibration_error_of_one_certain_row(label, error):
    assert metrics.calibration_bins([[1.0, 0.0]], [label]).calibration_error == error


def test_metrics_calibration_bins_hold_a_probability_that_is_rounded_up():
    assert metrics.calibration_bins([[1.0005, 0.0]], [0], bins=3).count.tolist() == [0, 0, 1]


@pytest.mark.parametrize("row", [[3.0, -1.0], [1.5, -0.5], [0.5, 0.4], [0.5, 0.6]])
def test_metrics_calibration_error_refuses_logits(row):
    with pytest.raises(ValueError, match="are these logits"):
        metrics.calibration_bins([row], [0])


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_metrics_fit_temperature_recovers_the_temperature_of_its_data(temperature):
    logits, labels = _calibrated(20_000, 4, seed=5)
    assert metrics.fit_temperature(logits * temperature, labels) == pytest.approx(temperature, rel=0.04)


def test_metrics_fit_temperature_is_the_best_of_a_grid():
    logits, labels = _calibrated(200, 3, seed=6)
    fitted = metrics.negative_log_likelihood(logits * 4 / metrics.fit_temperature(logits * 4, labels), labels)
    grid = [metrics.negative_log_likelihood(logits * 4 / t, labels) for t in np.geomspace(0.05, 20, 500)]
    assert min(grid) - 1e-4 < fitted <= min(grid) + 1e-9


def test_metrics_fit_shares_recovers_how_two_halves_of_the_evidence_were_scaled():
    rng = np.random.default_rng(8)
    first, second = rng.normal(size=(2, 20_000, 3))
    total = 2.0 * first + 0.5 * second
    labels = np.array([rng.choice(3, p=p) for p in metrics.softmax(total)])
    assert metrics.fit_shares(first, second, labels) == pytest.approx((2.0, 0.5), abs=0.05)


def test_metrics_fit_shares_are_one_where_all_rows_are_right():
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0]])
    assert metrics.fit_shares(logits, 0.1 * logits, np.array([0, 1, 0])) == (1.0, 1.0)


def test_metrics_fit_shares_gives_nothing_to_a_model_that_is_worse_than_a_guess():
    logits, labels = _calibrated(5_000, 3, seed=9)
    noise = -logits
    first, second = metrics.fit_shares(noise, 3 * logits, labels)
    assert first >= 0
    assert second > 0.3


def test_metrics_fit_shares_stay_within_their_bounds():
    labels = np.array([0, 1, 1])
    right = np.eye(2)[labels]
    assert metrics.fit_shares(right, -2 * right, labels)[1] == 1 / 20
    assert metrics.fit_shares(-2 * right, right, labels)[0] == 0.0


def test_metrics_fit_temperature_is_one_where_rows_cannot_tell_and_bounded_where_all_is_wrong():
    assert metrics.fit_temperature([[3.0, 0.0]], [0]) == 1.0
    assert metrics.fit_temperature(np.zeros((4, 2)), [0, 1, 1, 0]) == 1.0
    assert metrics.fit_temperature([[3.0, 0.0], [9.0, 0.0]], [1, 1]) == pytest.approx(20, rel=1e-4)


def test_metrics_sign_p_equals_the_binomial_sum():
    more = np.array([1] * 9 + [-1] * 2 + [0] * 30)  # right alone, the other alone, both alike
    assert metrics.sign_p(more) == pytest.approx(2 * sum(math.comb(11, k) for k in range(3)) / 2**11)
    assert metrics.sign_p([1]) == metrics.sign_p([0]) == 1.0
    assert metrics.sign_p([0.1, 0.2, 0.0, 3.0]) == pytest.approx(0.25)  # of three rows


@pytest.mark.parametrize(
    ("low", "high", "sign_p", "found"),
    [(0.1, 0.3, 0.01, 1), (-0.3, -0.1, 0.01, -1), (-0.1, 0.1, 0.01, 0), (0.1, 0.3, 0.06, 0), (0, 0.3, 0.01, 0)],
)
def test_metrics_side_of_a_difference(low, high, sign_p, found):
    assert metrics.side({"low": low, "high": high, "sign_p": sign_p}) == found


def test_metrics_side_of_a_report_from_before():
    assert metrics.side({"low": 0.1, "high": 0.3}) == 1


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0.0, 1.0], [2.0, math.nan]], [0, 1], r"logits\[1, 1\] is nan: logits must be finite"),
        ([[math.inf, 1.0]], [0], r"logits\[0, 0\] is inf"),
        ([[0.0, 1.0]], [2], r"labels\[0\] is 2: a label must be 0..1"),
        ([[0.0, 1.0]], [-1], r"labels\[0\] is -1"),
        ([[0.0, 1.0]], [0.0], "labels are float64: labels must be class indices"),
        ([[0.0, 1.0]], [0, 1], r"logits \(1, 2\) and labels \(2,\) must be \[N, C\] and \[N\]"),
        (np.zeros((0, 2)), np.zeros(0, int), "N and C at least 1"),
    ],
)
@pytest.mark.parametrize("function", [metrics.negative_log_likelihood, metrics.fit_temperature])
def test_metrics_refuse_by_name(function, logits, labels, message):
    with pytest.raises(ValueError, match=message):
        function(logits, labels)
