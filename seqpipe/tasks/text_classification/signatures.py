"""The graph that an exported text classifier answers with: raw strings in, core TensorFlow ops only.

Axes: B batch (rows), T time (pieces), C classes.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from seqpipe.data.batches import plan_in_order_of_length
from seqpipe.data.examples import Ragged
from seqpipe.export.artefact import signature
from seqpipe.export.label_answer import Answer, LabelSets, label_answer, label_set_answer, label_signatures
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.models.receptive_field import POOLING, total_stride
from seqpipe.text.tokenizer import TextTokenizer
from seqpipe.training.predict import for_many_rows

IDS = [tf.TensorSpec([None, None], tf.int32, name="ids"), tf.TensorSpec([None], tf.int32, name="lengths")]


class TextClassifier(tf.Module):
    """Signatures over a Keras model of piece ids: serving_default, scores, labels, and explain where it has weights.

    Args:
        model: (ids int32 [B, T], lengths int32 [B]) -> logits [B, C].
        tokenizer: the graph side of the text features.
        classes: class names in order.
        temperature: logits are divided by it, so that probabilities are calibrated.
        max_pieces: a longer text is cut to so many.
        head_pieces: how many of them are its first ones, the others its last.
        version: of the artefact.
        sets: how several labels are answered; None for one label a text.
    """

    def __init__(
        self,
        model: keras.Model,
        tokenizer: TextTokenizer,
        *,
        classes: list[str],
        temperature: float,
        max_pieces: int,
        head_pieces: int,
        version: int,
        sets: LabelSets | None = None,
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.weights = [variable.value for variable in model.weights]
        self._classes = classes
        self._temperature, self._sets = temperature, sets
        self._max_pieces, self._head_pieces = max_pieces, head_pieces
        self._stride = total_stride(model)
        explainer = _explainer(model)
        asked = explainer or model
        network = signature(lambda *given: tf.nest.flatten(asked(list(given), training=False)), *IDS)
        # Behind a plain function: a graph as an attribute would be saved once more.
        self._outputs = lambda ids, lengths: network(ids, lengths)  # logits, and weights where there are any
        text = tf.TensorSpec([None], tf.string, name="text")
        self.functions = label_signatures(self._classify, text, classes, version=version)
        if explainer is not None:
            self.functions["explain"] = signature(self._explain, text)

    def _classify(self, text: tf.Tensor) -> Answer:
        ids, lengths, _ = self._encode(text)
        with traced_for("serving"):  # the network is traced by the first signature that asks it
            logits, *_ = self._outputs(ids, lengths)
        return self._answer(logits)

    def _explain(self, text: tf.Tensor) -> Answer:
        ids, lengths, truncated = self._encode(text)
        with traced_for("serving"):
            logits, weights = self._outputs(ids, lengths)
        whole = self.tokenizer.whole_pieces(ids, lengths)
        return {
            "pieces": whole.pieces,
            "weights": whole.summed(spread(weights, lengths, tf.shape(ids)[1], self._stride)),
            "truncated": truncated,
            **self._answer(logits),
        }

    def _encode(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        ids, lengths, truncated = self.tokenizer(text, self._max_pieces, self._head_pieces)
        # At least one step, so that layers need no case for a batch of empty texts.
        ids = tf.pad(ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(ids)[1])]])
        return ids, lengths, truncated

    def _answer(self, logits: tf.Tensor) -> Answer:
        if self._sets is not None:
            return label_set_answer(logits / self._temperature, self._classes, self._sets)
        return label_answer(tf.nn.softmax(logits / self._temperature), self._classes)


def spread(weights: tf.Tensor, lengths: tf.Tensor, steps: tf.Tensor, stride: int) -> tf.Tensor:
    """The weight of each piece from the weight of each pooled step, whose pieces share it evenly.

    Args:
        weights: float32 [B, T'], T' = ceil(T / stride).
        lengths: int32 [B], in pieces.
        steps: T.
        stride: pieces in a step; the last step of a row may have fewer.
    Returns:
        float32 [B, T], zero beyond each length, with the same sum a row.
    """
    if stride == 1:
        return _fitted(weights, steps)
    starts = tf.range(tf.shape(weights)[1]) * stride
    pieces = tf.clip_by_value(lengths[:, None] - starts[None, :], 1, stride)  # [B, T']
    spread_out = _fitted(tf.repeat(weights / tf.cast(pieces, weights.dtype), stride, axis=1), steps)
    return tf.where(tf.sequence_mask(lengths, steps), spread_out, 0.0)


def _fitted(weights: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """[B, steps], zero where a model of the user's own has lost steps, as convolutions without padding do."""
    missing = tf.maximum(0, steps - tf.shape(weights)[1])
    return tf.pad(weights, [[0, 0], [0, missing]])[:, :steps]


def _explainer(model: keras.Model) -> keras.Model | None:
    """The model with the weights of its pooling beside the logits; None for a model without such a layer."""
    for layer in model.layers:
        if isinstance(layer, POOLING):
            return keras.Model(model.inputs, [model.outputs[0], layer.output[1]])
    return None


def piece_weights(model: keras.Model, ids: Ragged) -> list[np.ndarray] | None:
    """The weight of each piece as `explain` gives it, float32 [T] a row; None for a model without such weights."""
    explainer = _explainer(model)
    if explainer is None:
        return None
    stride = total_stride(model)

    def of_pieces(ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        _, weights = explainer([ids, lengths], training=False)
        return spread(weights, lengths, tf.shape(ids)[1], stride)

    weigh = for_many_rows(of_pieces, *IDS)
    found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(ids)
    for rows in plan_in_order_of_length(ids.lengths, batch_size=64):
        batch, lengths = ids.padded(rows)
        for row, length, weights in zip(rows, lengths, weigh(batch, lengths).numpy(), strict=True):
            found[row] = weights[:length]
    return found
