"""Adversarial noise on embeddings: the direction that hurts most, found by a gradient step of the training loop.

Axes: B batch, T time (pieces), C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Unpack

import keras
import tensorflow as tf

from seqpipe.layers.lengths import LayerOptions, Tensor, zero_beyond

LEAST_SLOPE = 1e-30  # that is taken for one


@dataclass
class Pass:
    """One forward pass: what the noise layers saw in it, or the slopes of the loss there, which they follow."""

    seen: list[tf.Tensor] = field(default_factory=list)
    slopes: list[tf.Tensor] | None = None


_pass: ContextVar[Pass | None] = ContextVar("pass", default=None)


@contextmanager
def noisy_pass(slopes: list[tf.Tensor] | None = None) -> Iterator[Pass]:
    """A forward pass in which noise layers note what they see or, given the slopes of the loss there, add noise."""
    current = Pass(slopes=None if slopes is None else list(slopes))
    token = _pass.set(current)
    try:
        yield current
    finally:
        _pass.reset(token)


@keras.saving.register_keras_serializable(package="seqpipe")
class AdversarialNoise(keras.layers.Layer):
    """Moves a row's embeddings up the slope of the loss, in the second forward pass of a training step.

    `seqpipe.training.loop` makes that pass and takes the mean of both gradients. Everywhere else, `fit` included,
    the layer changes nothing.

    Args:
        size: L2 norm of a row's noise over that of its embeddings.

    Call with x float [B, T, C] and lengths int32 [B]; returns x. There is no noise beyond a length.
    Source: Miyato et al. 2017, Adversarial Training Methods for Semi-Supervised Text Classification, section 3; the
    norm is relative to the row there is, instead of normalised embeddings.
    """

    def __init__(self, size: float, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        self.size = size

    def call(self, x: Tensor, lengths: Tensor, training: bool | None = None) -> Tensor:
        current = _pass.get()
        if not training or current is None:
            return x
        if current.slopes is None:
            current.seen.append(x)
            return x
        slope = current.slopes.pop(0)  # [B, T, C]
        # Of a row that is learned already it is tiny, of one of many rows too: its squares would be nothing.
        slope /= tf.maximum(tf.reduce_max(tf.abs(slope), axis=[1, 2], keepdims=True), LEAST_SLOPE)
        noise = self.size * _norm(zero_beyond(x, lengths)) * slope / _norm(slope)
        return x + tf.stop_gradient(zero_beyond(noise, lengths))

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "size": self.size}


def _norm(x: tf.Tensor) -> tf.Tensor:
    """The L2 norm of each row, [B, 1, 1]."""
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=[1, 2], keepdims=True) + 1e-16)
