from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.export.label_answer import (
    LabelSets,
    expected_answer,
    expected_label_set,
    expected_scores,
    label_answer,
    label_info,
    label_set_answer,
    scores,
)

CLASSES = ["差", "good", "so so"]
LOGITS = np.array([[1.0, 3.0, -2.0], [0.5, 0.0, 0.25]], np.float32)


def test_label_answer_in_the_graph_is_what_the_logits_say():
    answer = label_answer(tf.nn.softmax(LOGITS / 2.0), CLASSES)
    found = scores(answer, CLASSES)
    for row, logits in enumerate(LOGITS):
        expected = expected_answer(logits, 2.0, CLASSES)
        assert answer["label"][row].numpy() == expected["label"]
        assert answer["label"][row].numpy().decode() == CLASSES[row + 1 if row == 0 else 0]
        assert answer["probability"][row].numpy() == pytest.approx(expected["probability"])
        np.testing.assert_allclose(answer["probabilities"][row], expected["probabilities"], rtol=1e-6)
        named = expected_scores(expected, CLASSES)
        assert found["labels"][row].numpy().tolist() == named["labels"].tolist()
        np.testing.assert_allclose(found["probabilities"][row], named["probabilities"], rtol=1e-6)


def test_label_info_says_names_in_order_and_facts():
    info = label_info(CLASSES, version=4, streaming=False)
    assert (info["version"].numpy(), info["streaming"].numpy()) == (4, False)
    assert [name.decode() for name in info["labels"].numpy()] == CLASSES


SETS = LabelSets("|", [0.5, 0.9, 0.3])
OF_SEVERAL = np.array([[1.0, 3.0, -0.5], [40.0, 5.0, 90.0], [-3.0, 1.0, -3.0], [0.1, 9.0, 0.2]], np.float32)


def test_label_sets_in_the_graph_are_what_the_logits_say():
    answer = label_set_answer(tf.constant(OF_SEVERAL), CLASSES, SETS)
    named = [text.decode() for text in answer["label"].numpy()]
    assert named == ["good|差|so so", "so so|差|good", "", "good|so so|差"]
    for row, logits in enumerate(2 * OF_SEVERAL):
        expected = expected_label_set(logits, 2.0, CLASSES, SETS)
        assert answer["label"][row].numpy() == expected["label"]
        np.testing.assert_allclose(answer["probability"][row], expected["probability"], rtol=1e-6)
        np.testing.assert_allclose(answer["probabilities"][row], expected["probabilities"], rtol=1e-6)
    assert scores(answer, CLASSES)["probabilities"].shape == (4, 3)


@pytest.mark.parametrize("logits", [[0.0, 3.0, 0.0], [2.0, 3.0, 2.0], [-9.0, np.log(9.0), -9.0]])
def test_label_sets_where_rounding_decides_are_not_named(logits):
    assert set(expected_label_set(np.array(logits), 1.0, CLASSES, SETS)) == {"probability", "probabilities"}
