"""Files of any length in constant memory: rows in, answers out, in the order of the input."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

from seqpipe.data.files import Format
from seqpipe.errors import DataError
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


def read_texts(source: str, *, column: str, format: Format = "auto", encoding: str = "utf-8") -> Iterator[str]:
    """Texts of a file, or the lines of standard input for "-": plain lines, or a column of CSV, TSV or JSON lines.

    A file whose ending says nothing, such as captions.en.gz, is plain lines.

    Raises:
        DataError: a row cannot be read; it is named by file and line.
    """
    from seqpipe.data.files import format_by_ending
    from seqpipe.data.sources import BadRow, read_rows

    if source == "-":
        yield from _standard_input(encoding)
        return
    if format == "auto" and format_by_ending(Path(source)) is None:
        format = "lines"
    for row in read_rows(f"files:{source}", columns={"text": column}, role="test", format=format, encoding=encoding):
        if isinstance(row, BadRow):
            raise DataError(f"{row.place}: {row.reason}")
        yield row.values["text"]


def read_objects(source: str, *, encoding: str = "utf-8") -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, or of standard input for "-".

    Raises:
        DataError: a line holds none.
    """
    try:
        lines = _standard_input(encoding) if source == "-" else open(source, encoding=encoding)  # noqa: SIM115
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                raise DataError(f"{source}:{number}: not JSON: {error}.") from None
            if not isinstance(value, dict):
                raise DataError(f"{source}:{number}: a JSON {type(value).__name__}, not an object.")
            yield value
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source} cannot be read: {error}.") from None


def _standard_input(encoding: str) -> Iterator[str]:
    import sys

    for line in io.TextIOWrapper(sys.stdin.buffer, encoding, newline="\n"):
        yield line.removesuffix("\n").removesuffix("\r")


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
