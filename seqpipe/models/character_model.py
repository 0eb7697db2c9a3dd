"""A language model of characters that carries its state: what it has read stays in the state, not in a window.

Axes: B batch, T time (characters), E embedding units, U state units, V vocabulary, D units of what is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from seqpipe.config.networks import Writer
from seqpipe.layers.embedding import TiedEmbedding
from seqpipe.layers.lengths import Tensor
from seqpipe.layers.recurrent import GRU, LSTM
from seqpipe.layers.recurrent_kernels import Step

STATES = {"lstm": 2, "gru": 1}  # tensors of a layer's state
TOLD = ("place", "rhyme", "opening")  # inputs of a model that is told of the next character; 0 is not told


class Told(NamedTuple):
    """How many codes there are of the next character's place and of its rhyme, the units of a vector, and how many
    groups of characters rhyme."""

    places: int
    rhymes: int
    units: int
    groups: int


def character_model(
    config: Writer,
    *,
    vocabulary_size: int,
    told: Told | None = None,
    kinds: Sequence[np.ndarray] = (),
    name: str | None = None,
) -> keras.Model:
    """Embedding -> recurrent layers -> scores of the next character.

    Args:
        told: with it the network is told, beside each character, of the one to come: its place in a form, the rhyme
            that is wanted, and the character that opens the next line.
        kinds: int [V] each, of a tied embedding: characters of the same number share a part of their vectors.
    Returns:
        A model of [ids int32 [B, T], lengths int32 [B], state [B, U] each] and, where it is told, place, rhyme and
        opening, int32 [B, T] each; it gives [logits float32 [B, T, V], state [B, U] each] and, where groups rhyme,
        float32 [B, T, groups], scores of the rhyme that it keeps in mind. A row's state stops at its length.
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
    make_embedding = partial(TiedEmbedding, kinds=kinds) if config.tied else keras.layers.Embedding
    embedding = make_embedding(vocabulary_size, units, name="embedding")
    x = embedding(ids)  # [B, T, E]
    x = keras.layers.SpatialDropout1D(config.embedding.dropout, name="embedding_dropout")(x)
    of_next = [keras.Input((None,), dtype="int32", name=part) for part in TOLD] if told else []
    if told:
        x = keras.layers.Concatenate(name="told")([x, *_told_vectors(told, embedding, of_next)])  # [B, T, E + 2 D]
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
    kept = []
    if told and told.groups:
        kept = [keras.layers.Dense(told.groups, dtype="float32", name="kept_rhyme")(x)]
    return keras.Model([ids, lengths, *state, *of_next], [logits, *after, *kept], name=name)


def _told_vectors(told: Told, embedding: keras.layers.Layer, of_next: Sequence[Tensor]) -> list[Tensor]:
    """Of place and rhyme together, and of the opening: [B, T, D] each."""
    place, rhyme, opening = of_next
    form = keras.layers.Add(name="told_form")(
        [
            keras.layers.Embedding(told.places, told.units, name="told_place")(place),
            keras.layers.Embedding(told.rhymes, told.units, name="told_rhyme")(rhyme),
        ]
    )
    return [form, keras.layers.Dense(told.units, use_bias=False, name="told_opening")(embedding(opening))]


def lean(model: keras.Model, config: Writer, *, vocabulary_size: int, told: Told | None) -> keras.Model:
    """The same answers from a model without what only training needs: shared parts of vectors, the rhyme in mind."""
    told = told and told._replace(groups=0)
    found = character_model(config, vocabulary_size=vocabulary_size, told=told, name=model.name)
    for layer in found.layers:
        trained = model.get_layer(layer.name)
        if isinstance(trained, TiedEmbedding):
            layer.set_weights([trained.table(), trained.bias])
        else:
            layer.set_weights(trained.get_weights())
    return found


def untold(model: keras.Model, ids: Tensor) -> list[tf.Tensor]:
    """What a model takes beside ids and state where it is told nothing: zeros like ids each, or nothing at all."""
    return [tf.zeros_like(ids) for spec in model.inputs if spec.name in TOLD]


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
        self.model = model
        self.told = [layers[name] for name in ("told_place", "told_rhyme", "told_opening") if name in layers]
        self._states = keras.Model(model.inputs, [layers["hidden"].output, *model.outputs[1 : 1 + len(self.units)]])

    def zero_state(self, rows: Tensor) -> list[tf.Tensor]:
        return [tf.zeros([rows, units]) for units in self.units]

    def read(
        self, ids: Tensor, lengths: Tensor, state: Sequence[Tensor], told: Sequence[Tensor] | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """float32 [B, T, U] from which the next character is guessed, zero beyond a length; the state in the end.

        Args:
            told: of each next character, int32 [B, T] each; None tells nothing.
        """
        beside = untold(self.model, ids) if told is None else told
        hidden, *after = self._states([ids, lengths, *state, *beside], training=False)
        return hidden, after

    def scores(self, hidden: Tensor) -> tf.Tensor:
        """float32 [..., V], of hidden [..., U]."""
        x = self.head[0](hidden)
        return self.embedding(x, score=True) if self.tied else x

    def step(
        self, ids: Tensor, state: Sequence[Tensor], told: Sequence[Tensor] | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Read one character a row, int32 [B]; logits float32 [B, V] of the next, and the state.

        Args:
            told: of the next character, int32 [B] each; None tells nothing.
        """
        return self._step([layer.step for layer in self.recurrent], ids, state, told)

    def stepper(self) -> Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]:
        """`step` for a loop of the caller's own: called before it, so that weights are prepared once."""
        return partial(self._step, [layer.stepper() for layer in self.recurrent])

    def _step(
        self, layers: Sequence[Step], ids: Tensor, state: Sequence[Tensor], told: Sequence[Tensor] | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        x = self.embedding(ids)
        if self.told:
            place, rhyme, opening = untold(self.model, ids) if told is None else told
            of_place, of_rhyme, of_opening = self.told
            x = tf.concat([x, of_place(place) + of_rhyme(rhyme), of_opening(self.embedding(opening))], -1)
        after: list[tf.Tensor] = []
        for number, layer in enumerate(layers):
            parts = layer(x, state[number * self.each : (number + 1) * self.each])
            after += parts
            x = parts[0]
        return self.scores(x), after
