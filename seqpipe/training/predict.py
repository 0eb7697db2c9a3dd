"""Outputs of a model for many rows."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import keras
import numpy as np
import tensorflow as tf

from seqpipe.data.batches import plan_in_order_of_length
from seqpipe.data.examples import Examples
from seqpipe.errors import DataError
from seqpipe.layers.recurrent_form import traced_for
from seqpipe.training.objective import Batch, Objective

Forward = Callable[[Batch], tf.Tensor]
Outputs = TypeVar("Outputs")

_graphs: weakref.WeakKeyDictionary[keras.Model, dict[Hashable, Forward]] = weakref.WeakKeyDictionary()


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
    """The model's outputs for a batch, as one graph for batches of its types and any size.

    Made at the first call, and kept for all who ask as long as the model lives.
    """
    kept = _graphs.setdefault(model, {})

    def forward(batch: Batch) -> tf.Tensor:
        kind = (weakref.ref(objective), *((name, np.ndim(x), str(x.dtype)) for name, x in batch.items()))
        if kind not in kept:
            kept[kind] = _graph(model, objective, batch)
        return kept[kind]({name: tf.convert_to_tensor(x) for name, x in batch.items()})

    return forward


def _graph(model: keras.Model, objective: Objective, batch: Batch) -> Forward:
    specs = {name: tf.TensorSpec([None] * np.ndim(x), x.dtype, name) for name, x in batch.items()}
    function = for_many_rows(lambda batch: objective.forward(model, batch, False), specs)
    return function.get_concrete_function()  # a tf.function warns where several are made here


def for_many_rows(
    function: Callable[..., Outputs], *given: tf.TensorSpec | Mapping[str, tf.TensorSpec]
) -> tf.types.experimental.PolymorphicFunction:
    """A function of tensors as a graph for batches of many rows, which answers few as well."""

    def traced(*inputs: tf.Tensor | Mapping[str, tf.Tensor]) -> Outputs:
        with traced_for("many_rows"):
            return function(*inputs)

    return tf.function(traced, input_signature=given, autograph=False)
