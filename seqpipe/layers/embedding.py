"""Vectors of pieces that also score pieces.

Axes: B batch, T time (pieces), E units of a vector, V pieces, K kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import keras
import numpy as np
import tensorflow as tf

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor


@keras.saving.register_keras_serializable(package="seqpipe")
class TiedEmbedding(keras.layers.Layer):
    """One matrix for the vectors of pieces and, with a bias, for their scores.

    Args:
        vocabulary_size: V.
        units: E.
        kinds: ways to sort pieces, int [V] each: pieces of the same number share a part of their vectors, and what is
            learned of the frequent ones helps the rare; those of 0 share nothing.
    Call arguments:
        x: int [B, T] ids; or with `score`, float [B, T, E].
        score: give logits instead of vectors.
    Returns:
        float [B, T, E]; or with `score`, float [B, T, V].

    Source: Press and Wolf 2017, Using the Output Embedding to Improve Language Models; for shared parts Alexandrescu
    and Kirchhoff 2006, Factored Neural Language Models.
    """

    def __init__(
        self, vocabulary_size: int, units: int, kinds: Sequence[np.typing.ArrayLike] = (), **base: Unpack[LayerOptions]
    ):
        super().__init__(**base)
        self.vocabulary_size, self.units = vocabulary_size, units
        each = [np.asarray(kind, np.int32) for kind in kinds]
        if any(kind.shape != (vocabulary_size,) for kind in each):
            raise ValueError(f"kinds of shapes {[kind.shape for kind in each]}. Allowed: ({vocabulary_size},) each.")
        self.kinds = [kind for kind in each if kind.any()]  # in others no pieces share anything

    def build(self, x_shape: Shape | None = None) -> None:
        initializer = keras.initializers.RandomNormal(stddev=self.units**-0.5)
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.vocabulary_size, self.units), initializer=initializer
        )
        self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer="zeros")
        self.shared = [
            self.add_weight(name=f"shared_{number}", shape=(kind.max(), self.units), initializer=initializer)
            for number, kind in enumerate(self.kinds)
        ]
        self.built = True

    def call(self, x: Tensor, score: bool = False) -> Tensor:
        if not score:
            return self._vectors(x)
        flat = tf.matmul(tf.reshape(x, [-1, self.units]), self.table(), transpose_b=True)  # [BT, V]
        logits = tf.nn.bias_add(flat, tf.cast(self.bias, flat.dtype))
        return tf.reshape(logits, tf.concat([tf.shape(x)[:-1], [self.vocabulary_size]], 0))

    def table(self) -> tf.Tensor:
        """[V, E], the vectors of all pieces, what they share included."""
        table = tf.cast(self.embeddings, self.compute_dtype)
        for kind, shared in zip(self.kinds, self.shared, strict=True):
            # A product with ones and zeros: its gradient is a product too, quicker than sums over the pieces of a kind.
            table += tf.matmul(tf.one_hot(kind - 1, kind.max(), dtype=table.dtype), tf.cast(shared, table.dtype))
        return table

    def _vectors(self, ids: Tensor) -> tf.Tensor:
        # Out of what was read: a variable that is gathered from itself is copied each time that `table` reads it whole.
        vectors = tf.cast(tf.gather(tf.convert_to_tensor(self.embeddings), ids), self.compute_dtype)
        for kind, shared in zip(self.kinds, self.shared, strict=True):
            of = tf.gather(kind, ids)
            part = tf.cast(tf.gather(tf.convert_to_tensor(shared), tf.maximum(of - 1, 0)), vectors.dtype)
            vectors += tf.where((of > 0)[..., tf.newaxis], part, 0.0)
        return vectors

    def get_config(self) -> dict[str, object]:
        kinds = {"kinds": [kind.tolist() for kind in self.kinds]} if self.kinds else {}
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "units": self.units, **kinds}
