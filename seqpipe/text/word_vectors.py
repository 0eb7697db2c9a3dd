"""Word vectors from a file, spread over pieces.

A piece gets the mean of the vectors of the words it stands in, the word that is the piece alone counting as much as all
others together. What stands in no known word keeps its random vector.

Axes: V pieces, E units of a vector.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqpipe.data.files import BadRow, find_files, read_files
from seqpipe.errors import DataError
from seqpipe.storage import write_arrays
from seqpipe.text.pieces import TextFeatures
from seqpipe.text.vocabulary import FIRST_PIECE

WORDS_A_BATCH = 10_000
LOOKED_AT_LINES = 100  # by which the width of the vectors is known
FAR_OUT = 1000  # times the usual length: no vector of a word


@dataclass(frozen=True)
class PieceVectors:
    """vectors: float32 [V, E], zero where nothing is known. known: bool [V]. words: read from the file.
    skipped: its lines that are no UTF-8."""

    vectors: np.ndarray
    known: np.ndarray
    words: int
    skipped: int = 0

    def save(self, file: Path) -> None:
        write_arrays(file, vectors=self.vectors, known=self.known, words=self.words, skipped=self.skipped)

    @classmethod
    def load(cls, file: Path) -> PieceVectors:
        with np.load(file) as saved:
            return cls(saved["vectors"], saved["known"], int(saved["words"]), int(saved.get("skipped", 0)))

    def onto(self, table: np.ndarray) -> np.ndarray:
        """A random table [V, E] with the known vectors in it, brought to the table's root mean square."""
        size = _root_mean_square(table) / (_root_mean_square(self.vectors[self.known]) or 1.0)
        return np.where(self.known[:, None], self.vectors * size, table).astype(np.float32)

    def coverage(self, counts: np.ndarray) -> str:
        """What share of pieces, and of the pieces of a text, has a vector.

        Args:
            counts: int [V], how often each piece stands in the text.
        """
        learnt = self.known[FIRST_PIECE:]
        return (
            f"{self.words:,} word vectors reach {learnt.sum():,} of {len(learnt):,} pieces, "
            f"{100 * counts[self.known].sum() / max(1, counts.sum()):.1f} % of the training text"
            + (f"; {self.skipped:,} of their lines are no UTF-8" if self.skipped else "")
        )


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


class _Word(NamedTuple):
    text: str
    vector: np.ndarray  # float32 [E]
    place: str


def vectors_key(pattern: str) -> str:
    """A hash of the files' bytes.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    digest = hashlib.sha256()
    for path in find_files(pattern):
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    return digest.hexdigest()


def spread_vectors(pattern: str, features: TextFeatures, *, units: int) -> PieceVectors:
    """Read word vectors and spread them over pieces.

    Args:
        pattern: a file in word2vec's or GloVe's text form, a word and its numbers a line, plain, .gz or .xz; word2vec's
            first line, the numbers of words and of columns, is passed over. Lines that are no UTF-8 are left out.
        units: E, which the vectors must have.
    Raises:
        DataError: no such file, a vector of another width or far longer than others (its line named), no vector at all.
    """
    totals = np.zeros((features.vocabulary_size, units), np.float64)
    weights = np.zeros(features.vocabulary_size)
    own = np.full((features.vocabulary_size, units), np.nan, np.float32)
    bad: list[BadRow] = []
    lengths: list[np.ndarray] = []
    longest = (0.0, "")
    words = _words(pattern, units, bad)
    while batch := list(islice(words, WORDS_A_BATCH)):
        lengths.append(np.linalg.norm(np.stack([word.vector for word in batch]).astype(np.float64), axis=1))
        at = int(lengths[-1].argmax())
        longest = max(longest, (float(lengths[-1][at]), f'{batch[at].place}: the vector of "{batch[at].text:.40}"'))
        for pieces, word in zip(features.encode([word.text for word in batch]), batch, strict=True):
            if len(pieces) == 1:
                if np.isnan(own[pieces[0], 0]):  # the first is the most frequent of Apple, apple and APPLE
                    own[pieces[0]] = word.vector
            else:
                totals[pieces] += word.vector
                weights[pieces] += 1
    if not lengths:
        why = (
            f" {bad[0].place}: {bad[0].reason.partition(':')[0]}. Allowed: the text form, not a binary one."
            if bad
            else ""
        )
        raise DataError(f"{pattern}: no vector in it.{why}")
    usual = float(np.median(np.concatenate(lengths)))
    if longest[0] > FAR_OUT * usual > 0:
        raise DataError(f"{longest[1]} is {longest[0] / usual:,.3g} times as long as the usual one. Leave it out.")
    alone, inside = ~np.isnan(own[:, 0]), weights > 0
    means = totals / np.maximum(weights, 1)[:, None]
    vectors = np.where(alone[:, None] & inside[:, None], (own + means) / 2, np.where(alone[:, None], own, means))
    known = alone | inside
    known[:FIRST_PIECE] = False
    vectors = np.where(known[:, None], vectors, 0.0).astype(np.float32)
    return PieceVectors(vectors, known, sum(map(len, lengths)), len(bad))


def _words(pattern: str, units: int, bad: list[BadRow]) -> Iterator[_Word]:
    """Words with their vectors; to `bad` is added what cannot be read."""
    for path in find_files(pattern):
        lines = _lines(path, bad)
        first = list(islice(lines, LOOKED_AT_LINES))
        if first and len(first[0][0]) == _numbers(first[0][0]) == 2:
            first = first[1:]  # word2vec's header
        widths = [min(_numbers(fields), len(fields) - 1) for fields, _ in first]
        usual = Counter(widths).most_common(1)[0][0] if widths else units
        if usual != units:
            place = first[widths.index(usual)][1]
            raise _another_width(place, usual, units)
        for fields, place in chain(first, lines):
            yield _word(fields, units, place)


def _lines(path: Path, bad: list[BadRow]) -> Iterator[tuple[list[str], str]]:
    """The fields of each line that is not blank, and its place."""
    for row in read_files(str(path), columns={"line": "line"}, format="lines"):
        if isinstance(row, BadRow):
            bad.append(row)
        elif row.values["line"].strip():
            yield re.split(r"[ \t]+", row.values["line"].rstrip(" \t\r")), row.place


def _word(fields: list[str], units: int, place: str) -> _Word:
    """The word is what stands before the numbers: some of GloVe's hold spaces, as "windows 95" does."""
    try:
        with np.errstate(over="ignore"):
            vector = np.array(fields[-units:], np.float32)
    except ValueError:
        raise _another_width(place, _numbers(fields), units) from None
    if len(fields) <= units:
        raise _another_width(place, len(fields) - 1, units)
    if not np.isfinite(vector).all():
        raise DataError(f"{place}: a number that is not finite.")
    return _Word(" ".join(fields[:-units]), vector, place)


def _another_width(place: str, width: int, units: int) -> DataError:
    hint = "" if width else " A word and its numbers stand apart by spaces or tabs."
    return DataError(f"{place}: a vector of {width} numbers; model.embedding.units is {units}.{hint}")


def _numbers(fields: list[str]) -> int:
    """How many numbers stand at the end of a line."""
    for count, field in enumerate(reversed(fields)):
        try:
            float(field)
        except ValueError:
            return count
    return len(fields)
