"""Strings that end a text, found while it is written: the text then ends before them.

A text is seen as symbols, of which a unit writes one or several: a character, or the bytes of a piece.
Axes: B batch (rows), V ids, K symbols of the longest unit, S stop strings, L symbols of the longest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seqpipe.text.bytes import Bytes
from seqpipe.text.characters import FIRST
from seqpipe.text.graph_units import Encoded, GraphUnits, graph_of
from seqpipe.text.units import Pieces, Units

LONGEST = 100  # symbols of a stop string
NONE = -1  # no symbol


class Endings(NamedTuple):
    """Stop strings. symbols: int32 [S, L], NONE before each. sizes: int32 [S]. size_bytes: int32 [S]."""

    symbols: tf.Tensor
    sizes: tf.Tensor
    size_bytes: tf.Tensor


class Stops:
    """Finds stop strings in what units write."""

    def __init__(self, units: Units, graph: GraphUnits):
        self._encode: Callable[[tf.Tensor], Encoded] = graph.encode
        self._symbol = "characters" if units.unit == "characters" else "bytes"
        symbols = [[number] for number in range(units.size)]
        if isinstance(units, Pieces):
            self._encode = graph_of(Bytes()).encode
            symbols = [[FIRST + byte for byte in piece] for piece in units.strings]
        self._longest = max(map(len, symbols))
        table = np.array([row + [NONE] * (self._longest - len(row)) for row in symbols], np.int32)
        self._symbols, self._sizes = tf.constant(table), tf.constant([len(row) for row in symbols])

    def endings(self, stop: tf.Tensor) -> Endings:
        stop = tf.strings.unicode_transcode(stop, "UTF-8", "UTF-8", errors="replace")
        found = self._encode(stop)
        right = tf.reduce_all((found.lengths >= 1) & (found.lengths <= LONGEST))
        rule = f"stop strings must have 1 to {LONGEST} {self._symbol}, not"
        tf.debugging.Assert(right, [rule, found.lengths], summarize=8)
        ids = tf.pad(found.ids, [[0, 0], [0, tf.maximum(0, 1 - tf.shape(found.ids)[1])]])
        backwards = tf.reverse_sequence(ids, found.lengths, seq_axis=1)
        inside = tf.sequence_mask(found.lengths, tf.shape(ids)[1])
        return Endings(tf.reverse(tf.where(inside, backwards, NONE), [1]), found.lengths, tf.strings.length(stop))

    def nothing_before(self, rows: tf.Tensor, endings: Endings) -> tf.Tensor:
        """int32 [B, L], the last symbols of texts that begin."""
        return tf.fill([rows, tf.shape(endings.symbols)[1]], NONE)

    def after(self, recent: tf.Tensor, ids: tf.Tensor, endings: Endings) -> tuple[tf.Tensor, tf.Tensor]:
        """
        Args:
            recent: int32 [B, L], the last symbols of each text.
            ids: int32 [B], the unit that follows.
        Returns:
            recent of the texts with it; int32 [B], bytes from the first stop string that ends in the unit to the
            unit's end, of those that end there the longest; 0 without one.
        """
        length = tf.shape(recent)[1]
        symbols = tf.concat([recent, tf.gather(self._symbols, ids)], 1)  # [B, L + K]
        sizes = tf.gather(self._sizes, ids)
        ends = tf.range(self._longest)  # [K]
        windows = tf.gather(symbols, ends[:, tf.newaxis] + 1 + tf.range(length), axis=1)  # [B, K, L]
        wanted = endings.symbols
        same = tf.reduce_all((windows[:, :, tf.newaxis] == wanted) | (wanted == NONE), axis=3)  # [B, K, S]
        same &= (ends < sizes[:, tf.newaxis])[:, :, tf.newaxis]
        cut = tf.reduce_max(tf.pad(tf.where(same, endings.size_bytes, 0), [[0, 0], [0, 0], [1, 0]]), axis=2)  # [B, K]
        first = tf.argmax(cut > 0, axis=1, output_type=tf.int32)
        found = tf.gather(cut, first, batch_dims=1)
        # Where a unit has several symbols, each is a byte.
        dropped = tf.where(found > 0, found + sizes - 1 - first, 0)
        return tf.gather(symbols, sizes[:, tf.newaxis] + tf.range(length), axis=1, batch_dims=1), dropped
