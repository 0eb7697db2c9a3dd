"""The optimizer of a run, and the course of its learning rate."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from seqpipe.config.training import Training


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear growth over warm-up steps, then constant, or down to zero linearly or along half a cosine."""

    def __init__(self, peak: float, *, kind: str, warmup_steps: int, total_steps: int):
        self.peak, self.kind, self.warmup_steps, self.total_steps = peak, kind, warmup_steps, total_steps

    def __call__(self, step: keras.Variable | tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        progress = tf.clip_by_value((step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps), 0.0, 1.0)
        match self.kind:
            case "constant":
                factor = tf.ones_like(progress)
            case "linear":
                factor = 1.0 - progress
            case "cosine":
                factor = 0.5 * (1.0 + tf.cos(np.pi * progress))
            case other:
                raise ValueError(f'schedule = "{other}" is not one of constant, linear, cosine.')
        warmup = tf.minimum(1.0, (step + 1.0) / (self.warmup_steps + 1.0))
        return self.peak * factor * warmup


def make_optimizer(config: Training, total_steps: int) -> keras.optimizers.Optimizer:
    """A Keras optimizer whose learning rate follows the schedule over total_steps."""
    rate = Schedule(
        config.learning_rate, kind=config.schedule, warmup_steps=config.warmup_steps, total_steps=total_steps
    )
    match config.optimizer:
        case "adam":
            return keras.optimizers.Adam(rate)
        case "adamw":
            return keras.optimizers.AdamW(rate, weight_decay=config.weight_decay)
        case "sgd":
            return keras.optimizers.SGD(rate, momentum=0.9)
        case other:
            raise ValueError(f'optimizer = "{other}" is not one of adam, adamw, sgd.')
