"""Noise from a seed, and silence made of it and of recorded noise."""

from __future__ import annotations

import numpy as np

from seqpipe.sound.recordings import RATE_HZ

SLOPES = (0.0, 0.5, 1.0)  # white, pink, brown: how the amplitude falls with frequency
LEVEL = 0.1  # standard deviation; whoever mixes it in scales it


def generated_noise(rng: np.random.Generator, seconds: float) -> list[np.ndarray]:
    """White, pink and brown noise and a hum with its harmonics, float32 [samples] each, together so many seconds."""
    samples = round(seconds * RATE_HZ / (len(SLOPES) + 1))
    steps = np.maximum(1, np.arange(samples // 2 + 1))
    noises = [np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) / steps**slope, samples) for slope in SLOPES]
    time = np.arange(samples) / RATE_HZ
    pitch_hz = rng.choice([50.0, 60.0])
    hum = sum(np.sin(2 * np.pi * pitch_hz * k * time + rng.uniform(0, 6)) / k for k in range(1, 12))
    noises.append(hum / np.std(hum) + 0.1 * rng.standard_normal(samples))
    return [(LEVEL * noise / np.std(noise)).astype(np.float32) for noise in noises]


def silence(rng: np.random.Generator, noise: list[np.ndarray], *, rows: int, samples: int) -> np.ndarray:
    """Clips in which nobody speaks: stretches of the recorded noise as they are, and generated noise at any level.

    Args:
        noise: float32 [samples] each, as recorded; those shorter than a clip are not used.
        rows, samples: of the result.
    Returns:
        float32 [rows, samples].
    """
    long_enough = [wave for wave in noise if len(wave) >= samples]
    clips = np.zeros((rows, samples), np.float32)
    for row in range(rows):
        recorded = bool(long_enough) and row % 2 == 0
        sources = long_enough if recorded else generated_noise(rng, 4 * samples / RATE_HZ)
        wave = sources[int(rng.integers(len(sources)))]
        start = int(rng.integers(len(wave) - samples + 1))
        level = 1.0 if recorded else 10 ** (rng.uniform(-50, 0) / 20)
        clips[row] = wave[start : start + samples] * level
    return clips
