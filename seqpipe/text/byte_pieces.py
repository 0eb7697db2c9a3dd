"""Byte pieces in the graph: those that make one character together, and those that are no character.

Axes: B texts, T pieces, G pieces once the bytes of a character are one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seqpipe.text.vocabulary import FIRST_BYTE, FIRST_PIECE

REPLACEMENT = "\ufffd".encode()


class ByteRoles(NamedTuple):
    """bool [B, T] each: bytes that go on with the character before them; bytes outside a valid UTF-8 sequence."""

    goes_on: tf.Tensor
    stray: tf.Tensor


def byte_roles(ids: tf.Tensor) -> ByteRoles:
    """What each of ids int32 [B, T] is to its neighbours (Unicode 16, table 3-7)."""
    is_byte = (ids >= FIRST_BYTE) & (ids < FIRST_PIECE)
    first = tf.where(is_byte, ids - FIRST_BYTE, 0xFF)  # 0xFF is never part of UTF-8
    second, third, fourth = (tf.pad(first, [[0, 0], [0, n]], constant_values=0xFF)[:, n:] for n in (1, 2, 3))

    size, lowest, highest = np.zeros(256, np.int32), np.full(256, 0x80, np.int32), np.full(256, 0xBF, np.int32)
    size[:0x80], size[0xC2:0xE0], size[0xE0:0xF0], size[0xF0:0xF5] = 1, 2, 3, 4
    lowest[[0xE0, 0xF0]], highest[[0xED, 0xF4]] = (0xA0, 0x90), (0x9F, 0x8F)
    size = tf.gather(size, first)
    whole = (size < 2) | ((second >= tf.gather(lowest, first)) & (second <= tf.gather(highest, first)))
    for rest, least in ((third, 3), (fourth, 4)):
        whole &= (size < least) | ((rest >= 0x80) & (rest <= 0xBF))
    size = tf.pad(tf.where(whole, size, 0), [[0, 0], [3, 0]])
    goes_on = (size[:, 2:-1] > 1) | (size[:, 1:-2] > 2) | (size[:, :-3] > 3)
    return ByteRoles(goes_on, is_byte & ~goes_on & (size[:, 3:] == 0))


class WholePieces(NamedTuple):
    """Pieces that are whole UTF-8 each, and which of them each id went into.

    pieces: string [B, G], empty beyond a length.
    lengths: int32 [B], 0..G.
    place: int32 [B, T], 0..G-1; beyond the ids' length G.
    """

    pieces: tf.Tensor
    lengths: tf.Tensor
    place: tf.Tensor

    def summed(self, values: tf.Tensor) -> tf.Tensor:
        """float [B, T] as [B, G]: those of one piece added."""
        count = tf.shape(self.pieces)[1]
        flat, segments = _flat(self.place, count)
        return _rows(tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), flat, segments), count)

    def membership(self, dtype: tf.DType) -> tf.Tensor:
        """[B, T, G]: 1 where an id went into a piece."""
        return tf.one_hot(self.place, tf.shape(self.pieces)[1], dtype=dtype)


def whole_pieces(surface: tf.Tensor, ids: tf.Tensor, real: tf.Tensor) -> WholePieces:
    """The bytes of each character as one piece; a byte that is no character as U+FFFD.

    Args:
        surface: string [V], what an id stands for.
        ids: int32 [B, T]; those that are not real must be padding.
        real: bool [B, T], true up to each row's length.
    """
    goes_on, stray = byte_roles(ids)
    begins = tf.cast(real & ~goes_on, tf.int32)
    lengths = tf.reduce_sum(begins, axis=1)
    count = tf.maximum(1, tf.reduce_max(tf.concat([lengths, [0]], 0)))
    place = tf.where(real, tf.cumsum(begins, axis=1) - 1, count)
    flat, segments = _flat(place, count)
    texts = tf.where(stray, REPLACEMENT, tf.gather(surface, ids))
    joined = tf.strings.unsorted_segment_join(tf.reshape(texts, [-1]), flat, segments)
    return WholePieces(_rows(joined, count), lengths, place)


def _flat(place: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A segment for each place of each row, and how many: a row has one more than count, for what is beyond."""
    rows = tf.shape(place)[0]
    return tf.reshape(place + (count + 1) * tf.range(rows)[:, tf.newaxis], [-1]), rows * (count + 1)


def _rows(segments: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """[B, G] of flat segments, without what is beyond."""
    return tf.reshape(segments, [-1, count + 1])[:, :count]
