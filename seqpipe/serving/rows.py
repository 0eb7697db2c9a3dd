"""Files of any length in constant memory: rows in, answers out, in the order of the input."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
    errors: bool = False,
) -> Iterator[Callable[[Mapping[str, str], Answer], None]]:
    """A function that writes one answer; a file named by `path` appears when all is written, and not before.

    It takes what stands before the answer, in columns or under keys: what was answered, and what is kept of its row.
    Of a name that the answer has too, this is called "NAME (input)".

    Args:
        presentation: of the answers.
        errors: whether a CSV file has a last column for what was wrong with a row.
    """
    with whole_file(path, "w") if path is not None else contextlib.nullcontext(stdout) as file:
        match format:
            case "jsonl":

                def write(before: Mapping[str, str], answer: Answer) -> None:
                    shown = answer if ERROR in answer else presentation.as_json(answer)
                    print(json.dumps({**beside(before, shown), **shown}, ensure_ascii=False), file=file)

                yield write
            case "lines":
                yield lambda before, answer: print("" if ERROR in answer else presentation.short(answer), file=file)
            case "csv":
                table = _Csv(file, errors)
                yield lambda before, answer: table.write(
                    before, [answer] if ERROR in answer else presentation.records(answer)
                )
                table.close()


def beside(before: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """What stands before an answer with these names, under names that the answer leaves free."""
    return {f"{name} (input)" if name in names else name: value for name, value in before.items()}


class _Csv:
    """Records as lines, under the columns of the first one that is an answer; errors before it wait for them."""

    def __init__(self, file: IO[str], errors: bool):
        self.file, self.last = file, [ERROR] if errors else []
        self.names: list[str] = []  # of the answers, once one is known
        self.writer: csv.DictWriter[str] | None = None
        self.waiting: list[tuple[Mapping[str, str], dict[str, object]]] = []

    def write(self, before: Mapping[str, str], records: list[dict[str, object]]) -> None:
        for record in records:
            values = {name: _number(value) if isinstance(value, float) else value for name, value in record.items()}
            self.waiting.append((before, values))
            if self.writer is None and ERROR not in record:
                self._open(before, [*record, *self.last])
        if self.writer is not None:
            self.writer.writerows({**beside(before, self.names), **values} for before, values in self.waiting)
            self.waiting = []

    def _open(self, before: Mapping[str, str], names: list[str]) -> None:
        self.names = names
        self.writer = csv.DictWriter(self.file, [*beside(before, names), *names], restval="", lineterminator="\n")
        self.writer.writeheader()

    def close(self) -> None:
        if self.waiting:
            widest = max((before for before, _ in self.waiting), key=len)
            self._open(widest, [ERROR])
            self.write({}, [])


def _number(value: float) -> str:
    """The shortest text that reads back as the same float32, where it is one, else as the same float64."""
    with np.errstate(over="ignore"):
        short = np.float32(value)
    return str(short if float(short) == value else value)
