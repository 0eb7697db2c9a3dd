"""Attention of queries over a memory: which source steps a target step looks at.

Each layer takes queries [B, T, U], memory [B, S, C] and the memory's lengths [B], and returns (context [B, T, C],
weights [B, T, S]). The weights of a query sum to 1 over the real steps of its memory and are exactly zero beyond; over
a memory of length 0 context and weights are zero.

Axes: B batch, T queries of a row, S steps of the memory, U units of a query, C channels of the memory, A units of a
score.
"""

from __future__ import annotations

from typing import Unpack

import keras
import tensorflow as tf

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor, masked_softmax, step_mask, zero_beyond


class _Attention(keras.layers.Layer):
    def keys(self, memory: Tensor) -> Tensor:
        """What scores need of the memory, computed once for all queries."""
        raise NotImplementedError

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """[B, T, U] and keys -> [B, T, S]."""
        raise NotImplementedError

    def attend(self, queries: Tensor, keys: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As calling the layer, with the keys at hand and a memory that is zero beyond each length."""
        mask = step_mask(lengths, tf.shape(memory)[1])[:, tf.newaxis]  # [B, 1, S]
        weights = masked_softmax(self.scores(queries, keys), mask)  # [B, T, S]
        return tf.matmul(tf.cast(weights, memory.dtype), memory), weights

    def call(self, queries: Tensor, memory: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        memory = zero_beyond(memory, lengths)
        return self.attend(queries, self.keys(memory), memory, lengths)


@keras.saving.register_keras_serializable(package="seqpipe")
class LuongAttention(_Attention):
    """Scores q . W m, two products for all queries together.

    Source: Luong et al. 2015, Effective Approaches to Attention-based Neural Machine Translation ("general").
    """

    def build(self, queries_shape: Shape, memory_shape: Shape, lengths_shape: Shape | None = None) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(memory_shape[-1], queries_shape[-1]))
        self.built = True

    def keys(self, memory: Tensor) -> Tensor:
        return _flat_product(memory, self.kernel)  # [B, S, U]

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return tf.matmul(queries, keys, transpose_b=True)


@keras.saving.register_keras_serializable(package="seqpipe")
class BahdanauAttention(_Attention):
    """Scores v . tanh(Q q + W m).

    Args:
        units: A, the size of the hidden layer of the score.

    Source: Bahdanau et al. 2015, Neural Machine Translation by Jointly Learning to Align and Translate.
    """

    def __init__(self, units: int, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.units = units

    def build(self, queries_shape: Shape, memory_shape: Shape, lengths_shape: Shape | None = None) -> None:
        self.query_kernel = self.add_weight(name="query_kernel", shape=(queries_shape[-1], self.units))
        self.memory_kernel = self.add_weight(name="memory_kernel", shape=(memory_shape[-1], self.units))
        self.score_kernel = self.add_weight(name="score_kernel", shape=(self.units, 1))
        self.built = True

    def keys(self, memory: Tensor) -> Tensor:
        return _flat_product(memory, self.memory_kernel)  # [B, S, A]

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        asked = _flat_product(queries, self.query_kernel)  # [B, T, A]
        hidden = tf.tanh(asked[:, :, tf.newaxis] + keys[:, tf.newaxis])  # [B, T, S, A]
        # Flat, because TensorFlow's product of four axes with two crashes where the last one is 1.
        scores = tf.matmul(tf.reshape(hidden, [-1, self.units]), tf.cast(self.score_kernel, queries.dtype))
        return tf.reshape(scores, tf.shape(hidden)[:3])

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "units": self.units}


def _flat_product(x: Tensor, kernel: Tensor) -> Tensor:
    """x [B, T, C] times kernel [C, U]: one product, where TensorFlow would make B, and B gradients to add up."""
    flat = tf.matmul(tf.reshape(x, [-1, kernel.shape[0]]), tf.cast(kernel, x.dtype))
    found = tf.reshape(flat, [*tf.unstack(tf.shape(x)[:2]), kernel.shape[1]])
    return tf.ensure_shape(found, [None, x.shape[1], kernel.shape[1]])
