"""Where a run stands, saved and restored exactly; and the history of its steps and epochs, cut back to it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from seqpipe.errors import RunError
from seqpipe.storage import write_arrays

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

POSITION, HISTORY = "position.npz", "history.jsonl"
Epoch = Mapping[str, Any]  # a line of the history: figures by name, of a step or of a finished epoch


class Step(TypedDict, total=False):
    """A finished step of a run: when and where, what it says of itself, and what it is checked by later."""

    finished: str
    machine: str
    summary: str
    seconds: float
    epochs: int
    data_key: str
    rows_key: str | None
    path: str
    section: str


@dataclass
class Position:
    """Where a run stands; together with the variables it is all that a run depends on."""

    epoch: int = 0
    step: int = 0  # steps done in this epoch
    total_steps: int = 0
    loss_sum: float = 0.0  # over the rows of this epoch so far
    rows: int = 0
    best: float | None = None
    best_epoch: int | None = None
    epochs_without_better: int = 0
    history_bytes: int = 0
    seconds: float = 0.0
    finished: bool = False
    xla: bool | None = None  # whether XLA compiles the step; None until it is decided


def save_position(directory: Path, position: Position, variables: Sequence[keras.Variable | tf.Variable]) -> None:
    """Whenever the process dies, the last whole position is there."""
    arrays = {f"v{i}": variable.numpy() for i, variable in enumerate(variables)}
    write_arrays(directory / POSITION, position=np.array(json.dumps(asdict(position))), **arrays)


def restore_position(directory: Path, variables: Sequence[keras.Variable | tf.Variable]) -> Position | None:
    """The saved position, its values assigned to the variables; None if there is none.

    Raises:
        RunError: it is that of another model.
    """
    file = directory / POSITION
    if not file.exists():
        return None
    with np.load(file) as saved:
        values = [saved[name] for name in saved.files if name != "position"]
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise RunError(f"{file} was saved by another model. Start over with --fresh.")
        for i, variable in enumerate(variables):
            variable.assign(saved[f"v{i}"])
        return Position(**json.loads(str(saved["position"])))


@contextmanager
def open_history(directory: Path, position: Position) -> Iterator[io.BufferedWriter]:
    """history.jsonl, cut back to the position: no step stands in it twice."""
    with open(directory / HISTORY, "ab") as file:
        # Never made longer: what was cut by others would be filled with zeros.
        file.seek(min(position.history_bytes, file.seek(0, io.SEEK_END)))
        file.truncate()
        yield file


def write_line(file: io.BufferedIOBase, row: Mapping[str, object]) -> None:
    file.write(json.dumps(row).encode() + b"\n")


def read_history(directory: Path) -> list[Epoch]:
    """The lines of history.jsonl: one a step, one a finished epoch (with dev figures)."""
    file = directory / HISTORY
    try:
        return [json.loads(line) for line in file.read_text().split("\n") if line] if file.exists() else []
    except ValueError as error:
        raise RunError(f"{file} is damaged: {error}. Start over with --fresh.") from None
