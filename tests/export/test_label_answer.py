from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.export.label_answer import expected_answer, expected_scores, label_answer, label_info, scores

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
