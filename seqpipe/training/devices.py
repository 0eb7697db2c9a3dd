"""Where and in which precision a model is trained: TensorFlow's own distribution, Keras' policy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


def make_strategy() -> tf.distribute.Strategy:
    """TensorFlow's distribution: several machines by TF_CONFIG, several GPUs of one, else one device."""
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside compute in `policy`; weights stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
