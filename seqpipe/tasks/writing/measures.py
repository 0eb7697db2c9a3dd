"""What a writer is judged by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqpipe.evaluation.measures import Measure
from seqpipe.evaluation.rows import RowFigures


class NatsACharacter(Measure):
    """Summed over rows, each of which has `nats` and `characters`."""

    is_mean = False

    def of(self, rows: RowFigures, times: np.ndarray) -> float:
        return float(times @ rows.columns["nats"] / (times @ rows.columns["characters"]))


NATS = NatsACharacter("nats", "nats a character", higher_is_better=False, decimals=4)


def counted(measured: dict[str, float], rows: RowFigures, *, stream: bool) -> dict[str, float | str]:
    """A figure of a report with how many rows it is of: blocks of a stream, or texts."""
    return {**measured, "n": len(rows), "of": "blocks" if stream else "texts"}


def bits_per_byte(nats: np.ndarray, texts: Sequence[str], *, stream: bool) -> float:
    """Of UTF-8; what ends a text that is no stream counts as a byte, as a line break does in one."""
    size = sum(len(text.encode()) + (not stream) for text in texts)
    return float(nats.sum() / np.log(2) / size)


def read_how(stream: bool) -> str:
    """How a network reads what it is measured on, in a report's words."""
    return "state carried through" if stream else "each text from nothing"


def rows_of(nats: np.ndarray, bounds: np.ndarray, key: str) -> RowFigures:
    """Figures of rows that begin at bounds, from the nats of each character; key: of the texts."""
    sizes = np.diff(np.append(bounds, len(nats)))
    columns = {"nats": np.add.reduceat(nats.astype(np.float64), bounds), "characters": sizes.astype(np.float64)}
    return RowFigures(key, columns)
