"""The graph of a recogniser that streams: pieces of any size in, the answer so far and the new state out.

The state is the number of samples heard, and one row of numbers: the samples that no step has used yet, what the last
answer was made of, which stands until the next step, and the network's own state. All zeros is the state before the
first sample. It is one row because handing over a tensor costs a client more than most operations of a step.

Axes: B batch (rows), S samples, K new steps, F mel bands, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from seqpipe.errors import ProofError
from seqpipe.export.artefact import signature
from seqpipe.export.label_answer import Answer, expected_answer, label_answer, label_signatures
from seqpipe.sound.log_mel import LogMel
from seqpipe.sound.recordings import RATE_HZ
from seqpipe.tasks.speech_commands.network import CommandsNetwork
from seqpipe.tasks.speech_commands.signatures import TYPES, checked, of_files, some_row

PIECE_SAMPLES = 5 * RATE_HZ  # of a whole waveform, answered piece by piece in constant memory
TOLERANCE = 1e-4

State = dict[str, tf.Tensor]


class StreamingRecogniser(tf.Module):
    """Signatures over a causal Keras model: serving_default, scores, wav, stream and labels.

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
        network = CommandsNetwork(model)
        self.weights = network.weights
        self._mel, self._classes, self._temperature = mel, classes, temperature
        self.step_samples = network.stride * mel.hop_samples
        self._past_samples = (network.stride - 1) * mel.hop_samples  # of a step before its own frame
        waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
        pooled = {"pooled": [network.logits.input.shape[-1]]}
        self._parts = pooled | {name: spec.shape[1:] for name, spec in network.state.items()}
        self._sizes = [math.prod(shape) for shape in self._parts.values()]
        self.tail_samples = self._past_samples + mel.window_samples - 1
        self.state = {
            "samples": tf.TensorSpec([None], tf.int64, name="samples"),
            "state": tf.TensorSpec([None, self.tail_samples + sum(self._sizes)], tf.float32, name="state"),
        }
        advance = tf.function(lambda waveform, state: self._advance(network, waveform, state), autograph=False)
        functions = label_signatures(self._classify, waveform, classes, version=version, streaming=True)
        answer = functions["serving_default"]
        # Behind plain functions: a model as an attribute would be saved whole, a function a second time.
        self._step, self._answer = (lambda waveform, state: advance(waveform, state)), (lambda wave: answer(wave))
        files = tf.TensorSpec([None], tf.string, name="wav")
        functions["wav"] = signature(lambda wav: of_files(wav, self._answer, TYPES), files)
        functions["stream"] = signature(self._stream, waveform, *self.state.values())
        self.functions = lambda: functions

    def _stream(self, waveform: tf.Tensor, samples: tf.Tensor, state: tf.Tensor) -> Answer:
        rule = "samples: the streams of one batch must have heard equally many samples, here"
        same = tf.reduce_all(tf.equal(samples, samples[:1]))
        with tf.control_dependencies([tf.raw_ops.Assert(condition=same, data=[rule, samples], summarize=8)]):
            probabilities, after = self._step(checked(waveform), {"samples": samples, "state": state})
        return {**label_answer(probabilities, self._classes), **after}

    def _classify(self, waveform: tf.Tensor) -> Answer:
        wanted, waveform = tf.shape(waveform)[0], some_row(checked(waveform))
        rows, size = tf.shape(waveform)[0], tf.shape(waveform)[1]
        state = {name: tf.zeros([rows, *spec.shape[1:]], spec.dtype) for name, spec in self.state.items()}
        first = self._step(waveform[:, :PIECE_SAMPLES], state)

        def body(start: tf.Tensor, _: tf.Tensor, state: State) -> tuple[tf.Tensor, tf.Tensor, State]:
            return start + PIECE_SAMPLES, *self._step(waveform[:, start : start + PIECE_SAMPLES], state)

        _, probabilities, _ = tf.while_loop(lambda start, *_: start < size, body, (PIECE_SAMPLES, *first))
        return label_answer(probabilities[:wanted], self._classes)

    def _steps(self, samples: tf.Tensor) -> tf.Tensor:
        """Steps that so many samples make."""
        return tf.maximum(tf.constant(0, tf.int64), (samples - self._mel.window_samples) // self.step_samples + 1)

    def _advance(self, network: CommandsNetwork, waveform: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Probabilities [B, C] after a piece [B, S], and the state after it."""
        before = tf.reduce_max(tf.concat([state["samples"], tf.zeros([1], tf.int64)], axis=0))
        after = before + tf.shape(waveform, tf.int64)[1]
        done, steps = self._steps(before), self._steps(after)
        row, tail = state["state"], self.tail_samples
        joined = tf.concat([row[:, :tail], waveform], axis=1)
        # The next step begins with its past; what lies between that and now is in the tail.
        start = tf.cast(tail - (before - (done * self.step_samples - self._past_samples)), tf.int32)
        new_steps = tf.cast(steps - done, tf.int32)

        def unchanged(_: tf.Tensor, row: tf.Tensor, *__: tf.Tensor) -> tf.Tensor:
            return row

        def advanced(
            joined: tf.Tensor,
            row: tf.Tensor,
            count: int | tf.Tensor,
            start: tf.Tensor,
            first: tf.Tensor,
            steps: tf.Tensor,
            *tables: tf.Tensor,
        ) -> tf.Tensor:
            length = (count - 1) * self.step_samples + self._past_samples + self._mel.window_samples
            spectrogram = self._mel(tf.slice(joined, [0, start], [-1, length]), tables)  # [B, K * stride, F]
            return self.moved(network, spectrogram, row, first=first, steps=steps)

        def advanced_by_one(joined: tf.Tensor, row: tf.Tensor, _: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
            return advanced(joined, row, 1, *others)

        # A live stream comes in pieces of no step or one, which are quicker where their shapes are known.
        row = called(
            tf.minimum(new_steps, 2),
            [unchanged, advanced_by_one, advanced],
            [joined, row[:, tail:], new_steps, start, tf.equal(done, 0), steps, *self._mel.tables()],
            variables=network.weights,
        )
        logits = self.logits(network, row)
        row = tf.ensure_shape(tf.concat([joined[:, -tail:], row], axis=1), self.state["state"].shape)
        samples = tf.fill([tf.shape(waveform)[0]], after)
        return tf.nn.softmax(logits / self._temperature), {"samples": samples, "state": row}

    def moved(
        self, network: CommandsNetwork, spectrogram: tf.Tensor, row: tf.Tensor, *, first: tf.Tensor, steps: tf.Tensor
    ) -> tf.Tensor:
        """The state without its samples, [B, size], after frames [B, K * stride, F] that complete so many steps."""
        inner = {
            name: tf.reshape(part, [-1, *shape])
            for part, (name, shape) in zip(tf.split(row, self._sizes, axis=1), self._parts.items(), strict=True)
        }
        after = network.advance(spectrogram, inner, first=first)
        after["pooled"] = network.pooled(after["window"], tf.cast(steps, tf.int32))
        flat = [tf.reshape(after[name], [-1, size]) for name, size in zip(self._parts, self._sizes, strict=True)]
        return tf.concat(flat, axis=1)

    def logits(self, network: CommandsNetwork, row: tf.Tensor) -> tf.Tensor:
        """Logits [B, C] of a state without its samples."""
        return network.logits(row[:, : self._sizes[0]])


def called(
    number: tf.Tensor,
    functions: Sequence[Callable[..., tf.Tensor]],
    inputs: Sequence[tf.Tensor],
    *,
    variables: Sequence[tf.Variable],
) -> tf.Tensor:
    """What the function of this number answers to the inputs.

    `tf.switch_case` would write all functions into the graph and pass dead values through those not taken: a tenth of a
    step. An op `Case` calls the one.

    Args:
        variables: all that the functions read.
    """
    specs = [tf.TensorSpec.from_tensor(value) for value in inputs]

    def traced(function: Callable[..., tf.Tensor]) -> tf.types.experimental.ConcreteFunction:
        def reading_all(*inputs: tf.Tensor) -> tf.Tensor:
            for variable in variables:  # so that all functions take the same ones, in one order
                tf.identity(variable)
            return function(*inputs)

        return tf.function(reading_all, input_signature=specs, autograph=False).get_concrete_function()

    branches = [traced(function) for function in functions]
    (answer,) = tf.raw_ops.Case(
        branch_index=number,
        input=[*inputs, *branches[0].captured_inputs],
        Tout=[tf.float32],
        branches=branches,
        output_shapes=[branches[-1].outputs[0].shape],
    )
    return answer


def whole_clip(
    model: Callable, mel: LogMel, waveform: np.ndarray, temperature: float, classes: list[str]
) -> dict[str, np.ndarray]:
    """What the Keras model answers to a whole waveform float32 [S]; the model as in `best_window`."""
    spectrogram = mel(tf.constant(waveform[None]))
    frames = spectrogram.shape[1]
    spectrogram = tf.pad(spectrogram, [[0, 0], [0, max(0, 1 - frames)], [0, 0]])
    logits = np.asarray(model([spectrogram, tf.constant([frames])]))[0]
    return expected_answer(logits, temperature, classes)


def prove_stream(module: StreamingRecogniser, waveforms: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference between streams, cut at random, and the whole waveforms' probabilities.

    Raises:
        ProofError: it is more than TOLERANCE.
    """
    rng = np.random.default_rng(0)
    stream, worst = module.functions()["stream"], 0.0
    for number, (waveform, whole) in enumerate(zip(waveforms, expected, strict=True)):
        answer: dict[str, tf.Tensor] = {}
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
