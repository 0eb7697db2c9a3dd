"""What is done to the scores of a recogniser once it is trained.

Axes: B batch (rows), C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seqpipe.sound.augmentation import Kind
from seqpipe.tasks.protocol import IN_WEIGHTS, Fitted

if TYPE_CHECKING:
    import keras

    from seqpipe.data.examples import Examples
    from seqpipe.tasks.speech_commands.task import SpeechCommands

SCORES = "logits"  # the name of their layer


def adjustments(share: float, rows: np.ndarray) -> np.ndarray:
    """What makes scores count classes alike, by so much of the log of their training rows, float32 [C].

    Source: Menon et al. 2021, Long-tail learning via logit adjustment.
    """
    seen = np.maximum(rows, 1)  # a class without a row stays as it is
    return np.where(rows > 0, -share * np.log(seen / max(1, rows.sum())), 0.0).astype(np.float32)


def fit_scores(task: SpeechCommands, model: keras.Model, examples: dict[str, Examples]) -> Fitted:
    """The bias with adjustments, how far commands lie from what is none (of train), and a temperature (on dev)."""
    from seqpipe.evaluation.metrics import fit_temperature
    from seqpipe.training.predict import predict

    scores, dev = model.get_layer(SCORES), examples["dev"]
    taught = scores.get_weights()
    weights = {"bias": scores.bias.numpy() + task.adjustments}
    if task.config.training.distance_weight > 0:
        weights |= _placed(task, model, examples)
    fitted: Fitted = {IN_WEIGHTS: {name: np.asarray(value).tolist() for name, value in weights.items()}}
    set_scores(model, fitted)
    fitted["temperature"] = fit_temperature(predict(model, task, dev), np.asarray(dev.columns["label"]))
    scores.set_weights(taught)
    return fitted


def set_scores(model: keras.Model, fitted: Fitted) -> None:
    model.get_layer(SCORES).assign(fitted[IN_WEIGHTS])


def without_distance(model: keras.Model) -> keras.Model:
    """The model, whose scores do not fall with the distance, as while it was trained."""
    from seqpipe.layers import OpenSetScores

    scores = model.get_layer(SCORES)
    if isinstance(scores, OpenSetScores):  # a recogniser of before has a dense layer
        scores.assign({"weight": 0.0})
    return model


def _placed(task: SpeechCommands, model: keras.Model, examples: dict[str, Examples]) -> dict[str, np.ndarray]:
    """Of clips of commands, those of train as they are, not as they are changed in training."""
    import keras

    from seqpipe.training.predict import predict

    scores = model.get_layer(SCORES)
    heard = keras.Model(model.inputs, scores.input)
    parts = []
    for split in ("train", "dev"):
        labels = np.asarray(examples[split].columns["label"])
        clips = (np.asarray(examples[split].columns["kind"]) == Kind.CLIP) & (labels < scores.known)
        parts.append((predict(heard, task, examples[split])[clips], labels[clips]))
    (train, labels), (dev, _) = parts
    return scores.placed(train, labels, dev, weight=task.config.training.distance_weight)
