"""What a classifier answered to each row of a split, kept so that runs can be compared row by row.

Axes: N rows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqpipe.storage import writing

FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """
    logits: float32 [N, C], before the temperature.
    labels: int [N].
    rows_key: a hash of the rows in their order, texts and labels; equal keys are the same rows.
    """

    logits: np.ndarray
    labels: np.ndarray
    rows_key: str

    @property
    def correct(self) -> np.ndarray:
        """bool [N]."""
        return self.logits.argmax(axis=1) == self.labels

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def figure(self) -> float:
        """The accuracy, 0..1."""
        return float(self.correct.mean())

    def write(self, directory: Path) -> None:
        with writing(directory / FILE) as file:
            np.savez(
                file,
                logits=np.asarray(self.logits, np.float32),
                labels=np.asarray(self.labels),
                rows_key=np.array(self.rows_key),
            )

    @classmethod
    def read(cls, directory: Path) -> Predictions | None:
        """What `write` wrote; None where nothing was written."""
        file = directory / FILE
        if not file.is_file():
            return None
        with np.load(file) as saved:
            return cls(saved["logits"], saved["labels"], str(saved["rows_key"]))
