"""What training minimises and watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np

from seqpipe.data.batches import plan_epoch
from seqpipe.data.examples import Examples

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Batch: TypeAlias = "dict[str, np.ndarray | tf.Tensor]"  # by name; a ragged column `x` has `x_lengths` beside it
Outputs = TypeVar("Outputs")


class Objective(Generic[Outputs]):
    """What a training minimises; each task is one. What has a body here may stay as it is.

    Axes: B batch (rows).

    bounds: keys of what bounds a step, which is too much where the loss becomes infinite.
    """

    bounds: ClassVar[tuple[str, ...]] = ("training.learning_rate", "training.clip_norm")

    def forward(self, model: keras.Model, batch: Batch, training: bool) -> Outputs:
        """The model's outputs for a batch."""
        raise NotImplementedError

    def taught(self, batch: Batch) -> tf.Tensor | None:
        """Probabilities that teachers give for a batch of training, where `loss` finds them as `taught`; or None."""
        return None

    def loss(self, batch: Batch, outputs: Outputs) -> tf.Tensor:
        """float32 [B], what training minimises, for each row."""
        raise NotImplementedError

    def metrics(self, batch: Batch, outputs: Outputs) -> dict[str, tf.Tensor]:
        """float32 [B] each, what is watched on the dev split beside the loss, for each row."""
        return {}

    def plan(self, examples: Examples, *, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch as row numbers: equally many in every epoch, a pure function of its arguments."""
        return plan_epoch(examples.lengths, batch_size=batch_size, seed=seed, epoch=epoch)

    def carried(self, model: keras.Model) -> list[tf.Variable]:
        """What `forward` hands from a batch of training to the next; saved with the position of a run."""
        return []

    def training_batch(self, examples: Examples, rows: np.ndarray, epoch: int) -> Batch:
        """A batch of training: names, types and ranks of `examples.batch`, and a pure function of its arguments."""
        return examples.batch(rows)

    def dev_figures(self, model: keras.Model) -> dict[str, float]:
        """Figures on the dev split that are no means over its rows; one of a name that is watched replaces it."""
        return {}
