"""A translation model: embedding, encoder, decoder with attention, scores of pieces.

Axes: B batch, W hypotheses of a row, S source pieces, T target pieces, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import keras
import tensorflow as tf

from seqpipe import layers
from seqpipe.config.networks import Encoder, Seq2Seq
from seqpipe.layers.decoder import State
from seqpipe.models.classifier import cell_of, dropped
from seqpipe.models.traced import traced_once

Step = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


def seq2seq(config: Seq2Seq, *, source_vocabulary: int, target_vocabulary: int, name: str = "seq2seq") -> keras.Model:
    """A `keras.Model` that scores each target piece, given the source and the target pieces before it.

    Args:
        config: what to build; its defaults are the defaults of a pipeline file.
        source_vocabulary: source ids are 0..source_vocabulary - 1.
        target_vocabulary: V; equal to source_vocabulary where all embeddings are tied.
    Returns:
        A functional model. Inputs: `source` int32 [B, S], `source_lengths` int32 [B], `target` int32 [B, T] (the pieces
        before each step: first the one that begins a text), `target_lengths` int32 [B]. Outputs: logits float32
        [B, T, V]; alignment float32 [B, T, S]. What stands beyond a length changes nothing; logits there mean nothing.
    """
    source = keras.Input((None,), dtype="int32", name="source")
    source_lengths = keras.Input((), dtype="int32", name="source_lengths")
    target = keras.Input((None,), dtype="int32", name="target")
    target_lengths = keras.Input((), dtype="int32", name="target_lengths")
    units = config.embedding.units
    if config.tied == "none":
        embed_target: keras.layers.Layer = keras.layers.Embedding(target_vocabulary, units, name="target_embedding")
        score: Callable[[keras.KerasTensor], keras.KerasTensor] = keras.layers.Dense(target_vocabulary, name="scores")
    else:
        embed_target = layers.TiedEmbedding(target_vocabulary, units, name="target_embedding")
        score = partial(embed_target, score=True)
    embed_source = (
        embed_target
        if config.tied == "all"
        else keras.layers.Embedding(source_vocabulary, units, name="source_embedding")
    )

    def embedded(embed: keras.layers.Layer, ids: keras.KerasTensor) -> keras.KerasTensor:
        ids = layers.WordDropout(config.word_dropout)(ids) if config.word_dropout else ids
        return dropped(config.embedding.dropout, embed(ids))

    memory = encoder(config.encoder, embedded(embed_source, source), source_lengths)  # [B, S, C]
    decoder = layers.AttentionDecoder(output_units=units, name="decoder", **config.decoder.model_dump())
    output, alignment = decoder(embedded(embed_target, target), target_lengths, memory, source_lengths)  # [B, T, E]
    logits = score(dropped(config.dropout, output))  # [B, T, V]
    logits = keras.layers.Activation("linear", dtype="float32", name="logits")(logits)
    return keras.Model([source, source_lengths, target, target_lengths], [logits, alignment], name=name)


def encoder(config: Encoder, x: keras.KerasTensor, lengths: keras.KerasTensor) -> keras.KerasTensor:
    """Convolutions, then recurrent layers: float [B, S, C] to [B, S, C'], zero beyond each length."""
    for number, block in enumerate(config.convolution, start=1):
        x, _ = layers.ConvolutionBlock(**block.model_dump(), name=f"convolution_{number}")(x, lengths)
    for number in range(1, config.layers + 1):
        if config.dropout:
            x = keras.layers.Dropout(config.dropout, noise_shape=(None, 1, None))(x)
        x = layers.Bidirectional(cell_of(config, f"{config.cell}_{number}"), name=f"encoder_{number}")(x, lengths)
    return x


class Stepper:
    """A seq2seq model step by step, for `seqpipe.models.decoding`; it finds its parts in the model by their names."""

    def __init__(self, model: keras.Model):
        self.decoder = model.get_layer("decoder")
        memory = self.decoder.input[2]
        self._encode = traced_once(keras.Model(model.inputs[:2], memory))
        self._embed = model.get_layer("target_embedding")
        tied = isinstance(self._embed, layers.TiedEmbedding)
        self._score = (lambda x: self._embed(x, score=True)) if tied else model.get_layer("scores")

    def start(self, source: tf.Tensor, lengths: tf.Tensor) -> tuple[Step, State]:
        """Encode source int32 [B, S] with lengths int32 [B].

        Returns:
            step(tokens int32 [B, W], state) -> (logits float32 [B, W, V], state), and the first state, of W = 1.
        """
        state, shared = self.decoder.start(self._encode([source, lengths]), lengths)

        def step(tokens: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            output, _, after = self.decoder.step(self._embed(tokens), state, shared)
            return tf.cast(self._score(output), tf.float32), after

        return step, state
