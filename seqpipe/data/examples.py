"""Examples: what the model eats, computed once, flat and memory-mapped.

A cache directory is named by a key over data, features and code version: another key, another directory, so a stale
cache is never read.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from seqpipe.storage import remove_leftovers, whole_directory

CODE_VERSION = 1  # raise it when the meaning of cached arrays changes


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length: row i is values[offsets[i]:offsets[i + 1]]."""

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_rows(cls, rows: Iterable[np.ndarray], dtype: np.typing.DTypeLike = np.int32) -> Ragged:
        rows = list(rows)
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        values = np.concatenate(rows).astype(dtype) if rows else np.zeros(0, dtype)
        return cls(values, offsets)

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets).astype(np.int32)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, i: int) -> np.ndarray:
        return np.asarray(self.values[self.offsets[i] : self.offsets[i + 1]])

    def take(self, rows: np.ndarray) -> Ragged:
        """Some of the rows, by index."""
        return Ragged.from_rows((self.row(row) for row in rows), self.values.dtype)

    def padded(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(values [B, T, ...] padded with zeros to the longest row and at least one step, lengths int32 [B])."""
        lengths = (self.offsets[rows + 1] - self.offsets[rows]).astype(np.int32)
        batch = np.zeros((len(rows), max(1, lengths.max(initial=0)), *self.values.shape[1:]), self.values.dtype)
        for i, row in enumerate(rows):
            batch[i, : lengths[i]] = self.values[self.offsets[row] : self.offsets[row + 1]]
        return batch, lengths


@dataclass(frozen=True)
class Examples:
    """Columns of equal row count; a ragged column `x` gives `x` and `x_lengths` in a batch."""

    columns: Mapping[str, Ragged | np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def lengths(self) -> np.ndarray:
        """int32 [N], steps of each row in the longest of its ragged columns; 1 where no column is ragged."""
        ragged = [column.lengths for column in self.columns.values() if isinstance(column, Ragged)]
        return np.max(ragged, axis=0) if ragged else np.ones(len(self), np.int32)

    def batch(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        batch = {}
        for name, column in self.columns.items():
            if isinstance(column, Ragged):
                batch[name], batch[f"{name}_lengths"] = column.padded(rows)
            else:
                batch[name] = np.asarray(column[rows])
        return batch


def content_key(*parts: str | bytes | np.ndarray | Iterable[str]) -> str:
    """A short hash that changes when any part changes."""
    digest = hashlib.sha256(f"{CODE_VERSION}".encode())
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, (str, bytes)):
            digest.update(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
        else:
            for text in part:
                digest.update(text.encode("utf-8", "surrogatepass") + b"\xff")
        digest.update(b"\xfe")
    return digest.hexdigest()[:16]


def cached(directory: Path, key: str, make: Callable[[], Examples]) -> Examples:
    """The examples under `directory/key`, made and stored first if they are not there.

    Older caches in the same directory are removed: their key no longer occurs.
    """
    path = directory / key
    if not path.is_dir():
        examples = make()
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        with whole_directory(path) as beside:
            for name, column in examples.columns.items():
                if isinstance(column, Ragged):
                    np.save(beside / f"{name}.values.npy", column.values)
                    np.save(beside / f"{name}.offsets.npy", column.offsets)
                else:
                    np.save(beside / f"{name}.npy", column)
        for stale in directory.iterdir():
            if stale != path:
                shutil.rmtree(stale)
    columns: dict[str, Ragged | np.ndarray] = {}
    for file in sorted(path.glob("*.npy")):
        name, _, part = file.stem.partition(".")
        if part == "values":
            values = np.load(file, mmap_mode="r") if file.stat().st_size > 256 else np.load(file)
            columns[name] = Ragged(values, np.load(path / f"{name}.offsets.npy"))
        elif not part:
            columns[name] = np.load(file)
    return Examples(columns)
