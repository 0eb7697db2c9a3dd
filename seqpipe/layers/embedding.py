"""Vectors of pieces that also score pieces.

Axes: B batch, T time (pieces), E units of a vector, V pieces.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from seqpipe.layers.lengths import Tensor


@keras.saving.register_keras_serializable(package="seqpipe")
class TiedEmbedding(keras.layers.Layer):
    """One matrix for the vectors of pieces and, with a bias, for their scores.

    Args:
        vocabulary_size: V.
        units: E.
    Call arguments:
        x: int [B, T] ids; or with `score`, float [B, T, E].
        score: give logits instead of vectors.
    Returns:
        float [B, T, E]; or with `score`, float [B, T, V].

    Source: Press and Wolf 2017, Using the Output Embedding to Improve Language Models.
    """

    def __init__(self, vocabulary_size: int, units: int, **base: Any):
        super().__init__(**base)
        self.vocabulary_size, self.units = vocabulary_size, units

    def build(self, x_shape: Any = None) -> None:
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.vocabulary_size, self.units),
            initializer=keras.initializers.RandomNormal(stddev=self.units**-0.5),
        )
        self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer="zeros")
        self.built = True

    def call(self, x: Tensor, score: bool = False) -> Tensor:
        table = tf.cast(self.embeddings, self.compute_dtype)
        if not score:
            return tf.gather(table, x)
        flat = tf.matmul(tf.reshape(x, [-1, self.units]), table, transpose_b=True)  # [BT, V]
        logits = tf.nn.bias_add(flat, tf.cast(self.bias, flat.dtype))
        return tf.reshape(logits, tf.concat([tf.shape(x)[:-1], [self.vocabulary_size]], 0))

    def compute_output_spec(self, x: Any, score: bool = False) -> Any:
        shape = (*x.shape[:-1], self.vocabulary_size) if score else (*x.shape, self.units)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "units": self.units}
