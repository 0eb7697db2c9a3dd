"""Where and in which precision a model is trained: TensorFlow's own distribution, Keras' policy."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import keras
import tensorflow as tf

from seqpipe.errors import RunError


@cache
def make_strategy() -> tf.distribute.Strategy:
    """TensorFlow's distribution: several machines by TF_CONFIG, several GPUs of one, else one device.

    The same one each time: collectives of two that one process makes get into each other's way. For several machines
    TensorFlow wants it made before it has computed anything.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def agreement(strategy: tf.distribute.Strategy) -> Callable[[int], int]:
    """Says, asked by all workers after a step, whether all of them stop: by which signal, 0 where none has come.

    It is given the signal that this worker was sent, or 0.
    """
    if not os.environ.get("TF_CONFIG"):
        return lambda sent: sent

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)], autograph=False)
    def summed(sent: tf.Tensor) -> tf.Tensor:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda own: own, args=(sent,)), axis=None)

    return lambda sent: int(summed(sent)) and (sent or signal.SIGTERM)


@contextmanager
def with_all_workers() -> Iterator[None]:
    """Raises RunError: another worker is gone in a step."""
    try:
        yield
    except tf.errors.OpError as error:
        if "Collective ops" not in str(error):
            raise
        raise RunError(
            "Another worker is gone, and no step can be taken without it. Start the same command on all again; "
            "training goes on from the position that was saved last."
        ) from error


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Layers made inside compute in `policy`; weights stay float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
