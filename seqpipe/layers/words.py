"""Noise on pieces.

Axes: B batch, T time (pieces).
"""

from __future__ import annotations

from typing import Unpack

import keras
from keras import ops

from seqpipe.layers.lengths import LayerOptions, Tensor
from seqpipe.text.vocabulary import UNKNOWN


@keras.saving.register_keras_serializable(package="seqpipe")
class WordDropout(keras.layers.Layer):
    """Replaces a share of the pieces by the unknown piece in training, so that no single one is leaned on.

    Args:
        rate: share of pieces replaced, 0..1.
        seed: of the draws.

    Call with ids int32 [B, T]; returns the same shape. Source: Iyyer et al. 2015, Deep Unordered Composition.
    """

    def __init__(self, rate: float, *, seed: int | None = None, **base: Unpack[LayerOptions]):
        super().__init__(**base)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate = {rate} is not a share. Allowed: 0..1.")
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, ids: Tensor, training: bool | None = None) -> Tensor:
        if not training:
            return ids
        drawn = keras.random.uniform(ops.shape(ids), seed=self.seed_generator)
        return ops.where(drawn < self.rate, UNKNOWN, ids)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
