"""Log-mel spectrograms in core TensorFlow ops, equal to librosa's: one implementation for training and serving.

Axes: B batch, S samples, T frames, F mel bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from seqpipe.config.sound import AudioFeatures
from seqpipe.sound.recordings import RATE_HZ

FFT_SAMPLES = 512
FEW_FRAMES = 8  # up to here slices are quicker than computing where frames lie
SMALL_MATRIX = 1024  # entries

Tables = tuple[tf.Tensor, tf.Tensor]  # window [window], mel matrix [FFT_SAMPLES // 2 + 1, F]


@dataclass(frozen=True)
class LogMel:
    """Frames of a waveform in mel bands.

    A frame begins at each multiple of the hop and lies wholly inside the waveform: nothing is padded, so the frames of
    a stream are those of the whole.
    """

    config: AudioFeatures

    @property
    def window_samples(self) -> int:
        return round(self.config.window_ms * RATE_HZ / 1000)

    @property
    def hop_samples(self) -> int:
        return round(self.config.hop_ms * RATE_HZ / 1000)

    @property
    def clip_samples(self) -> int:
        """Samples that the model sees at once."""
        return round(self.config.clip_ms * RATE_HZ / 1000)

    @property
    def clip_frames(self) -> int:
        return self.frames(self.clip_samples)

    @property
    def centres_hz(self) -> np.ndarray:
        """The frequency in the middle of each mel band, ascending, float [F]."""
        return _corners_hz(self.config.bands, self.config.lowest_hz, self.config.highest_hz)[1:-1]

    def frames(self, samples: int) -> int:
        return max(0, 1 + (samples - self.window_samples) // self.hop_samples)

    def tables(self) -> Tables:
        """What every frame is multiplied by. Computed in the graph, which otherwise would hold the matrix twice."""
        matrix = mel_matrix(self.config.bands, self.config.lowest_hz, self.config.highest_hz)
        return tf.signal.hann_window(self.window_samples), matrix

    def power(self, waveform: tf.Tensor, tables: Tables | None = None) -> tf.Tensor:
        """Mel power, float32 [B, T, F], of a waveform float32 [B, S] in -1..1.

        Args:
            tables: what `tables()` gave, for a branch of a graph, in which TensorFlow would compute them each time.
        """
        window, matrix = tables or self.tables()
        samples = tf.shape(waveform)[1]
        if waveform.shape[1] is not None and waveform.shape[1] >= self.window_samples:
            return self._power(waveform, window, matrix)
        # At least one frame, since the transform refuses none; what was not there is cut off again.
        padded = tf.pad(waveform, [[0, 0], [0, tf.maximum(0, self.window_samples - samples)]])
        power = self._power(padded, window, matrix)
        return tf.cond(samples < self.window_samples, lambda: power[:, :0], lambda: power)

    def _power(self, waveform: tf.Tensor, window: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        frames = self._framed(waveform) * window  # [B, T, window]
        missing = FFT_SAMPLES - self.window_samples
        spectrum = tf.signal.rfft(tf.pad(frames, [[0, 0], [0, 0], [0, missing]]), [FFT_SAMPLES])
        return self._bands(tf.square(tf.abs(spectrum)), matrix)

    def _bands(self, power: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        """Power of the transform's bins, [B, T, bins], to that of the mel bands, [B, T, F]."""
        return tf.matmul(power, matrix)

    def _framed(self, waveform: tf.Tensor) -> tf.Tensor:
        samples, size, hop = waveform.shape[1], self.window_samples, self.hop_samples
        if samples is None or self.frames(samples) > FEW_FRAMES:
            return tf.signal.frame(waveform, size, hop)
        return tf.stack([waveform[:, n * hop : n * hop + size] for n in range(self.frames(samples))], axis=1)

    def decibels(self, power: tf.Tensor) -> tf.Tensor:
        """10 log10 of mel power, not below floor_db."""
        floor = 10.0 ** (self.config.floor_db / 10)
        return tf.math.log(tf.maximum(power, floor)) * (10.0 / np.log(10.0))

    def __call__(self, waveform: tf.Tensor, tables: Tables | None = None) -> tf.Tensor:
        """Log-mel spectrogram in decibels, float32 [B, T, F], T = 1 + (S - window) // hop, or 0 where S < window."""
        return self.decibels(self.power(waveform, tables))


@dataclass(frozen=True)
class BlockwiseLogMel(LogMel):
    """The same frames, a few neighbouring bands at a time.

    For LiteRT, which holds no matrix in eight bits that has less than SMALL_MATRIX entries: the power of a frame spans
    many orders of magnitude, and in eight bits quiet bands would be lost.
    """

    def _bands(self, power: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        with tf.init_scope():
            known = self.tables()[1].numpy()
        parts = [
            tf.matmul(power[:, :, bins], tf.constant(known[bins, bands]))
            for bins, bands in blocks(known, less_than=SMALL_MATRIX)
        ]
        return tf.concat(parts, axis=2)


def blocks(matrix: np.ndarray, *, less_than: int) -> list[tuple[slice, slice]]:
    """Rows and columns of blocks of neighbouring columns, with less entries each, that hold all of a matrix but zeros.

    A column that has more alone is a block.
    """
    found: list[tuple[slice, slice]] = []
    for column in range(matrix.shape[1]):
        first = found[-1][1].start if found else column
        for start in (first, column):
            used = np.flatnonzero(matrix[:, start : column + 1].any(axis=1))
            rows = slice(int(used.min(initial=0)), int(used.max(initial=0)) + 1)
            if (rows.stop - rows.start) * (column + 1 - start) < less_than:
                break
        if found and start == first:
            found.pop()
        found.append((rows, slice(start, column + 1)))
    return found


def mel_matrix(bands: int, lowest_hz: float, highest_hz: float) -> tf.Tensor:
    """float32 [FFT_SAMPLES // 2 + 1, bands]: triangles between neighbours on the mel scale, each of area 1 over Hz."""
    corners_hz = _corners_hz(bands, lowest_hz, highest_hz)
    bins_hz = tf.range(FFT_SAMPLES // 2 + 1, dtype=tf.float32)[:, None] * (RATE_HZ / FFT_SAMPLES)
    left, centre, right = corners_hz[:-2], corners_hz[1:-1], corners_hz[2:]
    triangles = tf.minimum((bins_hz - left) / (centre - left), (right - bins_hz) / (right - centre))
    return tf.nn.relu(triangles) * (2 / (right - left))


def _corners_hz(bands: int, lowest_hz: float, highest_hz: float) -> np.ndarray:
    """Where bands begin, have their middle and end, float32 [bands + 2]: a band goes from its neighbour to the next.

    Source: Slaney 1998, Auditory Toolbox: linear up to 1,000 Hz, then logarithmic.
    """
    linear_hz, log_step = 200 / 3, np.log(6.4) / 27

    def to_mel(hz: float) -> float:
        return hz / linear_hz if hz < 1000 else 15 + np.log(hz / 1000) / log_step

    mels = np.linspace(to_mel(lowest_hz), to_mel(highest_hz), bands + 2)
    return np.where(mels < 15, mels * linear_hz, 1000 * np.exp((mels - 15) * log_step)).astype(np.float32)
