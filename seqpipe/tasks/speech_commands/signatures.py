"""The graph that an exported recogniser answers with: waveforms or WAV files in, core TensorFlow ops only.

Axes: B batch (rows), S samples, W windows, T time (frames), F mel bands, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from seqpipe.export.artefact import signature
from seqpipe.export.label_answer import Answer, expected_answer, label_answer, label_signatures
from seqpipe.sound.log_mel import LogMel
from seqpipe.sound.recordings import RATE_HZ
from seqpipe.sound.sound_file import HIGHEST_SAMPLE
from seqpipe.sound.wav import decode_wav
from seqpipe.tasks.speech_commands.network import CommandsNetwork

WINDOW_HOP_FRAMES = 20
WINDOWS_AT_ONCE = 32  # over all rows; more are answered one part after another, in constant memory
TYPES = {"label": tf.string, "probability": tf.float32, "probabilities": tf.float32}  # of an answer


class CommandRecogniser(tf.Module):
    """Signatures over a Keras model of log-mel clips: serving_default, scores, wav and labels.

    A waveform shorter than a clip is answered between zeros. Of a longer one, windows of a clip are answered, and the
    best one's answer is given: a command goes before unknown, unknown before silence, then the higher probability.

    Args:
        model: (spectrogram float32 [B, T, F], lengths int32 [B]) -> logits [B, C].
        mel: what makes spectrograms.
        classes: class names in order, the last two unknown and silence.
        temperature: logits are divided by it, so that probabilities are calibrated.
        version: of the artefact.
    """

    def __init__(self, model: keras.Model, mel: LogMel, *, classes: list[str], temperature: float, version: int):
        super().__init__()
        network = CommandsNetwork(model)
        self.weights = network.weights
        self._mel, self._classes = mel, classes
        clips = tf.TensorSpec([None, mel.clip_frames, mel.config.bands], tf.float32)
        waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
        infer = signature(lambda clips: tf.nn.softmax(network.whole(clips) / temperature), clips)
        functions = label_signatures(self._classify, waveform, classes, version=version)
        answer = functions["serving_default"]
        # Behind plain functions: a model as an attribute would be saved whole, a function a second time.
        self._infer, self._answer = (lambda clips: infer(clips)), (lambda waveform: answer(waveform))
        files, types = tf.TensorSpec([None], tf.string, name="wav"), {**TYPES, "start_s": tf.float32}
        functions["wav"] = signature(lambda wav: of_files(wav, self._answer, types), files)
        self.functions = lambda: functions

    def _classify(self, waveform: tf.Tensor) -> Answer:
        wanted = tf.shape(waveform)[0]
        waveform = centred(some_row(checked(waveform)), self._mel.clip_samples)
        rows, samples = tf.shape(waveform)[0], tf.shape(waveform)[1]
        hop = WINDOW_HOP_FRAMES * self._mel.hop_samples
        windows = 1 + tf.maximum(0, samples - self._mel.clip_samples + hop - 1) // hop
        waveform = tf.pad(waveform, [[0, 0], [0, (windows - 1) * hop + self._mel.clip_samples - samples]])
        at_once = tf.maximum(1, WINDOWS_AT_ONCE // tf.maximum(1, rows))

        def body(first: tf.Tensor, best: tf.Tensor, probabilities: tf.Tensor, start: tf.Tensor) -> tuple[object, ...]:
            count = tf.minimum(at_once, windows - first)
            part = waveform[:, first * hop : (first + count - 1) * hop + self._mel.clip_samples]
            found = self._windows(part, count)  # [B, W, C]
            ranks = ranked(found)  # [B, W]
            place = tf.argmax(ranks, axis=1, output_type=tf.int32)  # [B]
            score = tf.gather(ranks, place, batch_dims=1)
            better = score > best
            return (
                first + count,
                tf.where(better, score, best),
                tf.where(better[:, None], tf.gather(found, place, batch_dims=1), probabilities),
                tf.where(better, first + place, start),
            )

        nothing = (0, tf.fill([rows], -1.0), tf.zeros([rows, len(self._classes)]), tf.zeros([rows], tf.int32))
        _, _, probabilities, start = tf.while_loop(
            lambda first, *_: first < windows,
            body,
            nothing,
            shape_invariants=(
                tf.TensorShape([]),
                tf.TensorShape([None]),
                tf.TensorShape([None, len(self._classes)]),
                tf.TensorShape([None]),
            ),
        )
        return {
            **label_answer(probabilities[:wanted], self._classes),
            "start_s": tf.cast(start[:wanted] * hop, tf.float32) / RATE_HZ,
        }

    def _windows(self, waveform: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Probabilities [B, W, C] of so many windows, one every WINDOW_HOP_FRAMES."""
        frames = self._mel(waveform)  # [B, T', F]
        bands, size = self._mel.config.bands, self._mel.clip_frames
        clips = tf.signal.frame(frames, size, WINDOW_HOP_FRAMES, axis=1)  # [B, W, T, F]
        probabilities = self._infer(tf.reshape(clips, [-1, size, bands]))
        return tf.reshape(probabilities, [-1, count, len(self._classes)])


