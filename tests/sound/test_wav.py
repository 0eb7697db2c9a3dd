from __future__ import annotations

import io
import math

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf
from sound.wav_cases import READ, REFUSED, chirp, wav

from seqpipe.sound.wav import decode_wav

decode = tf.function(decode_wav, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.mark.parametrize(
    ("subtype", "atol"),
    [("PCM_U8", 0), ("PCM_16", 0), ("PCM_24", 0), ("PCM_32", 1e-7), ("FLOAT", 0), ("DOUBLE", 1e-7)],
)
@pytest.mark.parametrize("format", ["WAV", "WAVEX"])
def test_wav_is_read_as_soundfile_reads_it(subtype, atol, format):
    file = wav(np.stack([chirp(), -0.3 * chirp()], axis=1), subtype=subtype, format=format)
    expected = soundfile.read(io.BytesIO(file), dtype="float32")[0].mean(axis=1)
    np.testing.assert_allclose(decode(file)[0].numpy(), expected, rtol=0, atol=atol + 1e-7)


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 88_200, 96_000, 123_457, 192_000])
def test_wav_of_any_rate_is_resampled_as_soxr_does(rate_hz):
    sound = chirp(rate_hz)
    actual = decode(wav(sound, rate_hz, "FLOAT"))[0].numpy()
    expected = soxr.resample(sound.astype(np.float32), rate_hz, 16_000)
    assert len(actual) == math.ceil(len(sound) * 16_000 / rate_hz)
    np.testing.assert_allclose(actual[: len(expected)], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(actual[len(expected) :], 0, atol=1e-5)


def test_wav_resampling_lets_no_high_tone_through():
    time = np.arange(48_000) / 48_000
    assert np.abs(decode(wav(0.5 * np.sin(2 * np.pi * 8_100 * time), 48_000))[0].numpy()[500:-500]).max() < 1e-4


def test_wav_resampling_lets_the_end_not_sound_at_the_beginning():
    sound = np.zeros(44_100)
    sound[-1] = 0.9
    actual = decode(wav(sound, 44_100, "FLOAT"))[0].numpy()
    assert np.abs(actual[-3:]).max() > 0.1
    assert np.abs(actual[:1000]).max() < 1e-4


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        (wav(subtype="IMA_ADPCM"), "has a codec that is not read: code 17, 4 bits. Allowed: PCM"),
        (wav(subtype="ULAW"), "has a codec that is not read: code 7, 8 bits"),
        (wav(format="RF64"), "is an RF64 file, which seqpipe's command line reads. Allowed: WAV"),
        (wav(format="FLAC"), "is a FLAC file. Allowed: WAV"),
    ],
    ids=["ADPCM", "mu-law", "RF64", "FLAC"],
)
def test_wav_in_the_graph_knows_no_other_codec(file, rule):
    waveform, error = decode(file)
    assert waveform.shape == (0,)
    assert error.numpy().decode().startswith(rule)


def test_wav_files_are_decoded_by_one_graph():
    for file, _ in [*READ.values(), *REFUSED.values()]:
        decode(file)
    assert decode.experimental_get_tracing_count() == 1


def test_wav_of_any_bytes_is_no_error_of_tensorflow():
    """Each byte of a header changed, headers cut anywhere, and bytes without a meaning."""
    rng = np.random.default_rng(0)
    file = wav(chirp(seconds=0.01))
    damaged = [file[:size] for size in range(64)]
    for at in range(44):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            damaged.append(file[:at] + bytes([value]) + file[at + 1 :])
    damaged += [b"RIFF" + rng.bytes(4) + b"WAVE" + rng.bytes(int(size)) for size in rng.integers(0, 300, 100)]
    for content in damaged:
        waveform, error = decode(content)
        assert bool(error.numpy()) == (waveform.shape == (0,))
        assert np.isfinite(waveform).all()
