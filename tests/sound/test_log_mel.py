from __future__ import annotations

import librosa.filters
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf

from seqpipe.config.sound import AudioFeatures
from seqpipe.sound.log_mel import FFT_SAMPLES, LogMel


def chirp(samples=20_000):
    rng = np.random.default_rng(0)
    time = np.arange(samples) / 16_000
    return (0.3 * np.sin(2 * np.pi * (200 + 2500 * time) * time) + 0.01 * rng.normal(size=samples)).astype(np.float32)


@pytest.mark.parametrize("bands", [20, 40, 80])
def test_log_mel_is_librosas(bands):
    mel = LogMel(AudioFeatures(bands=bands, floor_db=-80))
    wave = chirp()
    # librosa's own spectrum waits half a minute for numba; its filters do not.
    frames = np.lib.stride_tricks.sliding_window_view(wave, mel.window_samples)[:: mel.hop_samples]
    power = np.abs(np.fft.rfft(frames * scipy.signal.windows.hann(mel.window_samples, sym=False), FFT_SAMPLES)) ** 2
    filters = librosa.filters.mel(
        sr=16_000, n_fft=FFT_SAMPLES, n_mels=bands, fmin=mel.config.lowest_hz, fmax=mel.config.highest_hz
    )
    expected = 10 * np.log10(np.maximum(power @ filters.T, 1e-8))
    actual = mel(tf.constant(wave[None])).numpy()[0]
    assert actual.shape == (mel.frames(len(wave)), bands)
    np.testing.assert_allclose(actual, expected[: len(actual)], rtol=0, atol=2e-3)


@pytest.mark.parametrize("samples", [1_200, 5_000])
def test_log_mel_frames_do_not_depend_on_what_comes_later(samples):
    mel = LogMel(AudioFeatures())
    wave = chirp()
    whole = mel(tf.constant(wave[None])).numpy()
    part = mel(tf.constant(wave[None, :samples])).numpy()
    np.testing.assert_allclose(part, whole[:, : part.shape[1]], atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 399, 400])
def test_log_mel_of_short_waveforms(samples):
    mel = LogMel(AudioFeatures())
    spectrogram = mel(tf.zeros([2, samples])).numpy()
    assert spectrogram.shape == (2, samples // 400, 40)
    assert (spectrogram == pytest.approx(-60)) if samples == 400 else not spectrogram.size


def test_log_mel_counts_samples_and_frames():
    mel = LogMel(AudioFeatures(window_ms=25, hop_ms=10, clip_ms=1000))
    assert (mel.window_samples, mel.hop_samples, mel.clip_samples) == (400, 160, 16_000)
    assert mel.clip_frames == 98
    assert [mel.frames(samples) for samples in (0, 399, 400, 559, 560)] == [0, 0, 1, 1, 2]
