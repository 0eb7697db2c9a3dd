"""A language model over an encoder: from what each state has read, it guesses the pieces that come next.

An encoder that pools reads several pieces a step, so a step guesses the bag of the next few pieces it has not seen;
with one piece a step and a window of one this is the usual next-piece model. The backward half of a bidirectional
encoder guesses the pieces before what it has read. Embedding and output share their weights (Press and Wolf 2017);
training scores each piece against a sample of others (Jean et al. 2015), everything else against all of them.

Axes: B batch, T time (pieces), T' time (steps of the encoder), E embedding units, W window, S sampled pieces, V pieces.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from seqpipe.config.networks import Classifier, Convolution
from seqpipe.config.training import Pretraining
from seqpipe.errors import ModelError
from seqpipe.layers.lengths import Tensor
from seqpipe.models.classifier import encoder

FREQUENT = 1e-3  # pieces more frequent than this count less as targets, as in word2vec (Mikolov et al. 2013)
FLATTENING = 0.75  # power of the frequencies that sampled pieces are drawn by, from the same source


class LanguageModel(keras.Model):
    """The embedding and encoder of a classifier, under their names there, with a guess at each step.

    Call with [ids int32 [B, T], lengths int32 [B]]; returns float32 [B], the mean cross-entropy of a row's guesses in
    nats. Training scores against sampled pieces, so that its figure is another one than that of evaluation.

    Args:
        config: of the classifier; dropout stays out, but for `pretraining.dropout` on embeddings.
        pretraining: window and number of sampled pieces.
        counts: int [V], how often each piece stands in the text.
    Raises:
        ModelError: the encoder has no recurrence, or reads both directions in several layers, so that a step would
            have seen what it guesses.
    """

    def __init__(self, config: Classifier, pretraining: Pretraining, counts: np.ndarray):
        super().__init__(name="language_model")
        recurrent = config.recurrent
        if recurrent is None or (recurrent.bidirectional and recurrent.layers > 1):
            found = "is null" if recurrent is None else f"reads both directions in {recurrent.layers} layers"
            raise ModelError(
                f"training.pretrain: model.recurrent {found}. A language model needs a recurrence that has not seen "
                "what it guesses: one bidirectional layer, or layers of one direction."
            )
        self.window, self.sampled = pretraining.window, pretraining.sampled_pieces
        self.behind, self.ahead, self.stride = reach(config.convolution)
        units, vocabulary_size = config.embedding.units, len(counts)
        self.embedding = keras.layers.Embedding(vocabulary_size, units, name="embedding")
        self.embedding.build()
        x, lengths = keras.Input((None, units)), keras.Input((), dtype="int32")
        self.encoder = keras.Model([x, lengths], encoder(_without_dropout(config), x, lengths), name="encoder")
        self.drop = keras.layers.Dropout(pretraining.dropout)
        self.directions = ["forward", "backward"] if recurrent.bidirectional else ["forward"]
        self.guesses = [keras.layers.Dense(units, name=f"guess_{name}") for name in self.directions]
        for guess in self.guesses:
            guess.build((None, None, recurrent.units))
        frequencies = (counts + 1.0) / (counts.sum() + vocabulary_size)
        self.bias = self.add_weight(name="bias", shape=(vocabulary_size,), initializer="zeros")
        self.bias.assign(np.log(frequencies))
        drawn = frequencies**FLATTENING / np.sum(frequencies**FLATTENING)
        self.log_expected = tf.constant(np.log(drawn * self.sampled), tf.float32)
        self.cumulated = tf.constant(np.cumsum(drawn), tf.float32)
        self.weight = tf.constant(np.minimum(1.0, np.sqrt(FREQUENT / frequencies)), tf.float32)
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, inputs: list[Tensor], training: bool | None = None) -> Tensor:
        ids, lengths = inputs
        x = self.drop(self.embedding(ids), training=training)  # [B, T, E]
        states, steps = self.encoder([x, lengths], training=training)  # [B, T', U or 2 U], [B]
        losses, guessing = tf.zeros(tf.shape(ids)[0]), tf.zeros(tf.shape(ids)[0])
        for guess, direction, state in zip(
            self.guesses, self.directions, tf.split(states, len(self.directions), axis=-1), strict=True
        ):
            targets, weights = self._targets(ids, lengths, tf.sequence_mask(steps, tf.shape(states)[1]), direction)
            step_losses = self._cross_entropy(guess(state), targets, bool(training))  # [B, T', W]
            whole = tf.reduce_sum(weights, axis=[1, 2])
            losses += tf.math.divide_no_nan(tf.reduce_sum(step_losses * weights, axis=[1, 2]), whole)
            guessing += tf.cast(whole > 0, tf.float32)
        return tf.math.divide_no_nan(losses, guessing)  # a short row may have nothing to guess in one direction

    def _targets(self, ids: Tensor, lengths: Tensor, there: Tensor, direction: str) -> tuple[tf.Tensor, tf.Tensor]:
        """What each step guesses, int32 [B, T', W], and how much each counts, float32; 0 outside a row.

        Args:
            there: bool [B, T'], steps of the row.
        """
        first = self.ahead + 1 if direction == "forward" else -self.behind - self.window
        steps = tf.range(tf.shape(there)[1])
        places = steps[:, None] * self.stride + first + tf.range(self.window)[None, :]  # [T', W]
        real = (places >= 0)[None] & (places[None] < lengths[:, None, None]) & there[:, :, None]
        targets = tf.gather(ids, tf.clip_by_value(places, 0, tf.shape(ids)[1] - 1), axis=1)
        return targets, tf.gather(self.weight, targets) * tf.cast(real, tf.float32)

    def _cross_entropy(self, guesses: Tensor, targets: tf.Tensor, sample: bool) -> tf.Tensor:
        """Of guesses [B, T', E] for targets [B, T', W]: float32 [B, T', W]."""
        at_targets = tf.einsum("bte,btwe->btw", guesses, self.embedding(targets)) + tf.gather(self.bias.value, targets)
        if not sample:
            others = tf.einsum("bte,ve->btv", guesses, self.embedding.embeddings.value) + self.bias.value
            return tf.reduce_logsumexp(others, axis=-1, keepdims=True) - at_targets
        drawn = tf.random.stateless_uniform([self.sampled], self.seed_generator.next())
        pieces = tf.minimum(tf.searchsorted(self.cumulated, drawn), len(self.cumulated) - 1)  # [S]
        offset = tf.gather(self.bias.value, pieces) - tf.gather(self.log_expected, pieces)
        others = tf.einsum("bte,se->bts", guesses, self.embedding(pieces)) + offset
        at_targets -= tf.gather(self.log_expected, targets)
        # Each target stands against the sample alone, not against the other targets of its step.
        against = tf.reduce_logsumexp(others, axis=-1, keepdims=True)
        return tf.nn.softplus(against - at_targets)


def reach(blocks: list[Convolution]) -> tuple[int, int, int]:
    """What an encoder's step i has read before any recurrence: pieces i * stride - behind to i * stride + ahead.

    Returns:
        (behind, ahead, stride).
    """
    behind, ahead, stride = 0, 0, 1
    for block in blocks:
        span = (block.kernel_size - 1) * block.dilation
        left = span if block.padding == "causal" else span // 2
        behind, ahead = behind + left * stride, ahead + (span - left) * stride
        stride *= block.stride
        ahead += (block.pool - 1) * stride
        stride *= block.pool
    return behind, ahead, stride


def encoder_weights(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of the embedding and of each layer of the encoder: `layer.number` -> array."""
    return {
        f"{layer.name}.{number}": value
        for layer in _encoder_layers(model)
        for number, value in enumerate(layer.get_weights())
    }


def set_encoder_weights(model: keras.Model, weights: dict[str, np.ndarray], origin: str) -> None:
    """Give a model what `encoder_weights` took from another.

    Args:
        origin: where they came from, for the message.
    Raises:
        ModelError: the two encoders are not of the same layers and sizes.
    """
    own = encoder_weights(model)
    for name in [*own, *weights]:
        here, there = (str(list(each[name].shape)) if name in each else "none" for each in (own, weights))
        if here != there:
            raise ModelError(
                f"The encoder of {origin} is not the one this pipeline builds: {name} has the shape {there} there, "
                f"{here} here. model.embedding, model.convolution and model.recurrent must have the same sizes."
            )
    for layer in _encoder_layers(model):
        layer.set_weights([weights[f"{layer.name}.{number}"] for number in range(len(layer.get_weights()))])


def _encoder_layers(model: keras.Model) -> list[keras.layers.Layer]:
    inside = [layer for nested in model.layers if isinstance(nested, keras.Model) for layer in nested.layers]
    return [
        layer
        for layer in [*model.layers, *inside]
        if layer.name == "embedding" or layer.name.startswith(("convolution_", "recurrent_"))
    ]


def _without_dropout(config: Classifier) -> Classifier:
    off = {"dropout": 0.0}
    recurrent = config.recurrent and config.recurrent.model_copy(
        update={**off, "recurrent_dropout": 0.0, "weight_dropout": 0.0}
    )
    blocks = [block.model_copy(update=off) for block in config.convolution]
    return config.model_copy(update={"convolution": blocks, "recurrent": recurrent})
