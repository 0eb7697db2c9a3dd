"""How a classifier answers: in the graph that is exported, and what the Keras model's logits say beside it.

Axes: B batch (rows), C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from seqpipe.evaluation.metrics import softmax
from seqpipe.export.artefact import Row

Answer = dict[str, tf.Tensor]


def label_answer(probabilities: tf.Tensor, classes: Sequence[str]) -> Answer:
    """The best class of each row by name, its probability, and those of all, from float [B, C]."""
    best = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    return {
        "label": tf.gather(tf.constant(list(classes)), best),
        "probability": tf.reduce_max(probabilities, axis=-1),
        "probabilities": probabilities,
    }


def scores(answer: Answer, classes: Sequence[str]) -> Answer:
    """`probabilities` [B, C] of an answer with the class names beside them, `labels` string [B, C].

    A client that cannot call a signature without inputs, as over REST, learns the order of the classes so.
    """
    probabilities = answer["probabilities"]
    names = tf.tile(tf.constant([list(classes)]), [tf.shape(probabilities)[0], 1])
    return {"labels": names, "probabilities": probabilities}


def label_info(classes: Sequence[str], *, version: int, streaming: bool) -> Answer:
    """What `labels` answers: the class names and facts of the artefact."""
    return {
        "labels": tf.constant(list(classes)),
        "version": tf.constant(version, tf.int32),
        "streaming": tf.constant(streaming),
    }


def expected_answer(logits: np.ndarray, temperature: float, classes: Sequence[str]) -> Row:
    """What `label_answer` has to say of one row's logits, float [C]."""
    probabilities = softmax(np.asarray(logits) / temperature)
    best = int(probabilities.argmax())
    return {
        "label": np.array(classes[best].encode(), object),
        "probability": probabilities[best],
        "probabilities": probabilities,
    }


def expected_scores(answer: Row, classes: Sequence[str]) -> Row:
    """What `scores` has to say where `serving_default` has to say this."""
    names = np.array([name.encode() for name in classes], object)
    return {"labels": names, "probabilities": answer["probabilities"]}
