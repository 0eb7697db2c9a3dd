"""Rows of text files: CSV, TSV, JSON lines, `label sentence` and plain lines; as they are, .gz or .xz.

Files are streamed, so memory does not grow with them. Lines end at "\\n" or "\\r\\n" and nowhere else: a review may
hold U+0085 or U+2028, at which `str.splitlines` would cut it.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from seqpipe.errors import DataError, nearest, not_allowed

Column = str | int  # a name, or where there are no names a position counted from 1
Format = Literal["auto", "csv", "tsv", "jsonl", "label_text", "lines"]
ENDINGS: dict[str, Format] = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".txt": "label_text"}
COMPRESSIONS = {".gz": "gzip", ".xz": "xz"}
FIRST_BYTES = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"PK\x03\x04": "zip",
    b"BZh91AY": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Row:
    """The values of a row by our names for its columns, and the line it starts in (counted from 1)."""

    values: dict[str, str]
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read, and why."""

    file: str
    line: int
    reason: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def read_files(
    pattern: str, *, columns: Mapping[str, Column], format: Format = "auto", encoding: str = "utf-8"
) -> Iterator[Row | BadRow]:
    """The rows of all files a pattern names, in the order of their names.

    Args:
        pattern: a path or a glob, relative to the working directory.
        columns: our name -> column or JSON key in the data; positions, counted from 1, for CSV and TSV files that
            have no header. Files of `label sentence` hold a label and a text,
            plain lines only a text, under whatever name asks for them.
        format: auto goes by each file's ending; a .txt file of which no label is asked is plain lines.
        encoding: any encoding Python knows; a byte order mark is dropped.
    Raises:
        DataError: no such file, not the named format or compression, no such column, an empty file.
    """
    paths = find_files(pattern)
    formats = [_format_of(path, columns) if format == "auto" else format for path in paths]
    return (row for path, known in zip(paths, formats, strict=True) for row in _read(path, known, columns, encoding))


def find_files(pattern: str) -> list[Path]:
    """The files that a path or a glob names, sorted.

    Raises:
        DataError: there is none, or it is a directory.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        inside = sorted(child.name for child in path.iterdir() if child.is_file())
        holds = f" It holds {', '.join(inside[:3])}{' ...' if len(inside) > 3 else ''}." if inside else ""
        raise DataError(f"{pattern} is a directory. Name a file, or several as files:{path}/*.csv.{holds}")
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True)) if Path(name).is_file()]
    if found:
        return found
    if glob.has_magic(pattern):
        raise DataError(f"no file is named like {pattern} (looked in {Path.cwd()}).")
    folder = path.parent
    if not folder.is_dir():
        raise DataError(f"{pattern} does not exist: there is no folder {folder} (looked in {Path.cwd()}).")
    guess = nearest(path.name, [child.name for child in folder.iterdir()])
    raise DataError(f"{pattern} does not exist (looked in {folder.resolve()}).{guess}")


def check_columns(place: str, columns: Mapping[str, Column], available: Iterable[str]) -> None:
    """Raise DataError unless each wanted column is there by its name, once."""
    available = list(available)
    shown = [name if len(name) <= 40 else f"{name[:37]}..." for name in available[:20]]
    for column in columns.values():
        if isinstance(column, int):
            raise DataError(
                f"{place}: columns have names here, not numbers such as {column}. Allowed: {', '.join(shown)}."
            )
        if column not in available:
            only = available[0] if len(available) == 1 else ""
            sign = next((sign for sign in (";", "\t") if sign in only), None)
            hint = f" Is it separated by {sign!r}? csv wants commas, tsv tabs." if sign else ""
            raise DataError(f"{place}: {not_allowed(column, 'column', shown)}{hint}")
        if available.count(column) > 1:
            raise DataError(f"{place}: the column {column} stands {available.count(column)} times. Name each once.")


def format_by_ending(path: Path) -> Format | None:
    """What a file's ending says, packed or not; None for an ending that says nothing."""
    endings = [ending for ending in path.suffixes[-2:] if ending not in COMPRESSIONS]
    return ENDINGS.get(endings[-1]) if endings else None


def _format_of(path: Path, columns: Mapping[str, Column]) -> Format:
    known = format_by_ending(path)
    if known is None:
        raise DataError(
            f"{path} does not say its format. Allowed endings: {', '.join(ENDINGS)}, each also with .gz or .xz; "
            "or name the format (csv, tsv, jsonl, label_text)."
        )
    return "lines" if known == "label_text" and "label" not in columns else known


