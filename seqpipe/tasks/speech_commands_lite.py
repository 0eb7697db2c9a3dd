"""LiteRT files of a recogniser: made from a published artefact, and proved against it.

Axes: N rows, S samples, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seqpipe import lite
from seqpipe.errors import ProofError
from seqpipe.evaluation.commands import balanced_accuracy
from seqpipe.features.audio import BlockwiseLogMel, LogMel
from seqpipe.layers.recurrent import traced_for
from seqpipe.proof import median_ms
from seqpipe.tasks.speech_commands_serving import HIGHEST_SAMPLE, named

TOLERANCE = {"float": 1e-4, "int8": 0.1}  # on a probability
ROWS_AT_ONCE = 64
ACCURACY_SAMPLES = 2000  # behind an interval


class Recogniser:
    """A published artefact: its signatures, its Keras model, and what it divides logits by."""

    def __init__(self, artefact: Path, mel: LogMel):
        self.mel = mel
        self._loaded = tf.saved_model.load(str(artefact))
        self.model = keras.saving.load_model(artefact / "model.keras")
        labels = self._loaded.signatures["labels"]()
        self.classes = [name.decode() for name in labels["labels"].numpy()]
        self.streaming = bool(labels["streaming"].numpy())

    def probabilities(self, waveforms: np.ndarray) -> np.ndarray:
        """What serving_default answers to [N, S]: [N, C]."""
        answer = self._loaded.signatures["serving_default"]
        parts = [waveforms[first : first + ROWS_AT_ONCE] for first in range(0, len(waveforms), ROWS_AT_ONCE)]
        return np.concatenate([answer(waveform=tf.constant(part))["probabilities"].numpy() for part in parts])

    def temperature(self, waveforms: np.ndarray) -> float:
        """What logits are divided by, found by comparing the two models' answers to [N, S]: neither says it."""
        frames = tf.fill([len(waveforms)], self.mel.clip_frames)
        logits = np.asarray(self.model([self.mel(tf.constant(waveforms)), frames], training=False), np.float64)
        served = np.log(np.maximum(self.probabilities(waveforms), np.finfo(np.float32).tiny), dtype=np.float64)
        logits -= logits.mean(axis=1, keepdims=True)
        served -= served.mean(axis=1, keepdims=True)
        return float((logits * logits).sum() / (logits * served).sum())


def clip_function(model: keras.Model, mel: LogMel, *, classes: list[str], temperature: float) -> Any:
    """`waveform` float32 [1, S] of a clip to `label`, `probability` and `probabilities`, without a variable."""
    features = BlockwiseLogMel(mel.config)

    @tf.function(input_signature=[tf.TensorSpec([1, mel.clip_samples], tf.float32, name="waveform")])
    def answer(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        with lite.frozen(model), traced_for("serving"):
            logits = model([features(_samples(waveform)), tf.constant([mel.clip_frames])], training=False)
        return named(tf.nn.softmax(logits / temperature), classes)

    return answer


def _samples(waveform: tf.Tensor) -> tf.Tensor:
    """LiteRT has no assertions: what is no number, or far outside -1..1, counts as zero."""
    return tf.where(tf.abs(waveform) <= HIGHEST_SAMPLE, waveform, 0.0)


def make_lite(
    artefact: Path, mel: LogMel, *, waveforms: np.ndarray, labels: np.ndarray | None, rows: str, seed: int
) -> lite.LiteFiles:
    """Make LiteRT files of an artefact and compare their answers with the SavedModel's.

    Args:
        artefact: directory of a SavedModel with model.keras beside it.
        waveforms: float32 [N, S], clips to answer.
        labels: int32 [N], or None where nobody knows them.
        rows: what the clips are, in words.
        seed: of the intervals.
    Raises:
        ProofError: a file answers otherwise than the SavedModel, or LiteRT cannot hold the model.
    """
    recogniser = Recogniser(artefact, mel)
    expected = recogniser.probabilities(waveforms)

    def accuracy(probabilities: np.ndarray) -> dict[str, Any] | None:
        if labels is None:
            return None
        return balanced_accuracy(probabilities.argmax(axis=1), labels, samples=ACCURACY_SAMPLES, seed=seed)

    temperature = recogniser.temperature(waveforms[:ROWS_AT_ONCE])
    clip = clip_function(recogniser.model, mel, classes=recogniser.classes, temperature=temperature)
    functions: dict[str, tuple[Any, Answer]] = {"": (clip, clip_answer)}
    contents, figures = {}, {}
    for prefix, (function, answer) in functions.items():
        for kind, allowed in TOLERANCE.items():
            name = f"{prefix}{kind}.tflite"
            contents[name] = lite.convert(function, int8=kind == "int8")
            interpreter = lite.Interpreter(contents[name])
            answers = np.stack([answer(interpreter, waveform) for waveform in waveforms])
            difference = float(np.abs(answers - expected).max())
            if not difference <= allowed:  # NaN is not
                raise ProofError(
                    f"{name} answers otherwise than the SavedModel: by {difference:.2g} on {rows}, allowed {allowed:g}."
                )
            figures[name] = lite.Figures(
                bytes=len(contents[name]),
                difference=difference,
                allowed=allowed,
                accuracy=accuracy(answers),
                latency_ms=median_ms(lambda: answer(interpreter, waveforms[0])),  # noqa: B023  called at once
                ops=lite.used_ops(contents[name]),
            )
    takes = (
        f"A clip of {mel.clip_samples:,} samples goes into `float.tflite`, or `int8.tflite` with weights in eight "
        "bits, as `waveform`; `label`, `probability` and `probabilities` come out."
    )
    return lite.LiteFiles(contents, figures, takes=takes, rows=rows, served=accuracy(expected))


Answer = Callable[[lite.Interpreter, np.ndarray], np.ndarray]


def clip_answer(interpreter: lite.Interpreter, waveform: np.ndarray) -> np.ndarray:
    return interpreter(waveform=waveform[None])["probabilities"][0]
