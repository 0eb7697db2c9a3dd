"""From a sequence to one vector, with the weight each step had in it.

Every layer here takes x float [B, T, C] and lengths int32 [B] and returns (pooled [B, C], weights [B, T]). The weights
of a row sum to 1 over its real steps and are exactly zero beyond; a row of length 0 gives zeros for both.

Axes: B batch, T time (steps), C channels.
"""

from __future__ import annotations

from typing import Unpack

import keras
from keras import ops

from seqpipe.layers.lengths import (
    LayerOptions,
    Shape,
    Tensor,
    check_rank,
    masked_softmax,
    step_mask,
    within,
    zero_beyond,
)

TIE = 1e-5  # how far from the largest a step may be and still count as that, of 1 + its size


@keras.saving.register_keras_serializable(package="seqpipe")
class AttentionPooling(keras.layers.Layer):
    """Weighted mean over time, the weights from a small network: softmax of v . tanh(W x + b).

    Args:
        units: size of the hidden layer of the score.

    Source: Yang et al. 2016, Hierarchical Attention Networks, section 2.2.
    """

    def __init__(self, units: int, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="tanh", dtype=self.dtype_policy)
        self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy)

    def build(self, x_shape: Shape, lengths_shape: Shape | None = None) -> None:
        self.hidden.build(x_shape)
        self.score.build((*x_shape[:-1], self.units))
        self.built = True

    def call(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = zero_beyond(x, lengths)
        mask = step_mask(lengths, ops.shape(x)[1])  # [B, T]
        weights = masked_softmax(self.score(self.hidden(x))[:, :, 0], mask)  # [B, T]
        pooled = ops.matmul(ops.cast(weights, x.dtype)[:, None], x)[:, 0]
        return pooled, weights

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="seqpipe")
class AttentionMaxPooling(keras.layers.Layer):
    """Attention pooling and max pooling side by side: [B, 2 C]; a step weighs the mean of what it weighs in the two.

    Args:
        units: size of the hidden layer of the attention's score.
    """

    def __init__(self, units: int, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.units = units
        self.attention = AttentionPooling(units, dtype=self.dtype_policy)
        self.maximum = MaxPooling(dtype=self.dtype_policy)

    def build(self, x_shape: Shape, lengths_shape: Shape | None = None) -> None:
        self.attention.build(x_shape)
        self.built = True

    def call(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mean, mean_weights = self.attention(x, lengths)
        largest, largest_weights = self.maximum(x, lengths)
        return ops.concatenate([mean, largest], axis=1), (mean_weights + largest_weights) / 2.0

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="seqpipe")
class MeanPooling(keras.layers.Layer):
    """Mean over the real steps; each of them has the same weight."""

    def call(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mask = step_mask(lengths, ops.shape(x)[1])
        share = 1.0 / ops.maximum(ops.cast(within(lengths, ops.shape(x)[1]), "float32"), 1.0)
        weights = ops.where(mask, share[:, None], 0.0)  # [B, T]
        total = ops.sum(ops.cast(zero_beyond(x, lengths), "float32"), axis=1)  # float16 has no room for many steps
        return ops.cast(total * share[:, None], x.dtype), weights


@keras.saving.register_keras_serializable(package="seqpipe")
class MaxPooling(keras.layers.Layer):
    """Maximum over the real steps, channel by channel; a step weighs the share of channels it won.

    Steps that are as large but for rounding share a channel: which of them is the largest is chance.
    """

    def call(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        check_rank("x", x, "[B, T, C]", 3)
        mask = step_mask(lengths, ops.shape(x)[1])[:, :, None]
        lowest = ops.convert_to_tensor(-3e38, dtype=x.dtype)
        x = ops.where(mask, x, lowest)
        largest = ops.max(x, axis=1, initial=-3e38)  # [B, C]
        nearly = largest - TIE * (1.0 + ops.abs(largest))
        won = ops.cast(ops.logical_and(x >= nearly[:, None, :], mask), "float32")  # [B, T, C]
        shares = won / ops.maximum(ops.sum(won, axis=1, keepdims=True), 1.0)
        return ops.where(lengths[:, None] > 0, largest, 0), ops.mean(shares, axis=2)
