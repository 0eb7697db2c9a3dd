"""Changes of training clips, as mel power: drawn from (seed, epoch, row), vectorised over a batch.

In mel power a sum of two sounds is the sum of their powers (their phases being unrelated, on average), a change of
speed or pitch is a stretch along time or bands, and a room is a decay along time; so clips are analysed once, and a
batch costs a few array operations instead of so many transforms.

Axes: B batch, T frames, F mel bands.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from seqpipe.config.sound import Augmentation

DRAWS = 48  # uniform numbers a row and an epoch, enough for the most masks that are allowed


class Kind(IntEnum):
    """What a training row is."""

    CLIP = 0
    SILENCE = 1
    MADE = 2  # an unknown word made of other clips


class Augmenter:
    """Batches of changed clips.

    Args:
        config: what changes, and how far.
        power: float32 [N, T, F], the mel power of all rows.
        kinds: int [N].
        labels: int [N]; two clips of one label make no word of both.
        silence: the label of which no word is made.
        noise: float32 [frames, F], mel power of noise; at least 2 T frames.
        hop_ms: of a frame.
        floor: power that silence is set to.
        seed: of all draws.
    """

    def __init__(
        self,
        config: Augmentation,
        *,
        power: np.ndarray,
        kinds: np.ndarray,
        labels: np.ndarray,
        silence: int,
        noise: np.ndarray,
        hop_ms: float,
        floor: float,
        seed: int,
    ):
        self.config, self.power, self.kinds, self.labels, self.noise = config, power, kinds, labels, noise
        self.hop_ms, self.floor, self.seed = hop_ms, floor, seed
        self.clips = np.flatnonzero((kinds == Kind.CLIP) & (labels != silence))
        self.frames, self.bands = power.shape[1:]
        self._epoch = -1
        self._drawn = np.zeros((0, DRAWS), np.float32)

    def batch(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        """Decibels float32 [B, T, F] of the rows as they are in an epoch."""
        draws = _Draws(self._draws(epoch)[rows])
        kinds = self.kinds[rows]
        power = self._clips(rows, kinds, draws)
        power = self._warped(power, draws)
        power = self._reverberated(power, draws)
        power *= _from_db(self.config.gain_db * draws.between(-1, 1))[:, None, None]
        power = self._with_noise(power, kinds, draws)
        decibels = 10 * np.log10(np.maximum(power, self.floor))
        return self._masked(decibels, draws).astype(np.float32)

    def _draws(self, epoch: int) -> np.ndarray:
        """float32 [N, DRAWS] in 0..1, the same for the same (seed, epoch)."""
        if epoch != self._epoch:
            self._drawn = np.random.default_rng([self.seed, epoch, 1]).random((len(self.kinds), DRAWS), np.float32)
            self._epoch = epoch
        return self._drawn

    def _clips(self, rows: np.ndarray, kinds: np.ndarray, draws: _Draws) -> np.ndarray:
        """Mel power [B, T, F]: clips as they are, made words, and nothing for silence."""
        first, second, third = (self.clips[draws.index(len(self.clips))] for _ in range(3))
        way, cut = draws.between(0, 1), draws.between(0.4, 0.6)
        power = self.power[rows]
        made = np.flatnonzero(kinds == Kind.MADE)
        if len(made):
            power[made] = self._made_words(first[made], second[made], third[made], way[made], cut[made])
        return power

    def _made_words(
        self, first: np.ndarray, second: np.ndarray, third: np.ndarray, way: np.ndarray, cut: np.ndarray
    ) -> np.ndarray:
        """Words nobody says, float32 [M, T, F]: reversed, spliced halves, or several at once."""
        same = self.labels[first] == self.labels[second]
        a, b, c = (self.power[rows] for rows in (first, second, third))
        b = b * (_loudness(a) / _loudness(b))[:, None, None]
        c = c * (_loudness(a) / _loudness(c))[:, None, None]
        middle = self.frames // 2
        starts_a, ends_a = _extent(a)
        starts_b, ends_b = _extent(b)
        inside_a = (starts_a + cut * (ends_a - starts_a)).astype(int)
        inside_b = (starts_b + (1 - cut) * (ends_b - starts_b)).astype(int)
        before = np.arange(self.frames)[None, :] < middle
        # The beginning of one word and the end of another; or an end before a beginning, even of the same word.
        begun = np.where(before[..., None], _moved(a, middle - inside_a), _moved(b, middle - inside_b))
        length_b = ends_b - inside_b
        ended = np.where(before[..., None], _moved(b, middle - ends_b), _moved(a, middle - starts_a))
        ended *= (
            np.abs(np.arange(self.frames)[None, :] - middle + 0.5)[..., None]
            < np.maximum(8, np.maximum(length_b, inside_a - starts_a))[:, None, None]
        )
        way = np.where(same, 0.45 + 0.4 * way, way)[:, None, None]
        return np.select(
            [way < 0.45, way < 0.7, way < 0.85], [begun, ended, a[:, ::-1]], default=(a + b + c * (way > 0.92))
        )

    def _warped(self, power: np.ndarray, draws: _Draws) -> np.ndarray:
        """Shifted in time, faster or slower, higher or lower; what comes in from outside is nothing."""
        speed = np.exp(np.log1p(self.config.speed) * draws.between(-1, 1))
        pitch = np.exp(np.log1p(self.config.pitch) * draws.between(-1, 1))
        shift = self.config.shift_ms / self.hop_ms * draws.between(-1, 1)
        centre = (self.frames - 1) / 2
        times = (np.arange(self.frames)[None, :] - centre - shift[:, None]) * speed[:, None] + centre
        bands = np.arange(self.bands)[None, :] * pitch[:, None]
        power = np.pad(power, [(0, 0), (1, 1), (0, 0)])
        power = _interpolated(power, np.clip(times + 1, 0, self.frames + 1), axis=1)
        return _interpolated(power, np.clip(bands, 0, self.bands - 1), axis=2)

    def _reverberated(self, power: np.ndarray, draws: _Draws) -> np.ndarray:
        """With the energy of an exponentially decaying impulse response behind each frame, in some of the rows."""
        chosen = np.flatnonzero(draws.chance(self.config.reverberation_fraction))
        longest_ms = self.config.longest_reverberation_ms
        fall_ms = draws.between(min(100.0, longest_ms), longest_ms)[chosen]
        wet = draws.between(0.05, 1.0)[chosen, None]
        decay = _from_db(-60 * self.hop_ms / fall_ms)[:, None]
        part = power[chosen]
        tail = np.zeros_like(part[:, 0])
        for frame in range(self.frames):
            direct = part[:, frame].copy()
            part[:, frame] += wet * (1 - decay) * tail
            tail = decay * (tail + direct)
        power[chosen] = part
        return power

    def _with_noise(self, power: np.ndarray, kinds: np.ndarray, draws: _Draws) -> np.ndarray:
        """Noise at a signal-to-noise ratio in some of the rows; alone, at any level, in silence."""
        starts = draws.index(len(self.noise) - self.frames)
        noise = self.noise[starts[:, None] + np.arange(self.frames)[None, :]]  # [B, T, F]
        level = np.maximum(noise.mean(axis=(1, 2)), 1e-12)
        snr_db = draws.between(self.config.lowest_snr_db, self.config.highest_snr_db)
        mixed = _loudness(power) * _from_db(-snr_db) * draws.chance(self.config.noise_fraction)
        alone = _from_db(draws.between(-65, -5)) * draws.chance(0.95)
        wanted = np.where(kinds == Kind.SILENCE, alone, mixed)
        power = np.where((kinds == Kind.SILENCE)[:, None, None], 0.0, power)
        return power + noise * (wanted / level)[:, None, None]

    def _masked(self, decibels: np.ndarray, draws: _Draws) -> np.ndarray:
        """SpecAugment (Park et al., 2019): stretches of time and of bands set to the row's mean."""
        masked = np.zeros(decibels.shape, bool)
        longest = int(self.config.longest_time_mask_ms / self.hop_ms)
        for _ in range(self.config.time_masks):
            masked |= _stretch(self.frames, longest, draws.between(0, 1), draws.between(0, 1))[:, :, None]
        widest = self.config.widest_band_mask
        for _ in range(self.config.band_masks):
            masked |= _stretch(self.bands, widest, draws.between(0, 1), draws.between(0, 1))[:, None]
        return np.where(masked, decibels.mean(axis=(1, 2), keepdims=True), decibels)


