"""Rows to be answered: from files of any length, or standard input, in constant memory."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqpipe.data.files import Format, format_by_ending
from seqpipe.data.sources import BadRow, read_rows
from seqpipe.errors import DataError


def read_texts(source: str, *, column: str, format: Format = "auto", encoding: str = "utf-8") -> Iterator[str]:
    """Texts of a file, or the lines of standard input for "-": plain lines, or a column of CSV, TSV or JSON lines.

    A file whose ending says nothing, such as captions.en.gz, is plain lines.

    Raises:
        DataError: a row cannot be read; it is named by file and line.
    """

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
    for line in io.TextIOWrapper(sys.stdin.buffer, encoding, newline="\n"):
        yield line.removesuffix("\n").removesuffix("\r")