def of_files(wav: tf.Tensor, answer: Callable[[tf.Tensor], Answer], types: dict[str, tf.DType]) -> Answer:
    """The answers to the bytes of WAV files, string [B]; `error` is a text for what cannot be read, all else is zero.

    Each file is answered by itself: they differ in length, and padding would be heard.

    Args:
        answer: to a waveform [1, S].
        types: of what it answers.
    """
    decode = signature(decode_wav, tf.TensorSpec([], tf.string))

    def answered(file: tf.Tensor) -> Answer:
        waveform, error = decode(file)
        of_file = {
            name: tf.where(error == "", value[0], tf.zeros([], value.dtype))
            for name, value in answer(waveform[None]).items()
        }
        return {**of_file, "error": error}

    return tf.map_fn(answered, wav, fn_output_signature={**types, "error": tf.string})


def checked(waveform: tf.Tensor) -> tf.Tensor:
    """The waveform, or an error that names the rule and what came in."""
    waveform = tf.debugging.check_numerics(waveform, "waveform holds NaN or infinity. Allowed: finite samples in -1..1")
    highest = tf.reduce_max(tf.abs(waveform))
    # As an operation, since `tf.debugging.Assert` makes a branch of it, which costs more than all else here.
    rule = "waveform holds samples far outside -1..1 (divide 16-bit samples by 32,768). The highest is"
    asserted = tf.raw_ops.Assert(condition=highest <= HIGHEST_SAMPLE, data=[rule, highest], summarize=3)
    with tf.control_dependencies([asserted]):
        return tf.identity(waveform)


def some_row(waveform: tf.Tensor) -> tf.Tensor:
    """[B, S], of no rows one of silence: TensorFlow's convolutions refuse none."""
    return tf.pad(waveform, [[0, tf.maximum(0, 1 - tf.shape(waveform)[0])], [0, 0]])


def centred(waveform: tf.Tensor, samples: int) -> tf.Tensor:
    """[B, S] between zeros, where it is shorter than so many samples."""
    missing = tf.maximum(0, samples - tf.shape(waveform)[1])
    return tf.pad(waveform, [[0, 0], [missing // 2, missing - missing // 2]])


def ranked(probabilities: tf.Tensor) -> tf.Tensor:
    """A score [B, W] of windows with probabilities [B, W, C]: 2 + p for a command, 1 + p for unknown, p for silence."""
    best = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    from_end = probabilities.shape[-1] - 1 - best
    return tf.cast(tf.minimum(2, from_end), tf.float32) + tf.reduce_max(probabilities, axis=-1)


def best_window(
    model: Callable, mel: LogMel, waveform: np.ndarray, temperature: float, classes: list[str]
) -> dict[str, np.ndarray]:
    """What `serving_default` has to answer to a waveform float32 [S], window by window by the Keras model alone.

    model: logits [B, C] of [spectrograms float32 [B, T, M], frames int32 [B]].
    """
    size, hop = mel.clip_samples, WINDOW_HOP_FRAMES * mel.hop_samples
    missing = max(0, size - len(waveform))
    waveform = np.pad(waveform, (missing // 2, missing - missing // 2))
    best, found = -1.0, dict[str, np.ndarray]()
    starts = range(0, max(1, len(waveform) - size + hop), hop)
    padded = np.pad(waveform, (0, starts[-1] + size - len(waveform)))
    spectrograms = mel(tf.constant(np.stack([padded[start : start + size] for start in starts])))
    logits = np.asarray(model([spectrograms, tf.fill([len(starts)], mel.clip_frames)]))
    for start, row in zip(starts, logits, strict=True):
        answer = expected_answer(row, temperature, classes)
        probabilities = answer["probabilities"]
        score = min(2, len(classes) - 1 - int(probabilities.argmax())) + float(probabilities.max())
        if score > best + 1e-7:
            best, found = score, {**answer, "start_s": np.array(start / RATE_HZ, np.float32)}
    return found
