"""What a text may be read and written in: characters, bytes, or pieces; and what all of them have.

Axes: B batch (rows), T time (units), V ids, C characters, N units or characters of all rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import tensorflow as tf

from seqpipe.text.bytes import NOT_ALLOWED, Bytes, GraphBytes, automaton
from seqpipe.text.characters import EDGE, Characters, Encoded, GraphCharacters
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.tokenizer import TextTokenizer
from seqpipe.text.vocabulary import FIRST_BYTE, FIRST_PIECE

COVERAGE = 0.9995  # of characters; others are spelled in bytes
FILES = ("sentencepiece.model", "normalisation.tsv")
MOST_PIECES = 1 << 30


@dataclass(frozen=True)
class Pieces:
    """Exact SentencePiece pieces, of which no character is unknown; as `seqpipe.text.characters.Characters`."""

    features: TextFeatures
    unit: Literal["pieces"] = "pieces"

    @classmethod
    def fit(cls, texts: Sequence[str], *, vocabulary_size: int) -> Pieces:
        """Pieces of texts; learned line by line."""
        parts = [part for text in texts for part in _lines(text)]
        return cls(
            TextFeatures.fit(
                parts, vocabulary_size=vocabulary_size, lowercase=False, character_coverage=COVERAGE, exact=True
            )
        )

    @property
    def size(self) -> int:
        return self.features.vocabulary_size

    @cached_property
    def known(self) -> Sequence[str]:
        """The pieces, without the bytes."""
        return [piece.decode() for piece in self.strings[FIRST_PIECE:]]

    @cached_property
    def strings(self) -> list[bytes]:
        """What each id stands for; the edge of a text and other marks for nothing."""
        return [b""] * FIRST_BYTE + self.features.piece_bytes[FIRST_BYTE:]

    @cached_property
    def automaton(self) -> np.ndarray:
        table = automaton(self.size, FIRST_BYTE)
        table[0, FIRST_PIECE:] = 0
        return table

    @cached_property
    def begun(self) -> np.ndarray:
        """int32 [V], how many characters begin in each id; the edge of a text counts as one."""
        table = np.zeros(self.size, np.int32)
        table[EDGE] = 1
        table[FIRST_BYTE:FIRST_PIECE] = Bytes().begun[-256:]
        table[FIRST_PIECE:] = [len(piece) for piece in self.known]
        return table

    def encode(self, text: str) -> np.ndarray:
        """int32 [T]; surrogates are read as U+FFFD."""
        whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return np.asarray(self.features.encode([whole])[0], np.int32)

    def decode(self, ids: np.ndarray) -> str:
        """The text of ids, without a character that is not whole."""
        return b"".join(self.strings[int(i)] for i in ids).decode("utf-8", "ignore")

    def graph(self) -> GraphPieces:
        return GraphPieces(self)

    def save(self, directory: Path) -> None:
        self.features.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Pieces:
        return cls(TextFeatures.load(directory))


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


Units = Characters | Bytes | Pieces


def _lines(text: str) -> list[str]:
    """A text cut before the breaks of its lines: the library drops one that ends what it learns from."""
    return re.split(r"(?<=[^\n])(?=\n)", text)


def by_character(values: np.ndarray, begun: np.ndarray) -> np.ndarray:
    """Values of units as those of characters: of several units summed, of one unit spread evenly.

    Args:
        values, begun: [T], begun as the tables of units have it; a character begins in the first unit.
    Returns:
        [C].

    >>> by_character(np.array([6.0, 1.0, 2.0]), np.array([3, 1, 0])).tolist()
    [2.0, 2.0, 2.0, 3.0]
    """
    if not len(values):
        return values
    starts = np.flatnonzero(begun)
    return np.repeat(np.add.reduceat(values, starts) / begun[starts].astype(values.dtype), begun[starts])


class GraphUnits(tf.Module):
    """Units in a graph, and what may follow what."""

    def __init__(self, units: Units):
        super().__init__()
        self.of_text: GraphCharacters | GraphBytes | GraphPieces = units.graph()
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
