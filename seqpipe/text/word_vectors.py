"""Word vectors from a file, spread over pieces.

A piece gets the mean of the vectors of the words it stands in, the word that is the piece alone counting as much as all
others together. What stands in no known word keeps its random vector.

Axes: V pieces, E units of a vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqpipe.data.files import BadRow, find_files, read_files
from seqpipe.errors import DataError
from seqpipe.storage import write_arrays
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.vocabulary import FIRST_PIECE

WORDS_A_BATCH = 10_000


@dataclass(frozen=True)
class PieceVectors:
    """vectors: float32 [V, E], zero where nothing is known. known: bool [V]. words: read from the file."""

    vectors: np.ndarray
    known: np.ndarray
    words: int

    def save(self, file: Path) -> None:
        write_arrays(file, vectors=self.vectors, known=self.known, words=self.words)

    @classmethod
    def load(cls, file: Path) -> PieceVectors:
        with np.load(file) as saved:
            return cls(saved["vectors"], saved["known"], int(saved["words"]))

    def onto(self, table: np.ndarray) -> np.ndarray:
        """A random table [V, E] with the known vectors in it, brought to the table's standard deviation."""
        spread = self.vectors[self.known].std() or 1.0
        return np.where(self.known[:, None], self.vectors * (table.std() / spread), table).astype(np.float32)

    def coverage(self, counts: np.ndarray) -> str:
        """What share of pieces, and of the pieces of a text, has a vector.

        Args:
            counts: int [V], how often each piece stands in the text.
        """
        learnt = self.known[FIRST_PIECE:]
        return (
            f"{self.words:,} word vectors reach {learnt.sum():,} of {len(learnt):,} pieces, "
            f"{100 * counts[self.known].sum() / max(1, counts.sum()):.1f} % of the training text"
        )


def spread_vectors(pattern: str, features: TextFeatures, *, units: int) -> PieceVectors:
    """Read word vectors and spread them over pieces.

    Args:
        pattern: a file in word2vec's or GloVe's text form, a word and its numbers a line, plain, .gz or .xz; word2vec's
            first line, the numbers of words and of columns, is passed over.
        units: E, which the vectors must have.
    Raises:
        DataError: no such file, a vector of another width (its line named), a word without numbers, no vector at all.
    """
    totals = np.zeros((features.vocabulary_size, units), np.float64)
    weights = np.zeros(features.vocabulary_size)
    own = np.full((features.vocabulary_size, units), np.nan, np.float32)
    words = 0
    for batch in _batches(pattern, units):
        words += len(batch)
        for pieces, (_, vector) in zip(features.encode([word for word, _ in batch]), batch, strict=True):
            if len(pieces) == 1:
                if np.isnan(own[pieces[0], 0]):  # the first is the most frequent of Apple, apple and APPLE
                    own[pieces[0]] = vector
            else:
                totals[pieces] += vector
                weights[pieces] += 1
    if not words:
        raise DataError(f"{pattern}: no vector in it.")
    alone, inside = ~np.isnan(own[:, 0]), weights > 0
    means = totals / np.maximum(weights, 1)[:, None]
    vectors = np.where(alone[:, None] & inside[:, None], (own + means) / 2, np.where(alone[:, None], own, means))
    known = alone | inside
    known[:FIRST_PIECE] = False
    return PieceVectors(np.where(known[:, None], vectors, 0.0).astype(np.float32), known, words)


def _batches(pattern: str, units: int) -> Iterator[list[tuple[str, np.ndarray]]]:
    """Words with their vectors, so many at a time."""
    batch = []
    for path in find_files(pattern):
        settled = False
        for row in read_files(str(path), columns={"line": "line"}, format="lines"):
            if isinstance(row, BadRow):
                raise DataError(f"{row.place}: {row.reason}.")
            fields = row.values["line"].rstrip(" ").split(" ")
            if row.line == 1 and len(fields) == 2 and all(map(_is_number, fields)):
                continue  # word2vec's header
            batch.append(_word_and_vector(fields, units, row.place, settled=settled))
            settled = True
            if len(batch) == WORDS_A_BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


def _word_and_vector(fields: list[str], units: int, place: str, *, settled: bool) -> tuple[str, np.ndarray]:
    """The word is what stands before the last numbers: some of GloVe's hold spaces.

    Args:
        settled: vectors before had so many numbers: what is more of them here belongs to a phrase, as in "windows 95".
    """
    start = len(fields)
    while start > 1 and _is_number(fields[start - 1]):
        start -= 1
    if settled:
        start = max(start, len(fields) - units)
    width = len(fields) - start
    if width != units:
        raise DataError(f"{place}: a vector of {width} numbers; model.embedding.units is {units}.")
    vector = np.array(fields[start:], np.float32)
    if not np.isfinite(vector).all():
        raise DataError(f"{place}: a number that is not finite.")
    return " ".join(fields[:start]), vector


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
