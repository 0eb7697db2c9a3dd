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

from seqpipe.text.bytes import Bytes, automaton
from seqpipe.text.characters import EDGE, Characters
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.vocabulary import FIRST_BYTE, FIRST_PIECE

COVERAGE = 0.9995  # of characters; others are spelled in bytes
FILES = ("sentencepiece.model", "normalisation.tsv")


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

    def save(self, directory: Path) -> None:
        self.features.save(directory)

    @classmethod
    def load(cls, directory: Path) -> Pieces:
        return cls(TextFeatures.load(directory))


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
