"""The graph of a recogniser that streams: pieces of any size in, the answer so far and the new state out.

A step of the network takes `stride` frames. What a later step needs of the past is the state: the samples no step has
used yet, the last frames before each convolution, the state of the recurrence, and the recurrence's last outputs, over
which the pooling goes. All zeros is the state before the first sample.

Axes: B batch (rows), S samples, K new steps, T time (frames), F mel bands, C classes, U units.
"""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seqpipe.data.recordings import RATE_HZ
from seqpipe.errors import ProofError
from seqpipe.features.audio import LogMel
from seqpipe.features.wav import decode_wav
from seqpipe.layers import SpectrogramBlock
from seqpipe.layers.recurrent import traced_for
from seqpipe.tasks.speech_commands_serving import Answer, checks, named

PIECE_SAMPLES = 5 * RATE_HZ  # of a whole waveform, answered piece by piece in constant memory
TOLERANCE = 1e-4

State = dict[str, tf.Tensor]


class StreamingRecogniser(tf.Module):
    """Signatures over a causal Keras model: serving_default, wav, stream and labels.

    `serving_default` answers at the end of a waveform of any length, as `stream` does after its last piece.

    Args:
        model: of `seqpipe.models.commands_model`, streaming.
        mel: what makes spectrograms.
        classes: class names in order.
        temperature: logits are divided by it, so that probabilities are calibrated.
        version: of the artefact.
    """

    def __init__(self, model: keras.Model, mel: LogMel, *, classes: list[str], temperature: float, version: int):
        super().__init__()
        self.weights = [variable.value for variable in model.weights]
        self._mel, self._classes, self._temperature, self._version = mel, classes, temperature, version
        network = _Network(model)
        self._step_samples = network.stride * mel.hop_samples
        self._past_samples = (network.stride - 1) * mel.hop_samples  # of a step before its own frame
        waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
        self.state = {
            "samples": tf.TensorSpec([None], tf.int64, name="samples"),
            "tail": tf.TensorSpec([None, self._past_samples + mel.window_samples - 1], tf.float32, name="tail"),
            **network.state,
        }
        advance = tf.function(lambda waveform, state: self._advance(network, waveform, state))
        answer = tf.function(self._classify, input_signature=[waveform])
        # Behind plain functions: a model as an attribute would be saved whole, a function a second time.
        self._step, self._answer = (lambda waveform, state: advance(waveform, state)), (lambda wave: answer(wave))
        specs = [waveform, *self.state.values()]
        functions = {
            "serving_default": answer,
            "wav": tf.function(self._classify_wav, input_signature=[tf.TensorSpec([None], tf.string, name="wav")]),
            "stream": tf.function(_with_arguments(self._stream, [s.name for s in specs]), input_signature=specs),
            "labels": tf.function(self._labels, input_signature=[]),
        }
        self.functions = lambda: functions

    def _labels(self) -> Answer:
        return {
            "labels": tf.constant(self._classes),
            "version": tf.constant(self._version, tf.int32),
            "streaming": tf.constant(True),
        }

    def _stream(self, waveform: tf.Tensor, **state: tf.Tensor) -> Answer:
        same = tf.reduce_all(tf.equal(state["samples"], state["samples"][:1]))
        equal = tf.debugging.Assert(
            same, ["samples: the streams of one batch must have heard equally many samples, here", state["samples"]]
        )
        with tf.control_dependencies([equal, *checks(waveform)]):
            probabilities, after = self._step(tf.identity(waveform), state)
        return {**named(probabilities, self._classes), **after}

    def _classify(self, waveform: tf.Tensor) -> Answer:
        with tf.control_dependencies(checks(waveform)):
            waveform = tf.identity(waveform)
        rows, size = tf.shape(waveform)[0], tf.shape(waveform)[1]
        state = {name: tf.zeros([rows, *spec.shape[1:]], spec.dtype) for name, spec in self.state.items()}
        first = self._step(waveform[:, :PIECE_SAMPLES], state)

        def body(start: tf.Tensor, _: tf.Tensor, state: State) -> tuple[Any, ...]:
            return start + PIECE_SAMPLES, *self._step(waveform[:, start : start + PIECE_SAMPLES], state)

        _, probabilities, _ = tf.while_loop(lambda start, *_: start < size, body, (PIECE_SAMPLES, *first))
        return named(probabilities, self._classes)

    def _classify_wav(self, wav: tf.Tensor) -> Answer:
        """Each file by itself: they differ in length, and padding would be heard."""
        types = {"label": tf.string, "probability": tf.float32, "probabilities": tf.float32}

        decode = tf.function(decode_wav, input_signature=[tf.TensorSpec([], tf.string)])

        def answer(file: tf.Tensor) -> Answer:
            return {name: value[0] for name, value in self._answer(decode(file)[None]).items()}

        return tf.map_fn(answer, wav, fn_output_signature=types)

    def _steps(self, samples: tf.Tensor) -> tf.Tensor:
        """Steps that so many samples make."""
        return tf.maximum(tf.constant(0, tf.int64), (samples - self._mel.window_samples) // self._step_samples + 1)

    def _advance(self, network: _Network, waveform: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Probabilities [B, C] after a piece [B, S], and the state after it."""
        before = tf.reduce_max(tf.concat([state["samples"], tf.zeros([1], tf.int64)], axis=0))
        after = before + tf.shape(waveform, tf.int64)[1]
        done, steps = self._steps(before), self._steps(after)
        joined = tf.concat([state["tail"], waveform], axis=1)
        size = self.state["tail"].shape[1]
        # The next step begins with its past; what lies between that and now is in the tail.
        start = tf.cast(size - (before - (done * self._step_samples - self._past_samples)), tf.int32)
        new_steps = tf.cast(steps - done, tf.int32)
        inner = {name: state[name] for name in network.state}

        def advanced() -> State:
            length = (new_steps - 1) * self._step_samples + self._past_samples + self._mel.window_samples
            spectrogram = self._mel(joined[:, start : start + length])  # [B, K * stride, F]
            return network.advance(spectrogram, inner, first=tf.equal(done, 0))

        inner = tf.cond(new_steps > 0, advanced, lambda: inner)
        logits = network.answer(inner["window"], steps)
        state = {"samples": tf.fill([tf.shape(waveform)[0]], after), "tail": joined[:, -size:], **inner}
        for name, spec in self.state.items():
            state[name] = tf.ensure_shape(state[name], spec.shape)
        return tf.nn.softmax(logits / self._temperature), state


class _Network:
    """The layers of a streaming model, step by step.

    state: by name, what `advance` takes and gives.
    """

    def __init__(self, model: keras.Model):
        self.scale, self.projection = model.get_layer("scale"), model.get_layer("projection")
        self.blocks = [layer for layer in model.layers if isinstance(layer, SpectrogramBlock)]
        self.recurrent = [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)]
        self.window, self.pooling = model.get_layer("window"), model.get_layer("pooling")
        self.logits = model.get_layer("logits")
        self.stride = self.blocks[0].stride_frames
        self.state: dict[str, tf.TensorSpec] = {}
        for number, block in enumerate(self.blocks, start=1):
            shape = [None, block.span - block.stride_frames, *block.input[0].shape[2:]]
            self.state[f"frames_{number}"] = tf.TensorSpec(shape, tf.float32, name=f"frames_{number}")
        for number, layer in enumerate(self.recurrent, start=1):
            self.state[f"recurrent_{number}"] = tf.TensorSpec([None, layer.units], name=f"recurrent_{number}")
        shape = [None, self.window.steps, self.recurrent[-1].units]
        self.state["window"] = tf.TensorSpec(shape, tf.float32, name="window")

    def advance(self, spectrogram: tf.Tensor, state: State, *, first: tf.Tensor) -> State:
        """The state after frames [B, K * stride, F] in decibels, K > 0.

        Args:
            first: bool, whether these are the first frames: then stride - 1 of them lie before the first sample.
        """
        x = self.scale(spectrogram)
        missing = tf.where(first, self.stride - 1, 0)
        x = tf.where(tf.range(tf.shape(x)[1])[None, :, None] < missing, 0.0, x)
        after: State = {}
        for number, block in enumerate(self.blocks, start=1):
            x, after[f"frames_{number}"] = block.stream(x, state[f"frames_{number}"])
        x = self.projection(tf.reshape(x, [tf.shape(x)[0], -1, x.shape[2] * x.shape[3]]))
        for number, layer in enumerate(self.recurrent, start=1):
            with traced_for("serving"):
                x = layer(x, initial_state=state[f"recurrent_{number}"])  # [B, K, U]
            after[f"recurrent_{number}"] = x[:, -1]
        return {**after, "window": tf.concat([state["window"], x], axis=1)[:, -self.window.steps :]}

    def answer(self, window: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        """Logits [B, C] of the last outputs [B, window, U], of which there have been so many steps."""
        real = tf.cast(tf.minimum(steps, self.window.steps), tf.int32)
        pooled, _ = self.pooling(
            window[:, self.window.steps - tf.maximum(1, real) :], tf.fill([tf.shape(window)[0]], real)
        )
        return self.logits(pooled)


def _with_arguments(function: Any, names: list[str]) -> Any:
    """A function with arguments of these names, which a signature wants, for one of any keywords."""

    def named_function(*values: tf.Tensor) -> Answer:
        return function(**dict(zip(names, values, strict=True)))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named_function.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore
    return named_function


def whole_clip(
    model: keras.Model, mel: LogMel, waveform: np.ndarray, temperature: float, classes: list[str]
) -> dict[str, np.ndarray]:
    """What the Keras model answers to a whole waveform float32 [S]."""
    spectrogram = mel(tf.constant(waveform[None]))
    frames = spectrogram.shape[1]
    spectrogram = tf.pad(spectrogram, [[0, 0], [0, max(0, 1 - frames)], [0, 0]])
    logits = np.asarray(model([spectrogram, tf.constant([frames])], training=False))[0]
    exponentials = np.exp((logits - logits.max()) / temperature)
    probabilities = exponentials / exponentials.sum()
    label = np.array(classes[int(probabilities.argmax())].encode(), object)
    return {"label": label, "probability": probabilities.max(), "probabilities": probabilities}


def prove_stream(module: StreamingRecogniser, waveforms: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference between streams, cut at random, and the whole waveforms' probabilities.

    Raises:
        ProofError: it is more than TOLERANCE.
    """
    rng = np.random.default_rng(0)
    stream, worst = module.functions()["stream"], 0.0
    for number, (waveform, whole) in enumerate(zip(waveforms, expected, strict=True)):
        answer: dict[str, Any] = {}
        state = {name: tf.zeros([1, *spec.shape[1:]], spec.dtype) for name, spec in module.state.items()}
        cuts = np.sort(rng.integers(0, len(waveform) + 1, size=rng.integers(0, 12)))
        for piece in np.split(waveform, cuts):
            answer = stream(tf.constant(piece[None]), *state.values())
            state = {name: answer[name] for name in module.state}
        worst = max(worst, float(np.abs(answer["probabilities"].numpy()[0] - whole).max()))
        if worst > TOLERANCE:
            raise ProofError(
                f"stream: fed piece by piece, probe {number} is answered otherwise than as a whole (by {worst:.2g}, "
                f"allowed {TOLERANCE:g}). Layers of a streaming model must see no later frame."
            )
    return worst
