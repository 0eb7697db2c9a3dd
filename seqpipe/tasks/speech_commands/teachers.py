"""Published recognisers whose answers another one learns, beside the labels.

Axes: B batch (rows), T time (frames), F mel bands, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from seqpipe.config.sound import AudioFeatures
from seqpipe.errors import ModelError
from seqpipe.export.artefact import FEATURES, KERAS_MODEL, PIPELINE
from seqpipe.serving.find import find_model
from seqpipe.tasks.speech_commands.scores import adjustments, without_distance

if TYPE_CHECKING:
    import tensorflow as tf

CLASSES = "classes.json"


def find_teachers(names: Sequence[str], features: AudioFeatures, classes: Sequence[str]) -> list[Path]:
    """The directories of teachers that hear the same spectrogram and answer the same classes as their pupil.

    Raises:
        ModelError: there is no such model, it is no recogniser, or its spectrogram or its classes are other ones.
    """
    found = [find_model(name) for name in names]
    for name, place in zip(names, found, strict=True):
        if not all((place / part).is_file() for part in (KERAS_MODEL, PIPELINE, f"{FEATURES}/{CLASSES}")):
            raise ModelError(f"training.teachers: {name} is no recogniser of commands with its {KERAS_MODEL}.")
        theirs = json.loads((place / FEATURES / CLASSES).read_text(encoding="utf-8"))["classes"]
        if theirs != list(classes):
            raise ModelError(
                f"training.teachers: {name} answers other classes than this pipeline, or in another order: "
                f"{', '.join(theirs)}. Wanted: {', '.join(classes)}."
            )
        heard = yaml.safe_load((place / PIPELINE).read_text(encoding="utf-8"))["features"]
        if AudioFeatures.model_validate(heard) != features:
            raise ModelError(f"training.teachers: the features of {name} are other ones than those of this pipeline.")
    return found


class Teachers:
    """The mean of the answers of published recognisers, as they were taught: before anything was done to their scores.

    Args:
        places: their directories, as `find_teachers` found them.
        clip_frames: frames that they hear at once.
    Raises:
        ModelError: one is gone since.
    """

    def __init__(self, places: Sequence[Path], clip_frames: int):
        import keras

        import seqpipe.layers  # noqa: F401  what model.keras is made of

        for place in places:
            if not (place / KERAS_MODEL).is_file():
                raise ModelError(f"training.teachers: the run began with {place}, which is gone. Use --fresh.")
        self.clip_frames = clip_frames
        self.models = [without_distance(keras.saving.load_model(place / KERAS_MODEL)) for place in places]
        self.adjustments = [_adjustment(place) for place in places]

    def __call__(self, spectrogram: tf.Tensor) -> tf.Tensor:
        """Probabilities [B, C] of the last clip in decibels [B, T, F]: before it there may be the end of another."""
        import tensorflow as tf

        clip = spectrogram[:, -self.clip_frames :]
        lengths = tf.fill(tf.shape(clip)[:1], tf.shape(clip)[1])
        answers = [
            tf.nn.softmax(tf.cast(model([clip, lengths], training=False), tf.float32) - adjustment)
            for model, adjustment in zip(self.models, self.adjustments, strict=True)
        ]
        return tf.add_n(answers) / len(answers)


def _adjustment(place: Path) -> np.ndarray:
    """What was added to the scores of a published recogniser once it was trained, float32 [C]."""
    share = yaml.safe_load((place / PIPELINE).read_text(encoding="utf-8"))["training"].get("logit_adjustment", 0.0)
    rows = np.array(json.loads((place / FEATURES / CLASSES).read_text(encoding="utf-8"))["train_rows"])
    return adjustments(share, rows)
