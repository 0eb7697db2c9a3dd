from __future__ import annotations

import io
import struct

import librosa
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from seqpipe.sound.wav import RATES_HZ, decode_wav

decode = tf.function(decode_wav, input_signature=[tf.TensorSpec([], tf.string)])


def chirp(rate_hz=16_000, seconds=0.5):
    time = np.arange(int(rate_hz * seconds)) / rate_hz
    return 0.5 * np.sin(2 * np.pi * (200 + 2000 * time) * time) * np.sin(np.pi * time / seconds) ** 2


def wav(samples, rate_hz=16_000, subtype="PCM_16", format="WAV"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, subtype=subtype, format=format)
    return file.getvalue()


@pytest.mark.parametrize(
    ("subtype", "atol"),
    [("PCM_U8", 0), ("PCM_16", 0), ("PCM_24", 0), ("PCM_32", 1e-7), ("FLOAT", 0), ("DOUBLE", 1e-7)],
)
@pytest.mark.parametrize("format", ["WAV", "WAVEX"])
def test_wav_is_read_as_soundfile_reads_it(subtype, atol, format):
    file = wav(np.stack([chirp(), -0.3 * chirp()], axis=1), subtype=subtype, format=format)
    expected = soundfile.read(io.BytesIO(file), dtype="float32")[0].mean(axis=1)
    np.testing.assert_allclose(decode(file).numpy(), expected, rtol=0, atol=atol + 1e-7)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_wav_of_any_rate_is_resampled_as_librosa_does(rate_hz):
    sound = chirp(rate_hz)
    actual = decode(wav(sound, rate_hz, "FLOAT")).numpy()
    expected = librosa.resample(sound.astype(np.float32), orig_sr=rate_hz, target_sr=16_000, res_type="soxr_hq")
    assert len(actual) == len(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-3)


def test_wav_resampling_lets_no_high_tone_through():
    time = np.arange(48_000) / 48_000
    assert np.abs(decode(wav(0.5 * np.sin(2 * np.pi * 11_000 * time), 48_000)).numpy()[500:-500]).max() < 5e-3


def test_wav_without_samples_is_an_empty_waveform():
    assert decode(wav(np.zeros(0), 44_100)).numpy().shape == (0,)


def test_wav_passes_over_chunks_it_does_not_know():
    file = wav(chirp())
    extra = changed(4, "<I", len(file) - 8 + 14)[:12] + b"LIST" + struct.pack("<I", 5) + b"hello\0" + file[12:]
    np.testing.assert_array_equal(decode(extra), decode(file))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_wav_whose_writer_did_not_know_the_size_of_the_file(size):
    np.testing.assert_array_equal(decode(changed(4, "<I", size)), decode(wav(chirp())))


def changed(at, form, value):
    file = bytearray(wav(chirp()))
    struct.pack_into(form, file, at, value)
    return bytes(file)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"", "there is no header"),
        (b"RIFF", "there is no header"),
        (b"fLaC" + bytes(100), "no WAV file"),
        (wav(chirp())[:30], "no whole fmt chunk"),
        (wav(chirp())[:36], "no data chunk"),
        (wav(chirp())[:2000], "truncated, or its size field is wrong.*16000.*1956"),
        (changed(40, "<I", 0xFFFFFFFF), "size field is wrong"),
        (changed(40, "<I", 0), "size field is wrong.*0.*16000"),
        (changed(4, "<I", 7), "size field of the RIFF header is wrong.*7.*16036"),
        (changed(4, "<I", 20_000), "size field of the RIFF header is wrong.*20000.*16036"),
        (changed(40, "<I", 16_000 - 1), "ends inside a frame"),
        (changed(22, "<H", 0), "zero channels"),
        (changed(24, "<I", 0), "sample rate is not read"),
        (changed(24, "<I", 12_345), "sample rate is not read.*12345"),
        (changed(34, "<H", 12), "codec is not read"),
        (wav(chirp(), subtype="IMA_ADPCM"), "codec is not read.*17 IMA ADPCM"),
        (wav(chirp(), subtype="ULAW"), "codec is not read.*7 mu-law"),
        (wav(np.array([0.1, np.nan]), subtype="FLOAT"), "NaN or infinite"),
    ],
    # Named, for the bytes of a file of floats hold the time it was written: every worker would name another test.
    ids=[
        "empty",
        "half a header",
        "FLAC",
        "half a fmt chunk",
        "no data chunk",
        "truncated",
        "unknown size",
        "no bytes said",
        "small RIFF size",
        "large RIFF size",
        "half a frame",
        "no channels",
        "no rate",
        "odd rate",
        "12 bits",
        "ADPCM",
        "mu-law",
        "NaN",
    ],
)
def test_wav_that_cannot_be_read_names_the_rule(file, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s){message}"):
        decode(file)
