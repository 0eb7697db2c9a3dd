"""WAV files to 16 kHz waveforms in core TensorFlow ops, by the rule that `sound_file` states.

A file that breaks the rule gives no error but a text that names it, so that one bad row does not spoil a batch.

Axes: S samples, C channels, N bytes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from seqpipe.sound import sound_file as rules
from seqpipe.sound.recordings import RATE_HZ

RF64 = "an RF64 file, which seqpipe's command line reads"
OTHERS = (
    *rules.OTHERS,
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"RF64", RF64),
    (0, b"BW64", RF64),
)
ROLLOFF = 0.94  # of the lower Nyquist frequency, from where the filter falls to nothing


class Header(NamedTuple):
    """Where the samples of a file begin, how many bytes they are, and what they mean; integers, scalar."""

    start: tf.Tensor
    size: tf.Tensor
    code: tf.Tensor
    bits: tf.Tensor
    channels: tf.Tensor
    rate_hz: tf.Tensor


def decode_wav(file: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The samples in the bytes of a WAV file, a string scalar.

    Returns:
        float32 [S] in -1..1, 16 kHz, channels averaged, and an empty string; or no sample, and the rule that the file
        breaks, in words that follow its name.
    """
    header, error = _header(file)

    def decoded() -> tuple[tf.Tensor, tf.Tensor]:
        body = tf.strings.substr(file, header.start, header.size)
        samples = _samples(body, header.code, header.bits)
        highest = tf.reduce_max(tf.abs(samples))
        error = _first_broken(
            (tf.math.logical_not(tf.reduce_all(tf.math.is_finite(samples))), tf.constant(rules.NO_NUMBER)),
            (highest > rules.HIGHEST_SAMPLE, tf.strings.format(rules.LOUD, highest)),
        )
        mono = tf.reduce_mean(tf.reshape(samples, [-1, header.channels]), axis=1)
        whole = tf.cond(error == "", lambda: resample(mono, header.rate_hz), _nothing)
        return tf.clip_by_value(whole, -1.0, 1.0), error

    return tf.cond(error == "", decoded, lambda: (_nothing(), error))


def _nothing() -> tf.Tensor:
    return tf.zeros([0])


