"""Lengths: how far each row of a padded batch is real, and how strides change that.

Axes: B batch, T time (steps), C channels.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypedDict

import keras
import tensorflow as tf
from keras import KerasTensor, ops

Tensor: TypeAlias = "tf.Tensor | KerasTensor"
Shape = tuple[Any, ...]  # sizes, None where any


class LayerOptions(TypedDict, total=False):
    """What each layer hands on to Keras."""

    name: str | None
    dtype: str | keras.DTypePolicy | None
    trainable: bool


def within(lengths: Tensor, steps: int | Tensor) -> Tensor:
    """Lengths int32 [B] as 0..T: beyond T a row has no more steps than there are."""
    return ops.clip(ops.cast(lengths, "int32"), 0, steps)


def step_mask(lengths: Tensor, steps: int | Tensor) -> Tensor:
    """True where a step is real.

    Args:
        lengths: int32 [B], 0..T.
        steps: T.
    Returns:
        bool [B, T].
    Raises:
        ValueError: lengths have another rank.
    """
    check_rank("lengths", lengths, "[B]", 1)
    return ops.arange(steps, dtype="int32")[None, :] < ops.cast(lengths, "int32")[:, None]


def zero_beyond(x: Tensor, lengths: Tensor) -> Tensor:
    """x [B, T, C] with exact zeros beyond each length, whatever stood there (NaN included).

    Raises:
        ValueError: x or lengths have another rank.
    """
    check_rank("x", x, "[B, T, C]", 3)
    mask = step_mask(lengths, ops.shape(x)[1])[:, :, None]
    return ops.where(mask, x, ops.zeros((), dtype=x.dtype))


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax in float32 over the last axis, of what the mask lets through; exactly 0 elsewhere."""
    scores = ops.where(mask, ops.cast(scores, "float32"), -1e30)
    exponentials = ops.where(mask, ops.exp(scores - ops.max(scores, axis=-1, keepdims=True, initial=-1e30)), 0.0)
    return exponentials / ops.maximum(ops.sum(exponentials, axis=-1, keepdims=True), 1e-30)


def check_rank(name: str, x: Tensor, axes: str, *ranks: int) -> None:
    """Raises ValueError: x has another rank, where one is known."""
    shape = x.shape
    found = shape.rank if isinstance(shape, tf.TensorShape) else len(shape)
    if found is not None and found not in ranks:
        raise ValueError(f"{name} must be {axes}, not {tuple(shape)}.")


def strided(lengths: Tensor, stride: int) -> Tensor:
    """Lengths, a tensor or a number, after a stride: output i stands at input i * stride, so ceil(length / stride)."""
    return (lengths + (stride - 1)) // stride
