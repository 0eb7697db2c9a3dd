"""Bytes of UTF-8 as numbers, in the place of characters: every text can be read, and what is written is whole UTF-8.

Axes: T time (bytes), S states of the automaton, V ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from seqpipe.storage import write_json
from seqpipe.text.characters import EDGE, FILE, FIRST

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


def automaton(size: int = FIRST + 256, first: int = FIRST) -> np.ndarray:
    """int32 [S, V], the state after an id, or NOT_ALLOWED; texts end between characters, and hold no NUL.

    Args:
        size: V.
        first: the id of byte 0; other ids than bytes and EDGE are not allowed.
    """
    table = np.full((len(FOLLOWING), size), NOT_ALLOWED, np.int32)
    for state, allowed in FOLLOWING.items():
        for (low, high), after in allowed:
            table[state, first + low : first + high + 1] = after
    table[0, EDGE], table[0, first] = 0, NOT_ALLOWED
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

    @property
    def begun(self) -> np.ndarray:
        """int32 [V], whether a character begins in each id, or a text ends."""
        ids = np.arange(self.size)
        return ((ids < FIRST + 0x80) | (ids > FIRST + 0xBF)).astype(np.int32)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / FILE, [])