class _Draws:
    """The uniform numbers of some rows, used one after another."""

    def __init__(self, uniform: np.ndarray):
        self.uniform, self.used = uniform, 0

    def _next(self) -> np.ndarray:
        self.used += 1
        return self.uniform[:, self.used - 1]

    def between(self, low: float, high: float) -> np.ndarray:
        return low + (high - low) * self._next()

    def chance(self, share: float) -> np.ndarray:
        return self._next() < share

    def index(self, count: int) -> np.ndarray:
        return np.minimum((self._next() * count).astype(np.int64), count - 1)


def _from_db(decibels: np.ndarray) -> np.ndarray:
    return 10 ** (decibels / 10)


def _loudness(power: np.ndarray) -> np.ndarray:
    """Mean power [B] of the frames in which there is something."""
    frames = power.mean(axis=2)
    loud = frames >= 0.1 * frames.max(axis=1, keepdims=True)
    return np.maximum((frames * loud).sum(axis=1) / loud.sum(axis=1), 1e-12)


def _extent(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First frame [B] and the one behind the last [B] within 25 dB of the loudest."""
    frames = power.mean(axis=2)
    heard = frames >= 10**-2.5 * frames.max(axis=1, keepdims=True)
    return heard.argmax(axis=1), frames.shape[1] - heard[:, ::-1].argmax(axis=1)


def _moved(power: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Each row later by so many frames; nothing comes in."""
    places = np.arange(power.shape[1])[None, :] - frames[:, None]
    inside = (places >= 0) & (places < power.shape[1])
    moved = np.take_along_axis(power, np.clip(places, 0, power.shape[1] - 1)[:, :, None], axis=1)
    return moved * inside[:, :, None]


def _interpolated(power: np.ndarray, places: np.ndarray, *, axis: int) -> np.ndarray:
    """Values at fractional places [B, size] along an axis, linear between neighbours."""
    low = np.minimum(places.astype(np.int64), power.shape[axis] - 2)
    shape = (len(power), -1, 1) if axis == 1 else (len(power), 1, -1)
    rest = (places - low).astype(np.float32).reshape(shape)
    below = np.take_along_axis(power, low.reshape(shape), axis=axis)
    above = np.take_along_axis(power, (low + 1).reshape(shape), axis=axis)
    return below + rest * (above - below)


def _stretch(size: int, longest: int, length: np.ndarray, place: np.ndarray) -> np.ndarray:
    """bool [B, size], true in a stretch of each row: of 0 to `longest` steps, anywhere.

    Args:
        length, place: float [B], uniform in 0..1.
    """
    length = np.floor(length * (min(longest, size) + 1)).astype(int)[:, None]
    start = np.floor(place[:, None] * (size - length + 1)).astype(int)
    steps = np.arange(size)[None, :]
    return (steps >= start) & (steps < start + length)
