"""Spoken words made from a seed: a buzz through two resonances that move, said by voices of different pitch and size.

Always there, always small, and learnable: the words differ in how their resonances move, not in pitch or length, and
train, dev and test have voices of their own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

RATE_HZ = 16_000
TONES_ROWS = {"train": 600, "dev": 160, "test": 160}
NOISE_FOLDER = "_background_noise_"
NOISE_FRACTION = 0.02
VOICES = {"train": 40, "dev": 12, "test": 12}
# Each word: the two resonances at its beginning, middle and end, in Hz.
WORDS = {
    "ba": ((300, 800), (700, 1200), (700, 1100)),
    "di": ((300, 1800), (300, 2300), (280, 2400)),
    "gu": ((300, 1500), (320, 900), (300, 700)),
    "aya": ((700, 1200), (300, 2300), (700, 1200)),
    "iwi": ((280, 2300), (320, 700), (280, 2300)),
    "oi": ((500, 900), (450, 1500), (300, 2200)),
    "ua": ((300, 700), (500, 900), (750, 1300)),
    "eo": ((500, 1900), (500, 1400), (500, 900)),
}


def tones(split: str, rows: int, seed: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """(word, file name VOICE_nohash_N.wav, float64 [samples] within -1..1) for each recording; a few are noise."""
    rng = np.random.default_rng([seed, zlib.crc32(split.encode())])
    names = list(WORDS)
    noises = max(1, round(NOISE_FRACTION * rows))
    for number in range(rows):
        if number < noises:
            yield NOISE_FOLDER, f"noise_{number}.wav", _noise(rng, 3 * RATE_HZ)
            continue
        voice = int(rng.integers(VOICES[split]))
        word = names[number % len(names)]
        name = f"{split}{voice:02d}_nohash_{number}.wav"
        yield word, name, _say(word, np.random.default_rng([seed, zlib.crc32(f"{split}{voice}".encode())]), rng)


def _say(word: str, voice: np.random.Generator, rng: np.random.Generator) -> np.ndarray:
    """The word in a second of faint noise. A voice has a pitch and a size; each saying its own length and loudness."""
    pitch_hz, size = voice.uniform(90, 240), voice.uniform(0.88, 1.14)
    count = int(rng.uniform(0.35, 0.6) * RATE_HZ)
    time = np.linspace(0, 1, count)
    buzz_hz = pitch_hz * rng.uniform(0.95, 1.05) * (1 + 0.15 * np.sin(np.pi * time) - 0.1 * time)
    phase = 2 * np.pi * np.cumsum(buzz_hz) / RATE_HZ
    points = np.array(WORDS[word]).T * size * rng.uniform(0.97, 1.03)
    resonances = [np.interp(time, [0.1, 0.5, 0.9], hz) for hz in points]
    said = np.zeros(count)
    for harmonic in range(1, 30):
        hz = harmonic * buzz_hz
        height = sum(1 / (1 + ((hz - centre) / 120) ** 2) for centre in resonances)
        said += np.where(hz < 7000, height, 0.0) * np.sin(harmonic * phase)
    said *= np.sin(np.pi * time) ** 0.5
    clip = 0.002 * rng.standard_normal(RATE_HZ)
    start = int(rng.integers(0, RATE_HZ - count))
    clip[start : start + count] += said / np.abs(said).max() * rng.uniform(0.2, 0.8)
    return clip


def _noise(rng: np.random.Generator, count: int) -> np.ndarray:
    """Noise whose power falls with frequency, some more and some less."""
    spectrum = np.fft.rfft(rng.standard_normal(count)) / np.maximum(1, np.arange(count // 2 + 1)) ** rng.uniform(0, 1)
    noise = np.fft.irfft(spectrum, count)
    return 0.3 * noise / np.abs(noise).max()
