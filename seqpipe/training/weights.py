"""Weights of a model in a file, and in fewer bits."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from seqpipe.errors import RunError
from seqpipe.storage import write_arrays


def save_weights(model: keras.Model, path: Path) -> None:
    write_arrays(path, **{f"w{i}": value for i, value in enumerate(model.get_weights())})


def load_weights(model: keras.Model, path: Path) -> None:
    """Raises RunError: the file is of a model with other weights."""
    with np.load(path) as saved:
        try:
            model.set_weights([saved[f"w{i}"] for i in range(len(saved.files))])
        except ValueError as error:
            raise RunError(
                f"{path} holds the weights of another model than this seqpipe builds; an older one may have made it. "
                "Use --fresh to start over."
            ) from error


def rounded(weights: np.ndarray, bits: int) -> np.ndarray:
    """Floats of so many significant bits, whatever their size; others as they are."""
    if not np.issubdtype(weights.dtype, np.floating):
        return weights
    mantissa, exponent = np.frexp(weights.astype(np.float64))  # wide enough for any of these bits
    largest = np.finfo(weights.dtype).max
    near = np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)
    return np.where(np.isfinite(weights), np.clip(near, -largest, largest), weights).astype(weights.dtype)
