"""Outputs of a model for many rows."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from seqpipe.data.batches import plan_in_order_of_length
from seqpipe.data.examples import Examples
from seqpipe.errors import DataError
from seqpipe.training.objective import Batch, Objective

Forward = Callable[[Batch], tf.Tensor]


def predict(
    model: keras.Model,
    objective: Objective,
    examples: Examples,
    *,
    batch_size: int = 256,
    forward: Forward | None = None,
) -> np.ndarray:
    """The model's outputs for all rows, in row order: float32 [N, ...] for outputs [B, ...].

    Args:
        forward: what `compiled` made of the model, where it was kept.
    """
    forward = forward or compiled(model, objective)
    outputs: np.ndarray | None = None
    for rows in plan_in_order_of_length(examples.lengths, batch_size=batch_size):
        part = forward(examples.batch(rows)).numpy()
        if outputs is None:
            outputs = np.zeros((len(examples), *part.shape[1:]), part.dtype)
        outputs[rows] = part
    if outputs is None:
        raise DataError("There are no rows to predict.")
    return outputs


def compiled(model: keras.Model, objective: Objective) -> Forward:
    """The model's outputs for a batch, as one graph: made at the first call, for batches of its types and any size."""
    made: list[Forward] = []

    def forward(batch: Batch) -> tf.Tensor:
        if not made:
            specs = {name: tf.TensorSpec([None] * np.ndim(x), x.dtype, name) for name, x in batch.items()}
            function = tf.function(lambda batch: objective.forward(model, batch, False), autograph=False)
            made.append(function.get_concrete_function(specs))  # a tf.function warns where several are made here
        return made[0]({name: tf.convert_to_tensor(x) for name, x in batch.items()})

    return forward
