"""What a run answered to each row of a split, kept so that runs can be compared row by row.

Axes: N rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqpipe.storage import write_arrays

FILE = "rows.npz"
_KEY = "rows_key"


@dataclass(frozen=True)
class RowFigures:
    """
    rows_key: a hash of the rows in their order, inputs and what is right; equal keys are the same rows.
    columns: by name, [N, ...]: what the measures of the task are computed from.
    """

    rows_key: str
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def write(self, directory: Path) -> None:
        write_arrays(directory / FILE, **{_KEY: np.array(self.rows_key)}, **self.columns)

    @classmethod
    def read(cls, directory: Path) -> RowFigures | None:
        """What `write` wrote; None where nothing was written."""
        file = directory / FILE
        if not file.is_file():
            return None
        with np.load(file) as saved:
            return cls(str(saved[_KEY]), {name: saved[name] for name in saved.files if name != _KEY})
