from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from seqpipe.evaluation.labels import BALANCED_ACCURACY, balanced_accuracy, label_rows


def test_labels_balanced_accuracy_equals_scikit_learn_and_weighs_classes_alike():
    labels = np.array([0] * 90 + [1] * 10)
    predictions = np.array([0] * 90 + [1] * 5 + [0] * 5)
    figure = balanced_accuracy(np.eye(3)[predictions], labels, samples=500, seed=1)
    assert figure["value"] == pytest.approx(0.75)
    assert figure["low"] < 0.75 < figure["high"]
    assert figure["n"] == 100
    times = np.arange(100) % 4
    expected = balanced_accuracy_score(labels, predictions, sample_weight=times)
    assert BALANCED_ACCURACY.of(label_rows(np.eye(3)[predictions], labels), times) == pytest.approx(expected)


def test_labels_balanced_accuracy_leaves_out_a_class_that_was_not_drawn():
    rows = label_rows(np.eye(3)[[0, 1, 0, 2]], np.array([0, 0, 1, 2]))
    assert BALANCED_ACCURACY.of(rows, np.array([2, 1, 0, 1])) == pytest.approx((2 / 3 + 1) / 2)
