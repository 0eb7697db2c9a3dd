"""How a classifier answers, one label a row or several: in the exported graph, and as the Keras model's logits say.

Axes: B batch (rows), C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from seqpipe.evaluation.metrics import softmax
from seqpipe.export.artefact import Row, signature

Answer = dict[str, tf.Tensor]

ROUNDING = 1e-5  # numbers that lie closer together may come in either order, in one arithmetic or another


def label_answer(probabilities: tf.Tensor, classes: Sequence[str]) -> Answer:
    """The best class of each row by name, its probability, and those of all, from float [B, C]."""
    best = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    return {
        "label": tf.gather(tf.constant(list(classes)), best),
        "probability": tf.reduce_max(probabilities, axis=-1),
        "probabilities": probabilities,
    }


@dataclass(frozen=True)
class LabelSets:
    """How several labels are answered.

    separator: stands between them.
    thresholds: C, 0..1: a label is answered whose probability reaches its threshold.
    """

    separator: str
    thresholds: Sequence[float]


def label_set_answer(logits: tf.Tensor, classes: Sequence[str], sets: LabelSets) -> Answer:
    """The labels of each row in one string, the most probable first, and the probability of each class for itself.

    Args:
        logits: float [B, C], already divided by the temperature.
    """
    probabilities = tf.sigmoid(logits)
    chosen = probabilities >= tf.constant(list(sets.thresholds), probabilities.dtype)  # [B, C]
    # By logits: probabilities of 1.0 and 1.0 say no more which is the higher.
    ranked = tf.where(chosen, logits, logits.dtype.min)
    order = tf.argsort(ranked, axis=-1, direction="DESCENDING", stable=True)  # [B, C]
    first = tf.range(len(classes)) == 0
    names = tf.gather(tf.constant(list(classes)), order)
    named = tf.where(first, names, tf.constant(sets.separator) + names)
    named = tf.where(tf.gather(chosen, order, batch_dims=1), named, "")
    return {
        "label": tf.strings.reduce_join(named, axis=-1),
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


def label_signatures(
    answer: Callable[[tf.Tensor], Answer],
    given: tf.TensorSpec,
    classes: Sequence[str],
    *,
    version: int,
    streaming: bool = False,
) -> dict[str, tf.types.experimental.PolymorphicFunction]:
    """What every classifier has: serving_default, scores and labels."""
    answering = signature(answer, given)
    return {
        "serving_default": answering,
        # It calls the other one: written into the graph once more, the network would take twice the space.
        "scores": signature(lambda given: scores(answering(given), classes), given),
        "labels": signature(lambda: label_info(classes, version=version, streaming=streaming)),
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


def expected_label_set(logits: np.ndarray, temperature: float, classes: Sequence[str], sets: LabelSets) -> Row:
    """What `label_set_answer` has to say of one row's logits, float [C].

    Without `label` where rounding decides: a probability at its threshold, or two labels that are equally probable.
    """
    from scipy.special import expit

    scaled = np.asarray(logits, np.float64) / temperature
    probabilities, thresholds = expit(scaled), np.asarray(sets.thresholds)
    best_first = [place for place in np.argsort(-scaled, kind="stable") if probabilities[place] >= thresholds[place]]
    names = sets.separator.join(classes[place] for place in best_first)
    answer = {"probability": probabilities.max(), "probabilities": probabilities}
    closest = min([*np.abs(probabilities - thresholds), *-np.diff(scaled[best_first])])
    return answer if closest < ROUNDING else {"label": np.array(names.encode(), object), **answer}


def expected_scores(answer: Row, classes: Sequence[str]) -> Row:
    """What `scores` has to say where `serving_default` has to say this."""
    names = np.array([name.encode() for name in classes], object)
    return {"labels": names, "probabilities": answer["probabilities"]}
