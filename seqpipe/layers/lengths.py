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


def step_mask(lengths: Tensor, steps: int | Tensor) -> Tensor:
    """True where a step is real.

    Args:
        lengths: int32 [B], 0..T.
        steps: T.
    Returns:
        bool [B, T].
    """
    return ops.arange(steps, dtype="int32")[None, :] < ops.cast(lengths, "int32")[:, None]


def zero_beyond(x: Tensor, lengths: Tensor) -> Tensor:
    """x [B, T, C] with exact zeros beyond each length, whatever stood there (NaN included)."""
    mask = step_mask(lengths, ops.shape(x)[1])[:, :, None]
    return ops.where(mask, x, ops.zeros((), dtype=x.dtype))


def strided(lengths: Tensor, stride: int) -> Tensor:
    """Lengths, a tensor or a number, after a stride: output i stands at input i * stride, so ceil(length / stride)."""
    return (lengths + (stride - 1)) // stride
