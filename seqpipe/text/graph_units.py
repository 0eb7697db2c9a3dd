"""Characters, bytes and pieces in a graph, in core ops: the twins of `seqpipe.text.units` and its parts.

Axes: B batch (rows), T time (units), V ids, C characters, N units or characters of all rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seqpipe.text.bytes import NOT_ALLOWED, Bytes
from seqpipe.text.characters import EDGE, FIRST, REPLACEMENT, UNKNOWN, Characters
from seqpipe.text.tokenizer import TextTokenizer
from seqpipe.text.units import Pieces, Units

MOST_PIECES = 1 << 30


class Encoded(NamedTuple):
    """ids: int32 [B, T], EDGE beyond a length. lengths: int32 [B]. unknown: string [B], characters not known."""

    ids: tf.Tensor
    lengths: tf.Tensor
    unknown: tf.Tensor


class GraphCharacters(tf.Module):
    """Characters in a graph, in core ops; bytes that are no UTF-8 become U+FFFD, which is mostly unknown."""

    def __init__(self, characters: Characters):
        super().__init__()
        codes, ids = characters.table
        self._codes, self._ids = tf.constant(codes, tf.int32), tf.constant(ids, tf.int32)
        self._strings = tf.constant([b"", b""] + [c.encode("utf-8") for c in characters.known])

    def encode(self, text: tf.Tensor) -> Encoded:
        points = tf.strings.unicode_decode(text, "UTF-8", errors="replace", replacement_char=REPLACEMENT)
        codes = tf.reshape(points.flat_values, [-1])
        place = tf.minimum(tf.searchsorted(self._codes, codes), len(self._codes) - 1)
        place = tf.reshape(place, [-1])
        known = tf.equal(tf.gather(self._codes, place), codes)  # `==` forgets the shape
        ids = points.with_flat_values(tf.where(known, tf.gather(self._ids, place), UNKNOWN))
        strange = tf.RaggedTensor.from_value_rowids(
            tf.boolean_mask(codes, ~known),
            tf.boolean_mask(points.value_rowids(), ~known),
            nrows=points.nrows(),
            validate=False,
        )
        unknown = tf.strings.unicode_encode(strange, "UTF-8")
        return Encoded(ids.to_tensor(EDGE), tf.cast(ids.row_lengths(), tf.int32), unknown)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """string, of ids of any shape."""
        return tf.gather(self._strings, ids)


class GraphBytes(tf.Module):
    """Bytes in a graph, in core ops; what is no UTF-8 is read as U+FFFD."""

    def __init__(self) -> None:
        super().__init__()
        self._strings = tf.constant([b"", b"", *(bytes([number]) for number in range(256))])

    def encode(self, text: tf.Tensor) -> Encoded:
        whole = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")
        each = tf.strings.bytes_split(whole)
        numbers = tf.cast(tf.io.decode_raw(each.flat_values, tf.uint8), tf.int32)  # [all bytes, 1]
        ids = each.with_flat_values(tf.reshape(numbers, [-1]) + FIRST)
        unknown = tf.fill(tf.shape(text), "")
        return Encoded(ids.to_tensor(EDGE), tf.cast(ids.row_lengths(), tf.int32), unknown)

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """string, of ids of any shape: a byte each."""
        return tf.gather(self._strings, ids)


class GraphPieces(tf.Module):
    """Pieces in a graph, in core ops; what is no UTF-8 is read as U+FFFD."""

    def __init__(self, pieces: Pieces):
        super().__init__()
        self._tokenizer = TextTokenizer(pieces.features)
        self._strings = tf.constant(pieces.strings)

    def encode(self, text: tf.Tensor) -> Encoded:
        ids, lengths, _ = self._tokenizer(text, MOST_PIECES)
        return Encoded(ids, lengths, tf.fill(tf.shape(text), ""))

    def decode(self, ids: tf.Tensor) -> tf.Tensor:
        """string, of ids of any shape; that of a byte is no UTF-8 alone."""
        return tf.gather(self._strings, ids)


def graph_of(units: Units) -> GraphCharacters | GraphBytes | GraphPieces:
    if isinstance(units, Characters):
        return GraphCharacters(units)
    return GraphBytes() if isinstance(units, Bytes) else GraphPieces(units)


class GraphUnits(tf.Module):
    """Units in a graph, and what may follow what."""

    def __init__(self, units: Units):
        super().__init__()
        self.of_text = graph_of(units)
        self.encode, self.decode = self.of_text.encode, self.of_text.decode
        self.whole = units.automaton is None  # each unit is whole characters
        self._automaton = tf.constant(np.zeros([0, 0], np.int32) if units.automaton is None else units.automaton)
        self._begun = tf.constant(units.begun)

    def allowed(self, state: tf.Tensor) -> tf.Tensor:
        """bool [B, V], what may follow in states int32 [B]."""
        return tf.gather(self._automaton, state) != NOT_ALLOWED

    def after(self, state: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """int32 [B], the states after ids that are allowed."""
        return tf.maximum(tf.gather_nd(self._automaton, tf.stack([state, ids], 1)), 0)

    def by_character(self, values: tf.Tensor, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """float32 [B, C], as the function of this name."""
        inside = tf.sequence_mask(lengths, tf.shape(ids)[1])
        begun = tf.where(inside, tf.gather(self._begun, ids), 0)
        each, of_each = tf.boolean_mask(values, inside), tf.boolean_mask(begun, inside)  # [N]
        starts = of_each > 0
        sizes = tf.boolean_mask(of_each, starts)
        summed = tf.math.unsorted_segment_sum(each, tf.cumsum(tf.cast(starts, tf.int32)) - 1, tf.size(sizes))
        spread = tf.repeat(summed / tf.cast(sizes, values.dtype), sizes)
        of_rows = tf.RaggedTensor.from_row_lengths(spread, tf.reduce_sum(begun, axis=1), validate=False)
        return of_rows.to_tensor(0.0)
