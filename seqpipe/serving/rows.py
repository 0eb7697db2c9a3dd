"""Files of any length in constant memory: rows in, answers out, in the order of the input."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Literal, TypeVar

import numpy as np

from seqpipe.data.files import BadRow
from seqpipe.errors import DataError
from seqpipe.serving.answers import Answer, Presentation
from seqpipe.serving.model import Model, Options
from seqpipe.storage import whole_file

Row = TypeVar("Row")
ERROR = "error"  # what stands in place of an answer that there is not


def in_windows(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while window := list(islice(iterator, size)):
        yield window


def stop_at_bad(rows: Iterable[Row]) -> Iterator[Row]:
    """Raises DataError: a row cannot be read; it is named by file and line."""
    for row in rows:
        if isinstance(row, BadRow):
            raise DataError(f"{row.place}: {row.reason}. --keep-going answers the other rows.")
        yield row


def predict_rows(
    model: Model,
    rows: Iterable[Row],
    *,
    signature: str = "serving_default",
    options: Options | None = None,
    keep_going: bool = False,
) -> Iterator[tuple[Row, Answer]]:
    """(row, answer) for each row, in input order, holding a window of rows at a time.

    Args:
        keep_going: answer a row that cannot be read or answered by {"error": why}, instead of stopping at it.
    Raises:
        DataError: a row cannot be read or answered; it is named by file and line where it has any.
    """
    for window in in_windows(rows, model.input.window_rows):
        if keep_going:
            yield from _kept_going(model, window, signature, options)
        else:
            good = list(stop_at_bad(window))
            yield from zip(good, model(good, signature=signature, options=options), strict=True)


def _kept_going(
    model: Model, window: list[Row], signature: str, options: Options | None
) -> Iterator[tuple[Row, Answer]]:
    values: dict[int, object] = {}  # by their places in the window, as answers are
    answers: dict[int, Answer] = {}
    for place, row in enumerate(window):
        try:
            if isinstance(row, BadRow):
                raise DataError(f"{row.place}: {row.reason}")
            values[place] = model.input.from_value(row)
        except DataError as error:
            answers[place] = {ERROR: str(error)}
    try:
        found = model(list(values.values()), signature=signature, options=options)
    except DataError:
        found = [_alone(model, value, signature, options) for value in values.values()]
    answers |= zip(values, found, strict=True)
    for place, row in enumerate(window):
        yield row, answers[place]


def _alone(model: Model, value: object, signature: str, options: Options | None) -> Answer:
    try:
        return model([value], signature=signature, options=options)[0]
    except DataError as error:
        return {ERROR: str(error)}


@contextlib.contextmanager
def answers_to(
    path: Path | None,
    format: Literal["jsonl", "csv", "lines"],
    stdout: IO[str],
    *,
    presentation: Presentation,
    column: str,
    errors: bool = False,
) -> Iterator[Callable[[str, Answer], None]]:
    """A function that writes one answer; a file named by `path` appears when all is written, and not before.

    Args:
        presentation: of the answers.
        column: the column or key of what was answered.
        errors: whether a CSV file has a last column for what was wrong with a row.
    """
    with whole_file(path, "w") if path is not None else contextlib.nullcontext(stdout) as file:
        match format:
            case "jsonl":

                def write(row: str, answer: Answer) -> None:
                    shown = answer if ERROR in answer else presentation.as_json(answer)
                    print(json.dumps({column: row, **shown}, ensure_ascii=False), file=file)

                yield write
            case "lines":
                yield lambda row, answer: print("" if ERROR in answer else presentation.short(answer), file=file)
            case "csv":
                table = _Csv(file, column, errors)
                yield lambda row, answer: table.write(
                    row, [answer] if ERROR in answer else presentation.records(answer)
                )
                table.close()


class _Csv:
    """Records as lines, under the columns of the first one that is an answer; errors before it wait for them."""

    def __init__(self, file: IO[str], column: str, errors: bool):
        self.file, self.column, self.last = file, column, [ERROR] if errors else []
        self.writer: csv.DictWriter[str] | None = None
        self.waiting: list[dict[str, object]] = []

    def write(self, row: str, records: list[dict[str, object]]) -> None:
        for record in records:
            values = {name: _number(value) if isinstance(value, float) else value for name, value in record.items()}
            self.waiting.append({self.column: row, **values})
            if self.writer is None and ERROR not in record:
                self._open([self.column, *record, *self.last])
        if self.writer is not None:
            self.writer.writerows(self.waiting)
            self.waiting = []

    def _open(self, names: list[str]) -> None:
        self.writer = csv.DictWriter(self.file, names, restval="", lineterminator="\n")
        self.writer.writeheader()

    def close(self) -> None:
        if self.waiting:
            self._open([self.column, ERROR])
            self.write("", [])


def _number(value: float) -> str:
    """The shortest text that reads back as the same float32, where it is one, else as the same float64."""
    with np.errstate(over="ignore"):
        short = np.float32(value)
    return str(short if float(short) == value else value)
