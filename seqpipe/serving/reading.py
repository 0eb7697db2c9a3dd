"""Rows to be answered: from files of any length, or standard input, in constant memory.

A file is read by its ending where that says what it is, and by its first bytes where it does not: a JSON array, JSON
lines, a table whose header names the column, else a text a line.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

from seqpipe.config.data import known_encoding
from seqpipe.data.files import BadRow, as_on_disk, find_files, format_by_ending, read_unpacked
from seqpipe.data.formats import LONE_SURROGATE, MISSING, Column, Format, Gappy, separator_line, value_at
from seqpipe.data.lines import encoding_of, line_end
from seqpipe.data.sources import read_rows
from seqpipe.errors import DataError, not_allowed

Kind = Literal["csv", "tsv", "jsonl", "json", "lines"]
COLUMN = "text"  # that holds the texts where none is named
LOOKED_AT_BYTES = 65_536
SEPARATORS: dict[str, Kind | None] = {",": "csv", "\t": "tsv", ";": None, "|": None}  # and the kind that has it


class Kept(str):
    """A text with other columns of its row.

    beside: what stands in them, by name.
    """

    beside: Mapping[str, str]


def read_texts(
    source: str, *, column: str | None, encoding: str = "utf-8", usual: str = COLUMN, keep: Sequence[str] = ()
) -> Iterator[str | BadRow]:
    """Texts of a file, or the lines of standard input for "-"; what cannot be read comes out as a BadRow.

    A folder of .txt files, or of folders of them, is a text in each file, in the order of their names.

    Args:
        column: of a table, by its name or, without a header, its number from 1; or key of JSON objects; None for
            the usual one or else `text`, where there are columns.
        keep: other columns, named likewise, that come along: texts are then Kept.
    Raises:
        DataError: the file as a whole cannot be read, or has no such column.
    """
    check_encoding(encoding)
    if source == "-":
        if keep:
            raise DataError(f"--keep {keep[0]}: standard input is read as a text a line. Name a file with --input.")
        if column is not None:
            raise DataError(f"--column {column}: standard input is read as a text a line. Name a file with --input.")
        yield from _standard_input(encoding)
        return
    if as_on_disk(source).is_dir() and column is None:
        if keep:
            raise DataError(f"--keep {keep[0]}: {source} is a folder of texts, which has no columns.")
        yield from _texts(source, "auto", encoding)
        return
    (path, *more) = find_files(source)
    if more:
        raise DataError(f"--input {source} names {1 + len(more)} files. Name one.")
    holds = _look_into(path, column, encoding, usual)
    if holds.kind == "json":
        yield from _read_array(path, str(holds.column), encoding, keep)
        return
    if keep and holds.kind == "lines":
        raise DataError(f"--keep {keep[0]}: {path} is read as a text a line, without columns.")
    numbered = isinstance(holds.column, int)
    if numbered and (names := [name for name in keep if not name.isdecimal()]):
        raise DataError(f"--keep {names[0]}: {path} names no columns. Allowed: their numbers, from 1.")
    beside: dict[str, Column] = {name: int(name) if numbered else Gappy(name) for name in keep}
    yield from _texts(path, holds.kind, encoding, column=holds.column, separator=holds.separator, keep=beside)


def _texts(
    path: str | Path,
    format: Format,
    encoding: str,
    *,
    column: Column = COLUMN,
    separator: str | None = None,
    keep: Mapping[str, Column] = MappingProxyType({}),
) -> Iterator[str | BadRow]:
    for row in read_rows(
        f"files:{path}",
        columns={"text": column, **{f"keep {name}": place for name, place in keep.items()}},
        role="test",
        format=format,
        encoding=encoding,
        separator=separator,
        encoding_key="--encoding",
    ):
        if isinstance(row, BadRow):
            yield row
        elif keep:
            yield _kept(row.values["text"], {name: row.values[f"keep {name}"] for name in keep})
        else:
            yield row.values["text"]


def _kept(text: str, beside: Mapping[str, str]) -> Kept:
    kept = Kept(text)
    kept.beside = beside
    return kept


def read_text(source: str) -> str:
    """A file as one text, or standard input for "-", as models that write are trained with it.

    What is no UTF-8 becomes U+FFFD, "\\r\\n" becomes "\\n", and a byte order mark is left out.

    Raises:
        DataError: the file cannot be read, or there are several.
    """
    if source == "-":
        raw = standard_input().read()
    else:
        (path, *more) = find_files(source)
        if more:
            raise DataError(f"{source} names {1 + len(more)} files. Name one.")
        raw = read_unpacked(path)
    return raw.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")


def check_encoding(encoding: str) -> None:
    """Raises DataError: Python knows no encoding of this name."""
    try:
        known_encoding(encoding)
    except ValueError:
        raise DataError(f"--encoding {encoding} is not an encoding, such as utf-8, latin-1 or gb18030.") from None


@dataclass(frozen=True)
class _Holds:
    """What a file holds; of a table its separator, where it has another than its kind, and the column."""

    kind: Kind
    separator: str | None = None
    column: Column = COLUMN


def _look_into(path: Path, column: str | None, encoding: str, usual: str) -> _Holds:
    """What a file holds, by its ending, else by how it begins.

    Raises:
        DataError: a column is named that its first line does not have.
    """
    known = format_by_ending(path)
    raw = read_unpacked(path, LOOKED_AT_BYTES)
    begin = raw.decode(encoding_of(raw[:4], encoding), "replace").lstrip("\ufeff")
    key = column or (usual if f'"{usual}"' in begin else COLUMN)
    if known == "jsonl":
        return _Holds(known, column=key)
    table: Kind | None = "csv" if known == "csv" else "tsv" if known == "tsv" else None
    if table is None and re.match(r'\s*\[\s*["{\]]', begin):  # an array of texts or objects, or an empty one
        return _Holds("json", column=key)
    if table is None and re.match(r'\s*\{\s*["}]', begin):
        return _Holds("jsonl", column=key)
    first, _, rest = begin.partition(line_end(begin))
    if separator_line(first):
        table, first = "csv", rest.partition(line_end(begin))[0]
    return _look_at_header(path, first.rstrip("\r"), table, column, usual)


def _look_at_header(path: Path, first: str, table: Kind | None, column: str | None, usual: str) -> _Holds:
    """What a file whose first line is this holds; a number counts the columns where no name is that number.

    Args:
        table: what its ending says.
    """
    fields = {one: _fields(first, one) for one in sorted(SEPARATORS, key=lambda one: SEPARATORS[one] != table)}
    wanted = column or (usual if any(usual in names for names in fields.values()) else COLUMN)
    sign = next((one for one, names in fields.items() if len(names) > 1 and wanted in names), None)
    number = int(wanted) if sign is None and wanted.isascii() and wanted.isdigit() and first.strip() != wanted else 0
    most = max(fields, key=lambda one: len(fields[one]))  # the first of equals, the table's own
    if sign is None and (table or (number and len(fields[most]) > 1)):
        sign = most
    if sign is not None:
        kind = SEPARATORS[sign]
        own = kind is not None and table in (kind, None)
        return _Holds(kind if own and kind else "csv", None if own else sign, number or wanted)
    if first.strip() == wanted:
        return _Holds("csv", column=wanted)
    if column is not None:
        raise DataError(f"{path}: {not_allowed(column, 'column', [first[:60]])}")
    return _Holds("lines")


def _fields(line: str, separator: str) -> list[str]:
    """The fields of a header; none where the line is no CSV."""
    try:
        return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:  # such as a lone carriage return
        return []


def _read_array(path: Path, column: str, encoding: str, keep: Sequence[str]) -> Iterator[str | BadRow]:
    raw = read_unpacked(path)
    try:
        items = json.loads(raw.decode(encoding_of(raw[:4], encoding)).lstrip("\ufeff"))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not {encoding}. Name another with --encoding.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}.") from None
    objects = [item for item in items if isinstance(item, dict)]
    for name in (column, *keep):
        if objects and all(value_at(item, name) is MISSING for item in objects):
            raise DataError(f"{path}: {not_allowed(name, 'key', objects[0])}")
    for number, item in enumerate(items, start=1):
        value = value_at(item, column) if isinstance(item, dict) else item
        if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
            value = json.dumps(value)
        beside = {name: _as_text(item, name) for name in keep}
        if isinstance(value, str) and any(map(LONE_SURROGATE.search, (value, *beside.values()))):
            yield BadRow(str(path), number, f"item {number}: half a surrogate pair, which is no character")
        elif isinstance(value, str):
            yield _kept(value, beside) if keep else value
        else:
            what = f"no text under {column}" if isinstance(item, dict) else f"{type(item).__name__}, no text"
            yield BadRow(str(path), number, f"item {number}: {what}")


def _as_text(item: object, key: str) -> str:
    """What stands under a key of an item, as JSON where it is no text; nothing where nothing stands there."""
    value = value_at(item, key) if isinstance(item, dict) else None
    if value is None or value is MISSING:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_objects(source: str, *, encoding: str = "utf-8") -> Iterator[dict[str, object] | BadRow]:
    """The objects of a file of JSON lines, or of standard input for "-".

    Raises:
        DataError: the file cannot be read.
    """
    check_encoding(encoding)
    lines = _standard_input(encoding) if source == "-" else _texts(Path(source), "lines", encoding)
    for number, line in enumerate(lines, start=1):
        if isinstance(line, BadRow):
            yield line
            continue
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BadRow(source, number, f"not JSON: {error}")
            continue
        yield value if isinstance(value, dict) else BadRow(source, number, f"a {type(value).__name__}, no object")


def _standard_input(encoding: str) -> Iterator[str | BadRow]:
    for number, raw in enumerate(_raw_lines(standard_input(), encoding), start=1):
        try:
            line = raw.decode(encoding)
        except UnicodeDecodeError as error:
            reason = f"byte {error.start} (0x{raw[error.start]:02x}) is not {encoding}. Name another with --encoding"
            yield BadRow("standard input", number, reason)
            continue
        if number == 1:
            line = line.removeprefix("\ufeff")
        yield line.removesuffix("\n").removesuffix("\r")


def standard_input() -> BinaryIO:
    """Raises DataError: it is closed, or a directory."""
    try:
        if sys.stdin is not None and not stat.S_ISDIR(os.fstat(sys.stdin.fileno()).st_mode):
            return sys.stdin.buffer
    except io.UnsupportedOperation:  # a test's own
        return sys.stdin.buffer
    except OSError:
        pass
    raise DataError(
        "standard input is closed, or a directory. Allowed: a pipe or a file, such as `predict MODEL - < FILE`."
    )


def _raw_lines(stream: BinaryIO, encoding: str) -> Iterator[bytes]:
    if "\n".encode(encoding) == b"\n":
        yield from stream
        return
    try:
        for line in io.TextIOWrapper(stream, encoding, newline="\n"):  # UTF-16 and its like: "\n" is not one byte
            yield line.encode(encoding)
    except UnicodeError as error:
        raise DataError(f"standard input is not {encoding}: {error}. Name another with --encoding.") from None
