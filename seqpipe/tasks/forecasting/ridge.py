"""The ridge inside a forecaster, fitted on what its own layers make of the windows.

Axes: N windows, F inputs, H horizon.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from seqpipe.data.examples import Examples
from seqpipe.series.ridge import PENALTIES, RidgeSums
from seqpipe.training.objective import Batch

if TYPE_CHECKING:
    import keras

    from seqpipe.tasks.forecasting.task import Forecasting

BATCH = 2048


def fit_ridge(task: Forecasting, train: Examples, dev: Examples) -> tuple[np.ndarray, dict[str, object]]:
    """The kernel [F, H] of the penalty that is best on dev, and how good each was.

    Windows count in units of each series' seasonal naive error, so that no series drowns the others.
    """
    model = task.build()
    design = _design(model)
    sums = _sums(task, design, train)
    if sums is None:
        return np.zeros(model.get_layer("ridge").kernel.shape), {"rows": 0}
    kernels = sums.solve()
    squared = task.config.training.loss == "mse"
    errors = np.zeros(len(kernels))
    for inputs, outputs, weights in _batches(task, design, dev):
        for index, kernel in enumerate(kernels):
            away = (outputs - inputs @ kernel.astype(np.float32)) * weights[:, None]
            errors[index] += np.nansum(away**2 if squared else np.abs(away))
    best = int(np.argmin(errors))
    return kernels[best], {"rows": sums.rows, "penalty": float(PENALTIES[best]), "errors": errors.tolist()}


def refit_ridge(task: Forecasting, examples: Examples, penalty: float) -> np.ndarray | None:
    """The kernel [F, H] of other windows and a penalty that is chosen already; None where no window is whole."""
    sums = _sums(task, _design(task.build()), examples)
    return None if sums is None else sums.solve()[int(np.argmin(np.abs(PENALTIES - penalty)))]


def _design(model: keras.Model) -> keras.Model:
    """What the ridge of a model eats, and the units of each window."""
    import keras

    _, level, scale = model.get_layer("answer").input
    return keras.Model(model.inputs, {"design": model.get_layer("design").output, "level": level, "scale": scale})


def _sums(task: Forecasting, design: keras.Model, examples: Examples) -> RidgeSums | None:
    sums: RidgeSums | None = None
    for inputs, outputs, weights in _batches(task, design, examples):
        sums = sums or RidgeSums.empty(inputs.shape[1], outputs.shape[1])
        whole = np.isfinite(outputs).all(axis=1) & np.isfinite(weights)
        sums.add(inputs[whole], outputs[whole], weights[whole])
    return sums if sums is not None and sums.rows else None


def _batches(task: Forecasting, design: keras.Model, examples: Examples) -> Iterator[tuple[np.ndarray, ...]]:
    """(inputs [N, F], targets [N, H] in the window's units, weights [N]) a batch."""
    import tensorflow as tf

    from seqpipe.layers.series_scale import transformed

    def made(batch: Batch) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        found = design(task.window(batch, task_inputs), training=False)
        wanted = transformed(task.targets(batch), task.config.features.transform)
        unit = tf.gather(task.tensors["error"], batch["series"])
        scale = found["scale"][:, 0]
        return found["design"], (wanted - found["level"]) / tf.maximum(found["scale"], 1e-30), scale / unit

    task_inputs = [tensor.name for tensor in design.inputs]
    one = examples.batch(np.arange(min(1, len(examples))))
    specs = {name: tf.TensorSpec([None] * np.ndim(value), value.dtype, name) for name, value in one.items()}
    graph = tf.function(made, input_signature=[specs], autograph=False).get_concrete_function()
    for start in range(0, len(examples), BATCH):
        rows = np.arange(start, min(start + BATCH, len(examples)))
        batch = {name: tf.constant(value) for name, value in examples.batch(rows).items()}
        yield tuple(part.numpy() for part in graph(batch))
