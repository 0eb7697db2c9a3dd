"""A recogniser of spoken commands: convolutions over the spectrogram, recurrence, pooling, classes."""

from __future__ import annotations

import keras
import numpy as np

from seqpipe import layers
from seqpipe.config.networks import RecogniserModel
from seqpipe.models.classifier import POOLINGS, cell_of, dropped

PART_OF_CHANNELS = 4  # directions of the distance from the commands, as a part of the channels that are scored


def commands_model(
    config: RecogniserModel, *, bands: int, clip_frames: int, classes: int, mean: np.ndarray, deviation: np.ndarray
) -> keras.Model:
    """A `keras.Model` from a log-mel spectrogram to class scores.

    Args:
        config: what to build.
        bands: mel bands.
        clip_frames: frames of a clip; a streaming model pools over the last so many.
        classes: number of classes, the last two unknown and silence.
        mean, deviation: of each band in decibels, float [bands].
    Returns:
        A functional model. Inputs: `spectrogram` float32 [B, T, bands] in decibels and `lengths` int32 [B]; output:
        logits float32 [B, classes]. What stands beyond a length changes nothing. The layer named `pooling` also returns
        the weight of each step.
    """
    spectrogram = keras.Input((None, bands), name="spectrogram")
    lengths = keras.Input((), dtype="int32", name="lengths")
    scale = layers.FixedScale(name="scale")
    x, steps = scale(spectrogram), lengths
    for number, block in enumerate(config.convolution, start=1):
        layer = layers.SpectrogramBlock(
            **block.model_dump(), padding="causal" if config.streaming else "same", name=f"convolution_{number}"
        )
        x, steps = layer(x, steps)  # [B, T', F', C]
    x = keras.layers.Reshape((-1, x.shape[2] * x.shape[3]), name="stacked")(x)
    x = keras.layers.Dense(config.projection, activation="relu", name="projection")(x)
    recurrent = config.recurrent
    for number in range(1, recurrent.layers + 1):
        x = dropped(recurrent.dropout, x)
        cell = cell_of(recurrent, f"{recurrent.cell}{number}", return_state=config.streaming)
        if config.streaming:
            x, *_ = cell(x, steps)
        else:
            x = (layers.Bidirectional(cell, name=f"rnn{number}") if recurrent.bidirectional else cell)(x, steps)
    if config.streaming:
        stride = config.convolution[0].stride_frames
        x, steps = layers.LastSteps(-(-clip_frames // stride), name="window")(x, steps)
    x, _ = POOLINGS[config.pooling](x.shape[-1] // 2, name="pooling")(x, steps)  # [B, C]
    x = dropped(config.dropout, x)
    directions = max(1, x.shape[-1] // PART_OF_CHANNELS)
    score = layers.OpenSetScores(classes, known=classes - 2, directions=directions, dtype="float32", name="logits")
    logits = score(x)
    scale.set_weights([mean, deviation])
    return keras.Model([spectrogram, lengths], logits, name="n")  # short: it stands in the name of every node
