"""WAV files to 16 kHz waveforms in core TensorFlow ops: what `tf.audio.decode_wav` reads (16-bit PCM), and the rest.

Each assertion names the rule and what came in, so a request that breaks one gets an error that says which.

Axes: S samples, C channels, N bytes.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from seqpipe.sound.recordings import RATE_HZ, UNSAID

RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
# (code, bits a sample) that can be read.
ENCODINGS = ((PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64))
CODECS = {2: "Microsoft ADPCM", 6: "A-law", 7: "mu-law", 17: "IMA ADPCM", 49: "GSM 6.10", 80: "MPEG", 85: "MP3"}
ZERO_CROSSINGS = 24  # of the sinc on each side: the filter's length
ROLLOFF = 0.94  # of the Nyquist frequency, from where the filter falls


def decode_wav(file: tf.Tensor) -> tf.Tensor:
    """A WAV file's bytes, a string scalar, as float32 [S] in -1..1: 16 kHz, channels averaged."""
    data = tf.cast(tf.io.decode_raw(file, tf.uint8), tf.int32)  # [N]
    size = tf.shape(data)[0]
    with _asserted(size >= 12, "wav: there is no header; a WAV file has at least 44 bytes, here are", size):
        data = tf.identity(data)
    riff = tf.logical_and(_is(data, 0, b"RIFF"), _is(data, 8, b"WAVE"))
    with _asserted(riff, "wav: these bytes are no WAV file; one begins with RIFF....WAVE. Bytes:", size):
        format_at, data_at = _chunks(data)
    with _asserted(format_at >= 0, "wav: the file holds no whole fmt chunk before its samples; its bytes:", size):
        code, channels = _uint16(data, format_at), _uint16(data, format_at + 2)
        rate_hz, bits = _uint32(data, format_at + 4), _uint16(data, format_at + 14)
    format_size = _uint32(data, format_at - 4)
    # The real code of an extensible format are the first two bytes of its identifier.
    extended = tf.logical_and(tf.equal(code, EXTENSIBLE), format_size >= 26)
    code = tf.cond(extended, lambda: _uint16(data, format_at + 24), lambda: code)
    known = tf.reduce_any([tf.logical_and(tf.equal(code, c), tf.equal(bits, b)) for c, b in ENCODINGS])
    names = ", ".join(f"{number} {name}" for number, name in CODECS.items())
    allowed = "Allowed: PCM (1) of 8, 16, 24 or 32 bits, float (3) of 32 or 64"
    with (
        _asserted(known, f"wav: the codec is not read. {allowed}; {names} are not. Codec and bits:", code, bits),
        _asserted(channels > 0, "wav: the header says zero channels. Allowed: one or more; here", channels),
        _asserted(
            tf.reduce_any(tf.equal(rate_hz, RATES_HZ)),
            f"wav: the sample rate is not read. Allowed, in Hz: {', '.join(map(str, RATES_HZ))}; here",
            rate_hz,
        ),
        _asserted(data_at >= 0, "wav: the file holds no data chunk; its bytes:", size),
    ):
        wanted, there = _uint32(data, data_at - 4), tf.cast(size - data_at, tf.int64)
        channels, rate_hz = tf.identity(channels), tf.identity(rate_hz)  # what uses them waits for the assertions
        frame = tf.cast(channels * bits // 8, tf.int64)
        said, whole = _uint32(data, 4), tf.cast(size - 8, tf.int64)
    needed = tf.cast(data_at - 8, tf.int64) + wanted  # of the size in the file's head
    with (
        _asserted(
            # No bytes said and some there is what a recorder leaves that was cut off.
            tf.logical_and(wanted <= there, tf.logical_or(wanted > 0, tf.equal(there, 0))),
            "wav: the file is truncated, or its size field is wrong. Bytes said, there:",
            wanted,
            there,
        ),
        _asserted(
            tf.reduce_any([tf.logical_and(needed <= said, said <= whole + 1), *(tf.equal(said, u) for u in UNSAID)]),
            "wav: the size field of the RIFF header is wrong. Bytes said, there:",
            said,
            whole,
        ),
        _asserted(
            tf.equal(wanted % frame, 0),
            "wav: the data chunk ends inside a frame. Bytes, bytes a frame:",
            wanted,
            frame,
        ),
    ):
        body = tf.strings.substr(file, data_at, tf.cast(wanted, tf.int32))
    samples = _samples(body, code, bits)
    finite = tf.reduce_all(tf.math.is_finite(samples))
    with _asserted(finite, "wav: a sample is NaN or infinite; samples:", tf.size(samples)):
        mono = tf.reduce_mean(tf.reshape(samples, [-1, channels]), axis=1)
    return resample(mono, tf.cast(rate_hz, tf.int32))


def _asserted(condition: tf.Tensor, rule: str, *values: tf.Tensor) -> Any:
    """What is computed inside waits until the condition is found true."""
    return tf.control_dependencies([tf.debugging.Assert(condition, [rule, *values])])


def _is(data: tf.Tensor, at: tf.Tensor | int, name: bytes) -> tf.Tensor:
    return tf.reduce_all(tf.equal(data[at : at + len(name)], list(name)))


def _uint16(data: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    return data[at] + 256 * data[at + 1]


def _uint32(data: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """int64, since a size field may say what int32 does not hold."""
    return tf.reduce_sum(tf.cast(data[at : at + 4], tf.int64) * [1, 256, 256**2, 256**3])


def _chunks(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the bodies of the fmt and the data chunk begin, -1 for one that is not there."""
    size = tf.shape(data)[0]

    def body(at: tf.Tensor, format_at: tf.Tensor, data_at: tf.Tensor) -> tuple[tf.Tensor, ...]:
        length = _uint32(data, at + 4)
        whole = tf.logical_and(length >= 16, tf.cast(at + 8, tf.int64) + length <= tf.cast(size, tf.int64))
        format_at = tf.where(tf.logical_and(_is(data, at, b"fmt "), whole), at + 8, format_at)
        data_at = tf.where(_is(data, at, b"data"), at + 8, data_at)
        # Chunks stand at even places; one that says more than there is ends the search.
        step = tf.minimum(length + length % 2, tf.cast(size - at, tf.int64))
        return at + 8 + tf.cast(step, tf.int32), format_at, data_at

    _, format_at, data_at = tf.while_loop(
        lambda at, _, data_at: tf.logical_and(at + 8 <= size, data_at < 0), body, (tf.constant(12), -1, -1)
    )
    return format_at, data_at


def _samples(body: tf.Tensor, code: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """float32 [S * C] of the bytes of whole samples."""

    def unsigned_8() -> tf.Tensor:
        return (tf.cast(tf.io.decode_raw(body, tf.uint8), tf.float32) - 128.0) / 128.0

    def pcm_16() -> tf.Tensor:
        return tf.cast(tf.io.decode_raw(body, tf.int16), tf.float32) / 2.0**15

    def pcm_24() -> tf.Tensor:
        low, middle, high = tf.unstack(tf.reshape(tf.io.decode_raw(body, tf.uint8), [-1, 3]), axis=1)
        value = tf.cast(low, tf.int32) + 256 * tf.cast(middle, tf.int32) + 65_536 * tf.cast(high, tf.int32)
        return tf.cast(tf.where(value >= 2**23, value - 2**24, value), tf.float32) / 2.0**23

    def pcm_32() -> tf.Tensor:
        return tf.cast(tf.io.decode_raw(body, tf.int32), tf.float32) / 2.0**31

    def float_32() -> tf.Tensor:
        return tf.io.decode_raw(body, tf.float32)

    def float_64() -> tf.Tensor:
        return tf.cast(tf.io.decode_raw(body, tf.float64), tf.float32)

    which = tf.where(tf.equal(code, FLOAT), bits // 32 + 3, bits // 8 - 1)
    return tf.switch_case(which, [unsigned_8, pcm_16, pcm_24, pcm_32, float_32, float_64])


def resample(waveform: tf.Tensor, rate_hz: tf.Tensor) -> tf.Tensor:
    """float32 [S] at one of RATES_HZ as float32 [ceil(S * 16,000 / rate)] at 16 kHz, by a windowed sinc.

    Outputs repeat their places between inputs with a period, so that all of a period are one product with one kernel
    (Smith 2002, Digital Audio Resampling).
    """
    return tf.cond(tf.equal(rate_hz, RATE_HZ), lambda: waveform, lambda: _resampled(waveform, rate_hz))


def _resampled(waveform: tf.Tensor, rate_hz: tf.Tensor) -> tf.Tensor:
    shared = [math.gcd(rate, RATE_HZ) for rate in RATES_HZ]
    divisor = tf.reduce_sum(tf.where(tf.equal(rate_hz, RATES_HZ), shared, 0))
    step, outputs = rate_hz // divisor, RATE_HZ // divisor  # inputs and outputs of a period
    up_down = tf.cast(outputs, tf.float32) / tf.cast(step, tf.float32)
    cutoff = ROLLOFF * tf.minimum(1.0, up_down)
    side = tf.cast(tf.math.ceil(ZERO_CROSSINGS / cutoff), tf.int32)  # inputs on each side
    places = tf.cast(tf.range(outputs), tf.float32) / up_down  # [outputs], where they stand among the inputs
    taps = tf.cast(tf.range(-side, step + side), tf.float32)  # [K]
    distance = (taps[:, None] - places[None, :]) * cutoff
    window = tf.square(tf.cos(math.pi / 2 * tf.clip_by_value(distance / ZERO_CROSSINGS, -1.0, 1.0)))
    kernel = cutoff * window * tf.math.divide_no_nan(tf.sin(math.pi * distance), math.pi * distance)
    kernel = tf.where(tf.equal(distance, 0.0), cutoff, kernel)  # [K, outputs]
    size = tf.shape(waveform)[0]
    periods = (size + step - 1) // step
    padded = tf.pad(waveform, [[side, periods * step - size + side]])
    frames = tf.gather(padded, tf.range(periods)[:, None] * step + tf.range(step + 2 * side)[None, :])  # [periods, K]
    resampled = tf.reshape(tf.matmul(frames, kernel), [-1])
    wanted = (tf.cast(size, tf.int64) * RATE_HZ + tf.cast(rate_hz, tf.int64) - 1) // tf.cast(rate_hz, tf.int64)
    return resampled[: tf.cast(wanted, tf.int32)]
