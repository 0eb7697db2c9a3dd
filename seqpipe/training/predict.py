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


def compiled(model: keras.Model, objective: Objective, examples: Examples) -> Forward:
    """The model's outputs for a batch of such examples, as a function in the graph that may be kept."""
    signature = {
        name: tf.TensorSpec([None] * array.ndim, array.dtype, name)
        for name, array in examples.batch(np.array([0])).items()
    }

    @tf.function(input_signature=[signature], autograph=False)
    def forward(batch: Batch) -> tf.Tensor:
        return objective.forward(model, batch, False)

    return forward


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
        forward: what `compiled` made of model and examples, where it was kept.
    """
    forward = forward or compiled(model, objective, examples)
    outputs: np.ndarray | None = None
    for rows in plan_in_order_of_length(examples.lengths, batch_size=batch_size):
        part = forward(examples.batch(rows)).numpy()
        if outputs is None:
            outputs = np.zeros((len(examples), *part.shape[1:]), part.dtype)
        outputs[rows] = part
    if outputs is None:
        raise DataError("There are no rows to predict.")
    return outputs
