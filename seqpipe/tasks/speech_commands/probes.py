"""What a recogniser is proved with: real sounds, and what a client sends by mistake or in malice."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from seqpipe.sound.recordings import RATE_HZ
from seqpipe.sound.sound_file import checked, opened


def probes(real: list[np.ndarray], clip_samples: int) -> list[np.ndarray]:
    """Waveforms for the proof: real ones, and what a client sends by mistake or in malice.

    The empty one comes first, because the warm-up requests beside the model hold the first.
    """
    steps = np.arange(clip_samples)
    return [
        np.zeros(0, np.float32),
        *real,
        np.ones(1, np.float32),
        np.zeros(clip_samples, np.float32),
        np.where(steps // 40 % 2, 1, -1).astype(np.float32),
        np.full(clip_samples + 1, 0.5, np.float32),
        np.concatenate([*real[:3], np.zeros(100, np.float32)]),
        np.random.default_rng(0).uniform(-1, 1, 4 * clip_samples).astype(np.float32),
    ]


def wav_probes(waveforms: list[np.ndarray]) -> list[bytes]:
    """WAV files of 16 kHz: each waveform in another encoding, some of two channels; and what cannot be read.

    A tiny one comes first, because the warm-up requests hold it.
    """
    encodings = ["PCM_16", "PCM_U8", "PCM_24", "PCM_32", "FLOAT"]
    files = []
    for number, wave in enumerate([np.ones(1, np.float32), *waveforms, np.zeros(0, np.float32)]):
        file = io.BytesIO()
        channels = np.stack([wave, 0.5 * wave], axis=1) if number % 2 else wave
        soundfile.write(file, channels, RATE_HZ, encodings[number % len(encodings)], format="WAV")
        files.append(file.getvalue())
    return [*files, files[1][: len(files[1]) // 3], b""]


def read_wav(file: bytes) -> np.ndarray:
    """float32 [samples] of a WAV file of 16 kHz, channels averaged.

    Raises:
        ValueError: with the rule that it breaks.
    """
    with opened(io.BytesIO(file)) as recording:
        return checked(recording.read(dtype="float32", always_2d=True)).mean(axis=1)
