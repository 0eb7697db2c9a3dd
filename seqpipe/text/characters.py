"""Characters as numbers, for training and in the graph. Line breaks are characters; nothing is normalised unasked.

Axes: B batch (rows), T time (characters), V characters known.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from seqpipe.errors import DataError
from seqpipe.storage import write_json

EDGE = 0  # before the first and after the last character of a text
UNKNOWN = 1
FIRST = 2  # the id of the first character
FILE = "characters.json"
REPLACEMENT = 0xFFFD

Normalisation = Literal["none", "NFC", "NFKC"]


@dataclass(frozen=True)
class Characters:
    """The characters a model knows, the most frequent first."""

    known: Sequence[str]
    unit: Literal["characters"] = "characters"
    automaton: None = None  # of units that may follow: any

    @classmethod
    def fit(cls, texts: Iterable[str], *, min_count: int) -> Characters:
        """Those that stand at least `min_count` times in texts.

        Raises:
            DataError: there are fewer than two, so that there is nothing to learn.
        """
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        known = sorted((c for c, times in counts.items() if times >= min_count), key=lambda c: (-counts[c], c))
        if len(known) < 2:
            raise DataError(
                f"The training text has {len(known)} different characters that stand in it {min_count} times or more "
                f"(features.min_count); {len(counts)} of any. At least 2 are needed to learn what follows what."
            )
        return cls(known)

    @property
    def size(self) -> int:
        """Ids: characters, the edge of a text and the unknown character."""
        return len(self.known) + FIRST

    def encode(self, text: str) -> np.ndarray:
        """int32 [T]."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
        codes, ids = self.table
        place = np.minimum(np.searchsorted(codes, points), len(codes) - 1)
        return np.where(codes[place] == points, ids[place], UNKNOWN).astype(np.int32)

    def decode(self, ids: np.ndarray) -> str:
        """The text of ids; the edge and the unknown character are none."""
        return "".join(self.known[i - FIRST] for i in ids if i >= FIRST)

    @property
    def begun(self) -> np.ndarray:
        """int32 [V], how many characters begin in each id; the edge of a text counts as one."""
        return np.ones(self.size, np.int32)

    def graph(self) -> GraphCharacters:
        return GraphCharacters(self)

    @cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Code points in order, and the ids of their characters."""
        codes = np.array([ord(c) for c in self.known], np.int64)
        order = np.argsort(codes)
        return codes[order], (order + FIRST).astype(np.int32)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / FILE, list(self.known))

    @classmethod
    def load(cls, directory: Path) -> Characters:
        return cls(json.loads((directory / FILE).read_text(encoding="utf-8")))


def normalised(text: str, form: Normalisation) -> str:
    return text if form == "none" else unicodedata.normalize(form, text)


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
