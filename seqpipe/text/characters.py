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
from typing import Literal

import numpy as np

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