def _first_broken(*rules_broken: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """The text of the first rule that is broken, else an empty one."""
    error = tf.constant("")
    for broken, text in reversed(rules_broken):
        error = tf.where(broken, text, error)
    return error


def _header(file: tf.Tensor) -> tuple[Header, tf.Tensor]:
    """What the header says, and the first rule that it breaks; then the numbers mean nothing."""
    data = tf.io.decode_raw(file, tf.uint8)  # [N]
    whole = tf.shape(data)[0]
    format_at, data_at, said = _chunks(data)
    code, channels = _number(data, format_at, 2), _number(data, format_at + 2, 2)
    rate_hz, block_bytes, bits = (_number(data, format_at + at, size) for at, size in ((4, 4), (12, 2), (14, 2)))
    # The real code of an extensible format are the first two bytes of its identifier.
    extended = tf.logical_and(code == rules.EXTENSIBLE, _number(data, format_at - 4, 4) >= 26)
    code = tf.where(extended, _number(data, format_at + 24, 2), code)
    known = tf.reduce_any([tf.logical_and(code == c, bits == b) for c, b in rules.ENCODINGS])
    there = tf.cast(tf.maximum(0, whole - data_at), tf.int64)
    size = tf.where(_is_unknown(said, data, data_at), there, said)
    kept = tf.minimum(size, there)
    kept -= kept % tf.maximum(tf.constant(1, tf.int64), channels * bits // 8)  # a part of a frame at the end
    others = [(_is(data, at, mark), tf.constant(rules.OTHER.format(what, "WAV"))) for at, mark, what in OTHERS]
    error = _first_broken(
        (whole == 0, tf.constant(rules.NOTHING)),
        *others,
        (~tf.logical_and(_is(data, 0, b"RIFF"), _is(data, 8, b"WAVE")), tf.constant(rules.NO_WAV)),
        (format_at < 0, tf.constant(rules.NO_FORMAT)),
        (data_at < 0, tf.constant(rules.NO_DATA)),
        (tf.logical_or(channels < 1, channels > rules.HIGHEST_CHANNELS), tf.strings.format(rules.CHANNELS, channels)),
        (
            tf.logical_or(rate_hz < rules.LOWEST_RATE_HZ, rate_hz > rules.HIGHEST_RATE_HZ),
            tf.strings.format(rules.RATE, rate_hz),
        ),
        (~known, tf.strings.format(rules.CODEC, (code, bits))),
        (tf.logical_and(bits == 24, block_bytes == 4 * channels), tf.constant(rules.BLOCK)),
        (size > there + tf.cast(data_at, tf.int64), tf.strings.format(rules.TRUNCATED, (size, there))),
        (kept == 0, tf.constant(rules.NO_SAMPLES)),
    )
    numbers = (kept, code, bits, channels, rate_hz)
    return Header(data_at, *(tf.cast(number, tf.int32) for number in numbers)), error


def _is(data: tf.Tensor, at: tf.Tensor | int, mark: bytes) -> tf.Tensor:
    return tf.reduce_all(_bytes(data, at, len(mark)) == list(mark))


def _bytes(data: tf.Tensor, at: tf.Tensor | int, count: int) -> tf.Tensor:
    """int64 [count]; zeros for what lies outside."""
    at = tf.clip_by_value(at, 0, tf.shape(data)[0])
    found = tf.cast(data[at : at + count], tf.int64)
    return tf.ensure_shape(tf.pad(found, [[0, count - tf.shape(found)[0]]]), [count])


def _number(data: tf.Tensor, at: tf.Tensor | int, count: int) -> tf.Tensor:
    """int64 of so many bytes, the lowest first; a size field may say what int32 does not hold."""
    return tf.reduce_sum(_bytes(data, at, count) * [256**place for place in range(count)])


def _is_unknown(said: tf.Tensor, data: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Whether the size of the samples is none: too large for a file, or zero though no other chunk follows."""
    name, end = _bytes(data, at, 4), tf.cast(at + 8, tf.int64) + _number(data, at + 4, 4)
    chunk = tf.reduce_all(tf.logical_and(name >= 32, name < 127))
    followed = tf.logical_and(chunk, end <= tf.shape(data, tf.int64)[0])
    return tf.logical_or(said >= rules.UNKNOWN_BYTES, tf.logical_and(said == 0, ~followed))


def _chunks(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where the bodies of the fmt and the data chunk begin, -1 for one that is not there; the size the latter says."""
    whole = tf.shape(data)[0]

    def body(at: tf.Tensor, format_at: tf.Tensor, data_at: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, ...]:
        said = _number(data, at + 4, 4)
        inside = tf.logical_and(said >= 16, tf.cast(at + 8, tf.int64) + said <= tf.cast(whole, tf.int64))
        format_at = tf.where(tf.logical_and(_is(data, at, b"fmt "), inside), at + 8, format_at)
        data_at = tf.where(_is(data, at, b"data"), at + 8, data_at)
        end = at + 8 + tf.cast(tf.minimum(said, tf.cast(whole - at, tf.int64)), tf.int32)
        # Chunks stand at even places, but not everyone who writes them knows.
        next_to = tf.logical_or(_is(data, end, b"data"), _is(data, end, b"fmt "))
        odd = tf.logical_and(said % 2 == 1, ~next_to)
        return end + tf.cast(odd, tf.int32), format_at, data_at, said

    _, format_at, data_at, said = tf.while_loop(
        lambda at, _, data_at, __: tf.logical_and(at + 8 <= whole, data_at < 0),
        body,
        (tf.constant(12), tf.constant(-1), tf.constant(-1), tf.constant(0, tf.int64)),
    )
    return format_at, data_at, said


def _samples(body: tf.Tensor, code: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """float32 [S * C] of the bytes of whole samples."""

    def numbers(kind: tf.DType) -> tf.Tensor:
        return tf.cast(tf.io.decode_raw(body, kind), tf.float32)

    def pcm_24() -> tf.Tensor:
        low, middle, high = tf.unstack(tf.reshape(tf.io.decode_raw(body, tf.uint8), [-1, 3]), axis=1)
        value = tf.cast(low, tf.int32) + 256 * tf.cast(middle, tf.int32) + 65_536 * tf.cast(high, tf.int32)
        return tf.cast(tf.where(value >= 2**23, value - 2**24, value), tf.float32) / 2.0**23

    kinds = [
        lambda: (numbers(tf.uint8) - 128.0) / 128.0,
        lambda: numbers(tf.int16) / 2.0**15,
        pcm_24,
        lambda: numbers(tf.int32) / 2.0**31,
        lambda: numbers(tf.float32),
        lambda: numbers(tf.float64),
    ]
    return tf.switch_case(tf.where(code == rules.FLOAT, bits // 32 + 3, bits // 8 - 1), kinds)


def resample(waveform: tf.Tensor, rate_hz: tf.Tensor) -> tf.Tensor:
    """float32 [S] at any rate as float32 [ceil(S * 16,000 / rate)] at 16 kHz, by its spectrum.

    Of whole seconds the spectra at both rates have the same frequencies, so that one is the other, cut or filled up.
    """
    return tf.cond(tf.equal(rate_hz, RATE_HZ), lambda: waveform, lambda: _resampled(waveform, rate_hz))


def _resampled(waveform: tf.Tensor, rate_hz: tf.Tensor) -> tf.Tensor:
    size = tf.shape(waveform)[0]
    seconds = (size + rate_hz // 8) // rate_hz + 1  # some silence at least, since the end is beside the beginning
    spectrum = tf.signal.rfft(waveform, [seconds * rate_hz])  # one number for each 1 / seconds Hz
    bins = tf.minimum(tf.shape(spectrum)[0], seconds * RATE_HZ // 2 + 1)
    band = tf.cast(tf.range(bins), tf.float32) / tf.cast(bins, tf.float32)
    fall = tf.clip_by_value((band - ROLLOFF) / (1.0 - ROLLOFF), 0.0, 1.0)
    spectrum = spectrum[:bins] * tf.cast(tf.square(tf.cos(math.pi / 2 * fall)), tf.complex64)
    resampled = tf.signal.irfft(spectrum, [seconds * RATE_HZ]) * (RATE_HZ / tf.cast(rate_hz, tf.float32))
    wanted = (tf.cast(size, tf.int64) * RATE_HZ + tf.cast(rate_hz, tf.int64) - 1) // tf.cast(rate_hz, tf.int64)
    return resampled[: tf.cast(wanted, tf.int32)]
