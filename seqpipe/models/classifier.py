"""A sequence classifier: embedding, convolutions, recurrence, pooling, classes."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import KerasTensor

from seqpipe import layers
from seqpipe.config.networks import Classifier, Encoder, Recurrent

CELLS: dict[str, type[keras.layers.RNN]] = {"lstm": layers.LSTM, "gru": layers.GRU, "simple": layers.SimpleRNN}
POOLINGS: dict[str, Callable[..., keras.layers.Layer]] = {
    "attention": layers.AttentionPooling,
    "attention_max": layers.AttentionMaxPooling,
    "mean": lambda units, name: layers.MeanPooling(name=name),
    "max": lambda units, name: layers.MaxPooling(name=name),
}


def classifier(
    config: Classifier,
    *,
    vocabulary_size: int,
    classes: int,
    ngram_entries: int | None = None,
    several: bool = False,
    name: str = "classifier",
) -> keras.Model:
    """A `keras.Model` from piece ids to class scores.

    Args:
        config: what to build; its defaults are the defaults of a pipeline file.
        vocabulary_size: ids are 0..vocabulary_size - 1.
        classes: number of classes.
        ngram_entries: n-grams that were found, where these are fewer than config.ngrams.entries.
        several: whether a text may have several classes, or none; the expert on n-grams has a logit for each then.
    Returns:
        A functional model. Inputs: `ids` int32 [B, T] and `lengths` int32 [B]; output: logits float32 [B, classes].
        What stands beyond a length changes nothing. The layer named `pooling` also returns the weight of each step.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    lengths = keras.Input((), dtype="int32", name="lengths")
    seen = layers.WordDropout(config.word_dropout)(ids) if config.word_dropout else ids
    x = keras.layers.Embedding(vocabulary_size, config.embedding.units, name="embedding")(seen)  # [B, T, C]
    x = dropped(config.embedding.dropout, x)
    x, steps = encoder(config, x, lengths)
    x, _ = POOLINGS[config.pooling](x.shape[-1], name="pooling")(x, steps)  # [B, C]
    x = dropped(config.dropout, x)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)  # [B, classes]
    if config.ngrams is not None:
        entries = ngram_entries or config.ngrams.entries
        expert = layers.NgramExpert(
            config.ngrams.longest, entries=entries, classes=classes, several=several, dtype="float32", name="ngrams"
        )
        logits = expert(logits, ids, lengths)
    return keras.Model([ids, lengths], logits, name=name)


def encoder(config: Classifier, x: KerasTensor, lengths: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """Convolutions, then recurrent layers.

    Args:
        x: float [B, T, C].
        lengths: int32 [B].
    Returns:
        (float [B, T', C'], int32 [B]), zero beyond each length.
    """
    for number, block in enumerate(config.convolution, start=1):
        x, lengths = layers.ConvolutionBlock(**block.model_dump(), name=f"convolution_{number}")(x, lengths)
    if config.recurrent is None:
        return x, lengths
    recurrent = config.recurrent
    for number in range(1, recurrent.layers + 1):
        x = dropped(recurrent.dropout, x)
        name = f"recurrent_{number}"
        cell = cell_of(recurrent, f"{recurrent.cell}_{number}" if recurrent.bidirectional else name)
        layer = layers.Bidirectional(cell, name=name) if recurrent.bidirectional else cell
        x = layer(x, lengths)
    return x, lengths


def cell_of(config: Recurrent | Encoder, name: str, *, return_state: bool = False) -> keras.layers.RNN:
    """A recurrent layer that gives an output for each step."""
    return CELLS[config.cell](
        config.units,
        return_sequences=True,
        return_state=return_state,
        recurrent_dropout=config.recurrent_dropout,
        weight_dropout=config.weight_dropout,
        name=name,
    )


def dropped(share: float, x: KerasTensor) -> KerasTensor:
    return keras.layers.Dropout(share)(x) if share else x
