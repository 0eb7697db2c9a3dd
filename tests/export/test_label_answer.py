from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from seqpipe.export.label_answer import expected_answer, expected_scores, label_answer, label_signatures, scores

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


def test_label_signatures_write_the_network_once():
    module = tf.Module()
    module.kernel = tf.Variable(LOGITS.T)

    def classify(x):
        return label_answer(tf.nn.softmax(x @ module.kernel), CLASSES[:2])

    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    signatures = label_signatures(classify, spec, classes=CLASSES[:2], version=4, streaming=False)
    calls = signatures["scores"].get_concrete_function().graph.as_graph_def()
    assert not [node for node in calls.node if node.op == "MatMul"]
    info = signatures["labels"]()
    assert (info["version"].numpy(), info["streaming"].numpy()) == (4, False)
    assert [name.decode() for name in info["labels"].numpy()] == CLASSES[:2]
