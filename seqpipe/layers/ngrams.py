"""The expert on n-grams in the graph.

Axes: B batch, T time (pieces), M n-grams of a row, K known n-grams, C classes (C' = 1 for two that exclude each other).
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor
from seqpipe.text.ngrams import HALF, MASK, MULTIPLIER, NgramTables

NOTHING = (1 << 31) - 1  # stands where there is no n-gram; sorts behind all


@keras.saving.register_keras_serializable(package="seqpipe")
class NgramExpert(keras.layers.Layer):
    """Adds to logits what `seqpipe.text.ngrams` says of the n-grams of a row; silent in training.

    In training it adds nothing, for it knows the training rows by heart and would leave nothing to learn beside it.
    Outside training the logits that come in count `network_scale` times, a weight that is 1 until it is fitted on dev.

    Args:
        longest: pieces in the longest n-gram.
        entries: K.
        classes: C.
        several: whether a row may have several classes, or none, each with a logit of its own.

    Call with logits float32 [B, C], ids int32 [B, T], lengths int32 [B]; returns logits float32 [B, C]. Pieces beyond
    a length are not seen; a row of length 0 gets the bias.
    """

    def __init__(
        self, longest: int, *, entries: int, classes: int, several: bool = False, **base: Unpack[LayerOptions]
    ):
        super().__init__(**base)
        self.longest, self.entries, self.classes, self.several = longest, entries, classes, several

    def build(self, *shapes: Shape) -> None:
        def table(name: str, *shape: int, dtype: str) -> keras.Variable:
            return self.add_weight(
                name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False, autocast=False
            )

        columns = 1 if self._one_column else self.classes
        self.keys = table("keys", self.entries, dtype="int32")
        self.table = table("weights", self.entries, columns, dtype="float16")
        self.squares = table("squares", self.entries, columns, dtype="float16")
        self.bias = table("bias", columns, dtype="float32")
        self.network_scale = self.add_weight(name="network_scale", shape=(), initializer="ones", trainable=False)
        self.built = True

    @property
    def _one_column(self) -> bool:
        return self.classes == 2 and not self.several

    def set_tables(self, tables: NgramTables) -> None:
        self.keys.assign(tables.keys)
        self.table.assign(tables.weights)
        self.squares.assign(tables.squares)
        self.bias.assign(tables.bias)

    def call(self, logits: Tensor, ids: Tensor, lengths: Tensor, training: bool | None = None) -> Tensor:
        if training:
            return logits
        keys = tf.sort(self._keys(ids, lengths), axis=1)  # [B, M]
        first = tf.concat([tf.ones_like(keys[:, :1], tf.bool), keys[:, 1:] != keys[:, :-1]], axis=1)
        known = tf.convert_to_tensor(self.keys.value)
        place = tf.reshape(tf.searchsorted(known, tf.reshape(keys, [-1])), tf.shape(keys))
        place = tf.minimum(place, self.entries - 1)
        counted = (first & (keys != NOTHING) & (tf.gather(known, place) == keys))[:, :, None]

        def total(table: keras.Variable) -> tf.Tensor:
            values = tf.cast(tf.gather(table.value, place), tf.float32)  # [B, M, C']
            return tf.reduce_sum(tf.where(counted, values, 0.0), axis=1)

        expert = total(self.table) / tf.sqrt(tf.maximum(total(self.squares), 1e-12)) + self.bias.value
        if self._one_column:
            expert = tf.concat([-expert, expert], axis=1) / 2.0
        return logits * tf.cast(self.network_scale, logits.dtype) + tf.cast(expert, logits.dtype)

    def _keys(self, ids: Tensor, lengths: Tensor) -> tf.Tensor:
        """The key of each n-gram, int32 [B, M], as `seqpipe.text.ngrams.ngram_keys` computes it."""
        ids = tf.cast(ids, tf.int64)
        steps = tf.shape(ids)[1]
        key = tf.zeros_like(ids)
        found = []
        for n in range(1, self.longest + 1):
            shifted = tf.pad(ids, [[0, 0], [0, n - 1]])[:, n - 1 :]  # the n-th piece of the n-gram that starts here
            key = tf.bitwise.bitwise_and(key * MULTIPLIER, MASK) + shifted + n
            mixed = tf.bitwise.bitwise_and(tf.bitwise.bitwise_and(key, MASK) * MULTIPLIER, MASK)
            whole = tf.range(steps)[None, :] + n <= tf.cast(lengths, tf.int32)[:, None]
            found.append(tf.where(whole, tf.cast(mixed - HALF, tf.int32), NOTHING))
        return tf.concat(found, axis=1)

    def get_config(self) -> dict[str, object]:
        own = {"longest": self.longest, "entries": self.entries, "classes": self.classes, "several": self.several}
        return {**super().get_config(), **own}
