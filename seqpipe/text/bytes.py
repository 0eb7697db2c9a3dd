"""Bytes of UTF-8 as numbers, in the place of characters: every text can be read, and what is written is whole UTF-8.

Axes: B batch (rows), T time (bytes), S states of the automaton, V ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from seqpipe.storage import write_json
from seqpipe.text.characters import EDGE, FILE, FIRST, Characters, Encoded

# Of each state, the bytes that may follow and the state after them; 0 is between characters, 1 to 3 is so many bytes
# before the end of one. The others begin characters whose second byte must not be just any. Source: RFC 3629.
FOLLOWING = {
    0: [
        *[((0x00, 0x7F), 0), ((0xC2, 0xDF), 1), ((0xE0, 0xE0), 4), ((0xE1, 0xEC), 2), ((0xED, 0xED), 5)],
        *[((0xEE, 0xEF), 2), ((0xF0, 0xF0), 6), ((0xF1, 0xF3), 3), ((0xF4, 0xF4), 7)],
    ],
    1: [((0x80, 0xBF), 0)],
    2: [((0x80, 0xBF), 1)],
    3: [((0x80, 0xBF), 2)],
    4: [((0xA0, 0xBF), 1)],
    5: [((0x80, 0x9F), 1)],
    6: [((0x90, 0xBF), 2)],
    7: [((0x80, 0x8F), 2)],
}
NOT_ALLOWED = -1


def automaton() -> np.ndarray:
    """int32 [S, V], the state after an id, or NOT_ALLOWED; texts end between characters, and hold no NUL."""
    table = np.full((len(FOLLOWING), FIRST + 256), NOT_ALLOWED, np.int32)
    for state, allowed in FOLLOWING.items():
        for (low, high), after in allowed:
            table[state, FIRST + low : FIRST + high + 1] = after
    table[0, EDGE], table[0, FIRST] = 0, NOT_ALLOWED
    return table


@dataclass(frozen=True)
class Bytes:
    """The 256 bytes, of which no character is unknown; as `seqpipe.text.characters.Characters`."""

    known: Sequence[str] = ()
    unit: Literal["bytes"] = "bytes"

    @property
    def size(self) -> int:
        return FIRST + 256

    @property
    def automaton(self) -> np.ndarray:
        return automaton()

    def encode(self, text: str) -> np.ndarray:
        """int32 [T]; surrogates are read as U+FFFD."""
        raw = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode("utf-8")
        return np.frombuffer(raw, np.uint8).astype(np.int32) + FIRST

    def decode(self, ids: np.ndarray) -> str:
        """The text of ids, without a character that is not whole."""
        return bytes(int(i) - FIRST for i in ids if i >= FIRST).decode("utf-8", "ignore")

    def starts(self, ids: np.ndarray) -> np.ndarray:
        """bool [T], where a character begins, or a text ends."""
        return (ids < FIRST + 0x80) | (ids > FIRST + 0xBF)

    def graph(self) -> GraphBytes:
        return GraphBytes()

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / FILE, [])


Units = Characters | Bytes  # what a text may be read and written in


class GraphBytes(tf.Module):
    """Bytes in a graph, in core ops; what is no UTF-8 is read as U+FFFD."""

    def __init__(self) -> None:
        super().__init__()
        self._strings = tf.constant([b"", b"", *(bytes([number]) for number in range(256))])
        self._automaton = tf.constant(automaton())

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

    def allowed(self, state: tf.Tensor) -> tf.Tensor:
        """bool [B, V], what may follow in states int32 [B]."""
        return tf.gather(self._automaton, state) != NOT_ALLOWED

    def after(self, state: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        """int32 [B], the states after ids that are allowed."""
        return tf.maximum(tf.gather_nd(self._automaton, tf.stack([state, ids], 1)), 0)

    def by_character(self, values: tf.Tensor, ids: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 [B, characters], the sums over the bytes of each character, and how many characters there are."""
        inside = tf.sequence_mask(lengths, tf.shape(ids)[1])
        starts = inside & ((ids < FIRST + 0x80) | (ids > FIRST + 0xBF))
        counts = tf.reduce_sum(tf.cast(starts, tf.int32), axis=1)
        widest = tf.reduce_max(tf.concat([counts, [0]], 0))
        place = tf.maximum(tf.cumsum(tf.cast(starts, tf.int32), axis=1) - 1, 0)
        rows = tf.shape(ids)[0]
        place += tf.range(rows)[:, tf.newaxis] * (widest + 1)
        summed = tf.math.unsorted_segment_sum(
            tf.reshape(tf.where(inside, values, 0.0), [-1]), tf.reshape(place, [-1]), rows * (widest + 1)
        )
        return tf.reshape(summed, [rows, widest + 1])[:, :widest], counts
