"""Files of any length in constant memory: rows in, answers out, in the order of the input."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from seqpipe.serving.answers import Answer, Presentation
from seqpipe.serving.model import Model, Options
from seqpipe.storage import writing

# Rows that are in memory at once, and sorted by length so that a batch holds little padding.
WINDOW_ROWS = 2048


def in_windows(rows: Iterable[Any], size: int = WINDOW_ROWS) -> Iterator[list[Any]]:
    iterator = iter(rows)
    while window := list(islice(iterator, size)):
        yield window


def predict_rows(
    model: Model,
    rows: Iterable[Any],
    *,
    signature: str = "serving_default",
    options: Options | None = None,
    advance: Callable[[int], None] = lambda rows: None,
) -> Iterator[tuple[Any, Answer]]:
    """(row, answer) for each row, in input order, holding a window of rows at a time."""
    for window in in_windows(rows):
        yield from zip(window, model(window, signature=signature, options=options), strict=True)
        advance(len(window))


@contextlib.contextmanager
def answers_to(
    path: Path | None,
    format: Literal["jsonl", "csv", "lines"],
    stdout: IO[str],
    *,
    presentation: Presentation,
    column: str,
) -> Iterator[Callable[[str, Answer], None]]:
    """A function that writes one answer; a file named by `path` appears when all is written, and not before.

    Args:
        presentation: of the answers.
        column: the column or key of what was answered.
    """
    with writing(path, "w") if path is not None else contextlib.nullcontext(stdout) as file:
        match format:
            case "jsonl":
                yield lambda row, answer: print(
                    json.dumps({column: row, **presentation.as_json(answer)}, ensure_ascii=False), file=file
                )
            case "lines":
                yield lambda row, answer: print(presentation.short(answer), file=file)
            case "csv":
                yield _csv_writer(file, presentation, column)


def _csv_writer(file: IO[str], presentation: Presentation, column: str) -> Callable[[str, Answer], None]:
    writer = csv.writer(file, lineterminator="\n")
    header: list[str] = []

    def write(row: str, answer: Answer) -> None:
        for record in presentation.records(answer):
            if not header:
                header.extend([column, *record])
                writer.writerow(header)
            writer.writerow([row, *(f"{v:.6f}" if isinstance(v, float) else v for v in record.values())])

    return write
