"""Commands in a recording of any length, heard through the `stream` signature in constant memory."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seqpipe.config.sound import SILENCE, UNKNOWN
from seqpipe.data.files import as_on_disk
from seqpipe.errors import DataError, ModelError
from seqpipe.sound.recordings import RATE_HZ
from seqpipe.sound.sound_file import NO_SAMPLES, READ, checked, opened

if TYPE_CHECKING:
    from seqpipe.serving.model import Model

PIECE_MS = 40
BLOCK_S = 1.0  # of a file, read at once
QUIET_S = 0.5  # after a recording: a model is surest of a word once it is over


@dataclass(frozen=True)
class Heard:
    """A command: when, in seconds from the beginning, and the highest smoothed probability."""

    label: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class Detector:
    """From probabilities, one every PIECE_MS, to commands.

    threshold: a command is heard where its smoothed probability reaches this; it lasts while that is above half of it.
    smoothing_ms: probabilities are averaged over so long; before a stream begins they are 0.
    refractory_ms: after a command, none is found for so long.
    """

    threshold: float = 0.8
    smoothing_ms: float = 200.0
    refractory_ms: float = 500.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise DataError(f"--threshold {self.threshold:g} is not a probability. Allowed: above 0, up to 1.")
        for name, value in (("smoothing", self.smoothing_ms), ("refractory", self.refractory_ms)):
            if not 0 <= value <= 60_000:
                raise DataError(f"--{name}-ms {value:g} is not allowed. Allowed: 0 to 60,000.")

    def commands(self, probabilities: Iterable[np.ndarray], labels: list[str]) -> Iterator[Heard]:
        """Commands in the order of their ends.

        Args:
            probabilities: float [C] each, after each piece.
            labels: C names; unknown and silence are no commands.
        """
        hearing = Hearing(self, labels)
        for piece in probabilities:
            yield from hearing.piece(piece)
        yield from hearing.end()


class Hearing:
    """A detector at work, piece by piece.

    Args:
        labels: C names; unknown and silence are no commands.
    """

    def __init__(self, detector: Detector, labels: list[str]):
        self._detector, self._labels = detector, labels
        self._chosen = [number for number, label in enumerate(labels) if label not in (UNKNOWN, SILENCE)]
        self._smoothed_over = max(1, round(detector.smoothing_ms / PIECE_MS))
        self._recent: deque[np.ndarray] = deque(maxlen=self._smoothed_over)
        self._going: tuple[int, float, float] | None = None  # number, start, confidence
        self._rising = np.zeros(len(self._chosen))  # when each one's probability last rose above half of the threshold
        self._over_s = self._free_s = self._now_s = 0.0

    def piece(self, probabilities: np.ndarray) -> list[Heard]:
        """The command that is over after another piece, float [C]; most often none."""
        before_s, self._now_s = self._now_s, self._now_s + PIECE_MS / 1000
        threshold = self._detector.threshold
        self._recent.append(np.asarray(probabilities)[self._chosen])
        smoothed = np.sum(self._recent, axis=0) / self._smoothed_over
        self._rising = np.where(smoothed >= threshold / 2, self._rising, self._now_s)
        over = []
        if self._going is not None:
            number, start_s, confidence = self._going
            if smoothed[number] >= threshold / 2:
                self._going = number, start_s, max(confidence, float(smoothed[number]))
                return []
            over.append(Heard(self._labels[self._chosen[number]], start_s, before_s, confidence))
            self._going, self._over_s = None, before_s
            self._free_s = before_s + self._detector.refractory_ms / 1000
        number = int(smoothed.argmax())
        if smoothed[number] >= threshold and self._now_s >= self._free_s:
            self._going = number, max(float(self._rising[number]), self._over_s), float(smoothed[number])
        return over

    def end(self) -> list[Heard]:
        """The command that lasted to the end."""
        if self._going is None:
            return []
        return [Heard(self._labels[self._chosen[self._going[0]]], self._going[1], self._now_s, self._going[2])]


def listen(model: Model, blocks: Iterable[np.ndarray], detector: Detector) -> Iterator[Heard]:
    """Commands in blocks of samples, float32 [S] each, 16 kHz.

    Raises:
        ModelError: the model does not stream.
    """
    if "stream" not in model.signatures:
        raise ModelError(f"{model.path} does not stream: it has no signature stream. Train one with model.streaming.")
    signature = model.loaded.signatures["stream"]
    state = {name: spec for name, spec in signature.structured_input_signature[1].items() if name != "waveform"}
    return _before_the_end(blocks, lambda blocks: detector.commands(stream(signature, state, blocks), model.labels))


def _before_the_end(
    blocks: Iterable[np.ndarray], commands: Callable[[Iterable[np.ndarray]], Iterator[Heard]]
) -> Iterator[Heard]:
    """Commands in the blocks and some quiet after them; none lasts longer than the blocks."""
    read_s = 0.0

    def followed_by_quiet() -> Iterator[np.ndarray]:
        nonlocal read_s
        for block in blocks:
            read_s += len(block) / RATE_HZ
            yield block
        yield np.zeros(round(QUIET_S * RATE_HZ), np.float32)

    for heard in commands(followed_by_quiet()):
        yield replace(heard, start_s=min(heard.start_s, read_s), end_s=min(heard.end_s, read_s))


def stream(signature: Callable, specs: dict[str, Any], blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Probabilities float32 [C] after each PIECE_MS of blocks of samples; what is left in the end counts as a piece.

    Args:
        signature: takes a waveform and the state by name, gives probabilities and the new state.
        specs: of the state.
    """
    import tensorflow as tf

    state = {name: tf.zeros([1, *spec.shape[1:]], spec.dtype) for name, spec in specs.items()}
    for piece in _pieces(blocks, RATE_HZ * PIECE_MS // 1000):
        outputs = signature(waveform=tf.constant(piece[None]), **state)
        state = {name: outputs[name] for name in state}
        yield outputs["probabilities"].numpy()[0]


def _pieces(blocks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    left = np.zeros(0, np.float32)
    for block in blocks:
        left = np.concatenate([left, block.astype(np.float32)])
        for start in range(0, len(left) - size + 1, size):
            yield left[start : start + size]
        left = left[len(left) // size * size :]
    if len(left):
        yield left


def recording_at(file: Path) -> Path:
    """Raises DataError: there is no such file."""
    path = as_on_disk(str(file))
    if not path.is_file():
        raise DataError(f"{file} is no file. Allowed: recordings ({READ}).")
    return path


def read_blocks(file: Path) -> Iterator[np.ndarray]:
    """A recording, block by block: float32 [S] each, resampled to 16 kHz, channels averaged.

    Raises:
        DataError: there is no such file, or it breaks a rule of `sound_file`.
    """
    import soxr

    try:
        with opened(recording_at(file)) as recording:
            if not recording.frames:
                raise ValueError(NO_SAMPLES)
            size = round(BLOCK_S * recording.samplerate)
            resampler = soxr.ResampleStream(recording.samplerate, RATE_HZ, 1, dtype="float32")
            while len(block := recording.read(size, dtype="float32", always_2d=True)):
                yield np.clip(resampler.resample_chunk(checked(block).mean(axis=1)), -1, 1)
            yield np.clip(resampler.resample_chunk(np.zeros(0, np.float32), last=True), -1, 1)
    except ValueError as error:
        raise DataError(f"{file} {error}.") from None


def microphone() -> Iterator[np.ndarray]:
    """What the default microphone hears, until it is interrupted.

    Raises:
        DataError: the extra [microphone] is not installed, or there is no microphone.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio, which it needs, is missing
        raise DataError(f"--microphone needs pip install 'seqpipe[microphone]': {error}.") from None
    try:
        with sounddevice.InputStream(samplerate=RATE_HZ, channels=1, dtype="float32") as opened:
            while True:
                block, _ = opened.read(RATE_HZ * PIECE_MS // 1000)
                yield block[:, 0]
    except sounddevice.PortAudioError as error:
        raise DataError(f"--microphone: {error}") from None


def as_line(heard: Heard, file: str, format: Literal["text", "jsonl"]) -> str:
    """A command as a line: for people, or as JSON."""
    if format == "jsonl":
        facts: dict[str, object] = {"file": file, "label": heard.label, "start_s": round(heard.start_s, 3)}
        return json.dumps({**facts, "end_s": round(heard.end_s, 3), "confidence": round(heard.confidence, 4)})
    return f"{heard.start_s:10.2f}  {heard.end_s:10.2f}  {heard.label:<12}  {heard.confidence:.3f}"
