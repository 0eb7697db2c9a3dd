"""Convolution over time that knows its lengths.

Axes: B batch, T time (steps), C channels.
"""

from __future__ import annotations

from typing import Literal, Unpack

import keras
from keras import ops

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor, step_mask, strided, within, zero_beyond


@keras.saving.register_keras_serializable(package="seqpipe")
class ConvolutionBlock(keras.layers.Layer):
    """Pad, convolve, normalise, activate, drop, add the input, pool; padding never changes a real step.

    What lies beyond a length enters as zero, as Keras' zero padding does for a row alone, and leaves as zero.
    Output step i of a stride or a pool starts at input step i * stride, whatever the length of the batch.
    A row shorter than the kernel is answered as if zeros stood around it; a length of 0 stays 0.

    Args:
        filters: channels of the output.
        kernel_size: steps a filter sees.
        dilation: distance between the steps a filter sees.
        stride: steps between two outputs of the convolution.
        pool: outputs pooled into one, after the activation; the last window may be partial.
        pool_kind: max or average, over real steps only.
        padding: same (a step sees both sides) or causal (it sees no later step).
        normalisation: none, layer (each step alone), batch (over the real steps of a batch).
        activation: a Keras activation's name.
        residual: add the block's input, projected where its channels differ, before pooling.
        dropout: share of outputs dropped in training.

    Call with x float [B, T, C] and lengths int32 [B]; returns (y [B, T', filters], lengths int32 [B]).
    """

    def __init__(
        self,
        filters: int,
        *,
        kernel_size: int,
        dilation: int = 1,
        stride: int = 1,
        pool: int = 1,
        pool_kind: Literal["max", "average"] = "max",
        padding: Literal["same", "causal"] = "same",
        normalisation: Literal["none", "layer", "batch"] = "none",
        activation: str = "relu",
        residual: bool = False,
        dropout: float = 0.0,
        **base: Unpack[LayerOptions],
    ):
        super().__init__(**base)
        if stride > 1 and dilation > 1:
            raise ValueError(f"stride = {stride} and dilation = {dilation} exclude each other: one of them must be 1.")
        if padding not in ("same", "causal"):
            raise ValueError(f'padding = "{padding}" is not one of same, causal.')
        if pool < 1:
            raise ValueError(f"pool = {pool} is less than 1.")
        if pool_kind not in ("max", "average"):
            raise ValueError(f'pool_kind = "{pool_kind}" is not one of max, average.')
        self.filters, self.kernel_size, self.dilation, self.stride = filters, kernel_size, dilation, stride
        self.pool, self.pool_kind, self.padding = pool, pool_kind, padding
        self.normalisation, self.activation, self.residual, self.dropout = normalisation, activation, residual, dropout
        self.convolution = keras.layers.Conv1D(
            filters, kernel_size, strides=stride, dilation_rate=dilation, padding="valid", dtype=self.dtype_policy
        )
        self.norm = self._make_norm()
        self.activate = keras.layers.Activation(activation, dtype=self.dtype_policy)
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy) if dropout else None
        self.projection: keras.layers.Layer | None = None

    def _make_norm(self) -> keras.layers.Layer | None:
        match self.normalisation:
            case "none":
                return None
            case "layer":
                return keras.layers.LayerNormalization(dtype=self.dtype_policy)
            case "batch":
                return keras.layers.BatchNormalization(dtype=self.dtype_policy)
            case other:
                raise ValueError(f'normalisation = "{other}" is not one of none, layer, batch.')

    @property
    def span(self) -> int:
        """Steps from the first to the last one a filter sees."""
        return (self.kernel_size - 1) * self.dilation + 1

    def build(self, x_shape: Shape, lengths_shape: Shape | None = None) -> None:
        self.convolution.build((None, None, x_shape[-1]))  # any number of steps: they are padded first
        if self.norm is not None:
            self.norm.build((*x_shape[:-1], self.filters))
        if self.residual and x_shape[-1] != self.filters:
            self.projection = keras.layers.Dense(self.filters, use_bias=False, dtype=self.dtype_policy)
            self.projection.build(x_shape)
        self.built = True

    def call(self, x: Tensor, lengths: Tensor, training: bool | None = None) -> tuple[Tensor, Tensor]:
        lengths = within(lengths, ops.shape(x)[1])
        x = zero_beyond(x, lengths)
        left = self.span - 1 if self.padding == "causal" else (self.span - 1) // 2
        y = ops.pad(x, [[0, 0], [left, self.span - 1 - left], [0, 0]])
        y = self.convolution(y)  # [B, ceil(T / stride), filters]
        lengths = strided(lengths, self.stride)
        if self.norm is None:
            pass
        elif self.normalisation == "batch":
            y = self.norm(y, training=training, mask=step_mask(lengths, ops.shape(y)[1]))
        else:
            y = self.norm(y)
        y = self.activate(y)
        if self.drop is not None:
            y = self.drop(y, training=training)
        if self.residual:
            x = x[:, :: self.stride]
            y = y + (x if self.projection is None else self.projection(x))
        if self.pool > 1:
            y = pool_time(y, lengths, self.pool, self.pool_kind)  # [B, ceil(T / pool), filters]
            lengths = strided(lengths, self.pool)
        return zero_beyond(y, lengths), lengths

    def get_config(self) -> dict[str, object]:
        names = ["filters", "kernel_size", "dilation", "stride", "pool", "pool_kind", "padding", "normalisation"]
        names += ["activation", "residual", "dropout"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def pool_time(x: Tensor, lengths: Tensor, pool: int, kind: Literal["max", "average"]) -> Tensor:
    """Pool windows of time without overlap, over real steps only.

    Args:
        x: float [B, T, C].
        lengths: int32 [B], of x.
        pool: steps in a window; the last window of a row may be partial.
        kind: max or average.
    Returns:
        float [B, ceil(T / pool), C]; windows without a real step are zero.
    """
    steps, channels = ops.shape(x)[1], x.shape[-1]
    windows = (steps + pool - 1) // pool
    extra = windows * pool - steps
    x = ops.pad(x, [[0, 0], [0, extra], [0, 0]])
    mask = ops.reshape(step_mask(lengths, windows * pool), (-1, windows, pool, 1))
    x = ops.reshape(x, (-1, windows, pool, channels))  # [B, T', pool, C]
    zero = ops.zeros((), dtype=x.dtype)
    if kind == "average":
        count = ops.maximum(ops.sum(ops.cast(mask, x.dtype), axis=2), ops.ones((), dtype=x.dtype))
        return ops.sum(ops.where(mask, x, zero), axis=2) / count
    if kind != "max":
        raise ValueError(f'pool_kind = "{kind}" is not one of max, average.')
    lowest = ops.convert_to_tensor(-3e38, dtype=x.dtype)
    highest = ops.max(ops.where(mask, x, lowest), axis=2)
    return ops.where(ops.any(mask, axis=2), highest, zero)