def _read(path: Path, format: Format, columns: Mapping[str, Column], encoding: str) -> Iterator[Row | BadRow]:
    with open_unpacked(path) as stream:
        lines = _Lines(stream, str(path), encoding)
        if format == "csv":
            yield from _read_csv(lines, columns)
        elif format == "tsv":
            yield from _read_tsv(lines, columns)
        elif format == "jsonl":
            yield from _read_jsonl(lines, columns)
        elif format == "label_text":
            yield from _read_label_text(lines, columns)
        elif format == "lines":
            yield from _read_lines(lines, columns)
        else:
            raise DataError(f"{path}: {not_allowed(format, 'format', [*ENDINGS.values(), 'lines'])}")
    if lines.number == 0:
        raise DataError(f"{path} is empty.")


def open_unpacked(path: Path) -> BinaryIO:
    """The unpacked bytes of a file, after a look whether it is packed as its name says."""
    named = COMPRESSIONS.get(path.suffix)
    try:
        with path.open("rb") as file:
            start = file.read(8)
        found = next((name for magic, name in FIRST_BYTES.items() if start.startswith(magic)), None)
        if start and found != named:
            holds = found or f"no {named}"
            raise DataError(
                f"{path} is named as {named or 'plain'} and holds {holds} data. Allowed: plain, .gz and .xz."
            )
        if named == "gzip":
            return io.BufferedReader(gzip.open(path, "rb"))
        if named == "xz":
            return io.BufferedReader(lzma.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


class _Lines:
    """The lines of a file as text. A faulty line is noted, so that its row can be named and the next one read.

    Attributes:
        number: of the line last given out, counted from 1.
    """

    def __init__(self, stream: BinaryIO, name: str, encoding: str):
        self.name = name
        self.number = 0
        self._stream = stream
        self._encoding = codecs.lookup(encoding).name.removesuffix("-sig")
        self._fault: str | None = None

    def __iter__(self) -> Iterator[str]:
        try:
            for line in self._decoded():
                yield line.removeprefix("\ufeff") if self.number == 1 else line
        except UnicodeDecodeError as error:
            raise DataError(f"{self.name}:{self.number + 1}: not {self._encoding} from here: {error.reason}.") from None
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            raise DataError(f"{self.name}:{self.number + 1}: cannot be read from here: {error}.") from None

    def _decoded(self) -> Iterator[str]:
        if "\n,".encode(self._encoding) != b"\n,":  # UTF-16 and its like: "\n" is not one byte
            with io.TextIOWrapper(self._stream, self._encoding, newline="\n") as text:
                for line in text:
                    self.number += 1
                    yield line
            return
        offset = 0
        for raw in self._stream:
            self.number += 1
            try:
                line = raw.decode(self._encoding)
            except UnicodeDecodeError as error:
                line = raw.decode(self._encoding, errors="replace")
                self._note(f"byte {offset + error.start} (0x{raw[error.start]:02x}) is not {self._encoding}")
            if b"\0" in raw:
                self._note(f"byte {offset + raw.index(0)} is NUL")
            offset += len(raw)
            yield line

    def _note(self, fault: str) -> None:
        self._fault = self._fault or fault

    def take_fault(self) -> str | None:
        """What was wrong with the lines since the last call."""
        fault, self._fault = self._fault, None
        return fault

    def row(self, values: dict[str, str] | str, *, start: int | None = None) -> Row | BadRow:
        """The row read last: its values or, as a string, why it is bad."""
        line = self.number if start is None else start
        reason = self.take_fault() or (values if isinstance(values, str) else None)
        if reason is not None or isinstance(values, str):
            return BadRow(self.name, line, str(reason))
        return Row(values, self.name, line)


def _without_header(columns: Mapping[str, Column]) -> dict[str, int]:
    """Our name -> index of the column, where columns are given by position; else empty."""
    return {ours: theirs - 1 for ours, theirs in columns.items() if isinstance(theirs, int)}


def _header(lines: _Lines, names: list[str], columns: Mapping[str, Column]) -> dict[str, int]:
    """Our name -> index of the column."""
    fault = lines.take_fault()
    if fault:
        raise DataError(f"{lines.name}:1: {fault}.")
    check_columns(f"{lines.name}:{lines.number}", columns, names)
    return {ours: names.index(str(theirs)) for ours, theirs in columns.items()}


def _pick(fields: list[str], positions: dict[str, int], width: int) -> dict[str, str] | str:
    """The wanted fields; width: how many the header names, 0 where there is none."""
    if width and len(fields) != width:
        return f"{len(fields)} fields, the header names {width}"
    if max(positions.values()) >= len(fields):
        return f"{len(fields)} fields, column {max(positions.values()) + 1} is asked for"
    return {name: fields[position] for name, position in positions.items()}


def _read_csv(lines: _Lines, columns: Mapping[str, Column]) -> Iterator[Row | BadRow]:
    reader = csv.reader(lines, strict=True)
    positions = _without_header(columns)
    width = 0
    while True:
        start = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = _csv_reason(str(error))
            if not positions:
                raise DataError(f"{lines.name}:{start}: {lines.take_fault() or reason}.") from None
            yield lines.row(reason, start=start)
            continue
        if not fields:  # a blank line
            continue
        if not positions:
            positions, width = _header(lines, fields, columns), len(fields)
        else:
            yield lines.row(_pick(fields, positions, width), start=start)


def _csv_reason(error: str) -> str:
    if "unexpected end of data" in error:
        return "a quote opens here and is never closed"
    if "field limit" in error:
        limit = f"{csv.field_size_limit():,}"
        return f"a field is longer than {limit} characters (JSON lines have no limit), or its quote is never closed"
    if "new-line" in error:
        return "a lone carriage return outside quotes: lines end at LF or CRLF"
    return f"not CSV: {error}"


def _read_tsv(lines: _Lines, columns: Mapping[str, Column]) -> Iterator[Row | BadRow]:
    """Quotes are characters like any other, as in the IANA definition; pandas would join rows at a lone quote."""
    positions = _without_header(columns)
    width = 0
    for line in lines:
        fields = _cut(line).split("\t")
        if fields == [""]:
            continue
        if not positions:
            positions, width = _header(lines, fields, columns), len(fields)
        else:
            yield lines.row(_pick(fields, positions, width))


def _read_jsonl(lines: _Lines, columns: Mapping[str, Column]) -> Iterator[Row | BadRow]:
    checked = False
    for line in lines:
        line = line.strip(" \t\r\n")
        if not line:
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            if not checked and line.startswith("["):
                raise DataError(f"{lines.name} is a JSON array. JSON lines hold one object a line.") from None
            yield lines.row(f"not JSON: {error.msg} at column {error.colno}")
            continue
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
            yield lines.row(f"not JSON: {error}")
            continue
        if not isinstance(record, dict):
            yield lines.row(f"a JSON {type(record).__name__}, not an object")
            continue
        if not checked:
            check_columns(f"{lines.name}:{lines.number}", columns, record)
            checked = True
        yield lines.row(_json_values(record, columns))


def _json_values(record: dict[str, object], columns: Mapping[str, Column]) -> dict[str, str] | str:
    values = {}
    for ours, theirs in columns.items():
        if theirs not in record:
            return f"no key {theirs}"
        value = record[theirs]
        if isinstance(value, str):
            values[ours] = value
        elif isinstance(value, (bool, int, float)):
            values[ours] = json.dumps(value)
        else:
            kind = "null" if value is None else "a list" if isinstance(value, list) else "an object"
            return f"{theirs} is {kind}, not a string"
        if LONE_SURROGATE.search(values[ours]):
            return f"{theirs} holds half a surrogate pair, which is no character"
        if "\0" in values[ours]:
            return f"{theirs} holds NUL"
    return values


def _read_label_text(lines: _Lines, columns: Mapping[str, Column]) -> Iterator[Row | BadRow]:
    check_columns(lines.name, {name: name for name in columns}, ["label", "text"])
    for line in lines:
        label, space, text = _cut(line).partition(" ")
        if not label and not text:
            continue
        both = {"label": label, "text": text}
        yield lines.row({name: both[name] for name in columns} if space else "no space between label and sentence")


def _read_lines(lines: _Lines, columns: Mapping[str, Column]) -> Iterator[Row | BadRow]:
    if len(columns) != 1:
        raise DataError(f"{lines.name}: plain lines hold one column, not {', '.join(columns)}.")
    (name,) = columns
    for line in lines:  # a blank line is a row here: answers are matched to questions by their line
        yield lines.row({name: _cut(line)})


def _cut(line: str) -> str:
    """A line without its end."""
    return line.removesuffix("\n").removesuffix("\r")
