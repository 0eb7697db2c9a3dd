"""What a writer makes of a batch, and what training minimises.

Axes: B batch (rows or streams), T time (ids), V vocabulary, G groups that rhyme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from seqpipe.models.character_model import TOLD, Reader
from seqpipe.training.losses import softmax_cross_entropy
from seqpipe.training.objective import Batch

KEPT_RHYME = 0.2  # of the nats of the rhyme to be kept in mind, what is learned beside the next character


class Scores(NamedTuple):
    """Of each id but the last, float32 each.

    next: [B, T - 1, V], logits of the next id. kept: [B, T - 1, G], logits of the rhyme kept in mind there.
    """

    next: tf.Tensor
    kept: tf.Tensor | None = None


def zero_state(model: keras.Model, rows: int) -> list[tf.Variable]:
    """A state to be carried from batch to batch."""
    return [tf.Variable(tf.zeros([rows, units]), trainable=False) for units in Reader(model).units]


def read(model: keras.Model, batch: Batch, carried: Sequence[tf.Variable], training: bool) -> Scores:
    """What a model says of a batch.

    Args:
        carried: the state where the batch goes on from the one before, left at its end; none begins with nothing.
    """
    ids, lengths = batch["ids"][:, :-1], batch["ids_lengths"] - 1
    units = [spec.shape[1] for spec in model.inputs if spec.name.startswith("state_")]
    if carried:
        state = [variable * batch["goes_on"][:, tf.newaxis] for variable in carried]
    else:
        state = [tf.zeros([tf.shape(ids)[0], size]) for size in units]
    told = [batch["told"][:, :-1, part] for part in range(len(TOLD))] if "told" in batch else []
    logits, *after = model([ids, lengths, *state, *told], training=training)
    for variable, value in zip(carried, after, strict=False):
        variable.assign(tf.cast(value, tf.float32))
    kept = after[len(units) :]
    return Scores(logits, kept[0] if kept else None)


def taught(teachers: Sequence[keras.Model], batch: Batch, carried: Sequence[Sequence[tf.Variable]]) -> tf.Tensor:
    """The mean of the probabilities that teachers give each next id, float32 [B, T - 1, V]."""
    guesses = [
        tf.nn.softmax(read(teacher, batch, state, False).next) for teacher, state in zip(teachers, carried, strict=True)
    ]
    return tf.add_n(guesses) / len(guesses)


def loss(batch: Batch, scores: Scores, *, taught_fraction: float) -> tf.Tensor:
    """float32 [B]: nats a character, the mean of each row; a part of them towards what teachers guess; and a part of
    the nats of the rhyme that is to be kept in mind."""
    lengths = batch["ids_lengths"] - 1
    nats = softmax_cross_entropy(
        batch["ids"][:, 1:], scores.next, lengths, taught=batch.get("taught"), taught_fraction=taught_fraction
    )
    if scores.kept is not None:
        kept = batch["kept"][:, :-1]
        of_rhyme = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(kept - 1, 0), scores.kept)
        nats += KEPT_RHYME * tf.where(kept > 0, of_rhyme, 0.0)
    inside = tf.sequence_mask(lengths, tf.shape(nats)[1], nats.dtype)
    return tf.reduce_sum(nats * inside, axis=1) / tf.cast(tf.maximum(lengths, 1), tf.float32)
