"""Searches over a seq2seq model: piece ids in, piece ids out.

Axes: B batch, W hypotheses of a row, S source pieces, T target pieces.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from seqpipe.config.networks import Seq2Seq
from seqpipe.models import decoding
from seqpipe.models.seq2seq import Stepper
from seqpipe.text.vocabulary import BOS

IDS = [tf.TensorSpec([None, None], tf.int32, name="ids"), tf.TensorSpec([None], tf.int32, name="lengths")]


class Searches:
    """What an encoder-decoder answers; functions for a graph.

    Args:
        model: as `seqpipe.models.seq2seq` makes it.
        config: bounds the length of answers.
        length_penalty: of the scores of greedy search.
    """

    def __init__(self, model: keras.Model, config: Seq2Seq, *, length_penalty: float):
        self._stepper = Stepper(model)
        self._align = lambda inputs: model(inputs, training=False)[1]
        self._max_ratio, self._max_extra = config.max_ratio, config.max_extra
        self._length_penalty = length_penalty

    def bounds(self, lengths: tf.Tensor) -> tf.Tensor:
        """int32 [B], the most pieces of an answer; of an empty source 0."""
        most = tf.cast(tf.math.ceil(self._max_ratio * tf.cast(lengths, tf.float32)), tf.int32) + self._max_extra
        return tf.where(lengths > 0, most, 0)

    def greedy(self, source: tf.Tensor, lengths: tf.Tensor) -> decoding.Answers:
        """The likeliest piece at each step, for source int32 [B, S] and lengths int32 [B]."""
        step, state = self._stepper.start(source, lengths)
        return decoding.greedy(step, state, self.bounds(lengths), length_penalty=self._length_penalty)

    def beam(
        self, source: tf.Tensor, lengths: tf.Tensor, width: tf.Tensor | int, length_penalty: tf.Tensor | float
    ) -> decoding.Answers:
        """The W = width best hypotheses a row."""
        step, state = self._stepper.start(source, lengths)
        return decoding.beam(step, state, self.bounds(lengths), width=width, length_penalty=length_penalty)

    def align(self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor) -> tf.Tensor:
        """float32 [B, T, S]: where the model looks for each piece of target int32 [B, T]; a row sums to 1."""
        return self._align([source, lengths, shifted(target), target_lengths])


def shifted(target: tf.Tensor) -> tf.Tensor:
    """int32 [B, T]: the piece before each, first the one that begins a text."""
    return tf.concat([tf.fill([tf.shape(target)[0], 1], BOS), target[:, :-1]], axis=1)
