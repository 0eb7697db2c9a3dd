"""A language model of characters that carries its state: what it has read stays in the state, not in a window.

Axes: B batch, T time (characters), E embedding units, U state units, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from seqpipe.config.networks import Writer
from seqpipe.layers.embedding import TiedEmbedding
from seqpipe.layers.lengths import Tensor
from seqpipe.layers.recurrent import GRU, LSTM

STATES = {"lstm": 2, "gru": 1}  # tensors of a layer's state


def character_model(config: Writer, *, vocabulary_size: int, name: str | None = None) -> keras.Model:
    """Embedding -> recurrent layers -> scores of the next character.

    Returns:
        A model of [ids int32 [B, T], lengths int32 [B], state [B, U] each]; it gives [logits float32 [B, T, V], state
        [B, U] each]. A row's state stops at its length.
    """
    units, recurrent = config.embedding.units, config.recurrent
    ids = keras.Input((None,), dtype="int32", name="ids")
    lengths = keras.Input((), dtype="int32", name="lengths")
    each = STATES[recurrent.cell]
    state = [
        keras.Input((recurrent.units,), name=f"state_{layer}_{part}")
        for layer in range(recurrent.layers)
        for part in range(each)
    ]
    embedding = (TiedEmbedding if config.tied else keras.layers.Embedding)(vocabulary_size, units, name="embedding")
    x = embedding(ids)  # [B, T, E]
    x = keras.layers.SpatialDropout1D(config.embedding.dropout, name="embedding_dropout")(x)
    cell = {"lstm": LSTM, "gru": GRU}[recurrent.cell]
    after = []
    for number in range(recurrent.layers):
        if number:
            x = keras.layers.SpatialDropout1D(recurrent.dropout, name=f"dropout_{number}")(x)
        layer = cell(
            recurrent.units,
            return_sequences=True,
            return_state=True,
            weight_dropout=recurrent.weight_dropout,
            name=f"recurrent_{number}",
        )
        x, *states = layer(x, lengths, initial_state=state[number * each : (number + 1) * each])
        after += states
    x = keras.layers.SpatialDropout1D(config.dropout, name="hidden")(x)
    if config.tied:
        logits = embedding(keras.layers.Dense(units, name="project")(x), score=True)
    else:
        logits = keras.layers.Dense(vocabulary_size, name="scores")(x)
    logits = keras.layers.Activation("linear", dtype="float32", name="logits")(logits)
    return keras.Model([ids, lengths, *state], [logits, *after], name=name)


class Reader:
    """A character model in its parts: reading without scores, scores, and single steps without a loop."""

    def __init__(self, model: keras.Model):
        self.units = [tuple(spec.shape)[1] for spec in model.inputs if spec.name.startswith("state_")]
        layers = {layer.name: layer for layer in model.layers}
        self.embedding = layers["embedding"]
        self.recurrent = [layers[name] for name in sorted(layers) if name.startswith("recurrent_")]
        self.each = len(self.units) // len(self.recurrent)
        self.head = [layers[name] for name in ("project", "scores") if name in layers]
        self.tied = "project" in layers
        self._states = keras.Model(model.inputs, [layers["hidden"].output, *model.outputs[1:]])

    def zero_state(self, rows: Tensor) -> list[tf.Tensor]:
        return [tf.zeros([rows, units]) for units in self.units]

    def read(self, ids: Tensor, lengths: Tensor, state: Sequence[Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """float32 [B, T, U] from which the next character is guessed, zero beyond a length; the state in the end."""
        hidden, *after = self._states([ids, lengths, *state], training=False)
        return hidden, after

    def scores(self, hidden: Tensor) -> tf.Tensor:
        """float32 [..., V], of hidden [..., U]."""
        x = self.head[0](hidden)
        return self.embedding(x, score=True) if self.tied else x

    def step(self, ids: Tensor, state: Sequence[Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Read one character a row, int32 [B]; logits float32 [B, V] of the next, and the state."""
        x = self.embedding(ids)
        after: list[tf.Tensor] = []
        for number, layer in enumerate(self.recurrent):
            parts = layer.step(x, state[number * self.each : (number + 1) * self.each])
            after += parts
            x = parts[0]
        return self.scores(x), after
