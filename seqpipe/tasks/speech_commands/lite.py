"""LiteRT files of a recogniser: made from a published artefact, and proved against it.

Axes: N rows, S samples, C classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from seqpipe.errors import ModelError, ProofError
from seqpipe.evaluation.labels import balanced_accuracy
from seqpipe.export import lite
from seqpipe.export.artefact import KERAS_MODEL, PARITY
from seqpipe.export.fresh_process import median_ms
from seqpipe.sound.log_mel import BlockwiseLogMel, LogMel
from seqpipe.tasks.speech_commands.network import CommandsNetwork
from seqpipe.tasks.speech_commands.signatures import HIGHEST_SAMPLE
from seqpipe.tasks.speech_commands.streaming import StreamingRecogniser

TOLERANCE = {"float": 1e-4, "int8": 0.1}  # on a probability
ROWS_AT_ONCE = 64
ACCURACY_SAMPLES = 2000  # behind an interval
MOST_SAMPLES = 2**30  # counted, 18 hours; from long before on all pieces are alike

Row = dict[str, np.ndarray]


@dataclass(frozen=True)
class Function:
    """What becomes a file, and how it is asked.

    graph: a `tf.function`. variables: that it reads. piece: samples it takes at once.
    answer: what it says in the end to a clip of `hears` samples. once: what it says to the clip's first piece.
    """

    graph: tf.types.experimental.PolymorphicFunction
    variables: list[tf.Variable]
    piece: int
    hears: int
    answer: Callable[[lite.Interpreter, np.ndarray], Row]
    once: Callable[[lite.Interpreter, np.ndarray], Row]


class Recogniser:
    """A published artefact: its signatures, its Keras model, and what it divides logits by.

    Raises:
        ModelError: it was exported before artefacts said that.
    """

    def __init__(self, artefact: Path, mel: LogMel):
        self.mel = mel
        facts = json.loads((artefact / PARITY).read_text(encoding="utf-8")).get("facts", {})
        if "temperature" not in facts:
            raise ModelError(
                f"{artefact} was made by an older seqpipe: its {PARITY} has no facts.temperature, which LiteRT files "
                "are made with. Export it again: seqpipe export --again."
            )
        self.temperature: float = facts["temperature"]
        self._loaded = tf.saved_model.load(str(artefact))
        self.model = keras.saving.load_model(artefact / KERAS_MODEL)
        labels = self._loaded.signatures["labels"]()
        self.classes = [name.decode() for name in labels["labels"].numpy()]
        self.streaming = bool(labels["streaming"].numpy())

    def probabilities(self, waveforms: np.ndarray) -> np.ndarray:
        """What serving_default answers to [N, S]: [N, C]."""
        answer = self._loaded.signatures["serving_default"]
        parts = [waveforms[first : first + ROWS_AT_ONCE] for first in range(0, len(waveforms), ROWS_AT_ONCE)]
        return np.concatenate([answer(waveform=tf.constant(part))["probabilities"].numpy() for part in parts])


def clip_function(recogniser: Recogniser) -> Function:
    """`waveform` float32 [1, S] of a clip to `probabilities`."""
    mel, network = BlockwiseLogMel(recogniser.mel.config), CommandsNetwork(recogniser.model)

    @tf.function(input_signature=[tf.TensorSpec([1, mel.clip_samples], tf.float32, name="waveform")], autograph=False)
    def answer(waveform: tf.Tensor) -> dict[str, tf.Tensor]:
        with lite.frozen(recogniser.model):
            logits = network.whole(mel(_samples(waveform)))
        return {"probabilities": tf.nn.softmax(logits / recogniser.temperature)}

    def ask(interpreter: lite.Interpreter, clip: np.ndarray) -> Row:
        return interpreter(waveform=clip[None])

    return Function(answer, network.weights, mel.clip_samples, mel.clip_samples, ask, ask)


def step_function(recogniser: Recogniser) -> Function:
    """One step of the network: `waveform` float32 [1, S] and the state of `stream`, whose names and shapes these are.

    What comes out is what `stream` answers to such pieces, from all zeros on: `probabilities` and the new state. The
    samples heard are int32, since LiteRT in a browser takes no int64, and counted up to MOST_SAMPLES.
    """
    mel, network = BlockwiseLogMel(recogniser.mel.config), CommandsNetwork(recogniser.model)
    stream = StreamingRecogniser(
        recogniser.model, mel, classes=recogniser.classes, temperature=recogniser.temperature, version=0
    )
    size, tail = stream.step_samples, stream.tail_samples
    late = -(-mel.window_samples // size) - 1  # pieces that come before the first frame is whole
    start = mel.window_samples - 1 - late * size  # in tail and piece, of what a step reads
    specs = [
        tf.TensorSpec([1, size], tf.float32, name="waveform"),
        tf.TensorSpec([1], tf.int32, name="samples"),
        tf.TensorSpec([1, *stream.state["state"].shape[1:]], tf.float32, name="state"),
    ]

    @tf.function(input_signature=specs, autograph=False)
    def answer(waveform: tf.Tensor, samples: tf.Tensor, state: tf.Tensor) -> dict[str, tf.Tensor]:
        before = samples[0] // size - late  # steps
        joined = tf.concat([state[:, :tail], _samples(waveform)], axis=1)
        row = state[:, tail:]
        with lite.frozen(recogniser.model):
            spectrogram = mel(joined[:, start : start + tail + 1])  # [1, stride, F]
            moved = stream.moved(network, spectrogram, row, first=tf.equal(before, 0), steps=tf.maximum(before + 1, 0))
            row = tf.where(before >= 0, moved, row)
            logits = stream.logits(network, row)
        return {
            "probabilities": tf.nn.softmax(logits / recogniser.temperature),
            "samples": tf.minimum(samples, MOST_SAMPLES // size * size) + size,
            "state": tf.concat([joined[:, -tail:], row], axis=1),
        }

    def ask(interpreter: lite.Interpreter, piece: np.ndarray, state: Row) -> Row:
        return interpreter(waveform=piece[None, :size], **{name: state[name] for name in stream.state})

    def nothing_heard(interpreter: lite.Interpreter) -> Row:
        return {name: np.zeros(*facts) for name, facts in interpreter.inputs.items()}

    def last(interpreter: lite.Interpreter, clip: np.ndarray) -> Row:
        answer = nothing_heard(interpreter)
        for piece in clip.reshape(-1, size):
            answer = ask(interpreter, piece, answer)
        return answer

    def once(interpreter: lite.Interpreter, clip: np.ndarray) -> Row:
        return ask(interpreter, clip, nothing_heard(interpreter))

    return Function(answer, network.weights, size, mel.clip_samples // size * size, last, once)


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
        ModelError: the artefact was exported before it said what LiteRT files are made with.
    """
    recogniser = Recogniser(artefact, mel)
    functions = {"": clip_function(recogniser)}
    takes = (
        f"A clip of {mel.clip_samples:,} samples goes into `float.tflite`, or `int8.tflite` with weights in eight "
        "bits, as `waveform`; `probabilities` come out."
    )
    if recogniser.streaming:
        functions["stream_"] = step_function(recogniser)
        takes += (
            f" `stream_float.tflite` and `stream_int8.tflite` take the next {functions['stream_'].piece:,} samples and "
            "the state of `stream`, by its names, and give the same and the new state."
        )

    def accuracy(probabilities: np.ndarray) -> dict[str, float] | None:
        if labels is None:
            return None
        return balanced_accuracy(probabilities, labels, samples=ACCURACY_SAMPLES, seed=seed)

    contents, figures = {}, {}
    for prefix, function in functions.items():
        heard = waveforms[:, : function.hears]
        expected = recogniser.probabilities(heard)
        for kind, allowed in TOLERANCE.items():
            name = f"{prefix}{kind}.tflite"
            converted = lite.convert(function.graph, int8=kind == "int8", variables=function.variables)
            contents[name] = lite.with_labels(converted, recogniser.classes)
            interpreter = lite.Interpreter(contents[name])
            answers = np.stack([function.answer(interpreter, clip)["probabilities"][0] for clip in heard])
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
                latency_ms=median_ms(lambda: function.once(interpreter, heard[0])),  # noqa: B023  called at once
                ops=lite.used_ops(contents[name]),
            )
    served = accuracy(recogniser.probabilities(waveforms))
    return lite.LiteFiles(contents, figures, classes=recogniser.classes, takes=takes, rows=rows, served=served)
