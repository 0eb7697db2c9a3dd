from __future__ import annotations

import numpy as np
import pytest

from seqpipe.errors import ModelError
from seqpipe.training.class_weights import class_weights, log_odds, positive_weights

CLASSES = ["yes", "no", "silence"]
ROWS = np.array([6, 3, 1])


def test_class_weights_balanced_give_all_classes_the_same_sum_and_rows_the_mean_one():
    weights = class_weights("balanced", CLASSES, ROWS)
    np.testing.assert_allclose(weights * ROWS, [10 / 3] * 3, rtol=1e-6)
    assert (weights * ROWS).sum() == pytest.approx(ROWS.sum())
    assert weights.dtype == np.float32


def test_class_weights_none_or_by_name():
    assert class_weights("none", CLASSES, ROWS).tolist() == [1, 1, 1]
    assert class_weights({"no": 2.0, "yes": 1.0, "silence": 0.5}, CLASSES, ROWS).tolist() == [1.0, 2.0, 0.5]


def test_class_weights_must_name_every_class():
    with pytest.raises(ModelError, match="names yes; it must give one weight to each class: yes, no, silence"):
        class_weights({"yes": 2.0}, CLASSES, ROWS)


def test_class_weights_of_labels_that_are_there():
    balanced = positive_weights("balanced", CLASSES, ROWS, 20)
    np.testing.assert_allclose(balanced * ROWS, 20 - ROWS)  # as much as the rows without them
    assert positive_weights("none", CLASSES, ROWS, 20).tolist() == [1, 1, 1]
    assert positive_weights({"no": 2.0, "yes": 1.0, "silence": 0.5}, CLASSES, ROWS, 20).tolist() == [1.0, 2.0, 0.5]
    assert positive_weights("balanced", ["a", "b"], np.array([20, 0]), 20) == pytest.approx([0.05, 20.0])
    with pytest.raises(ModelError, match="it must give one weight to each class"):
        positive_weights({"yes": 2.0}, CLASSES, ROWS, 20)


def test_log_odds_are_the_logit_of_how_often_a_label_is_there():
    found = log_odds(np.array([500, 2000, 0, 4000]), 4000, np.ones(4, np.float32))
    np.testing.assert_allclose(found[:2], [np.log(1 / 7), 0], atol=2e-3)
    assert np.isfinite(found).all()
    assert found[2] < -8
    assert found[3] > 8
    balanced = positive_weights("balanced", CLASSES, ROWS, 20)
    np.testing.assert_allclose(log_odds(ROWS, 20, balanced), 0, atol=0.4)
