"""Scores of known classes that fall with the distance from what was learned: for inputs of no known class.

Axes: B batch (rows), D channels, R directions, K known classes, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import keras
import numpy as np
from keras import ops

from seqpipe.layers.lengths import LayerOptions, Shape, Tensor

LEAST = 1e-3  # of the usual distance: nearer counts no more


@keras.saving.register_keras_serializable(package="seqpipe")
class OpenSetScores(keras.layers.Layer):
    """A dense layer whose scores of the first classes fall where the input lies far from all of them.

    What falls off is weight * log(d / usual): d is the squared Mahalanobis distance from the nearest of their centres,
    in the directions in which inputs of one class differ most, and usual is the median of such distances. Until
    these weights are assigned nothing falls off, so the layer is trained as a dense one.

    Source: Lee et al. 2018, A Simple Unified Framework for Detecting Out-of-Distribution Samples.

    Args:
        units: classes C.
        known: the first so many of them have centres.
        directions: R, no more than the channels of the input.

    Call with x float [B, D]; returns float [B, C].
    """

    def __init__(self, units: int, *, known: int, directions: int, **kwargs: Unpack[LayerOptions]):
        super().__init__(**kwargs)
        self.units, self.known, self.most_directions = units, known, directions

    def build(self, shape: Shape) -> None:
        def fitted(name: str, *size: int | None) -> keras.Variable:
            return self.add_weight(shape=size, initializer="zeros", trainable=False, name=name)

        self.kernel = self.add_weight(shape=(shape[-1], self.units), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.directions = fitted("directions", shape[-1], self.most_directions)
        self.centres = fitted("centres", self.known, self.most_directions)
        self.usual = fitted("usual")
        self.weight = fitted("weight")

    def placed(self, x: np.ndarray, labels: np.ndarray, others: np.ndarray, *, weight: float) -> dict[str, np.ndarray]:
        """The weights that measure distance, by name, for `assign`.

        Args:
            x: float [N, D], inputs of known classes, several of each.
            labels: int [N], below `known`.
            others: float [M, D], inputs of known classes that nothing was trained on: their median distance is usual.
        """
        centres = np.stack([x[labels == known].mean(axis=0) for known in range(self.known)])
        variances, vectors = np.linalg.eigh(np.atleast_2d(np.cov(x - centres[labels], rowvar=False)))
        kept = slice(-self.most_directions, None)
        directions = vectors[:, kept] / np.sqrt(np.maximum(variances[kept], 1e-9))
        centres = centres @ directions
        distances = np.square(others @ directions - centres[:, np.newaxis]).sum(axis=-1).min(axis=0)
        return {"directions": directions, "centres": centres, "usual": np.median(distances), "weight": np.array(weight)}

    def assign(self, values: Mapping[str, np.typing.ArrayLike]) -> None:
        """Set weights by name."""
        for name, value in values.items():
            getattr(self, name).assign(np.asarray(value, np.float32))

    def call(self, x: Tensor) -> Tensor:
        fitted = (self.directions, self.centres, self.usual, self.weight)  # squares have no room in float16
        directions, centres, usual, weight = (ops.cast(value, "float32") for value in fitted)
        away = ops.matmul(ops.cast(x, "float32"), directions)[:, np.newaxis] - centres  # [B, K, R]
        nearest = ops.min(ops.sum(ops.square(away), axis=-1), axis=-1, keepdims=True)
        falls = weight * ops.log(ops.maximum(nearest / ops.maximum(usual, 1e-9), LEAST))  # [B, 1]
        scores = ops.matmul(x, self.kernel) + self.bias
        return scores - ops.cast(falls * ops.cast(ops.arange(self.units) < self.known, "float32"), scores.dtype)

    def get_config(self) -> dict[str, object]:
        facts = {"units": self.units, "known": self.known, "directions": self.most_directions}
        return {**super().get_config(), **facts}
